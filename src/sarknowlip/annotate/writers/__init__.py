"""The table of writers: who decides which claims are made about a tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from sarknowlip.annotate.claim import Claim
from sarknowlip.core.lazy import LazyTable
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.sar.tile import TileImage

WRITERS = LazyTable(
    "writer",
    {
        "grounded": "sarknowlip.annotate.writers.grounded:GroundedWriter",
        "vlm": "sarknowlip.annotate.writers.vlm.writer:VlmWriter",
    },
)


@dataclass(frozen=True)
class Subject:
    """A tile to write about.

    Attributes:
        tile: Pixels, map grid, acquisition.
        evidence: All that is known of it.
        derived: All claims that follow from the evidence and are sure enough
            (`AnnotateConfig.least`), stage by stage, each predicate's more important ones first. A
            writer may make these claims and no other.
    """

    tile: TileImage
    evidence: Sequence[Evidence]
    derived: Sequence[Claim]


@dataclass(frozen=True)
class Draft:
    """What a writer says of a tile.

    Attributes:
        claims: Some of the derived ones, in the order of the derivation; a claim's premises need
            not be among them.
        counts: What else is to be reported, summed over tiles: claims dropped by reason, tokens,
            requests.
    """

    claims: Sequence[Claim]
    counts: Mapping[str, float] = field(default_factory=dict)


class Writer(Protocol):
    """Chooses claims; made with its own configuration.

    Attributes:
        name: Name in `WRITERS`.
        version: Changes with its method.
    """

    name: ClassVar[str]

    @property
    def version(self) -> str:
        """See the class."""

    def write(self, subjects: Sequence[Subject]) -> list[Draft]:
        """Return a draft for each tile, in order.

        Raises:
            SarKnowlipError: It cannot go on (an endpoint that stays silent); what was paid for is
                kept.
        """
