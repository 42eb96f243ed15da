"""The writer that needs no model: of what follows from the evidence, the important."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.writers import Draft, Subject
from sarknowlip.core.config import Config


class GroundedConfig(Config):
    """How much is told.

    Attributes:
        kind: Name in the table of writers.
        most: Claims of one predicate about one tile at most.
    """

    kind: Literal["grounded"] = "grounded"
    most: int = Field(6, ge=1)


class GroundedWriter:
    """Takes the first claims of each predicate.

    Args:
        config: How many.
    """

    name: ClassVar[str] = "grounded"
    version = "1"

    def __init__(self, config: GroundedConfig | None = None) -> None:
        self.config = config or GroundedConfig()

    def write(self, subjects: Sequence[Subject]) -> list[Draft]:
        """Return a draft for each tile."""
        return [Draft(self.pick(subject.derived)) for subject in subjects]

    def pick(self, derived: Sequence[Claim]) -> list[Claim]:
        """Return the first claims of each predicate, in order."""
        told: Counter[str] = Counter()
        picked = []
        for claim in derived:
            told[claim.predicate] += 1
            if told[claim.predicate] <= self.config.most:
                picked.append(claim)
        return picked
