"""Relation: where things lie to one another, in compass terms, and where in the image.

Things are what the tile shows of them (`annotate.things`); what a relation means and when it is
withheld is told in `annotate.spatial`. Between things of maps a relation is lasting; a detected
ship or target has it at the time of the image. Named places are points of unknown extent: only
their position is told.

Beside those of `annotate.spatial`:

- *nearest*: of all objects or ships of a kind, b is nearest to a: the next is farther by a quarter
  and two pixels, all of the kind are listed, and so near that none outside the tile can be nearer;
  only in tiles that are valid throughout.
- *larger*: the area of region a in the tile is at least 1.5 times that of region b.
- *position*: the ninth of the image that holds the point and four fifths of the pixels of a thing
  whose name does not tell it already.

Pairs of the `LISTED` most telling things (named, rare) are looked at, near ones first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sarknowlip.annotate import spatial
from sarknowlip.annotate.claim import Argument, Claim, Dimension
from sarknowlip.annotate.extent import Extent
from sarknowlip.annotate.geometry import PixelGrid
from sarknowlip.annotate.rules import Rule, RuleStage, Statement
from sarknowlip.annotate.things import PARTS, Cast, Thing, arguments_of
from sarknowlip.knowledge.evidence import Facts
from sarknowlip.knowledge.vocabulary import WATERS

LISTED = 16
"""Things whose relations are told."""
RATIO = 1.5
LEAST_AREA_PX = 64
IN_NINTH = 0.8
CLEARLY = 1.25
ROUND_DEG = 5

NETWORKS = ("road", "rail", "runway", "taxiway", "quay", *WATERS)
"""Ground that does not hold what it surrounds."""
CROSSING = ("road", "rail")
"""Functions of regions that may cross water, beside bridges. They are networks that run through the
whole tile: where their middle lies, how far they are and how large, tells nothing."""

A = frozenset({"a", "a_kind", "a_name", "a_part"})
B = frozenset({"b", "b_kind", "b_name", "b_part"})


class Relation(RuleStage):
    """States directions, distances, contact, containment, crossings, sizes, rows, positions."""

    name: ClassVar[str] = "relation"
    version: ClassVar[str] = "3"
    dimension: ClassVar[Dimension] = "relation"
    predicates: ClassVar[dict[str, frozenset[str]]] = {
        "direction": A | B | {"direction"},
        "distance": A | B | {"distance_m"},
        "adjacent": A | B,
        "inside": A | B,
        "crosses": A | B,
        "nearest": A | B | {"distance_m"},
        "larger": A | B | {"ratio"},
        "aligned": frozenset({"kind", "count", "bearing_deg"}),
        "position": A | {"part"},
    }

    def rules(self, facts: Facts, before: Sequence[Claim]) -> Iterable[Rule]:
        """Return the rules: crossings and rows first, then pairs, nearest ones, positions."""
        grid = PixelGrid.of(facts.fresh())
        if grid is None:
            return
        scene = _Scene(facts, grid)
        for subject in scene.cast.things:
            yield from _crossings(scene, subject)
        for kind in scene.kinds:
            yield _row_of(scene, kind)
        for pair in scene.pairs():
            yield from _relations_of(scene, pair)
        compact = [subject for subject in scene.nameable if scene.is_compact(subject)]
        for subject in compact[: LISTED // 2]:
            for kind in scene.kinds if scene.cast.whole else ():
                yield _nearest_to(scene, subject, kind)
        for subject in (*compact, *scene.places):
            yield _position_of(scene, subject)


@dataclass(frozen=True)
class _Pair:
    """Two things with extents, the smaller first, and the distance between their sides."""

    a: str
    b: str
    gap_m: float


class _Scene:
    """The things of a tile, and which of them are told apart."""

    def __init__(self, facts: Facts, grid: PixelGrid) -> None:
        self.grid = grid
        self.cast = Cast(facts)
        shown = [s for s in self.cast.things if self.cast.extent(s) is not None]
        self.places = [s for s in shown if s.startswith("place/")]
        alone = facts.fresh()
        told = [s for s in shown if s not in self.cast.unclear]
        named = [s for s in told if self.cast.reference(alone, "a", s) is not None]
        self.nameable = sorted((s for s in named if s not in self.places), key=self._rank)
        self.kinds = sorted({self.thing(s).kind for s in shown if s.startswith("object/")})
        if any(self.thing(s).kind == "ship" for s in shown):
            self.kinds.append("ship")
        self._gaps: dict[tuple[str, str], float] = {}

    def thing(self, subject: str) -> Thing:
        """Return a thing."""
        return self.cast.things[subject]

    def is_compact(self, subject: str) -> bool:
        """Return whether a thing has a place, which a network of roads or railways has not."""
        return not (subject.startswith("region/") and self.thing(subject).kind in CROSSING)

    def extent(self, subject: str) -> Extent:
        """Return the pixels of a thing that has some.

        Raises:
            ValueError: It has none.
        """
        extent = self.cast.extent(subject)
        if extent is None:
            raise ValueError(f"{subject} has no pixel in the tile")
        return extent

    def names(self, view: Facts, a: str, b: str) -> dict[str, Argument] | None:
        """Return the arguments that name two things, None if they can't be told from others."""
        PixelGrid.of(view)
        first, second = self.cast.reference(view, "a", a), self.cast.reference(view, "b", b)
        return None if first is None or second is None else first | second

    def pairs(self) -> list[_Pair]:
        """Return pairs of telling things: of different kinds, named, and near ones first."""
        found = []
        for one, other in itertools.combinations(self.nameable[:LISTED], 2):
            a, b = sorted((one, other), key=lambda s: (self.extent(s).area, s))
            found.append(_Pair(a, b, self.gap(a, b)))
        return sorted(found, key=self._pair_rank)

    def gap(self, one: str, other: str) -> float:
        """Return the distance between the nearest sides of two things, metres."""
        pair = min(one, other), max(one, other)
        if pair not in self._gaps:
            a, b = self.extent(pair[0]), self.extent(pair[1])
            self._gaps[pair] = 0.0 if a.share_within(b) > 0 else a.gap(b)
        return self._gaps[pair]

    def count(self, kind: str) -> int:
        """Return how many things of a kind are listed."""
        return sum(thing.kind == kind for thing in self.cast.things.values())

    def of_kind(self, view: Facts, kind: str) -> list[str] | None:
        """Return all objects or ships of a kind; None unless all that are counted are listed."""
        subjects = [s for s, thing in self.cast.things.items() if thing.kind == kind]
        if any(self.cast.extent(s) is None for s in subjects):
            return None
        for subject in subjects:
            self.cast.cite(view, subject)
        return subjects if self.cast.complete(view, self.thing(subjects[0])) else None

    def _rank(self, subject: str) -> tuple[int, int, str]:
        thing = self.thing(subject)
        return (0 if thing.name else 1, len(self.cast.alike(thing)), subject)

    def _pair_rank(self, pair: _Pair) -> tuple[bool, int, int, str, str]:
        a, b = self.thing(pair.a), self.thing(pair.b)
        nearness = round(2 * math.log2(1 + pair.gap_m / min(self.grid.gsd_m)))
        return a.kind == b.kind, nearness, -bool(a.name) - bool(b.name), pair.a, pair.b


def _relations_of(scene: _Scene, pair: _Pair) -> Iterator[Rule]:
    """Yield the rules on a pair of things."""
    a, b = scene.extent(pair.a), scene.extent(pair.b)
    grid = scene.grid

    def rule(name: str, told: Callable[[], dict[str, Argument] | None]) -> Rule:
        def state(facts: Facts) -> Statement | None:
            more = told()
            if more is None:
                return None
            named = scene.names(facts, pair.a, pair.b)
            return None if named is None else Statement(name, named | more)

        state.__name__ = name
        return state

    def holds(truth: bool) -> dict[str, Argument] | None:
        return {} if truth else None

    def direction() -> dict[str, Argument] | None:
        told = spatial.direction(a, b, grid)
        return None if told is None else {"direction": told}

    def distance() -> dict[str, Argument] | None:
        told = spatial.said_distance(pair.gap_m, max(grid.gsd_m))
        return None if told is None else {"distance_m": told}

    surrounded = scene.thing(pair.b).kind not in NETWORKS
    is_inside = spatial.inside(a, b, surrounded=surrounded)
    compact = scene.is_compact(pair.a) and scene.is_compact(pair.b)
    if compact:
        yield rule("direction", direction)
        yield rule("distance", distance)
    yield rule("inside", lambda: holds(is_inside))
    yield rule("adjacent", lambda: holds(not is_inside and spatial.adjacent(a, b, pair.gap_m)))
    if compact and pair.a.startswith("region/") and pair.b.startswith("region/"):
        yield _larger(scene, pair)


def _larger(scene: _Scene, pair: _Pair) -> Rule:
    def larger(facts: Facts) -> Statement | None:
        small, large = scene.extent(pair.a).area, scene.extent(pair.b).area
        if small < LEAST_AREA_PX or large < RATIO * small:
            return None
        named = scene.names(facts, pair.b, pair.a)
        if named is None:
            return None
        ratio = large / small
        said: Argument = round(ratio, 1) if ratio < 10 else round(ratio)
        return Statement("larger", named | {"ratio": said})

    return larger


def _crossings(scene: _Scene, subject: str) -> Iterator[Rule]:
    """Yield rules for each kind of water that a bridge, road or railway may cross."""
    thing = scene.thing(subject)
    extent = scene.cast.extent(subject)
    is_bridge = subject.startswith("object/") and thing.kind == "bridge"
    if extent is None or not (is_bridge or thing.kind in CROSSING):
        return
    for kind in WATERS:
        waters = [
            s for s, t in scene.cast.things.items() if t.kind == kind and scene.cast.extent(s)
        ]
        near = [s for s in waters if scene.gap(subject, s) <= spatial.BRINK_PX * min(extent.gsd_m)]
        if near:
            yield _crosses(scene, subject, near, waters)


def _crosses(scene: _Scene, subject: str, near: list[str], waters: list[str]) -> Rule:
    """Return the rule that a thing crosses water that lies in one piece or two beside it.

    Two pieces are one water if they have one name, or no others of their kind are in the tile.
    """

    def crosses(facts: Facts) -> Statement | None:
        sides = _sides(scene, subject, near)
        if not sides:
            return None
        PixelGrid.of(facts)
        line = scene.cast.reference(facts, "a", subject)
        for other in waters:
            scene.cast.cite(facts, other)
        if line is None:
            return None
        if len(sides) == 1:
            water = scene.cast.reference(facts, "b", sides[0])
        else:
            names = {scene.thing(s).name for s in sides}
            one = len(names) == 1 and (names != {""} or set(sides) == set(waters))
            whole = scene.cast.complete(facts, scene.thing(sides[0])) or names != {""}
            water = arguments_of("b", scene.thing(sides[0])) if one and whole else None
        return None if water is None else Statement("crosses", line | water)

    return crosses


def _sides(scene: _Scene, subject: str, near: list[str]) -> list[str]:
    """Return the one piece of water on both sides of a thing, or the two on either side."""
    line = scene.extent(subject)
    if subject.startswith("object/"):
        beside = {s: spatial.beside(line, scene.extent(s)) for s in near}
        both = [s for s in near if all(beside[s])]
        if len(both) == 1:
            return both
        left = [s for s in near if beside[s] == (True, False)]
        right = [s for s in near if beside[s] == (False, True)]
        return [*left, *right] if not both and len(left) == len(right) == 1 else []
    parted = [
        [one, other]
        for one, other in itertools.combinations(near, 2)
        if spatial.parts(line, scene.extent(one), scene.extent(other))
    ]
    return parted[0] if parted else []


def _row_of(scene: _Scene, kind: str) -> Rule:
    def aligned(facts: Facts) -> Statement | None:
        subjects = [
            s for s, t in scene.cast.things.items() if t.kind == kind and s.startswith("object/")
        ]
        extents = [extent for s in subjects if (extent := scene.cast.extent(s)) is not None]
        if len(extents) < spatial.LEAST_ROW:
            return None
        row = spatial.row_of(np.array([extent.centre for extent in extents]), scene.grid.gsd_m)
        if row is None:
            return None
        PixelGrid.of(facts)
        facts.find("image", "valid_share")
        for subject in subjects:
            scene.cast.cite(facts, subject)
        bearing = scene.grid.bearing(extents[row[0]].centre, extents[row[-1]].centre)
        said = ROUND_DEG * round((bearing or 0.0) / ROUND_DEG) % 180
        return Statement("aligned", {"kind": kind, "count": len(row), "bearing_deg": said}, 0.95)

    return aligned


def _nearest_to(scene: _Scene, subject: str, kind: str) -> Rule:
    def nearest(facts: Facts) -> Statement | None:
        extent = scene.extent(subject)
        if scene.thing(subject).kind == kind or extent.cut or scene.count(kind) < 2:
            return None
        noted = facts.fresh()
        subjects = scene.of_kind(noted, kind)
        if subjects is None:
            return None
        reach = _to_the_edge(extent)
        if all(extent.least_gap(scene.extent(other)) > reach for other in subjects):
            return None
        gaps = sorted((scene.gap(subject, other), other) for other in subjects)
        pixel = max(scene.grid.gsd_m)
        (gap, first), (following, _) = gaps[:2]
        said = spatial.said_distance(gap, pixel)
        if said is None or gap > reach or following < max(CLEARLY * gap, gap + 2 * pixel):
            return None
        named = scene.names(facts, subject, first)
        if named is None:
            return None
        facts.cite(noted.used)
        return Statement("nearest", named | {"distance_m": said})

    return nearest


def _position_of(scene: _Scene, subject: str) -> Rule:
    def position(facts: Facts) -> Statement | None:
        named = scene.cast.reference(facts, "a", subject)
        if named is None or named["a_part"]:
            return None
        extent, part = scene.extent(subject), scene.thing(subject).part
        ninth = PARTS.index(part)
        if extent.ninths[ninth // 3, ninth % 3] < IN_NINTH * extent.area:
            return None
        PixelGrid.of(facts)
        return Statement("position", named | {"part": part})

    return position


def _to_the_edge(extent: Extent) -> float:
    """Return the distance from a thing to the tile's nearest edge, metres."""
    x0, y0, x1, y1 = extent.box
    width, height = extent.gsd_m
    rows, columns = extent.shape
    return min(x0 * width, (columns - x1) * width, y0 * height, (rows - y1) * height)
