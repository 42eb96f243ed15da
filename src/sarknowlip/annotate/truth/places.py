"""Where a tile's claims about the image say that something is.

The only thing that truth takes from facts: a claim about the second clearest target tells a ninth
of the image, the facts that it cites tell the pixel. Whether there is anything is then judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sarknowlip.annotate.claim import Claim
from sarknowlip.knowledge.evidence import Evidence

Place = tuple[float, float]
"""Column and row, pixels from the corner of the tile."""
_SEEN = ("target/", "line/")
SHIPS = {"ship_size", "ship_place"}
"""Predicates that tell of ships one by one."""


@dataclass(frozen=True)
class Places:
    """Places of the targets and lines of a tile, by the facts that claims cite.

    Attributes:
        subjects: What a fact is about, by its identifier; targets and lines only.
        points: Where that is.
        ships: Where each ship is that a claim tells of; None if they aren't told one by one.
    """

    subjects: Mapping[str, str] = field(default_factory=dict)
    points: Mapping[str, Place] = field(default_factory=dict)
    ships: tuple[Place, ...] | None = None

    @classmethod
    def of(cls, facts: Iterable[Evidence], claims: Sequence[Claim]) -> Places:
        """Return the places that facts and claims of one tile tell."""
        seen = [fact for fact in facts if fact.subject.startswith(_SEEN)]
        found = {(fact.subject, fact.predicate): fact.value for fact in seen}
        points = {
            subject: (column, row)
            for (subject, predicate), column in found.items()
            if predicate == "column"
            and column is not None
            and (row := found.get((subject, "row"))) is not None
        }
        known = cls({fact.id: fact.subject for fact in seen}, points)
        return cls(known.subjects, known.points, known._ships(claims))

    def about(self, claim: Claim) -> Place | None:
        """Return where a claim's target or line is: of several cited ones the last ranked."""
        cited = [self.subjects[key] for key in claim.evidence_ids if key in self.subjects]
        return self.points.get(max(cited, default=""))

    def _ships(self, claims: Sequence[Claim]) -> tuple[Place, ...] | None:
        counts = [int(c.arguments["count"]) for c in claims if c.predicate == "ship_count"]
        if not counts:
            return () if any(claim.predicate == "no_ship" for claim in claims) else None
        told = [self.about(claim) for claim in claims if claim.predicate in SHIPS]
        ships = tuple(place for place in told if place is not None)
        return ships if counts == [len(ships)] else None
