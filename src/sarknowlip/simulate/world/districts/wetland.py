"""Wetland: a mosaic of reed, flooded vegetation, open pools and bushes."""

from __future__ import annotations

from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.layout import blobs, lattice
from sarknowlip.simulate.world.districts.plot import Plot


def fill(district: District) -> Layers:
    """Return a wetland; the denser, the more open water."""
    plot = Plot(district)
    random = plot.random
    pools = 0.3 + 0.4 * district.density
    for surface, order, pitch, radius, share in (
        ("shrub", "ground", 130.0, (8.0, 30.0), 0.35),
        ("flooded_vegetation", "ground", 120.0, (20.0, 60.0), 0.6),
        ("inland_water", "water", 140.0, (12.0, 55.0), pools),
        ("inland_water", "water", 45.0, (3.0, 9.0), 0.25),
    ):
        centres = lattice(plot, pitch, 0.45 * pitch)
        centres = centres[random.random(len(centres)) < share]
        radii = radius[0] + (radius[1] - radius[0]) * random.random(len(centres)) ** 1.5
        plot.ground(plot.clipped(blobs(centres, radii, 0.7, random)), surface, order=order)
    return plot.layers("wetland", structured=False)
