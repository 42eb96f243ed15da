"""Which pixels of an image show a world, and nothing of what lies beyond it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.image.contract import ImageGeometry


def within(
    geometry: ImageGeometry,
    bounds: Bounds,
    heights: tuple[float, float],
    first: tuple[int, int],
    shape: tuple[int, int],
) -> npt.NDArray[np.bool_]:
    """Tell for a window which pixels show ground of a world, whatever its height.

    Args:
        geometry: Of the image.
        bounds: Of the world.
        heights: Least and greatest height of its ground, ellipsoidal metres.
        first: First row and column of the window.
        shape: Its rows and columns.

    Returns:
        True where the places of both heights that appear at the pixel's centre lie in the bounds.
    """
    rows, columns = (
        np.arange(n, dtype=np.float64) + at for n, at in zip(shape, first, strict=True)
    )
    # Bounds are straight and images nearly so: if a window's outline is inside, all of it is.
    edge = np.ones(shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    outline = np.nonzero(edge)
    inside = np.ones(shape, dtype=bool)
    inside[outline] = _inside(geometry, bounds, heights, rows[outline[0]], columns[outline[1]])
    if inside.all():
        return inside
    row, column = np.meshgrid(rows, columns, indexing="ij")
    return _inside(geometry, bounds, heights, row.ravel(), column.ravel()).reshape(shape)


def _inside(
    geometry: ImageGeometry,
    bounds: Bounds,
    heights: tuple[float, float],
    row: npt.NDArray[np.float64],
    column: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    inside = np.ones(row.shape, dtype=bool)
    for height in heights:
        x, y = geometry.ground(row, column, height)
        inside &= (x >= bounds.west) & (x < bounds.east)
        inside &= (y >= bounds.south) & (y < bounds.north)
    return inside
