"""Parks: lawns, groves, ponds, paths and a pavilion."""

from __future__ import annotations

import numpy as np

from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.layout import blobs, lattice, street_grid
from sarknowlip.simulate.world.districts.placing import clear_of, inside, plant_trees
from sarknowlip.simulate.world.districts.plot import Plot, rectangles


def fill(district: District) -> Layers:
    """Return a park; the denser, the more trees."""
    plot = Plot(district)
    random = plot.random
    grid = street_grid(plot, (170.0, 130.0), 3.0, 0.5)
    paths = np.concatenate([rectangles(grid.along), rectangles(grid.across)])
    centres = lattice(plot, 95.0, 40.0)
    centres = centres[random.random(len(centres)) < 0.3 + 0.4 * district.density]
    groves = plot.clipped(blobs(centres, 14.0 + 24.0 * random.random(len(centres)), 0.6, random))
    plot.ground(groves, "park_trees")
    turns = np.repeat([0.0, 90.0], [len(grid.along), len(grid.across)])
    for turn in (0.0, 90.0):
        plot.ground(plot.clipped(paths[turns == turn]), "gravel", turn=turn)
    middles = (grid.blocks[:, :2] + grid.blocks[:, 2:]) / 2
    wet = middles[random.random(len(middles)) < 0.2]
    ponds = plot.clipped(blobs(wet, 16.0 + 26.0 * random.random(len(wet)), 0.5, random))
    plot.ground(ponds, "inland_water", order="water")

    corners = grid.blocks[:, :2] + 6.0
    huts = rectangles(np.concatenate([corners, corners + np.array([16.0, 10.0])], axis=1))
    huts = huts[inside(plot, huts) & clear_of(huts, np.concatenate([ponds, groves]))]
    huts = huts[: 1 + int(plot.area.area / 3e5)]
    plot.build(huts, 4.0 + 2.0 * random.random(len(huts)), "building", "tile_roof")
    plant_trees(plot, 15.0, (2.0, 5.0), 0.25, np.concatenate([paths, ponds]))
    return plot.layers("grass", structured=False)
