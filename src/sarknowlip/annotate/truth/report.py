"""Counts of right and wrong claims, and of truths told, by predicate and dimension."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pydantic import Field, computed_field

from sarknowlip.core.config import Config

LISTED = 100
"""False claims told one by one; all are counted."""


@dataclass(frozen=True)
class Verdict:
    """What truth says of a claim.

    Attributes:
        right: Whether it is true; None where truth can't tell.
        truth: What is true instead, in a few words.
    """

    right: bool | None
    truth: str = ""


UNDECIDED = Verdict(None)


class Judged(Config):
    """How right and how complete claims are.

    Attributes:
        true: Claims that are true.
        false: Claims that are false.
        undecided: Claims that truth can't tell anything about.
        exist: True statements that could have been made; 0 where none are enumerated.
        said: Those among them that a true claim makes.
    """

    true: int = 0
    false: int = 0
    undecided: int = 0
    exist: int = 0
    said: int = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def precision(self) -> float | None:
        """Share of the decided claims that is true, 0…1; None if there is none."""
        decided = self.true + self.false
        return self.true / decided if decided else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def recall(self) -> float | None:
        """Share of the true statements that is said, 0…1; None if there is none."""
        return self.said / self.exist if self.exist else None


class TruthReport(Config):
    """Claims about simulated worlds against what is there.

    Attributes:
        tiles: Tiles that lie in a world whose truth is known.
        unknown_tiles: Tiles that do not.
        overall: All predicates together.
        dimensions: By dimension.
        predicates: By predicate.
        ship_count_within_1: Claims of a number of ships that are off by one at most.
        false_claims: The first `LISTED` false claims, "tile: claim; truth: …".
    """

    tiles: int
    unknown_tiles: int
    overall: Judged
    dimensions: dict[str, Judged]
    predicates: dict[str, Judged]
    ship_count_within_1: Judged
    false_claims: tuple[str, ...] = Field(default_factory=tuple)


Key = tuple[str, str]
"""Dimension and predicate."""


@dataclass
class TruthTally:
    """Counts verdicts; picklable, and of chunks the sum."""

    tiles: Counter[bool] = field(default_factory=Counter)
    counts: dict[Key, Counter[str]] = field(default_factory=dict)
    ships: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[int, int, str]] = field(default_factory=list)

    def count(self, key: Key, what: str) -> None:
        """Count one of the numbers of `Judged`."""
        self.counts.setdefault(key, Counter())[what] += 1

    def verdict(self, key: Key, verdict: Verdict, claim: str) -> None:
        """Count a verdict; `claim` is told if it is false."""
        self.count(key, {True: "true", False: "false", None: "undecided"}[verdict.right])
        if verdict.right is False and len(self.wrong) < LISTED:
            self.wrong.append((0, len(self.wrong), f"{claim}; truth: {verdict.truth}"))

    def add(self, other: TruthTally, number: int) -> None:
        """Add the tally of a chunk; sums don't depend on the order in which chunks come."""
        self.tiles.update(other.tiles)
        self.ships.update(other.ships)
        for key, counts in other.counts.items():
            self.counts.setdefault(key, Counter()).update(counts)
        more = [(number, index, claim) for _, index, claim in other.wrong]
        self.wrong = sorted([*self.wrong, *more])[:LISTED]

    def report(self) -> TruthReport:
        """Return the outcome."""
        dimensions: dict[str, Counter[str]] = {}
        predicates: dict[str, Counter[str]] = {}
        overall: Counter[str] = Counter()
        for (dimension, predicate), counts in sorted(self.counts.items()):
            dimensions.setdefault(dimension, Counter()).update(counts)
            predicates.setdefault(predicate, Counter()).update(counts)
            overall.update(counts)
        return TruthReport(
            tiles=self.tiles[True],
            unknown_tiles=self.tiles[False],
            overall=Judged(**overall),
            dimensions={name: Judged(**counts) for name, counts in dimensions.items()},
            predicates={name: Judged(**counts) for name, counts in predicates.items()},
            ship_count_within_1=Judged(**self.ships),
            false_claims=tuple(claim for *_, claim in self.wrong),
        )
