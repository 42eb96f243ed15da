"""A district: one piece of a city with one function, filled with streets, buildings and objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shapely.geometry import LineString, Polygon

from sarknowlip.simulate.layers import Layers

UIDS_PER_DISTRICT = 100_000
"""Rows of a district are numbered uid · UIDS_PER_DISTRICT + 1, + 2, …"""


@dataclass(frozen=True)
class District:
    """What is known before it is filled.

    Attributes:
        uid: 1, 2, …; identifies it in the world.
        polygon: Its ground, UTM metres; roads around it and water are already taken off.
        function: One of `layers.FUNCTIONS`.
        heading: Direction of its main streets, runway or crop rows, degrees 0…180 from grid north.
        density: How densely it is built or planted, 0…1.
        seed: Seed of the world; all random numbers come from (seed, uid).
        quay: Shoreline of a port's district, with water to the left of the line; else None.
    """

    uid: int
    polygon: Polygon
    function: str
    heading: float
    density: float
    seed: int
    quay: LineString | None = None


class Filler(Protocol):
    """Fills districts of one function."""

    def __call__(self, district: District) -> Layers:
        """Return what the district holds; the same for equal districts, on every machine.

        The district's own region comes first, with `order` "district" and `uid` of the district;
        everything else has it as `parent`. Nothing leaves the polygon but ships at a quay.
        """
