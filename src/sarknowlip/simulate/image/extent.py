"""Which pixels of an image show a world, and nothing of what lies beyond it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.image.contract import ImageGeometry
from sarknowlip.simulate.layers import World

_MARGIN_M = 1.0
"""Places so near to an edge are looked at one by one: lines of sight and images bend less."""
_CLOSE_M = 0.05
"""Error of the height at which a pixel meets the terrain, metres."""

Mask = npt.NDArray[np.bool_]


def within(
    geometry: ImageGeometry, world: World, first: tuple[int, int], shape: tuple[int, int]
) -> Mask:
    """Tell for a window which pixels show ground of a world.

    A pixel shows the place where its circle of equal range and Doppler meets the terrain. Under
    layover these are several: the one counts that bisection in height ends at.

    Args:
        geometry: Of the image.
        world: Its bounds and terrain.
        first: First row and column of the window.
        shape: Its rows and columns.

    Returns:
        True where the place at the pixel's centre lies in the bounds.
    """
    rows, columns = (
        np.arange(n, dtype=np.float64) + at for n, at in zip(shape, first, strict=True)
    )
    edge = np.ones(shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    outline = np.nonzero(edge)
    heights = world.height_range(world.bounds)
    limits = heights[0], sum(heights) / 2, heights[1]
    places = _places(geometry, limits, rows[outline[0]], columns[outline[1]])
    # Rectangles and half-planes are convex: what holds for a window's outline, holds for all of it.
    if _inside(world.bounds, places).all():
        return np.ones(shape, dtype=bool)
    if _beyond(world.bounds, places).all(axis=1).any():
        return np.zeros(shape, dtype=bool)
    row, column = (v.ravel() for v in np.meshgrid(rows, columns, indexing="ij"))
    places = _places(geometry, limits, row, column)
    shown = _inside(world.bounds, places)
    unsure = np.flatnonzero(~shown & ~_beyond(world.bounds, places).any(axis=0))
    shown[unsure] = world.bounds.holds(*_on_terrain(world, heights, places[:, :, unsure]))
    return shown.reshape(shape)


def _places(
    geometry: ImageGeometry, heights: tuple[float, float, float], row: Floats, column: Floats
) -> Floats:
    """Return x and y of pixels at three heights, shape (3, 2, n)."""
    return np.stack([np.stack(geometry.ground(row, column, height)) for height in heights])


def _inside(bounds: Bounds, places: Floats) -> Mask:
    """Tell which pixels show the world whatever its height."""
    return np.asarray(bounds.padded(-_MARGIN_M).holds(places[:, 0], places[:, 1]).all(axis=0))


def _beyond(bounds: Bounds, places: Floats) -> Mask:
    """Tell which pixels are beyond each edge whatever the world's height, shape (4, n)."""
    outer = bounds.padded(_MARGIN_M)
    x, y = places[:, 0], places[:, 1]
    sides = (x < outer.west, x > outer.east, y < outer.south, y > outer.north)
    return np.stack([side.all(axis=0) for side in sides])


def _on_terrain(
    world: World, heights: tuple[float, float], places: Floats
) -> tuple[Floats, Floats]:
    """Return where pixels meet the terrain: x and y by a parabola in height, by bisection."""
    low, middle, high = places
    rise, bend = (high - low) / 2, (high - 2 * middle + low) / 2
    half = (heights[1] - heights[0]) / 2
    below, above = np.full(low.shape[1], -1.0), np.full(low.shape[1], 1.0)
    for _ in range(max(1, int(np.ceil(np.log2(max(half, _CLOSE_M) / _CLOSE_M))) + 1)):
        up = (below + above) / 2
        x, y = middle + up * (rise + up * bend)
        buried = np.asarray(world.height(x, y)) > heights[0] + half * (1 + up)
        below, above = np.where(buried, up, below), np.where(buried, above, up)
    up = (below + above) / 2
    x, y = middle + up * (rise + up * bend)
    return x, y
