"""Grassland: open grass with bushes and single trees."""

from __future__ import annotations

import numpy as np

from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.layout import blobs, lattice
from sarknowlip.simulate.world.districts.placing import plant_trees
from sarknowlip.simulate.world.districts.plot import Plot


def fill(district: District) -> Layers:
    """Return grassland; the denser, the more bushes and trees."""
    plot = Plot(district)
    random = plot.random
    centres = lattice(plot, 110.0, 50.0)
    centres = centres[random.random(len(centres)) < 0.1 + 0.4 * district.density]
    bushes = plot.clipped(blobs(centres, 6.0 + 22.0 * random.random(len(centres)), 0.6, random))
    plot.ground(bushes, "shrub")
    plant_trees(plot, 30.0, (2.0, 5.0), 0.05 + 0.1 * district.density, np.empty(0, dtype=object))
    return plot.layers("grass", structured=False)
