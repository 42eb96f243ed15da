"""Commerce: towers, rows of shops, squares and car parks, one use for each block."""

from __future__ import annotations

import numpy as np

from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.layout import inset, pave, perimeter, split, street_grid
from sarknowlip.simulate.world.districts.placing import (
    bay_places,
    curb_places,
    edge_footprints,
    fitted,
    inside,
    park_vehicles,
    plant_trees,
)
from sarknowlip.simulate.world.districts.plot import Boxes, Plot, rectangles

BLOCK_M = (125.0, 100.0)
STREET_M = 18.0
USES = np.array([0.45, 0.82, 0.9, 1.0])
"""Cumulated shares of blocks with towers, shops, squares, car parks; chosen."""
STALL_M = (2.5, 5.0)
AISLE_M = 6.0


def fill(district: District) -> Layers:
    """Return a district of offices and shops; sizes are chosen after European city centres."""
    plot = Plot(district)
    random = plot.random
    streets = street_grid(plot, BLOCK_M, STREET_M)
    lanes = pave(plot, streets)
    blocks = streets.blocks
    use = np.searchsorted(USES, random.random(len(blocks)), side="right")
    _towers(plot, blocks[use == 0])
    _shops(plot, blocks[use == 1])
    plot.ground(plot.clipped(rectangles(blocks[use == 2])), "concrete", "square", turn=0.0)
    yards = inset(blocks[use == 3], 5.0)
    plot.ground(plot.clipped(rectangles(yards)), "asphalt", "parking", turn=0.0)

    rim = edge_footprints(plot, np.concatenate([lanes, rectangles(yards)]), 5.0, 16.0, 30.0)
    plot.build(rim, 5.0 + 7.0 * random.random(len(rim)), "shop", "flat_roof")
    plant_trees(plot, 14.0, (1.5, 3.0), 0.15, np.concatenate([lanes, rectangles(yards)]))
    park_vehicles(plot, *bay_places(inset(yards, 2.0), STALL_M, AISLE_M), 0.75)
    places, turns = curb_places(streets, 6.6, 1.3, random)
    park_vehicles(plot, places, turns, 0.2 + 0.2 * district.density)
    return plot.layers("concrete")


def _towers(plot: Plot, blocks: Boxes) -> None:
    """Erect towers of 20 to 120 m, a few of them much higher than the rest, and low pavilions."""
    random = plot.random
    lots = split(inset(blocks, 5.0), 2600.0, random, 8.0)
    bodies = lots + (1.0 + 7.0 * random.random(len(lots)))[:, None] * [1.0, 1.0, -1.0, -1.0]
    bodies = _capped(bodies, 62.0)
    bodies = fitted(plot, bodies[(bodies[:, 2:] - bodies[:, :2] > 14.0).all(axis=1)])
    low = random.random(len(bodies)) < 0.25
    rise = random.random(len(bodies)) ** (2.5 - 1.5 * plot.district.density)
    heights = np.where(low, 6.0 + 6.0 * rise, 20.0 + 100.0 * rise)
    kinds = np.where(low, "shop", "office_tower")
    plot.build(rectangles(bodies), heights.round(1), kinds, "flat_roof")


def _shops(plot: Plot, blocks: Boxes) -> None:
    random = plot.random
    lots, block = perimeter(blocks, 4.0, 20.0, 30.0, random)
    shapes = rectangles(lots)
    kept = inside(plot, shapes) & (random.random(len(lots)) < 0.92)
    heights = (6.0 + 10.0 * random.random(len(blocks)))[block] + 3.0 * random.random(len(lots))
    metal = np.where(random.random(len(lots)) < 0.2, "metal_roof", "flat_roof")
    plot.build(shapes[kept], heights[kept].round(1), "shop", metal[kept])


def _capped(boxes: Boxes, longest: float) -> Boxes:
    """Return boxes around the same centres with no side longer than a limit."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.minimum(boxes[:, 2:] - boxes[:, :2], longest) / 2
    return np.concatenate([centre - half, centre + half], axis=1)
