"""Which polygons lie on which footprints, and with how much area."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

Geometries = npt.NDArray[Any]


def overlaps(
    footprints: Geometries, shapes: Geometries
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return pairs that meet: footprint, shape, and the area they share.

    Shapes that lie wholly in a footprint are not cut, as their area is known.

    Args:
        footprints: Polygons, shape (m,), in a plane.
        shapes: Geometries of any kind, shape (n,), in the same plane; lines and points share no
            area.

    Returns:
        Row of the footprint, row of the shape, and area in square units of the plane; sorted by
        footprint, then shape.
    """
    row, number = shapely.STRtree(shapes).query(footprints, predicate="intersects")
    order = np.lexsort((number, row))
    row, number = row[order], number[order]
    shapely.prepare(footprints)
    inside = shapely.contains_properly(footprints[row], shapes[number])
    area = shapely.area(shapes)[number]
    rest = np.flatnonzero(~inside & (area > 0))
    area[rest] = shapely.area(shapely.intersection(footprints[row[rest]], shapes[number[rest]]))
    return row, number, area
