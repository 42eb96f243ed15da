"""Counts of right and wrong claims, and of truths told, by predicate and dimension."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pydantic import Field, computed_field

from sarknowlip.core.config import Config

LISTED = 100
"""False claims told one by one; all are counted."""

LISTED_UNSAID = 10
"""Subjects of a predicate that are told as unsaid."""


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


class OpenWater(Config):
    """Ships in open water, moored ones left out on both sides (`open_water`).

    Attributes:
        tiles: Tiles that show enough open water.
        untold: Further ones where more ships are told than are told of one by one; left out.
        presence: Tiles said to have a ship in open water.
        absence: Tiles said to have none.
        count: Tiles with a number of ships, zero included: whether it is exact.
        count_within_1: Whether it is off by one at most.
        ships: Ships one by one, each within three pixels of where it may appear.
    """

    tiles: int = 0
    untold: int = 0
    presence: Judged = Judged()
    absence: Judged = Judged()
    count: Judged = Judged()
    count_within_1: Judged = Judged()
    ships: Judged = Judged()


class TruthReport(Config):
    """Claims about simulated worlds against what is there.

    Attributes:
        tiles: Tiles that lie in a world whose truth is known.
        unknown_tiles: Tiles that do not.
        overall: All predicates together.
        dimensions: By dimension.
        predicates: By predicate.
        ship_count_within_1: Claims of a number of ships that are off by one at most.
        open_water: Ships in open water, strictly.
        unsaid: True statements that no claim makes, by predicate: what about, and on how many
            tiles, the most frequent `LISTED_UNSAID` first.
        false_claims: The first `LISTED` false claims, "tile: claim; truth: …".
    """

    tiles: int
    unknown_tiles: int
    overall: Judged
    dimensions: dict[str, Judged]
    predicates: dict[str, Judged]
    ship_count_within_1: Judged
    open_water: OpenWater = OpenWater()
    unsaid: dict[str, dict[str, int]] = Field(default_factory=dict)
    false_claims: tuple[str, ...] = Field(default_factory=tuple)


Key = tuple[str, str]
"""Dimension and predicate."""


@dataclass
class TruthTally:
    """Counts verdicts; picklable, and of chunks the sum."""

    tiles: Counter[bool] = field(default_factory=Counter)
    counts: dict[Key, Counter[str]] = field(default_factory=dict)
    ships: Counter[str] = field(default_factory=Counter)
    open_water: Counter[tuple[str, str]] = field(default_factory=Counter)
    unsaid: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: list[tuple[int, int, str]] = field(default_factory=list)

    def count(self, key: Key, what: str) -> None:
        """Count one of the numbers of `Judged`."""
        self.counts.setdefault(key, Counter())[what] += 1

    def truth(self, key: Key, is_said: bool, about: str) -> None:
        """Count a true statement, and what it is about if no claim makes it."""
        self.count(key, "exist")
        if is_said:
            self.count(key, "said")
        else:
            self.unsaid.setdefault(key[1], Counter())[about] += 1

    def verdict(self, key: Key, verdict: Verdict, claim: str) -> None:
        """Count a verdict; `claim` is told if it is false."""
        self.count(key, {True: "true", False: "false", None: "undecided"}[verdict.right])
        if verdict.right is False and len(self.wrong) < LISTED:
            self.wrong.append((0, len(self.wrong), f"{claim}; truth: {verdict.truth}"))

    def add(self, other: TruthTally, number: int) -> None:
        """Add the tally of a chunk; sums don't depend on the order in which chunks come."""
        self.tiles.update(other.tiles)
        self.ships.update(other.ships)
        self.open_water.update(other.open_water)
        for name, subjects in other.unsaid.items():
            self.unsaid.setdefault(name, Counter()).update(subjects)
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
            open_water=self._open_water(),
            unsaid={
                name: dict(
                    sorted(found.items(), key=lambda item: (-item[1], item[0]))[:LISTED_UNSAID]
                )
                for name, found in sorted(self.unsaid.items())
            },
            false_claims=tuple(claim for *_, claim in self.wrong),
        )

    def _open_water(self) -> OpenWater:
        figures: dict[str, dict[str, int]] = {}
        for (figure, number), count in sorted(self.open_water.items()):
            figures.setdefault(figure, {})[number] = count
        tiles = figures.pop("tiles", {})
        judged = {name: Judged(**counts) for name, counts in figures.items()}
        return OpenWater(tiles=tiles.get("examined", 0), untold=tiles.get("untold", 0), **judged)
