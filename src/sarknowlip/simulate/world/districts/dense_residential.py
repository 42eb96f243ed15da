"""Dense housing: perimeter blocks of four to eight floors around courtyards, cars at the curbs."""

from __future__ import annotations

import numpy as np

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.layout import inset, pave, perimeter, street_grid
from sarknowlip.simulate.world.districts.placing import (
    clear_of,
    curb_places,
    edge_footprints,
    inside,
    park_vehicles,
    plant_trees,
)
from sarknowlip.simulate.world.districts.plot import Geometries, Plot, rectangles

BLOCK_M = (112.0, 82.0)
STREET_M = 14.0
SETBACK_M = 3.0
DEPTH_M = 12.5
PITCH_M = 22.0
STOREY_M = 3.1
ROOF_M = 1.5


def fill(district: District) -> Layers:
    """Return a district of perimeter blocks; sizes are chosen after European inner cities."""
    plot = Plot(district)
    random, density = plot.random, district.density
    streets = street_grid(plot, BLOCK_M, STREET_M)
    lanes = pave(plot, streets)
    courts = plot.clipped(rectangles(inset(streets.blocks, SETBACK_M)))
    plot.ground(courts, np.where(random.random(len(courts)) < 0.75, "garden", "concrete"), turn=0.0)

    rim = edge_footprints(plot, lanes, SETBACK_M, DEPTH_M, PITCH_M)
    _erect(plot, rim, 4 + (1 + 3 * density) * random.random(len(rim)))
    lots, block = perimeter(streets.blocks, SETBACK_M, DEPTH_M, PITCH_M, random)
    usual = 4 + (0.5 + 3 * density) * random.random(len(streets.blocks))
    storeys = usual[block] + random.random(len(lots))
    footprints = rectangles(lots)
    kept = random.random(len(lots)) < 0.72 + 0.28 * density
    kept &= inside(plot, footprints) & clear_of(footprints, rim, 4.0)
    _erect(plot, footprints[kept], storeys[kept])

    plant_trees(plot, 11.0, (1.6, 3.2), 0.2, lanes)
    places, turns = curb_places(streets, 6.4, 1.2, random)
    park_vehicles(plot, places, turns, 0.25 + 0.4 * density)
    return plot.layers("concrete")


def _erect(plot: Plot, footprints: Geometries, storeys: Floats) -> None:
    tiled = plot.random.random(len(footprints)) < 0.55
    roofs = np.where(tiled, "tile_roof", "flat_roof")
    heights = STOREY_M * np.clip(np.floor(storeys), 4, 8) + ROOF_M
    plot.build(footprints, heights, "apartment_block", roofs)
