"""Bare ground: soil, gravel pits with water in the deepest, excavators and trucks at work."""

from __future__ import annotations

import numpy as np
import shapely

from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.layout import blobs, lattice
from sarknowlip.simulate.world.districts.placing import park_vehicles, within
from sarknowlip.simulate.world.districts.plot import Plot


def fill(district: District) -> Layers:
    """Return bare soil with pits; the denser, the more pits."""
    plot = Plot(district)
    random = plot.random
    centres = lattice(plot, 210.0, 45.0)
    centres = centres[random.random(len(centres)) < 0.35 + 0.45 * district.density]
    radii = 30.0 + 45.0 * random.random(len(centres))
    plot.ground(plot.clipped(blobs(centres, radii, 0.3, random)), "gravel")
    wet = random.random(len(centres)) < 0.3
    pools = plot.clipped(blobs(centres[wet], 0.45 * radii[wet], 0.3, random))
    plot.ground(pools, "inland_water", order="water")
    scrub = lattice(plot, 150.0, 60.0)
    scrub = scrub[random.random(len(scrub)) < 0.3]
    patches = plot.clipped(blobs(scrub, 8.0 + 15.0 * random.random(len(scrub)), 0.6, random))
    plot.ground(patches, "shrub")

    dry = np.repeat(centres[~wet], 3, axis=0)
    places = dry + 36.0 * (random.random(dry.shape) - 0.5)
    if len(pools):
        places = places[~within(shapely.union_all(shapely.buffer(pools, 8.0)), places)]
    turns = 360.0 * random.random(len(places))
    park_vehicles(plot, places, turns, 0.4, ("excavator", "truck"))
    return plot.layers("bare_soil", structured=False)
