"""Verdicts on single things and on relations between two: objects, directions, distances.

A claim names a thing by kind and part of the tile. Where several true things fit, it is true if
it is of any of them (of any pair, for two); truth has no names. A thing is in a ninth of the tile
if any of it is, give or take a pixel.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sarknowlip.annotate.claim import Argument
from sarknowlip.annotate.truth import tolerance
from sarknowlip.annotate.truth.report import UNDECIDED, Verdict
from sarknowlip.annotate.truth.scene import Scene, Thing
from sarknowlip.knowledge.vocabulary import FUNCTIONS, OBJECTS
from sarknowlip.simulate.world.alignment import Rows, rows_among

Arguments = Mapping[str, Argument]
NAMED_WINDS = {
    name: 45.0 * index
    for index, name in enumerate(
        ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
    )
}
"""Bearings of the eight winds, degrees."""
LEAST_ROW = 3
ROW_M = 15.0
"""Members of a row stand no farther than that, or a pixel, from its line."""


def object_count(scene: Scene, claim: Arguments) -> Verdict:
    """Judge a number of objects, exactly but for those at the edge."""
    least, most = counted(scene, str(claim["kind"]))
    return Verdict(least <= int(claim["count"]) <= most, f"{least} to {most}")


def object_size(scene: Scene, claim: Arguments) -> Verdict:
    """Judge length and width of an object."""
    return _of_any(scene, claim, lambda thing: sized(scene, thing, claim))


def object_height(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the height of an object."""
    claimed = float(claim["height_m"])
    return _of_any(
        scene, claim, lambda thing: tolerance.size(claimed, thing.height, 0.0, tolerance.HEIGHT_M)
    )


def object_axis(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the direction of an object's long axis."""
    bearing = float(claim["bearing_deg"])
    return _of_any(scene, claim, lambda thing: tolerance.axis(bearing, thing.heading))


def position(scene: Scene, claim: Arguments) -> Verdict:
    """Judge in which part of the tile a thing lies."""
    return _of_any(
        scene, claim, lambda thing: in_part(scene, thing.shape, str(claim["part"])), use_part=False
    )


def direction(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the direction of A from B, between the middles of what the tile shows."""
    wind = str(claim["direction"])
    if wind not in NAMED_WINDS:
        return UNDECIDED
    return _of_pairs(
        scene, claim, lambda a, b: turn(scene, b.shape, a.shape, wind) <= tolerance.WIND_DEG
    )


def distance(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the distance between nearest edges."""
    claimed = float(claim["distance_m"])
    return _of_pairs(
        scene,
        claim,
        lambda a, b: tolerance.distance(claimed, shapely.distance(a.shape, b.shape), scene.gsd),
    )


def adjacent(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that two things are less than two pixels apart."""
    return _of_pairs(scene, claim, lambda a, b: are_adjacent(scene, a, b))


def inside(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that A lies within the outer boundary of B, give or take two pixels."""
    return _of_pairs(scene, claim, lambda a, b: lies_inside(scene, a, b))


def crosses(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that A reaches into B and sticks out of it in two places, or parts it in two."""

    def cut(a: Thing, b: Thing) -> bool:
        wide = shapely.buffer(a.shape, scene.gsd)
        if not shapely.intersects(wide, b.shape):
            return False
        pieces = shapely.difference(wide, b.shape), shapely.difference(b.shape, wide)
        return any(shapely.get_num_geometries(piece) >= 2 for piece in pieces)

    return _of_pairs(scene, claim, cut)


def nearest(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that the thing of B's kind nearest to A is that far, and in B's part."""
    ones, others = referents(scene, claim, "a"), candidates(scene, str(claim["b_kind"]))
    if ones is None or others is None:
        return UNDECIDED
    claimed, part = float(claim["distance_m"]), str(claim["b_part"])
    found = []
    for one in ones:
        rest = [other for other in others if other is not one]
        if rest:
            gaps = shapely.distance([other.shape for other in rest], one.shape)
            least = float(gaps.min())
            found.append(least)
            near = [rest[k] for k in np.flatnonzero(gaps <= least + tolerance.PIXELS * scene.gsd)]
            fits = not part or any(in_part(scene, other.shape, part) for other in near)
            if fits and tolerance.distance(claimed, least, scene.gsd):
                return Verdict(True)
    return Verdict(False, ", ".join(f"{gap:.0f} m" for gap in found[:3]) or "no such pair")


def larger(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that A is larger, and how many times."""
    ratio = float(claim["ratio"])

    def fits(a: Thing, b: Thing) -> bool:
        true = extent(a) / max(extent(b), 1e-9)
        return (
            min(true, ratio) > 1.0 - tolerance.SIZE and abs(ratio - true) <= tolerance.SIZE * true
        )

    return _of_pairs(scene, claim, fits)


def aligned(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that a row of that direction has so many things of a kind, give or take its ends."""
    found = rows(scene, str(claim["kind"]))
    if found is None:
        return UNDECIDED
    count, bearing = int(claim["count"]), float(claim["bearing_deg"])
    right = any(
        (1.0 - tolerance.SIZE) * length <= count <= length and tolerance.axis(bearing, way)
        for length, way in found
    )
    return Verdict(right, ", ".join(f"{n} at {way:.0f}°" for n, way in found[:3]) or "no row")


def more_objects(scene: Scene, claim: Arguments) -> Verdict:
    """Judge both numbers and which is more."""
    least, most = counted(scene, str(claim["more"]))
    low, high = counted(scene, str(claim["less"]))
    right = least <= int(claim["more_count"]) <= most and low <= int(claim["less_count"]) <= high
    right = right and most > low and int(claim["more_count"]) > int(claim["less_count"])
    return Verdict(right, f"{least} to {most} and {low} to {high}")


def counted(scene: Scene, kind: str) -> tuple[int, int]:
    """Return the least and the greatest number of things of a kind that is right."""
    return (scene.count_open()[0], len(scene.ships)) if kind == "ship" else scene.count(kind)


def candidates(scene: Scene, kind: str) -> list[Thing] | None:
    """Return the true things of a kind; None for kinds of which truth knows nothing."""
    if kind == "ship":
        return scene.ships
    found = list(scene.things.get(kind, ())) if kind in OBJECTS else []
    if kind in FUNCTIONS:
        found += scene.regions_of(kind)
    return found if kind in OBJECTS or kind in FUNCTIONS else None


def referents(scene: Scene, claim: Arguments, role: str) -> list[Thing] | None:
    """Return the true things that a claim may mean in a role, minor ones left out."""
    found = candidates(scene, str(claim[f"{role}_kind"]))
    if found is None:
        return None
    part = str(claim[f"{role}_part"])
    return _in_part(scene, found, part) if part else large(found)


def large(things: Sequence[Thing]) -> list[Thing]:
    """Return the pieces of ground that are not minor beside the largest; all objects."""
    ground = [thing.shape.area for thing in things if not _is_object(thing)]
    least = tolerance.MINOR * max(ground, default=0.0)
    return [thing for thing in things if thing.shape.area >= least or _is_object(thing)]


def _is_object(thing: Thing) -> bool:
    return not np.isnan(thing.length)


def in_part(scene: Scene, shape: BaseGeometry, part: str) -> bool:
    """Return whether a shape has a point in a ninth of the tile, give or take a pixel."""
    ninth = scene.ninth(part)
    return bool(shapely.intersects(shape, ninth))


def turn(scene: Scene, start: BaseGeometry, end: BaseGeometry, wind: str) -> float:
    """Return the angle between a wind and the way from one middle to another, 0…180°."""
    (x0, y0), (x1, y1) = (
        shapely.centroid(shapely.intersection(shape, scene.area) or shape).coords[0]
        for shape in (start, end)
    )
    bearing = np.degrees(np.arctan2(x1 - x0, y1 - y0)) + scene.convergence
    return float(abs((bearing - NAMED_WINDS[wind] + 180.0) % 360.0 - 180.0))


def are_adjacent(scene: Scene, a: Thing, b: Thing) -> bool:
    """Return whether two things are less than two pixels apart."""
    return bool(shapely.dwithin(a.shape, b.shape, tolerance.DISTANCE_PX * scene.gsd))


def lies_inside(scene: Scene, a: Thing, b: Thing) -> bool:
    """Return whether A lies within the outer boundary of B, give or take two pixels."""
    reach = tolerance.DISTANCE_PX * scene.gsd
    west, south, east, north = b.shape.bounds
    around = shapely.box(west - reach, south - reach, east + reach, north + reach)
    if not shapely.covers(around, shapely.box(*a.shape.bounds)):
        return False
    outer = shapely.union_all([shapely.polygons(p.exterior) for p in _polygons(b.shape)])
    if shapely.covers(outer, a.shape):
        return True
    outer = shapely.simplify(outer, scene.cell)
    return bool(shapely.covers(shapely.buffer(outer, reach), a.shape))


def extent(thing: Thing) -> float:
    """Return how large a thing is: square metres, of objects by length and width."""
    if np.isnan(thing.length) or np.isnan(thing.width):
        return float(thing.shape.area)
    return thing.length * thing.width


def rows(scene: Scene, kind: str) -> list[tuple[int, float]] | None:
    """Return number and bearing of each row of a kind's objects, longest first."""
    found = scene.things.get(kind, []) if kind in OBJECTS else None
    if found is None:
        return None
    if len(found) < LEAST_ROW:
        return []
    centres = np.array([thing.shape.centroid.coords[0] for thing in found]).reshape(-1, 2)
    rules = Rows(
        least=LEAST_ROW, tolerance_m=max(ROW_M, scene.gsd), spacing_m=500.0, heading_deg=90.0
    )
    ways = []
    for row in rows_among(centres, np.array([thing.heading for thing in found]), rules):
        east, north = centres[row[-1]] - centres[row[0]]
        ways.append((len(row), float(np.degrees(np.arctan2(east, north)) + scene.convergence)))
    return [(count, way % 180.0) for count, way in ways]


def _in_part(scene: Scene, things: Sequence[Thing], part: str) -> list[Thing]:
    """Return the objects in a ninth, and of the ground there what is not minor in it."""
    if not part:
        return list(things)
    found = [thing for thing in things if in_part(scene, thing.shape, part)]
    ninth = scene.ninth(part)
    inside = [
        np.inf if _is_object(thing) else shapely.area(shapely.intersection(thing.shape, ninth))
        for thing in found
    ]
    ground = [area for area in inside if np.isfinite(area)]
    least = tolerance.MINOR * max(ground, default=0.0)
    return [thing for thing, area in zip(found, inside, strict=True) if area >= least]


def sized(scene: Scene, thing: Thing, claim: Arguments) -> bool:
    """Return whether length and width are those that a claim tells."""
    sizes = (("length_m", thing.length), ("width_m", thing.width))
    return all(
        tolerance.size(float(claim[name]), true, scene.gsd) for name, true in sizes if name in claim
    )


def _of_any(
    scene: Scene, claim: Arguments, fits: Callable[[Thing], bool], use_part: bool = True
) -> Verdict:
    things = referents(scene, claim if use_part else {**claim, "a_part": ""}, "a")
    if things is None:
        return UNDECIDED
    return Verdict(any(fits(thing) for thing in things), told(things, str(claim["a_kind"])))


def _of_pairs(scene: Scene, claim: Arguments, fits: Callable[[Thing, Thing], bool]) -> Verdict:
    ones, others = referents(scene, claim, "a"), referents(scene, claim, "b")
    if ones is None or others is None:
        return UNDECIDED
    right = any(fits(a, b) for a, b in itertools.product(ones, others) if a is not b)
    return Verdict(right, f"none of {len(ones)} × {len(others)} pairs")


def _polygons(shape: BaseGeometry) -> list[BaseGeometry]:
    return [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]


def told(things: Sequence[Thing], kind: str) -> str:
    """Return number and sizes of things in a few words."""
    sizes = [f"{t.length:.0f} × {t.width:.0f} m at {t.heading:.0f}°" for t in things[:3]]
    return f"{len(things)} {kind}" + (f" ({', '.join(sizes)})" if sizes else "")
