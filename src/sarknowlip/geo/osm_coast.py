"""The sea behind OpenStreetMap's coastlines: ways with land on their left, water on their right.

https://wiki.openstreetmap.org/wiki/Tag:natural%3Dcoastline
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

FARTHEST_END_M = 1000.0
"""A coastline that ends nearer to the edge of the map was cut there and is led on to it."""

_SIDE_M = 0.05

_LOG = logging.getLogger(__name__)


def sea_polygons(
    coast: Sequence[BaseGeometry], ground: shapely.Polygon, clear: float = 0.0
) -> list[BaseGeometry]:
    """Return the sea within a rectangle, none without coastlines.

    Coastlines and the edge of the rectangle cut the ground into faces; the side on which most
    metres of coastline see a face decides whether it is land or sea. So gaps and stray pieces cost
    one face at most, never the whole map.

    Args:
        coast: Lines in metres, land on their left.
        ground: Where to look.
        clear: Least majority for the sea, a share (0…1) of the metres that see a face. Coastlines
            see a face from both sides where they do not close it.
    """
    lines = shapely.intersection(np.array(coast, dtype=object), ground)
    parts = shapely.get_parts(shapely.get_parts(lines)) if len(coast) else np.empty(0, object)
    parts = parts[shapely.get_type_id(parts) == 1]
    if not len(parts):
        return []
    merged = shapely.get_parts(shapely.line_merge(shapely.union_all(parts), directed=True))
    closing = _lead_on(merged, ground)
    edges = shapely.union_all([*parts, *closing, ground.exterior])
    faces = shapely.get_parts(shapely.polygonize([edges]))
    sea, land = _votes(parts, faces)
    wet = (sea > land) & (sea - land >= clear * (sea + land))
    return [face for face, is_sea in zip(faces, wet, strict=True) if is_sea]


def _lead_on(lines: npt.NDArray[Any], ground: BaseGeometry) -> list[BaseGeometry]:
    """Return straight pieces from loose ends of lines to the nearest point of the edge."""
    loose = lines[~shapely.is_closed(lines)]
    ends = np.concatenate([shapely.get_point(loose, 0), shapely.get_point(loose, -1)])
    pieces = shapely.shortest_line(ends, ground.exterior)
    length = shapely.length(pieces)
    if (length > FARTHEST_END_M).any():
        _LOG.warning("coastlines end %d times within the map", (length > FARTHEST_END_M).sum())
    return list(pieces[(length > 0) & (length <= FARTHEST_END_M)])


def _votes(lines: npt.NDArray[Any], faces: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return metres of coastline that see each face on their right, and on their left, (2, n)."""
    starts, ends = [], []
    for line in lines:
        places = shapely.get_coordinates(line)
        starts.append(places[:-1])
        ends.append(places[1:])
    start, end = np.concatenate(starts), np.concatenate(ends)
    along = end - start
    length = np.hypot(*along.T)
    right = np.column_stack([along[:, 1], -along[:, 0]]) / np.maximum(length, 1e-9)[:, None]
    tree, votes = shapely.STRtree(faces), np.zeros((2, len(faces)))
    for side, sign in enumerate((1.0, -1.0)):
        points = shapely.points((start + end) / 2 + sign * _SIDE_M * right)
        point, face = tree.query(points, predicate="within")
        np.add.at(votes[side], face, length[point])
    return votes
