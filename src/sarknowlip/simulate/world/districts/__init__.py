"""What districts hold: one filler for each function; to add one, write it and a line here."""

from __future__ import annotations

from sarknowlip.core.lazy import LazyTable
from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District, Filler

_HERE = "sarknowlip.simulate.world.districts"

FILLERS = LazyTable(
    "district filler",
    {
        "dense_residential": f"{_HERE}.dense_residential:fill",
        "sparse_residential": f"{_HERE}.sparse_residential:fill",
        "commercial": f"{_HERE}.commercial:fill",
        "industrial": f"{_HERE}.industrial:fill",
        "tank_farm": f"{_HERE}.tank_farm:fill",
        "port": f"{_HERE}.port:fill",
        "airport": f"{_HERE}.airport:fill",
        "rail": f"{_HERE}.rail:fill",
        "stadium": f"{_HERE}.stadium:fill",
        "farmland": f"{_HERE}.farmland:fill",
        "wind_farm": f"{_HERE}.wind_farm:fill",
        "forest": f"{_HERE}.forest:fill",
        "park": f"{_HERE}.park:fill",
        "wetland": f"{_HERE}.wetland:fill",
        "grassland": f"{_HERE}.grassland:fill",
        "bare": f"{_HERE}.bare:fill",
    },
)
"""Fillers by function of the district."""


def fill(district: District) -> Layers:
    """Return what a district holds.

    Raises:
        ConfigError: No filler has the district's function.
        GeometryError: The district is so large that its numbers run out.
    """
    filler: Filler = FILLERS[district.function]
    return filler(district)
