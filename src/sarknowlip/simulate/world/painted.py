"""What is seen of flat regions that are painted over each other, and outlines of targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.layers import Regions, Targets, surface_id

ROUND_KINDS = ("storage_tank", "wind_turbine")
CIRCLE_SEGMENTS = 8
"""Straight pieces per quarter of a circle."""

SQUARE_M = 100.0
"""Edge of the squares in which overlapping regions are told apart."""

WATER = tuple(surface_id(name) for name in ("sea", "inland_water", "ship_wake"))
"""Surfaces that are open water."""


def area_of(bounds: Bounds) -> Polygon:
    """Return bounds as a polygon."""
    return box(bounds.west, bounds.south, bounds.east, bounds.north)


def outlines(targets: Targets) -> npt.NDArray[Any]:
    """Return the ground outlines of targets, polygons, shape (n,).

    Storage tanks are circles of their length, wind turbines circles of their width (the tower);
    everything else is a rectangle of length × width turned to its heading.
    """
    heading = np.nan_to_num(targets.heading)  # round things may have none
    shapes = rectangles(targets.x, targets.y, targets.length, targets.width, heading)
    circular = np.isin(targets.kind.astype(str), ROUND_KINDS)
    if circular.any():
        turbine = targets.kind[circular] == "wind_turbine"
        diameter = np.where(turbine, targets.width[circular], targets.length[circular])
        shapes[circular] = shapely.buffer(
            shapely.points(targets.x[circular], targets.y[circular]),
            diameter / 2,
            quad_segs=CIRCLE_SEGMENTS,
        )
    return shapes


def rectangles(
    x: Floats, y: Floats, length: Floats, width: Floats, heading: Floats
) -> npt.NDArray[Any]:
    """Return rectangles by centre and size, metres, their length along headings, degrees."""
    if not len(x):
        return np.empty(0, dtype=object)
    angle = np.radians(heading)
    along = np.stack([np.sin(angle), np.cos(angle)], axis=-1) * length[:, None] / 2
    across = np.stack([np.cos(angle), -np.sin(angle)], axis=-1) * width[:, None] / 2
    centre = np.stack([x, y], axis=-1)
    corners = [centre + a * along + b * across for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
    return np.asarray(shapely.polygons(np.stack(corners, axis=1)), dtype=object)


def visible(regions: Regions, wanted: npt.NDArray[np.bool_], area: BaseGeometry) -> BaseGeometry:
    """Return the part of an area on which a wanted region is painted on top.

    Where regions of equal `order` overlap, unwanted ones win: the result is never too large.

    Args:
        regions: Rows that meet the area, any sequence.
        wanted: Mask of rows.
        area: Polygon to stay in.
    """
    shapes = _within(regions.geometry, area)
    seen: BaseGeometry = Polygon()
    for order in np.unique(regions.order):
        here = regions.order == order
        seen = seen.union(shapely.union_all(shapes[here & wanted]))
        seen = seen.difference(shapely.union_all(shapes[here & ~wanted]))
    return seen


def on_top(regions: Regions, x: Floats, y: Floats) -> npt.NDArray[np.int64]:
    """Return the row of the region that is painted on top at points, −1 where there is none.

    Args:
        regions: Rows sorted by `order`, later rows over earlier ones.
        x: Metres, shape (n,).
        y: Metres, shape (n,).
    """
    top = np.full(len(x), -1, dtype=np.int64)
    point, row = shapely.STRtree(regions.geometry).query(shapely.points(x, y), "intersects")
    np.maximum.at(top, point, row)
    return top


def visible_by_surface(regions: Regions, area: BaseGeometry) -> Iterator[tuple[int, BaseGeometry]]:
    """Yield the surfaces seen in an area with their part of it, ascending; parts don't overlap.

    Args:
        regions: Rows sorted by `order`, later rows over earlier ones.
        area: Polygon or multipolygon.
    """
    pieces: dict[int, list[BaseGeometry]] = {}
    tree = shapely.STRtree(regions.geometry)
    # A part at a time: what is left of a large area grows ever more corners and slow to cut.
    for part in _squares(area):
        rest = part
        for row in np.sort(tree.query(part, "intersects"))[::-1]:
            shape = regions.geometry[row]
            piece = polygons_of(rest.intersection(shape))
            if not piece.is_empty:
                pieces.setdefault(int(regions.surface[row]), []).append(piece)
                rest = polygons_of(rest.difference(shape))
            if rest.is_empty:
                break
    for surface in sorted(pieces):
        yield surface, polygons_of(shapely.union_all(pieces[surface]))


def polygons_of(geometry: BaseGeometry) -> BaseGeometry:
    """Return only the polygons of a geometry: lines and points where shapes touch are dropped."""
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.union_all(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])


def _squares(area: BaseGeometry) -> list[BaseGeometry]:
    """Return an area cut along the lines of a square grid."""
    if area.is_empty:
        return []
    west, south, east, north = np.floor(np.array(area.bounds) / SQUARE_M) * SQUARE_M
    x, y = np.meshgrid(
        np.arange(west, east + SQUARE_M, SQUARE_M), np.arange(south, north + SQUARE_M, SQUARE_M)
    )
    squares = shapely.box(x.ravel(), y.ravel(), x.ravel() + SQUARE_M, y.ravel() + SQUARE_M)
    shapely.prepare(area)
    cut = shapely.intersection(squares[shapely.intersects(area, squares)], area)
    parts = [polygons_of(part) for part in cut]
    return [part for part in parts if not part.is_empty]


def _within(shapes: npt.NDArray[Any], area: BaseGeometry) -> npt.NDArray[Any]:
    inside = np.array(shapes, dtype=object)
    cut = ~shapely.covered_by(inside, area)
    inside[cut] = shapely.intersection(inside[cut], area)
    return inside
