"""Single objects of a map: each once, with outline, place and size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from sarknowlip.geo.osm_tags import ObjectRule, tag_rules
from sarknowlip.knowledge.maps.ground import Geometries, TileMap
from sarknowlip.knowledge.maps.rows import UNMAPPED

ELONGATED = 1.5
"""Length over width from which a long axis has a direction."""

_JOINT_M = 1.0
"""Ways over one bridge have decks that lie no farther apart than twice this (chosen)."""

_SHORTEST_BRIDGE_M = 5.0
"""Planks over ditches are left out (chosen)."""


@dataclass(frozen=True)
class MapObject:
    """One object.

    Attributes:
        kind: Kind of object.
        shape: Point, line or polygon, metres of the tile's plane.
        name: Proper name, "" without one.
        column: Of its middle, pixels.
        row: The same.
        length: Metres; None if the map does not tell.
        width: The same.
        height: As tagged, metres; None, too, where a part of it is tagged as higher.
        orientation: Bearing of the long axis, 0…180; None if it has none.
    """

    kind: str
    shape: BaseGeometry
    name: str
    column: float
    row: float
    length: float | None
    width: float | None
    height: float | None
    orientation: float | None


def map_objects(ground: TileMap) -> list[MapObject]:
    """Return the objects whose middles lie in the tile: named ones, then rare kinds, first."""
    found = [thing for thing in _every(ground) if _holds(ground, thing)]
    kinds = [thing.kind for thing in found]
    return sorted(
        found,
        key=lambda t: (
            not t.name,
            kinds.count(t.kind),
            t.kind,
            -(t.length or 0.0),
            t.row,
            t.column,
        ),
    )


def _every(ground: TileMap) -> Iterator[MapObject]:
    largest = _largest()
    kinds, heights = ground.columns["kind"], _heights(ground)
    for kind in sorted({kind for kind in kinds if kind is not None}):
        rows = np.flatnonzero(kinds == kind)
        shapes = ground.geometry[rows]
        if kind == UNMAPPED:
            yield from _bridges(ground, rows)
            continue
        for row in rows[_single(shapes, ground.columns["name"][rows])].tolist():
            thing = _measured(ground, row, float(heights[row]))
            if (thing.length or 0.0) <= largest.get(kind, np.inf):
                yield thing


def _single(shapes: Geometries, names: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """Tell which of the shapes of a kind lie in no other: named ones first, then the larger."""
    order = np.lexsort((-shapely.area(shapes), [name is None for name in names]))
    points = shapely.point_on_surface(shapes)
    kept = np.ones(len(shapes), dtype=bool)
    point, shape = shapely.STRtree(shapes).query(points, predicate="intersects")
    first = np.empty(len(shapes), dtype=np.int64)
    first[order] = np.arange(len(shapes))
    kept[point[first[point] > first[shape]]] = False
    point, shape = shape, point  # an unnamed outline around a named one
    kept[point[first[point] > first[shape]]] = False
    return kept


def _bridges(ground: TileMap, rows: npt.NDArray[np.intp]) -> Iterator[MapObject]:
    """Yield decks: outlines and ways that touch are one bridge."""
    shapes = np.array(ground.geometry[rows], dtype=object)
    width = np.nan_to_num(ground.columns["width"][rows].astype(np.float64))
    lines = shapely.get_dimensions(shapes) == 1
    shapes[lines] = shapely.buffer(shapes[lines], width[lines] / 2, cap_style="flat", quad_segs=4)
    wide = shapely.buffer(shapes, _JOINT_M, join_style="mitre")
    merged = shapely.get_parts(shapely.union_all(wide))
    deck, member = shapely.STRtree(wide).query(merged, predicate="intersects")
    for number, outline in enumerate(merged):
        members = np.sort(member[deck == number])
        names = sorted({n for n in ground.columns["name"][rows[members]] if n})
        shape = shapely.buffer(outline, -_JOINT_M, join_style="mitre")
        thing = _described(ground, UNMAPPED, shape, names[0] if names else "", (None, None))
        if (thing.length or 0.0) >= _SHORTEST_BRIDGE_M:
            yield thing


def _heights(ground: TileMap) -> npt.NDArray[np.float64]:
    """Return heights as tagged, NaN where there is none or a part of the building is higher."""
    heights = ground.columns["height"].astype(np.float64)
    parts = np.flatnonzero(ground.columns["part"].astype(bool))
    points = shapely.point_on_surface(ground.geometry[parts])
    part, row = shapely.STRtree(ground.geometry).query(points, predicate="intersects")
    heights[row[heights[parts[part]] > heights[row]]] = np.nan
    return heights


def _measured(ground: TileMap, row: int, height: float) -> MapObject:
    size = float(ground.columns["size"][row] or np.nan)
    return _described(
        ground,
        ground.columns["kind"][row],
        ground.geometry[row],
        ground.columns["name"][row] or "",
        (size if np.isfinite(size) else None, height if np.isfinite(height) else None),
        width=float(ground.columns["width"][row] or np.nan),
    )


def _described(
    ground: TileMap,
    kind: str,
    shape: BaseGeometry,
    name: str,
    told: tuple[float | None, float | None],
    *,
    width: float = np.nan,
) -> MapObject:
    size, height = told
    length, across, bearing = size, size, None
    if not np.isfinite(width):
        width = 0.0
    dimension = int(shapely.get_dimensions(shape))
    if dimension == 2:
        length, across, axis = _rectangle(shape)
        bearing = ground.bearing(axis) if length >= ELONGATED * across else None
    elif dimension == 1:
        ends = shapely.get_coordinates(shape)
        length, across = float(shape.length), width or None
        bearing = ground.bearing(ends) if np.hypot(*(ends[-1] - ends[0])) > 0.5 * length else None
    if kind == "wind_turbine":
        length, across, bearing = size, None, None
    middle = ground.pixels(np.array([shapely.centroid(shape)], dtype=object))[0]
    if dimension == 0 and size:
        shape = shape.buffer(size / 2)
    return MapObject(
        kind, shape, name, float(middle.x), float(middle.y), length, across, height, bearing
    )


def _rectangle(shape: BaseGeometry) -> tuple[float, float, npt.NDArray[np.float64]]:
    """Return length, width and long axis (2 points) of the smallest rectangle around."""
    corners = shapely.get_coordinates(shapely.oriented_envelope(shape))
    if len(corners) < 5:
        return 0.0, 0.0, corners[:2]
    middles = (corners[:4] + corners[1:5]) / 2
    axes = middles[[0, 1]], middles[[2, 3]]
    spans = [float(np.hypot(*(axes[1][i] - axes[0][i]))) for i in (0, 1)]
    long = int(spans[1] > spans[0])
    return spans[long], spans[1 - long], np.array([axes[0][long], axes[1][long]])


def _holds(ground: TileMap, thing: MapObject) -> bool:
    rows, columns = ground.grid.shape
    return 0 <= thing.column < columns and 0 <= thing.row < rows


def _largest() -> dict[str, float]:
    rules: tuple[ObjectRule, ...] = tag_rules().objects
    return {rule.kind: rule.largest_m for rule in rules if rule.largest_m is not None}
