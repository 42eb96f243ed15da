"""Sparse housing: houses in gardens along narrow streets, some rows of joined houses, trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.layout import cut, pave, street_grid
from sarknowlip.simulate.world.districts.placing import (
    Mask,
    clear_of,
    curb_places,
    edge_footprints,
    inside,
    park_vehicles,
    plant_trees,
)
from sarknowlip.simulate.world.districts.plot import Boxes, Plot, rectangles

BLOCK_M = (165.0, 62.0)
STREET_M = 9.0


def fill(district: District) -> Layers:
    """Return a district of houses; sizes are chosen after European suburbs."""
    plot = Plot(district)
    random, density = plot.random, district.density
    streets = street_grid(plot, BLOCK_M, STREET_M)
    lanes = pave(plot, streets)

    rim = edge_footprints(plot, lanes, 8.0, 10.0, 15.0)
    rim = rim[random.random(len(rim)) < 0.5]
    plot.build(rim, 4.5 + 4.0 * random.random(len(rim)), "house", _roofs(plot, len(rim)))

    pitch = 27.0 - 7.0 * density
    u0, v0, u1, v1 = streets.blocks.T
    middle = (v0 + v1) / 2
    rows = np.concatenate(
        [np.stack([u0, v0, u1, middle], axis=1), np.stack([u0, middle, u1, v1], axis=1)]
    )
    lots, row = cut(rows, pitch, 0, random)
    upper = row >= len(streets.blocks)
    joined = random.random(len(rows))[row] < 0.3 * density
    houses = _houses(plot, lots, upper, joined)
    shapes = rectangles(houses)
    kept = (random.random(len(lots)) < 0.75 + 0.25 * density) & inside(plot, shapes)
    kept &= clear_of(shapes, rim, 5.0)
    heights = 4.5 + 4.5 * random.random(len(lots))
    heights = np.where(joined, np.round(7.0 + 2.0 * random.random(len(rows)), 1)[row], heights)
    kinds = np.where(joined, "row_house", "house")
    plot.build(shapes[kept], heights[kept], kinds[kept], _roofs(plot, int(kept.sum())))

    plant_trees(plot, 12.0, (1.5, 3.6), 0.45, lanes)
    places, turns = curb_places(streets, 7.0, 1.1, random)
    park_vehicles(plot, places, turns, 0.08 + 0.12 * density)
    return plot.layers("garden")


def _houses(plot: Plot, lots: Boxes, upper: Mask, joined: Mask) -> Boxes:
    """Return a house in each lot: near the street, which lies below lower and above upper rows."""
    random, count = plot.random, len(lots)
    width = lots[:, 2] - lots[:, 0]
    free = np.minimum(9.0 + 5.0 * random.random(count), width - 5.0)
    start = lots[:, 0] + 2.5 + (width - 5.0 - free) * random.random(count)
    start = np.where(joined, lots[:, 0], start)
    long = np.where(joined, width, free)
    depth = np.where(joined, 10.0, 8.0 + 4.0 * random.random(count))
    front = np.where(joined, 6.0, 5.0 + 3.0 * random.random(count))
    low = np.where(upper, lots[:, 3] - front - depth, lots[:, 1] + front)
    return np.stack([start, low, start + long, low + depth], axis=1)


def _roofs(plot: Plot, count: int) -> npt.NDArray[Any]:
    return np.where(plot.random.random(count) < 0.8, "tile_roof", "flat_roof")
