"""Verdicts on what the ground is: surfaces, land cover, relief, waters, functions, summaries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
import shapely

from sarknowlip.annotate.claim import Argument
from sarknowlip.annotate.truth import tolerance
from sarknowlip.annotate.truth.report import UNDECIDED, Verdict
from sarknowlip.annotate.truth.scene import WATERS, Scene
from sarknowlip.annotate.truth.things import NAMED_WINDS, in_part, turn
from sarknowlip.knowledge.vocabulary import COVERS, FUNCTIONS

Arguments = Mapping[str, Argument]
Judge = Callable[[Scene, Arguments], Verdict]
WATER, BUILT = 80, 50
"""Codes of ESA WorldCover."""
_SURFACES = ("land", "water", "bright_structure")
_CODES = {name: code for code, name in COVERS.items()}


def surface_range(scene: Scene, surface: str) -> tuple[float, float] | None:
    """Return the least and the greatest share that a surface of the image may have, 0…1.

    Land is all but water and bright structures, of which truth knows only that they stand on
    built-up ground; None for these.
    """
    water = scene.covers.get(WATER, 0.0)
    if surface == "water":
        return water, water
    if surface == "land":
        return 1.0 - water, 1.0 - water
    return None


def share_ranges(scene: Scene, word: str) -> list[tuple[float, float]]:
    """Return the ranges of shares of a word, one for each of surface, cover and function it names.

    Empty where truth can't tell.
    """
    found = []
    if word in _SURFACES and (seen := surface_range(scene, word)) is not None:
        found.append(seen)
    if word in _CODES:
        found.append(_cover_range(scene, word))
    if word in FUNCTIONS:
        found.append(scene.shares(word))
    return found


def surface(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the share of a surface of the image."""
    return _share(claim["share_pct"], surface_range(scene, str(claim["surface"])))


def dominant_surface(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the share of a surface, which must be more than half."""
    return _dominant(surface(scene, claim), surface_range(scene, str(claim["surface"])))


def surface_absent(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that a surface is not there."""
    return _absent(surface_range(scene, str(claim["surface"])))


def cover(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the share of a class of land cover."""
    return _share(claim["share_pct"], _cover_range(scene, str(claim["cover"])))


def dominant_cover(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the share of a class of land cover, of which no other has more."""
    most = max(scene.covers.values(), default=0.0)
    return _largest(cover(scene, claim), _cover_range(scene, str(claim["cover"]))[1], most)


def cover_absent(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that a class of land cover is not there."""
    return _absent(_cover_range(scene, str(claim["cover"])))


def function(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the share of a function."""
    return _share(claim["share_pct"], scene.shares(str(claim["function"])))


def dominant_function(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the share of a function, of which no other has more."""
    most = max((scene.shares(name)[0] for name in scene.functions if name in FUNCTIONS), default=0)
    return _largest(function(scene, claim), scene.shares(str(claim["function"]))[1], most)


def function_unmapped(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that a function is not there."""
    least, _ = scene.shares(str(claim["function"]))
    return Verdict(least <= tolerance.ABSENT, f"{least:.1%}")


def water_body(scene: Scene, claim: Arguments) -> Verdict:
    """Judge kind and share of a water; worlds have no names."""
    return _share(claim["share_pct"], scene.shares(str(claim["water"])))


def coast(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the direction of the middle of the sea from the middle of the land."""
    if claim["direction"] not in NAMED_WINDS:
        return UNDECIDED
    wet = shapely.union_all([thing.shape for thing in scene.regions_of("sea")])
    dry = shapely.difference(scene.area, wet)
    if wet.is_empty or dry.is_empty:
        return Verdict(False, "no sea" if wet.is_empty else "no land")
    off = turn(scene, dry, wet, str(claim["direction"]))
    return Verdict(off <= tolerance.WIND_DEG, f"{off:.0f}° off")


def water_differs(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the share of water, floods included, and that which a map without them has."""
    wet = float((scene.water & scene.inside).sum() / max(1, scene.inside.sum()))
    dry = sum(scene.functions.get(name, 0.0) for name in WATERS)
    mapped = sorted([dry, scene.covers.get(WATER, 0.0)])
    right = tolerance.share(float(claim["seen_pct"]) / 100.0, wet, wet)
    right = right and tolerance.share(float(claim["mapped_pct"]) / 100.0, *mapped)
    return Verdict(right, f"{wet:.1%} and {mapped[0]:.1%}")


def place_name(scene: Scene, _: Arguments) -> Verdict:
    """Judge that a place of that name is there; `judge` looks names up."""
    return Verdict(True) if scene.names else UNDECIDED


def named_region(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that there is ground of a function in a part of the tile."""
    part = str(claim["part"])
    pieces = scene.regions_of(str(claim["function"]))
    found = any(not part or in_part(scene, thing.shape, part) for thing in pieces)
    return Verdict(found, f"{len(pieces)} elsewhere")


def buildings(scene: Scene, claim: Arguments) -> Verdict:
    """Judge number and ground of buildings."""
    least, most = scene.count_buildings()
    rows = scene.buildings()
    roofs = shapely.area(shapely.intersection(rows.geometry.to_numpy(), scene.area)).sum()
    true = float(roofs / scene.area.area)
    counted = tolerance.within(float(claim["count"]), least, most, tolerance.COUNT)
    covered = tolerance.share(float(claim["share_pct"]) / 100.0, true, true)
    return Verdict(counted and covered, f"{least} to {most}, {true:.1%}")


def building_height(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the mean height of buildings, of all alike or weighted by their ground."""
    rows = scene.buildings()
    if not len(rows):
        return Verdict(False, "no building")
    heights = rows.height.to_numpy()
    true = [heights.mean(), np.average(heights, weights=shapely.area(rows.geometry.to_numpy()))]
    claimed = float(claim["height_m"])
    right = tolerance.within(claimed, min(true), max(true), tolerance.SIZE)
    return Verdict(bool(right), f"{true[0]:.1f} or {true[1]:.1f} m")


def network(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the length of roads or tracks, taken as half the outline of each drawn piece."""
    least, most = network_m(scene, str(claim["network"]))
    claimed = 1000.0 * float(claim["length_km"])
    right = tolerance.within(claimed, least, most, tolerance.NETWORK)
    right = right or least - tolerance.NETWORK_M <= claimed <= most + tolerance.NETWORK_M
    return Verdict(right, f"{least:.0f} to {most:.0f} m")


def network_m(scene: Scene, name: str) -> tuple[float, float]:
    """Return the least and the greatest length of a network, metres: without and with bridges."""
    functions = {"roads": ("road",), "railways": ("rail_track",)}[name]
    lengths = []
    for chosen in (functions, (*functions, "bridge")):
        rows = scene.regions[scene.regions.function.isin(chosen)]
        shapes = shapely.intersection(rows.geometry.to_numpy(), scene.area)
        lengths.append(float(shapely.length(shapes).sum() / 2.0))
    return min(lengths), max(lengths)


def headline(scene: Scene, claim: Arguments) -> Verdict:
    """Judge that the main thing is what there is most of in its vocabulary, and the other there."""
    main, second = str(claim["main"]), str(claim["second"])
    shares, others = share_ranges(scene, main), share_ranges(scene, second)
    if not shares or (second and not others):
        return UNDECIDED
    rivals = [max(scene.functions.values(), default=0.0)] if main in FUNCTIONS else []
    rivals += [max(scene.covers.values(), default=0.0)] if main in _CODES else []
    most = max(share for _, share in shares)
    leads = most >= min(rivals, default=0.5) - tolerance.SHARE
    other = max((share for _, share in others), default=0.0)
    right = leads and second != main and (not second or other >= tolerance.SECOND)
    return Verdict(right, f"{most:.1%} and {other:.1%}")


def more_of(scene: Scene, claim: Arguments) -> Verdict:
    """Judge both shares and which is more."""
    more, less = (share_ranges(scene, str(claim[role])) for role in ("more", "less"))
    if not more or not less:
        return UNDECIDED
    right = any(
        tolerance.share(float(claim["more_pct"]) / 100.0, *one)
        and tolerance.share(float(claim["less_pct"]) / 100.0, *other)
        and one[1] >= other[0]
        and float(claim["more_pct"]) > float(claim["less_pct"])
        for one, other in itertools.product(more, less)
    )
    return Verdict(right, f"{_percent(more[0])} and {_percent(less[0])}")


def _cover_range(scene: Scene, cover: str) -> tuple[float, float]:
    found = scene.covers.get(_CODES.get(cover, -1), 0.0)
    return found, found


def _share(percent: Argument, true: tuple[float, float] | None) -> Verdict:
    if true is None:
        return UNDECIDED
    said = _percent(true)
    return Verdict(tolerance.share(float(percent) / 100.0, *true), said)


def _absent(true: tuple[float, float] | None) -> Verdict:
    if true is None:
        return UNDECIDED
    return Verdict(true[0] <= tolerance.ABSENT, _percent(true))


def _dominant(verdict: Verdict, true: tuple[float, float] | None) -> Verdict:
    if verdict.right and true is not None and true[1] <= 0.5:
        return Verdict(False, verdict.truth)
    return verdict


def _largest(verdict: Verdict, true: float, most: float) -> Verdict:
    """Return false if another has more, by more than shares may be off."""
    if verdict.right and true < most - tolerance.SHARE:
        return Verdict(False, f"{verdict.truth}, another {most:.1%}")
    return verdict


def _percent(true: tuple[float, float]) -> str:
    low, high = true
    return f"{low:.1%}" if math.isclose(low, high) else f"{low:.1%} to {high:.1%}"
