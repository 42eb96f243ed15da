"""Terrain: a coarse lattice of heights under a cubic B-spline, flat where there is water.

A cubic B-spline is a weighted mean of sixteen lattice values with weights ≥ 0, so heights never
leave the range of the lattice and are exactly constant where those sixteen are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.water import LAKE_CELLS, Water

SHORE_CELLS = 3.6
"""Lattice cells around water that stay at its level: the nearest node that is marked as water lies
up to √½ cells from a point in water, the nodes that weigh on the point up to √8 cells."""

SHORES_CELLS = 2 * (SHORE_CELLS + 1.0)
"""Cells between two bodies of water whose flat surroundings just don't meet."""

SHORTEST_M = 240.0
"""Wavelength below which hills have no detail, metres: shorter ones would be cliffs (chosen)."""

OUTSIDE_M = 1000.0
"""How far terrain goes on beyond the world before it is continued from its edge, metres."""


@dataclass(frozen=True)
class Field:
    """A smooth function of the place: a square lattice under a cubic B-spline.

    Attributes:
        west: x of the first column, metres.
        south: y of the first row, metres.
        step: Distance of nodes, metres.
        values: Lattice, rows northward, columns eastward.
    """

    west: float
    south: float
    step: float
    values: Floats

    def __call__(self, x: Floats, y: Floats) -> Floats:
        """Return values at any places, same shape; beyond the lattice those of its edge."""
        places = [(np.asarray(y) - self.south) / self.step, (np.asarray(x) - self.west) / self.step]
        found = ndimage.map_coordinates(
            self.values, places, order=3, mode="nearest", prefilter=False
        )
        return np.asarray(found)

    def range_within(self, bounds: Bounds) -> tuple[float, float]:
        """Return the least and greatest lattice value that weighs on places within bounds."""
        rows, columns = self.values.shape
        left, right = self._span(bounds.west, bounds.east, self.west, columns)
        bottom, top = self._span(bounds.south, bounds.north, self.south, rows)
        part = self.values[bottom:top, left:right]
        return float(part.min()), float(part.max())

    def _span(self, low: float, high: float, origin: float, count: int) -> tuple[int, int]:
        first = int(np.floor((low - origin) / self.step)) - 1
        last = int(np.floor((high - origin) / self.step)) + 3
        return min(max(first, 0), count - 1), min(max(last, 1), count)


def noise(seed: int, stream: str, bounds: Bounds, wavelength: float) -> Field:
    """Return one octave of smooth noise, mean 0, standard deviation about 1.

    Args:
        seed: Of the world.
        stream: Name of the noise.
        bounds: Where it is needed.
        wavelength: Distance of like places, metres.
    """
    step = wavelength / 2
    shape = [int(np.ceil(extent / step)) + 5 for extent in (bounds.height, bounds.width)]
    i, j = np.indices(shape)
    # Σ w² of the 16 weights, averaged over a cell, is (151/315)²: the factor restores variance 1.
    values = keyed.normal(seed, stream, i, j) * (315 / 151)
    return Field(bounds.west - 2 * step, bounds.south - 2 * step, step, values)


def shape_relief(config: WorldConfig, water: Water) -> Field:
    """Return heights of the ground, ellipsoidal metres.

    Sea and river lie at `base_height_m`, each lake at the level of its hollow; land rises from the
    shores to hills. Over the land of the world the standard deviation is `relief_m`.
    """
    bounds = config.bounds()
    step = config.relief_step_m
    wide = bounds.padded(step * np.ceil(OUTSIDE_M / step))
    y, x = np.meshgrid(
        np.arange(wide.south, wide.north + step / 2, step),
        np.arange(wide.west, wide.east + step / 2, step),
        indexing="ij",
    )
    if config.relief_m == 0:
        return Field(wide.west, wide.south, step, np.full(x.shape, config.base_height_m))
    hills = np.zeros(x.shape)
    longest = float(np.clip(0.4 * config.size_m, 600.0, 6000.0))
    for octave in range(int(np.log2(longest / SHORTEST_M)) + 1):
        field = noise(config.own_seed, f"relief/{octave}", wide, longest / 2**octave)
        hills += field(x, y) * 0.45**octave
    rise = float(np.clip(0.12 * config.size_m, 300.0, 1200.0)) / step
    level_water = _marked([water.sea, water.river], x, y, step)
    heights = np.log1p(np.exp(1.2 * hills + 1.0)) * _away(level_water, rise)
    lakes = np.zeros(x.shape, dtype=np.int64)
    for number, lake in enumerate(water.lakes, start=1):
        lakes[_marked([lake], x, y, step)] = number
    heights = _hollowed(heights, lakes, level_water, rise / 2)
    inside = (np.abs(x - bounds.centre[0]) <= config.size_m / 2) & (
        np.abs(y - bounds.centre[1]) <= config.size_m / 2
    )
    spread = float(heights[inside & ~level_water & (lakes == 0)].std())
    heights *= config.relief_m / spread if spread > 0 else 0.0
    return Field(wide.west, wide.south, step, config.base_height_m + heights)


def _marked(bodies: list[BaseGeometry], x: Floats, y: Floats, step: float) -> npt.NDArray[Any]:
    """Return which nodes lie in water or within a cell of it."""
    area = shapely.union_all([body.buffer(step, quad_segs=2) for body in bodies])
    shapely.prepare(area)
    return np.asarray(shapely.contains_xy(area, x, y))


def _away(water: npt.NDArray[np.bool_], rise: float) -> Floats:
    """Return 0 near water, rising smoothly to 1 over `rise` cells."""
    if not water.any():
        return np.ones(water.shape)
    cells = ndimage.distance_transform_edt(~water)
    t = np.clip((cells - SHORE_CELLS) / rise, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def _hollowed(
    heights: Floats, lakes: npt.NDArray[np.int64], sea: npt.NDArray[np.bool_], rise: float
) -> Floats:
    """Return heights with each lake (numbered from 1) flat at the lowest height of its shore.

    The levels of lakes fade out toward sea and river, over the distance that lakes keep from them.
    """
    if not lakes.any():
        return heights
    numbers = np.arange(lakes.max() + 1)
    levels = np.asarray(ndimage.minimum(heights, lakes, numbers))
    nearest = ndimage.distance_transform_edt(
        lakes == 0, return_distances=False, return_indices=True
    )
    level = levels[lakes[tuple(nearest)]] * _away(sea, LAKE_CELLS - SHORES_CELLS)
    away = _away(lakes > 0, rise)
    return np.asarray(level + (heights - level) * away)
