"""Everything that is said about one tile: facts, then claims stage by stage, then texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.grammar import Grammar
from sarknowlip.annotate.stages import STAGES, Stage
from sarknowlip.core.config import Config
from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.knowledge.sources import SOURCES, KnowledgeSource
from sarknowlip.sar.tile import TileImage


class AnnotateConfig(Config):
    """The recipe of an annotation.

    Attributes:
        sources: Names of knowledge sources.
        stages: Names of stages, in the order of the chain.
        language: BCP 47 tag of the lexicon.
    """

    sources: tuple[str, ...] = Field(("image",), min_length=1)
    stages: tuple[str, ...] = Field(("landform", "target"), min_length=1)
    language: str = "en"


@dataclass(frozen=True)
class TileAnnotation:
    """What is known and said about a tile, in a fixed order."""

    evidence: tuple[Evidence, ...]
    claims: tuple[Claim, ...]
    texts: tuple[Text, ...]


class TileAnnotator:
    """Annotates tiles one at a time.

    Args:
        config: Which sources, stages and language.

    Raises:
        ConfigError: A source, stage or language is unknown.
    """

    def __init__(self, config: AnnotateConfig) -> None:
        self.sources: list[KnowledgeSource] = [SOURCES[name]() for name in config.sources]
        self.stages: list[Stage] = [STAGES[name]() for name in config.stages]
        self.grammar = Grammar(config.language)

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the sources and stages, by name."""
        sources = {source.name: source.version for source in self.sources}
        return sources | {stage.name: stage.version for stage in self.stages}

    def annotate(self, tile: TileImage) -> TileAnnotation:
        """Return facts, claims and texts of a tile."""
        evidence = self.evidence(tile)
        claims = self.claims(tile.id, evidence)
        return TileAnnotation(tuple(evidence), tuple(claims), tuple(self.texts(claims)))

    def evidence(self, tile: TileImage) -> list[Evidence]:
        """Return the facts of all sources about a tile."""
        return [fact for source in self.sources for fact in source.evidence(tile)]

    def claims(self, tile_id: str, evidence: Sequence[Evidence]) -> list[Claim]:
        """Return the claims of all stages that follow from facts about one tile."""
        facts = Facts(evidence)
        claims: list[Claim] = []
        for stage in self.stages:
            claims.extend(stage.claims(tile_id, facts, tuple(claims)))
        return claims

    def texts(self, claims: Sequence[Claim]) -> list[Text]:
        """Return one sentence a claim."""
        return [self.grammar.sentence(claim) for claim in claims]
