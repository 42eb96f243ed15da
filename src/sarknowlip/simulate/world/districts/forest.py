"""Forest: closed canopy with clearings, young stands and tracks."""

from __future__ import annotations

import numpy as np

from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.layout import blobs, lattice, street_grid
from sarknowlip.simulate.world.districts.plot import Plot, rectangles


def fill(district: District) -> Layers:
    """Return a forest; the less dense, the more clearings."""
    plot = Plot(district)
    random = plot.random
    centres = lattice(plot, 260.0, 100.0)
    centres = centres[random.random(len(centres)) < 0.65 - 0.5 * district.density]
    openings = plot.clipped(blobs(centres, 20.0 + 50.0 * random.random(len(centres)), 0.5, random))
    kinds = np.array(["grass", "shrub", "shrub"], dtype=object)
    plot.ground(openings, kinds[random.integers(0, 3, len(openings))])
    tracks = street_grid(plot, (650.0, 420.0), 5.0, 0.3)
    for boxes, turn in ((tracks.along, 0.0), (tracks.across, 90.0)):
        plot.ground(plot.clipped(rectangles(boxes)), "gravel", "road", "road", turn)
    return plot.layers("forest", structured=False)
