"""Wind farms: turbines of one model in rows, at least four rotors apart, on farmland."""

from __future__ import annotations

import numpy as np
import shapely

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.classes import Drawn, draw, target_classes
from sarknowlip.simulate.world.districts.fields import build_farmsteads, lay_fields
from sarknowlip.simulate.world.districts.layout import discs
from sarknowlip.simulate.world.districts.placing import off_buildings, within
from sarknowlip.simulate.world.districts.plot import Plot, rectangles

SPACING = 4.2
"""Distance of neighbours in a row, rotor diameters, at least."""
EDGE_M = 40.0
TRIES = 12
"""Lattices tried; the one that holds most turbines is built."""


def fill(district: District) -> Layers:
    """Return fields with a turbine lattice; all rotors face one wind."""
    plot = Plot(district)
    random = plot.random
    fields = lay_fields(plot, 60_000.0 - 25_000.0 * district.density)
    build_farmsteads(plot, fields, 1e6)
    classes = target_classes("wind_turbine")
    model = draw(classes[: 1 + int(plot.area.area / 8e5)], random.random(1), random.random(1))
    pitch = SPACING * float(model.length[0]) * np.array([1.0, 1.2 + 0.4 * random.random()])
    tries = [_lattice(plot, pitch, shift * pitch) for shift in random.random((TRIES, 2))]
    places = max(tries, key=len)
    count = len(places)
    one = model.take(np.zeros(count, dtype=np.int64))
    turbines = Drawn(one.subclass, one.length, one.width, np.round(one.height, 1))
    plot.put("wind_turbine", places, turbines, 360.0 * random.random())
    open_ground = shapely.difference(
        plot.area, shapely.union_all(shapely.buffer(plot.built(), 3.0))
    )
    for row in np.unique(places[:, 1]):
        stands = places[places[:, 1] == row, 0]
        track = np.array([[stands.min() - 4.0, row + 8.0, stands.max() + 4.0, row + 12.5]])
        plot.ground(plot.clipped(rectangles(track), open_ground), "gravel", "road", "road", 0.0)
    pads = plot.clipped(discs(places, np.full(count, 14.0), 16))
    plot.ground(pads, "gravel", order="road")
    return plot.layers("grass")


def _lattice(plot: Plot, pitch: Floats, shift: Floats) -> Floats:
    """Return places in rows along u, off the plot's edge and its farmsteads, shape (n, 2)."""
    u0, v0, u1, v1 = plot.bounds
    rows, columns = np.arange(v0 + shift[1], v1, pitch[1]), np.arange(u0 + shift[0], u1, pitch[0])
    u, v = np.meshgrid(columns, rows)
    # Every other row is moved by half a pitch, out of the wake of the one before.
    u = u + pitch[0] / 2 * (np.arange(len(rows)) % 2)[:, None]
    places = np.stack([u.ravel(), v.ravel()], axis=1)
    places = places[within(plot.area, places, EDGE_M)]
    return np.asarray(places[off_buildings(plot, places, 100.0)])
