"""Water that has risen: which ground it reaches, decided cell by cell on a fixed lattice.

A node of the lattice is flooded if its terrain lies below the level of the water nearest to it plus
the rise, and if it can be reached from water through flooded nodes (8 neighbours) within `REACH_M`
along the lattice: the bathtub model with connectivity (Poulter & Halpin, Raster modelling of
coastal flooding from sea-level rise, Int. J. Geogr. Inf. Sci. 22, 2008). The limit of reach is
chosen: with it a cell never depends on ground far away, so that every window tells the same.
The shoreline between nodes is the zero contour of depth, linear between nodes, with permanent
water counted as ground at its own level.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import contourpy
import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.layers import Regions, World
from sarknowlip.simulate.world.painted import WATER

CELL_M = 1000.0
"""Edge of a cell of water, metres; cells start at multiples of it on the UTM grid."""
POSTING_M = 10.0
REACH_M = 500.0
_EDGE = round(CELL_M / POSTING_M)
_PAD = round(REACH_M / POSTING_M)
_DRY = -1e-3
"""Depth given to nodes that are low but not reached, metres: dry, by a hair."""


@dataclass(frozen=True)
class Depths:
    """Water over the nodes of a cell, south to north and west to east, (101, 101) nodes.

    Attributes:
        x: Positions of columns, metres.
        y: Positions of rows, metres.
        depth: Metres of water over ground, negative where dry; the rise over permanent water.
        level: Height of the risen water nearest to each node, ellipsoidal metres.
    """

    x: Floats
    y: Floats
    depth: Floats
    level: Floats

    def outline(self) -> BaseGeometry:
        """Return the ground and permanent water under risen water as polygons."""
        lines = contourpy.contour_generator(
            self.x, self.y, self.depth, fill_type=contourpy.FillType.OuterOffset
        ).filled(0.0, float(self.depth.max()) + 1.0)
        polygons = []
        for points, offsets in zip(*lines, strict=True):
            rings = [points[a:b] for a, b in itertools.pairwise(offsets)]
            polygons.append(Polygon(rings[0], rings[1:]))
        return shapely.union_all(shapely.make_valid(np.array(polygons, dtype=object)))

    def at(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return depth and level at points of the cell, bilinear, same shape."""
        place = np.stack([(y - self.y[0]) / POSTING_M, (x - self.x[0]) / POSTING_M])
        depth, level = (
            ndimage.map_coordinates(field, place, order=1, mode="nearest")
            for field in (self.depth, self.level)
        )
        return depth, level


class Flood:
    """The risen water of a world.

    Args:
        world: World before.
        rise_m: Rise of all water, metres, > 0.
        cached_cells: How many cells are kept in memory.
    """

    def __init__(self, world: World, rise_m: float, cached_cells: int = 64) -> None:
        self.world = world
        self.rise_m = rise_m
        self.cell: Callable[[int, int], Depths | None] = functools.lru_cache(cached_cells)(
            self._cell
        )

    def height(self, x: Floats, y: Floats, ground: Floats) -> Floats:
        """Return the height of ground or risen water over it, metres, same shape."""
        height = np.array(ground, dtype=np.float64)
        column = np.floor(x / CELL_M).astype(np.int64)
        row = np.floor(y / CELL_M).astype(np.int64)
        for i, j in np.unique(np.stack([column.ravel(), row.ravel()], axis=1), axis=0):
            depths = self.cell(int(i), int(j))
            if depths is None:
                continue
            here = (column == i) & (row == j)
            depth, level = depths.at(x[here], y[here])
            height[here] = np.where(depth > 0, np.maximum(level, height[here]), height[here])
        return height

    def _cell(self, i: int, j: int) -> Depths | None:
        """Return what stands on a cell, None if there is no risen water."""
        steps = POSTING_M * np.arange(-_PAD, _EDGE + _PAD + 1, dtype=np.float64)
        x, y = i * CELL_M + steps, j * CELL_M + steps
        half = POSTING_M / 2
        around = Bounds(x[0] - half, y[0] - half, x[-1] + half, y[-1] + half)
        wet = _water_nodes(self.world.layers(around).regions, x, y)
        if not wet.any():
            return None
        ground = self.world.height(*np.meshgrid(x, y))
        distance, nearest = ndimage.distance_transform_edt(~wet, return_indices=True)
        level = ground[nearest[0], nearest[1]] + self.rise_m
        depth = np.where(wet, self.rise_m, level - ground)
        low = (depth > 0) & (distance <= _PAD)
        reached = ndimage.binary_dilation(
            wet, structure=np.ones((3, 3), dtype=bool), iterations=_PAD, mask=low
        )
        depth = np.where((depth > 0) & ~reached, _DRY, depth)
        inner = (slice(_PAD, _PAD + _EDGE + 1),) * 2
        if not (depth[inner] > 0).any():
            return None
        return Depths(x[inner[1]], y[inner[0]], depth[inner], level[inner])


def _water_nodes(regions: Regions, x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
    """Return which nodes are water, shape (len(y), len(x)); x and y are ascending."""
    wet = np.zeros((len(y), len(x)), dtype=bool)
    bounds = shapely.bounds(regions.geometry).reshape(-1, 4)
    left, right = np.searchsorted(x, bounds[:, 0]), np.searchsorted(x, bounds[:, 2], "right")
    low, high = np.searchsorted(y, bounds[:, 1]), np.searchsorted(y, bounds[:, 3], "right")
    is_water = np.isin(regions.surface, WATER)
    for row, shape in enumerate(regions.geometry):
        here = slice(low[row], high[row]), slice(left[row], right[row])
        # What is painted beside water, as most is, changes nothing.
        if wet[here].size and (is_water[row] or wet[here].any()):
            shapely.prepare(shape)
            inside = shapely.contains_xy(shape, *np.meshgrid(x[here[1]], y[here[0]]))
            wet[here] = np.where(inside, is_water[row], wet[here])
    return wet
