"""Farmland: fields of 2 to 10 hectares with crop rows, hedges, farmsteads."""

from __future__ import annotations

from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.fields import build_farmsteads, lay_fields
from sarknowlip.simulate.world.districts.plot import Plot


def fill(district: District) -> Layers:
    """Return fields that are larger where the density is low, and a farmstead on each 0.5 km²."""
    plot = Plot(district)
    fields = lay_fields(plot, 60_000.0 - 35_000.0 * district.density)
    build_farmsteads(plot, fields, 5e5)
    return plot.layers("grass")
