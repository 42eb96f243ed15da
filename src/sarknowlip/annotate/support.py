"""What the stored facts say of each text: the signal "evidence".

The claims that follow from the facts about a tile are derived once, as verification does. A claim
that is among them is supported, whatever it cites; one that is not is contradicted where facts
settle what it is about (`annotate.settled`), and open where they do not. A text is contradicted if
one of its claims is, or if the grammar can't make its words of them; supported if all are; else
open. Pixels and the sources' files are not looked at.

Facts of some sources may be hidden, to see what a loop does with incomplete evidence. Then the
shares of maps are taken to be of the whole tile if the image's facts are among them: in tiles at
the edge of a scene, of which they are not, a few that are right are contradicted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.compose import Composer
from sarknowlip.annotate.lookup import Stored
from sarknowlip.annotate.settled import Told
from sarknowlip.annotate.stages import STAGES, Stage
from sarknowlip.annotate.tile import AnnotateConfig, derive, recipe_of
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import canonical_json
from sarknowlip.knowledge.evidence import Evidence

SUPPORTED, CONTRADICTED, OPEN = 1.0, 0.0, math.nan


class Support(NamedTuple):
    """What evidence says of a text.

    Attributes:
        value: 1 supported, 0 contradicted, NaN where the sources say nothing about it.
        claim_values: The same for each of its claims, by identifier.
        reason: Why, a short sentence.
    """

    value: float
    claim_values: dict[str, float]
    reason: str


def content_of(claim: Claim) -> str:
    """Return what a claim states, as one string: equal for equal statements, whoever made them."""
    return f"{claim.predicate} {canonical_json(claim.arguments)}"


class Following:
    """The claims that follow from facts about one tile.

    Args:
        stages: In the order of the chain.
        tile_id: Tile.
        facts: Facts about it.

    Attributes:
        claims: All of them, in the order of the chain.
    """

    def __init__(self, stages: Iterable[Stage], tile_id: str, facts: Collection[Evidence]) -> None:
        self.claims = derive(list(stages), tile_id, list(facts))

    @functools.cached_property
    def by_content(self) -> dict[str, Claim]:
        """The claims by what they state (`content_of`)."""
        return {content_of(claim): claim for claim in self.claims}

    def holds(self, claim: Claim) -> bool:
        """Return whether a claim states what follows."""
        return content_of(claim) in self.by_content

    def same(self, claim: Claim) -> Claim | None:
        """Return the claim that follows and states the same, None if there is none."""
        return self.by_content.get(content_of(claim))


class Basis(NamedTuple):
    """What the facts about a tile say of claims.

    Attributes:
        contents: What the claims that follow from them state (`content_of`).
        told: What they tell of.
    """

    contents: frozenset[str]
    told: Told

    def value(self, claim: Claim) -> float:
        """Return 1 where a claim states what follows, 0 where facts settle it otherwise, or NaN."""
        if content_of(claim) in self.contents:
            return SUPPORTED
        return CONTRADICTED if self.told.settles(claim) else OPEN


def hiding(config: AnnotateConfig, hidden: Collection[str]) -> frozenset[str]:
    """Return the names of sources whose facts are not looked at.

    Args:
        config: Recipe of the annotations.
        hidden: The names.

    Raises:
        ConfigError: `hidden` names a source that the recipe did not ask.
    """
    strange = sorted(set(hidden) - set(config.asked))
    if strange:
        raise ConfigError(
            f"no facts of source {strange[0]!r} can be hidden: it was not asked",
            f"choose among {', '.join(config.asked)}",
        )
    return frozenset(hidden)


class Supporter:
    """Judges texts by stored facts.

    Args:
        config: Recipe of the annotations.
        hidden: Names of sources whose facts are not looked at.

    Raises:
        ConfigError: `hidden` names a source that the recipe did not ask.
    """

    def __init__(self, config: AnnotateConfig, *, hidden: Collection[str] = ()) -> None:
        self.hidden = hiding(config, hidden)
        self.stages: list[Stage] = [STAGES[name]() for name in config.stages]
        self.composer = Composer(config.texts)

    @classmethod
    def of(cls, folder: Path, *, hidden: Collection[str] = ()) -> Supporter:
        """Return a judge of the texts of a version.

        Raises:
            SarKnowlipError: The version's manifest is absent or damaged.
            ConfigError: As the class.
        """
        return cls(recipe_of(folder), hidden=hidden)

    def basis(self, tile_id: str, evidence: Collection[Evidence]) -> Basis:
        """Return what the facts about a tile say of claims.

        Args:
            tile_id: Tile.
            evidence: Facts about it; those without a sound identifier don't count.
        """
        known = [fact for fact in evidence if fact.intact]
        facts = [fact for fact in known if fact.source not in self.hidden]
        told = Told.of(facts, (fact for fact in known if fact.source in self.hidden))
        return Basis(frozenset(Following(self.stages, tile_id, facts).by_content), told)

    def texts(self, held: Stored, basis: Basis | None = None) -> dict[str, Support]:
        """Return what the facts about a tile say of its texts, by text.

        Args:
            held: What a version holds about the tile; facts without a sound identifier don't count.
            basis: What `basis` returns for these facts, if it is known. Facts are then looked at
                for groundings alone.
        """
        if not held.texts:
            return {}
        if basis is None:
            basis = self.basis(held.texts[0].tile_id, held.evidence)
        told = {claim.id: claim for claim in held.claims}
        values = {k: basis.value(c) if c.intact else CONTRADICTED for k, c in told.items()}
        true = {key: claim for key, claim in told.items() if values[key] == SUPPORTED}
        facts = []
        if any(text.level == "grounding" for text in held.texts):
            facts = [f for f in held.evidence if f.source not in self.hidden and f.intact]
        return {text.id: self._support(text, told, values, (true, facts)) for text in held.texts}

    def _support(
        self,
        text: Text,
        claims: Mapping[str, Claim],
        values: Mapping[str, float],
        basis: tuple[Mapping[str, Claim], list[Evidence]],
    ) -> Support:
        """Return the support of a text; `basis` are the claims that are supported, and facts."""
        own = {key: values.get(key, CONTRADICTED) for key in text.claim_ids}
        for key, value in own.items():
            if value == CONTRADICTED:
                said = content_of(claims[key]) if key in claims else f"claim {key} is not there"
                return Support(CONTRADICTED, own, f"does not follow from evidence: {said}")
        for key, value in own.items():
            if math.isnan(value):
                return Support(OPEN, own, f"no source tells of it: {content_of(claims[key])}")
        fault = self.composer.fault(text, *basis)
        if fault is None:
            return Support(SUPPORTED, own, "follows from evidence")
        if text.level == "grounding" and self.hidden:
            return Support(OPEN, own, "what it refers to may be among the facts not looked at")
        return Support(CONTRADICTED, own, fault)
