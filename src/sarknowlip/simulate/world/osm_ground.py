"""Regions of a map: areas, lines as wide as they are, the sea, and ground nothing else covers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.geo.osm_coast import sea_polygons
from sarknowlip.geo.osm_tags import Tags
from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.layers import ORDER, Regions, surface_id
from sarknowlip.simulate.world.osm_buildings import Bodies
from sarknowlip.simulate.world.osm_read import (
    MADE,
    Geometries,
    MapContent,
    clipped,
    feature_uid,
)
from sarknowlip.simulate.world.osm_rules import BaseRules, WorldRules

CELL_M = 1000.0
"""Edge of the cells in which a world is handed out, and into which the sea is cut."""

MIN_REGION_M2 = 1.0
_SEA, _BASE = 0, 1
_PAVED_ORDERS = ("road", "ground")


def map_regions(content: MapContent, bodies: Bodies, bounds: Bounds, rules: WorldRules) -> Regions:
    """Return all regions in painter's order, of equal order the large before the small.

    Regions know no district yet: `parent` is their own uid.
    """
    share = _BuiltShare(bodies, bounds, rules.base.cell_m)
    parts = [
        _base_regions(share, bounds, rules.base),
        _area_regions(content, share, rules),
        _line_regions(content, rules),
        _sea_regions(content, bounds),
    ]
    regions = Regions.concat(parts)
    cut = clipped(regions.geometry, bounds)
    area = shapely.area(cut)
    regions.geometry[:] = cut
    regions = regions.take(np.flatnonzero(area >= MIN_REGION_M2))
    area = shapely.area(regions.geometry)
    return regions.take(np.lexsort((regions.uid, -area, regions.order)))


def grid_cells(bounds: Bounds, edge: float) -> list[tuple[int, int]]:
    """Return column and row of the squares of an endless grid that meet bounds."""
    columns = range(math.floor(bounds.west / edge), math.ceil(bounds.east / edge))
    rows = range(math.floor(bounds.south / edge), math.ceil(bounds.north / edge))
    return [(column, row) for row in rows for column in columns]


def made_uid(what: int, column: int, row: int) -> int:
    """Return the uid of something that belongs to a square of a grid."""
    return feature_uid(MADE + what, column * 1_000_000 + row)


def axis_heading(lines: Geometries) -> Floats:
    """Return the mean direction of lines or outlines, degrees 0…180 from grid north.

    Pieces are weighted by length; a direction and its opposite are the same (angles are doubled).
    """
    places, owner = shapely.get_coordinates(lines, return_index=True)
    if len(places) < 2:
        return np.full(len(lines), np.nan)
    step = np.diff(places, axis=0)
    step[owner[1:] != owner[:-1]] = 0.0
    length = np.maximum(np.hypot(*step.T), 1e-12)
    double = 2 * np.arctan2(step[:, 0], step[:, 1])
    sine = np.bincount(owner[:-1], length * np.sin(double), len(lines))
    cosine = np.bincount(owner[:-1], length * np.cos(double), len(lines))
    heading = np.degrees(np.arctan2(sine, cosine)) / 2 % 180.0
    return np.where(np.hypot(sine, cosine) > 1e-6, heading, np.nan)


class _BuiltShare:
    """Which share of the ground buildings cover, in squares and in any polygon."""

    def __init__(self, bodies: Bodies, bounds: Bounds, edge: float) -> None:
        houses = bodies.geometry[bodies.kind != "bridge"]
        self.edge = edge
        self._area = shapely.area(houses)
        self._points = shapely.point_on_surface(houses)
        self._tree = shapely.STRtree(self._points)
        self.column0 = math.floor(bounds.west / edge)
        self.row0 = math.floor(bounds.south / edge)
        shape = (
            math.ceil(bounds.north / edge) - self.row0,
            math.ceil(bounds.east / edge) - self.column0,
        )
        row = np.floor(shapely.get_y(self._points) / edge).astype(np.int64) - self.row0
        column = np.floor(shapely.get_x(self._points) / edge).astype(np.int64) - self.column0
        self.squares = np.zeros(shape)
        np.add.at(self.squares, (row, column), self._area)
        self.squares /= edge**2

    def within(self, polygons: Geometries) -> Floats:
        """Return the share of polygons that buildings cover."""
        polygon, building = self._tree.query(polygons, predicate="intersects")
        covered = np.bincount(polygon, self._area[building], len(polygons))
        return np.asarray(covered / np.maximum(shapely.area(polygons), 1e-9))


def _base_regions(share: _BuiltShare, bounds: Bounds, rules: BaseRules) -> Regions:
    cells = grid_cells(bounds, rules.cell_m)
    column, row = np.array(cells).T
    density = share.squares[row - share.row0, column - share.column0]
    kinds = [
        rules.built
        if value >= rules.built_share
        else rules.settled
        if value >= rules.settled_share
        else rules.open
        for value in density
    ]
    edge = rules.cell_m
    uids = [made_uid(_BASE, *cell) for cell in cells]
    return Regions.of(
        uid=uids,
        geometry=shapely.box(column * edge, row * edge, (column + 1) * edge, (row + 1) * edge),
        surface=[surface_id(kind.surface) for kind in kinds],
        function=[kind.function for kind in kinds],
        order=ORDER["nature"],
        heading=np.nan,
        parent=uids,
    )


def _area_regions(content: MapContent, share: _BuiltShare, rules: WorldRules) -> Regions:
    things = content.areas
    if not len(things):
        return Regions.empty()
    shapes = np.array(things.geometry, dtype=object)
    dense = share.within(shapes) >= rules.base.built_share
    functions: list[str] = []
    surfaces = []
    for rule, tags, is_dense in zip(things.rules, things.tags, dense, strict=True):
        ground = rule.built if is_dense else rule.ground
        functions.append(ground.function)
        surfaces.append(surface_id(_paving(tags, rule.order, ground.surface, rules)))
    heading = axis_heading(shapely.boundary(shapely.minimum_rotated_rectangle(shapes)))
    return Regions.of(
        uid=things.uids,
        geometry=shapes,
        surface=surfaces,
        function=functions,
        order=[ORDER[rule.order] for rule in things.rules],
        heading=np.where(np.isin(functions, ("runway", "taxiway", "farmland")), heading, np.nan),
        parent=things.uids,
    )


def _line_regions(content: MapContent, rules: WorldRules) -> Regions:
    things = content.lines.keep(_not_mapped_as_area(content))
    if not len(things):
        return Regions.empty()
    lines = np.array(things.geometry, dtype=object)
    pairs = list(zip(things.tags, things.rules, strict=True))
    width = np.array([rules.tags.width(tags, line.rule) for tags, line in pairs])
    return Regions.of(
        uid=things.uids,
        geometry=shapely.buffer(lines, width / 2, quad_segs=3),
        surface=[surface_id(_paving(t, r.order, r.ground.surface, rules)) for t, r in pairs],
        function=[line.ground.function for line in things.rules],
        order=[ORDER[rule.order] for rule in things.rules],
        heading=axis_heading(lines),
        parent=things.uids,
    )


def _not_mapped_as_area(content: MapContent) -> npt.NDArray[np.bool_]:
    """Tell which lines are not the middle of an area of the same kind (water, runway, pier)."""
    lines = np.array(content.lines.geometry, dtype=object)
    kept = np.ones(len(lines), dtype=bool)
    areas = np.array(content.areas.geometry, dtype=object)
    if not len(lines) or not len(areas):
        return kept
    middle = shapely.line_interpolate_point(shapely.get_geometry(lines, 0), 0.5, normalized=True)
    line, area = shapely.STRtree(areas).query(middle, predicate="intersects")
    for i, j in zip(line, area, strict=True):
        one, other = content.lines.rules[i], content.areas.rules[j]
        both_water = one.order == other.order == "water"
        if both_water or (one.ground.function == other.ground.function != "road"):
            kept[i] = False
    return kept


def _sea_regions(content: MapContent, bounds: Bounds) -> Regions:
    """Return the sea, cut into the cells of the world."""
    ground = shapely.box(bounds.west, bounds.south, bounds.east, bounds.north)
    faces = np.array(sea_polygons(content.coast.geometry, ground), dtype=object)
    if not len(faces):
        return Regions.empty()
    column, row = np.array(grid_cells(bounds, CELL_M)).T
    squares = shapely.box(column * CELL_M, row * CELL_M, (column + 1) * CELL_M, (row + 1) * CELL_M)
    face, square = shapely.STRtree(squares).query(faces, predicate="intersects")
    pieces = shapely.intersection(faces[face], squares[square])
    wet = shapely.area(pieces) >= MIN_REGION_M2
    square, pieces = square[wet], pieces[wet]
    by_square: dict[int, list[Any]] = {}
    for index, piece in zip(square, pieces, strict=True):
        by_square.setdefault(int(index), []).append(piece)
    uids = [made_uid(_SEA, int(column[i]), int(row[i])) for i in by_square]
    return Regions.of(
        uid=uids,
        geometry=np.array([shapely.union_all(part) for part in by_square.values()], dtype=object),
        surface=surface_id("sea"),
        function="sea",
        order=ORDER["water"],
        heading=np.nan,
        parent=uids,
    )


def _paving(tags: Tags, order: str, surface: str, rules: WorldRules) -> str:
    """Return what the `surface` tag says of roads and paved ground, else the rule's surface."""
    said = rules.paving.get(tags.get("surface", ""))
    return said if said is not None and order in _PAVED_ORDERS else surface
