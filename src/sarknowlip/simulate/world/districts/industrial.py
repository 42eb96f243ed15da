"""Industry: halls and warehouses under metal roofs in paved yards, trucks, a few tanks."""

from __future__ import annotations

import numpy as np

from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.layout import inset, pave, split, street_grid
from sarknowlip.simulate.world.districts.placing import (
    bay_places,
    edge_footprints,
    inside,
    park_vehicles,
    plant_trees,
)
from sarknowlip.simulate.world.districts.plot import Boxes, Plot, rectangles
from sarknowlip.simulate.world.districts.tank_farm import place_tanks

BLOCK_M = (240.0, 165.0)
STREET_M = 15.0
LOT_M2 = 8_000.0
USES = np.array([0.72, 0.80, 0.86, 0.94])
"""Cumulated shares of lots with halls, truck yards, tanks, car parks; the rest is grass; chosen."""


def fill(district: District) -> Layers:
    """Return an industrial estate; sizes are chosen after European ones."""
    plot = Plot(district)
    random, density = plot.random, district.density
    streets = street_grid(plot, BLOCK_M, STREET_M)
    lanes = pave(plot, streets)
    lots = split(inset(streets.blocks, 4.0), LOT_M2, random, 5.0)
    use = np.searchsorted(USES, random.random(len(lots)), side="right")
    paved = plot.clipped(rectangles(lots[(use < 2) | (use == 3)]))
    plot.ground(paved, np.where(random.random(len(paved)) < 0.6, "concrete", "asphalt"), turn=0.0)
    plot.ground(plot.clipped(rectangles(lots[use == 2])), "gravel", turn=0.0)

    yards = build_halls(plot, lots[use == 0], 0.45 + 0.25 * density)
    rim = edge_footprints(plot, np.concatenate([lanes, rectangles(lots[use > 0])]), 6.0, 22.0, 45.0)
    plot.build(rim, 6.0 + 5.0 * random.random(len(rim)), "warehouse", "metal_roof")
    place_tanks(plot, inset(lots[use == 2], 6.0), largest=26.0)
    truck_yards = np.concatenate([yards, lots[use == 1]])
    trucks = bay_places(inset(truck_yards, 3.0), (4.5, 18.0), 16.0)
    park_vehicles(plot, *trucks, 0.15 + 0.15 * density, ("truck",))
    cars = bay_places(inset(lots[use == 3], 3.0), (2.5, 5.0), 6.0)
    park_vehicles(plot, *cars, 0.6)
    plant_trees(plot, 16.0, (1.8, 4.0), 0.12, np.concatenate([lanes, rectangles(lots[use != 4])]))
    return plot.layers("grass")


def build_halls(plot: Plot, lots: Boxes, cover: float) -> Boxes:
    """Build a hall in each lot that lies in the plot; return what is left of the lots as yards.

    Args:
        plot: Where.
        lots: Shape (n, 4).
        cover: Mean share of a lot's longer side that the hall takes.
    """
    random, count = plot.random, len(lots)
    size = lots[:, 2:] - lots[:, :2]
    axis = np.argmax(size, axis=1)
    rows = np.arange(count)
    share = np.clip(cover + 0.3 * (random.random(count) - 0.5), 0.2, 0.85)
    low = random.random(count) < 0.5
    at = lots[rows, axis] + size[rows, axis] * np.where(low, share, 1 - share)
    halls, yards = lots.copy(), lots.copy()
    halls[rows, np.where(low, axis + 2, axis)] = at
    yards[rows, np.where(low, axis, axis + 2)] = at
    halls = halls + 3.0 * np.array([1.0, 1.0, -1.0, -1.0])
    shapes = rectangles(halls)
    wide = (halls[:, 2:] - halls[:, :2] > 10.0).all(axis=1)
    kept = wide & inside(plot, shapes)
    factory = random.random(count) < 0.45
    heights = np.where(factory, 9.0 + 11.0 * random.random(count), 7.0 + 6.0 * random.random(count))
    kinds = np.where(factory, "factory_hall", "warehouse")
    roofs = np.where(random.random(count) < 0.8, "metal_roof", "flat_roof")
    plot.build(shapes[kept], heights[kept].round(1), kinds[kept], roofs[kept])
    return np.asarray(yards[kept])
