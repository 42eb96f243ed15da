"""Which true statements about a tile there are to be made, and which a claim makes.

Enumerated are: waters, covers and functions of at least a hundredth of the ground; objects by kind;
ships in open water, or none; buildings and networks; relief; and relations between things that
are the only ones of their kind. A statement is a predicate with what it is about, without numbers:
these are judged with the claim.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import shapely

from sarknowlip.annotate.claim import Argument
from sarknowlip.annotate.truth import ground, things, tolerance
from sarknowlip.annotate.truth.open_water import LEAST_PX
from sarknowlip.annotate.truth.scene import WATERS, Scene, Thing
from sarknowlip.knowledge.vocabulary import COVERS, FUNCTIONS, OBJECTS

Statement = tuple[str, ...]
COARSE = {"dense_residential": "residential", "sparse_residential": "residential"}
"""What a map may call it."""
_SAID: dict[str, tuple[str, tuple[str, ...]]] = {
    "dominant_surface": ("surface_share", ("surface",)),
    "surface_share": ("surface_share", ("surface",)),
    "dominant_cover": ("cover_share", ("cover",)),
    "cover_share": ("cover_share", ("cover",)),
    "dominant_function": ("function_share", ("function",)),
    "function_share": ("function_share", ("function",)),
    "water_body": ("water_body", ("water",)),
    "network": ("network", ("network",)),
    "object_count": ("object_count", ("kind",)),
    "aligned": ("aligned", ("kind",)),
    "direction": ("direction", ("a_kind", "b_kind")),
    "distance": ("distance", ("a_kind", "b_kind")),
    "nearest": ("distance", ("a_kind", "b_kind")),
    "adjacent": ("adjacent", ("a_kind", "b_kind")),
    "inside": ("inside", ("a_kind", "b_kind")),
    "position": ("position", ("a_kind",)),
}
"""What a claim says, and which of its arguments tell what about; others say their predicate."""
_SYMMETRIC = {"direction", "distance", "adjacent"}
UNMAPPED = {"bridge", "rail_track", "wake", "flood", "road"}
"""Functions of truth that are not told as such."""


def said(predicate: str, claim: Mapping[str, Argument]) -> set[Statement]:
    """Return the statements of `sayable` that a true claim makes."""
    name, arguments = _SAID.get(predicate, (predicate, ()))
    words = [str(claim[argument]) for argument in arguments]
    if name == "function_share":
        return {
            (name, fine) for fine in (*words, *COARSE) if _coarse(fine) in words or fine in words
        }
    words = [_coarse(word) for word in words]
    return {(name, *(sorted(words) if name in _SYMMETRIC else words))}


def sayable(scene: Scene) -> Iterator[tuple[str, Statement]]:
    """Yield the true statements about a tile, each with its dimension."""
    if scene.covers.get(ground.WATER, 0.0) >= tolerance.PRESENT:
        yield "landform", ("surface_share", "water")
    for code, name in sorted(COVERS.items()):
        if scene.covers.get(code, 0.0) >= tolerance.PRESENT:
            yield "landform", ("cover_share", name)
    yield "landform", ("relief",)
    for name in WATERS:
        if scene.functions.get(name, 0.0) >= tolerance.PRESENT:
            yield "landform", ("water_body", name)
    if tolerance.PRESENT <= scene.functions.get("sea", 0.0) <= 1.0 - tolerance.PRESENT:
        yield "landform", ("coast",)
    for name, share in sorted(scene.functions.items()):
        if share >= tolerance.PRESENT and name in FUNCTIONS and name not in UNMAPPED:
            yield "function", ("function_share", name)
    if scene.count_buildings()[0]:
        yield "function", ("buildings",)
        yield "function", ("building_height",)
    for network in ("roads", "railways"):
        if ground.network_m(scene, network)[0] > 0.0:
            yield "function", ("network", network)
    yield from _targets(scene)
    yield from _relations(scene)


def _targets(scene: Scene) -> Iterator[tuple[str, Statement]]:
    for kind in OBJECTS:
        if kind != "ship" and scene.count(kind)[0]:
            yield "target", ("object_count", kind)
    least, most = scene.count_open()
    if least:
        yield "target", ("ship_count",)
    elif not most and scene.open_water_px() >= LEAST_PX:
        yield "target", ("no_ship",)


def _relations(scene: Scene) -> Iterator[tuple[str, Statement]]:
    single = dict(_single(scene))
    for kind in sorted(single):
        yield "relation", ("position", kind)
    for (one, a), (other, b) in itertools.combinations(sorted(single.items()), 2):
        yield "relation", ("direction", one, other)
        yield "relation", ("distance", one, other)
        if things.are_adjacent(scene, a, b):
            yield "relation", ("adjacent", one, other)
        for outer, inner, pair in ((b, a, (one, other)), (a, b, (other, one))):
            if things.lies_inside(scene, inner, outer):
                yield "relation", ("inside", *pair)
    for kind in OBJECTS:
        if things.rows(scene, kind):
            yield "relation", ("aligned", kind)


def _single(scene: Scene) -> Iterator[tuple[str, Thing]]:
    """Yield the things that are the only ones of their kind, minor pieces of ground left out."""
    for kind, found in sorted(scene.things.items()):
        if kind in OBJECTS and kind != "ship" and len(found) == 1:
            yield kind, found[0]
    coarse: dict[str, float] = {}
    for name, share in scene.functions.items():
        if name in FUNCTIONS and name not in UNMAPPED:
            coarse[_coarse(name)] = coarse.get(_coarse(name), 0.0) + share
    for name, share in sorted(coarse.items()):
        if share < tolerance.PRESENT or name in scene.things:
            continue
        pieces = things.large(scene.regions_of(name))
        whole = max(pieces, key=lambda piece: piece.shape.area, default=None)
        if whole is not None and all(
            shapely.intersects(piece.shape, whole.shape) for piece in pieces
        ):
            yield name, whole


def _coarse(kind: str) -> str:
    return COARSE.get(kind, kind)
