"""Bodies of a map: footprints with heights that tags give or a draw by kind, and bridges.

Heights: `height`, else `building:levels` storeys, else a number of storeys drawn for the building
from those of its kind. Parts of buildings (https://wiki.openstreetmap.org/wiki/Simple_3D_Buildings)
take the place of the ground they stand on: of an outline only what no part covers is kept. Of
bodies that still overlap (parts above each other, buildings mapped twice) the higher one is kept
there, so that no ground is covered twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.geo.osm_tags import Tags, layer
from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.layers import surface_id
from sarknowlip.simulate.world.osm_read import (
    ROWS_PER_FEATURE,
    Geometries,
    MapContent,
    Things,
    clipped,
    polygonal,
)
from sarknowlip.simulate.world.osm_rules import BuildingRules, WorldRules

Ints = npt.NDArray[np.int64]

_FIRST_ROW = 1
"""Row 0 of a feature is its region."""


@dataclass(frozen=True)
class Bodies:
    """Columns of `layers.Buildings` that don't depend on the ground they stand on."""

    uid: Ints
    geometry: Geometries
    base: Floats
    height: Floats
    surface: npt.NDArray[np.uint8]
    kind: Geometries


def map_bodies(content: MapContent, bounds: Bounds, rules: WorldRules, seed: int) -> Bodies:
    """Return buildings, then bridges, each ordered by uid."""
    outlines = _rest_of_outlines(content, rules.buildings)
    parts = np.array(content.parts.geometry, dtype=object)
    buildings = _concat(
        [
            _buildings(things, shapes, bounds, rules, seed)
            for things, shapes in ((content.buildings, outlines), (content.parts, parts))
        ]
    )
    smallest = rules.buildings.smallest_m2
    return _concat(
        [_separate(_without_overlap(buildings), smallest), _bridges(content, bounds, rules)]
    )


def building_height(tags: Tags, uid: int, area: float, rules: WorldRules, seed: int) -> float:
    """Return the height of a building above the ground, metres.

    Args:
        tags: OpenStreetMap's.
        uid: Key of what is drawn.
        area: Of the footprint, square metres.
        rules: Storeys and their height.
        seed: Of the world.
    """
    told = rules.tags.height(tags)
    if told is not None:
        return told
    kind, small = rules.building(tags), rules.buildings.levels_of_small
    low, high = rules.buildings.models[kind].levels
    if kind == "building":
        low, high = next((levels for top, levels in small if area < top), (low, high))
    draw = float(keyed.uniform(seed, "osm/storeys", uid))
    levels = low + np.floor(draw * (high - low + 1))
    return float(levels) * rules.tags.level_m + rules.tags.attic_m


def roof(tags: Tags, rules: WorldRules) -> str:
    """Return the surface of a roof."""
    said = rules.buildings.roof_materials.get(tags.get("roof:material", ""))
    if said is not None:
        return said
    if tags.get("roof:shape") in rules.buildings.pitched:
        return "tile_roof"
    return rules.buildings.models[rules.building(tags)].roof


def _rest_of_outlines(content: MapContent, rules: BuildingRules) -> Geometries:
    """Return the ground of buildings that no part of a building covers."""
    shapes = np.array(content.buildings.geometry, dtype=object)
    parts = np.array(content.parts.geometry, dtype=object)
    if not len(shapes) or not len(parts):
        return shapes
    outline, part = shapely.STRtree(parts).query(shapes, predicate="intersects")
    for index, standing in _grouped(outline, part):
        covered = shapely.union_all(parts[standing])
        # Parts are drawn along the outline by hand: slivers between the two are no building.
        rest = shapely.difference(shapes[index], covered)
        rest = shapely.intersection(shapely.buffer(shapely.buffer(rest, -0.5), 0.6), rest)
        shapes[index] = rest if rest.area > rules.smallest_m2 else shapely.Polygon()
    return polygonal(shapes)


def _without_overlap(bodies: Bodies) -> Bodies:
    """Return bodies less the higher (of equal ones: earlier) bodies that stand on their ground."""
    shapes, height = bodies.geometry, bodies.height
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    above = (height[other] > height[one]) | ((height[other] == height[one]) & (other < one))
    one, other = one[above], other[above]
    cut = np.array(shapes, dtype=object)
    for index, higher in _grouped(one, other):
        cut[index] = shapely.difference(shapes[index], shapely.union_all(shapes[higher]))
    return replace(bodies, geometry=polygonal(cut))


def _buildings(
    things: Things[None], shapes: Geometries, bounds: Bounds, rules: WorldRules, seed: int
) -> Bodies:
    if not len(things):
        return _concat([])
    uids = np.array(things.uids, dtype=np.int64)
    area = shapely.area(np.array(things.geometry, dtype=object))
    height = np.array(
        [
            building_height(tags, uid, float(size), rules, seed)
            for tags, uid, size in zip(things.tags, things.uids, area, strict=True)
        ]
    )
    canopy = np.array([tags.get("building") in ("roof", "carport") for tags in things.tags])
    return Bodies(
        uid=uids,
        geometry=clipped(shapes, bounds),
        base=np.where(canopy, np.maximum(height - rules.buildings.canopy_m, 0.0), 0.0),
        height=height,
        surface=np.array([surface_id(roof(tags, rules)) for tags in things.tags], np.uint8),
        kind=np.array([rules.building(tags) for tags in things.tags], dtype=object),
    )


def _bridges(content: MapContent, bounds: Bounds, rules: WorldRules) -> Bodies:
    """Return decks: outlines where they are mapped, else ways of a level that touch, as one."""
    decks = np.array(content.decks.geometry, dtype=object)
    lines = np.array(content.bridges.geometry, dtype=object)
    level = np.array([max(layer(tags), 1) for tags in content.bridges.tags], dtype=np.int64)
    uid = np.array(content.bridges.uids, dtype=np.int64)
    shapes, uids, levels = list(decks), list(content.decks.uids), []
    levels += [max(layer(tags), 1) for tags in content.decks.tags]
    if len(lines):
        middle = shapely.line_interpolate_point(shapely.get_geometry(lines, 0), 0.5, True)
        alone = np.ones(len(lines), dtype=bool)
        if len(decks):
            alone[shapely.STRtree(decks).query(middle, predicate="intersects")[0]] = False
        widths = [
            rules.tags.width(tags, line.rule)
            for tags, line in zip(content.bridges.tags, content.bridges.rules, strict=True)
        ]
        strips = shapely.buffer(lines, np.array(widths) / 2, cap_style="flat", quad_segs=4)
        for here in np.unique(level[alone]):
            members = np.flatnonzero(alone & (level == here))
            merged = shapely.get_parts(shapely.union_all(strips[members]))
            deck, member = shapely.STRtree(strips[members]).query(merged, predicate="intersects")
            for index, shape in enumerate(merged):
                shapes.append(shape)
                uids.append(int(uid[members[member[deck == index]]].min()))
                levels.append(int(here))
    if not shapes:
        return _concat([])
    base = np.array(levels) * rules.bridges.clearance_per_layer_m
    bodies = Bodies(
        uid=np.array(uids, dtype=np.int64),
        geometry=clipped(np.array(shapes, dtype=object), bounds),
        base=base,
        height=base + rules.bridges.deck_m,
        surface=np.full(len(shapes), surface_id("asphalt"), dtype=np.uint8),
        kind=np.full(len(shapes), "bridge", dtype=object),
    )
    return _separate(bodies, rules.buildings.smallest_m2)


def _separate(bodies: Bodies, smallest: float) -> Bodies:
    """Return bodies whose footprints are single polygons, with their own uids."""
    single, owner = shapely.get_parts(bodies.geometry, return_index=True)
    large = shapely.area(single) >= smallest
    single, owner = single[large], owner[large]
    first = np.searchsorted(owner, owner, side="left")
    serial = np.arange(len(owner)) - first
    if len(serial) and serial.max() + _FIRST_ROW >= ROWS_PER_FEATURE:
        raise ValueError("a footprint falls into too many pieces")
    return Bodies(
        uid=bodies.uid[owner] + _FIRST_ROW + serial,
        geometry=single,
        base=bodies.base[owner],
        height=bodies.height[owner],
        surface=bodies.surface[owner],
        kind=bodies.kind[owner],
    )


def _grouped(one: Ints, other: Ints) -> Iterator[tuple[int, Ints]]:
    """Yield each value of `one` with the values of `other` that go with it."""
    order = np.argsort(one, kind="stable")
    values, first = np.unique(one[order], return_index=True)
    for value, members in zip(values, np.split(other[order], first[1:]), strict=False):
        yield int(value), members


def _concat(parts: list[Bodies]) -> Bodies:
    def joined(name: str, dtype: Any) -> Any:
        return np.concatenate([np.empty(0, dtype=dtype), *(getattr(p, name) for p in parts)])

    return Bodies(
        uid=joined("uid", np.int64),
        geometry=joined("geometry", object),
        base=joined("base", np.float64),
        height=joined("height", np.float64),
        surface=joined("surface", np.uint8),
        kind=joined("kind", object),
    )
