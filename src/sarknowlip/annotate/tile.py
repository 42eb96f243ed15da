"""Everything that is said about a tile: facts, claims stage by stage, the writer's pick, texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.compose import Composer, TextConfig
from sarknowlip.annotate.stages import STAGES, Stage
from sarknowlip.annotate.store import MANIFEST
from sarknowlip.annotate.writers import WRITERS, Draft, Subject, Writer
from sarknowlip.annotate.writers.grounded import GroundedConfig
from sarknowlip.annotate.writers.vlm.config import VlmConfig
from sarknowlip.core.config import Config
from sarknowlip.core.files import read_json
from sarknowlip.knowledge.cache import EvidenceCache
from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.knowledge.sources import SOURCES, KnowledgeSource, SourceOptions
from sarknowlip.sar.tile import TileImage


class AnnotateConfig(Config):
    """The recipe of an annotation.

    Attributes:
        sources: Names of knowledge sources, in the order in which they are asked; None: all that
            `options` name files for, and those that need none.
        options: Files of the sources.
        stages: Names of stages, in the order of the chain.
        least: Confidence below which a claim is not made, whoever writes.
        writer: Who chooses the claims.
        texts: Which texts are made.
    """

    sources: tuple[str, ...] | None = Field(None, min_length=1)
    options: SourceOptions = SourceOptions()
    stages: tuple[str, ...] = Field(tuple(STAGES), min_length=1)
    least: float = Field(0.5, ge=0.0, le=1.0)
    writer: GroundedConfig | VlmConfig = Field(GroundedConfig(), discriminator="kind")
    texts: TextConfig = TextConfig()

    @property
    def asked(self) -> tuple[str, ...]:
        """Names of the sources that are asked."""
        return self.sources or self.options.sources


def recipe_of(folder: Path) -> AnnotateConfig:
    """Return the recipe of a version of the annotations.

    Raises:
        SarKnowlipError: Its manifest is absent or damaged.
    """
    return AnnotateConfig(**read_json(folder / MANIFEST, "annotate the corpus again")["recipe"])


@dataclass(frozen=True)
class TileAnnotation:
    """What is known and said about a tile, in a fixed order; `counts` is the writer's report."""

    evidence: tuple[Evidence, ...]
    claims: tuple[Claim, ...]
    texts: tuple[Text, ...]
    draft: Draft


class TileAnnotator:
    """Annotates tiles.

    Args:
        config: Which sources, stages, writer and texts.
        cached: Whether facts may come from `options.cache`; otherwise all are found anew.

    Raises:
        ConfigError: A source, stage, writer or language is unknown, or a source lacks its file.
        SarKnowlipError: A source's file cannot be read.
    """

    def __init__(self, config: AnnotateConfig, *, cached: bool = True) -> None:
        folder = config.options.cache if cached else None
        self.cache = None if folder is None else EvidenceCache(folder)
        self.sources: list[KnowledgeSource] = [
            SOURCES[name](config.options) for name in config.asked
        ]
        self.stages: list[Stage] = [STAGES[name]() for name in config.stages]
        self.least = config.least
        self.writer: Writer = WRITERS[config.writer.kind](config.writer)
        self.composer = Composer(config.texts)

    @property
    def versions(self) -> dict[str, str]:
        """Versions of sources, stages, writer and composer, by name."""
        found = {f"source/{source.name}": source.version for source in self.sources}
        found |= {f"stage/{stage.name}": stage.version for stage in self.stages}
        found[f"writer/{self.writer.name}"] = self.writer.version
        return found | {"composer": self.composer.version}

    def annotate(self, tiles: Sequence[TileImage]) -> list[TileAnnotation]:
        """Return facts, claims and texts of tiles."""
        subjects = []
        for tile in tiles:
            evidence = self.evidence(tile)
            derived = self.derive(tile.id, evidence)
            sure = [claim for claim in derived if claim.confidence >= self.least]
            subjects.append(Subject(tile, evidence, sure))
        drafts = self.writer.write(subjects)
        return [
            TileAnnotation(
                tuple(subject.evidence),
                tuple(draft.claims),
                tuple(self.composer.texts(draft.claims, subject.evidence)),
                draft,
            )
            for subject, draft in zip(subjects, drafts, strict=True)
        ]

    def evidence(self, tile: TileImage) -> list[Evidence]:
        """Return the facts of all sources about a tile."""
        found: list[Evidence] = []
        ask = _ask if self.cache is None else self.cache.evidence
        for source in self.sources:
            found.extend(ask(source, tile, tuple(found)))
        return found

    def derive(self, tile_id: str, evidence: Sequence[Evidence]) -> list[Claim]:
        """Return all claims that follow from facts about one tile."""
        return derive(self.stages, tile_id, evidence)


def _ask(source: KnowledgeSource, tile: TileImage, known: Sequence[Evidence]) -> list[Evidence]:
    return source.evidence(tile, known)


def derive(stages: Sequence[Stage], tile_id: str, evidence: Sequence[Evidence]) -> list[Claim]:
    """Return all claims that stages, in the order of the chain, draw from facts about one tile."""
    facts = Facts(evidence)
    claims: list[Claim] = []
    for stage in stages:
        claims.extend(stage.claims(tile_id, facts, tuple(claims)))
    return claims
