"""Vehicles on main roads.

Sizes and shares (traffic.json) were chosen after the legal sizes of vehicles in Europe.
"""

from __future__ import annotations

import functools
import json
from importlib import resources

import numpy as np
import shapely

from sarknowlip.core.config import Config
from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import Targets
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.landmarks import heading_of
from sarknowlip.simulate.world.roads import MOTORWAY, RAILWAY, Network

Range = tuple[float, float]

VEHICLES_PER_KM = (8.0, 16.0)
"""Vehicles on arterials and on the motorway at `WorldConfig.vehicles` 1, per kilometre (chosen)."""


class VehicleClass(Config):
    """Sizes of a class of vehicles, metres, and its share of all, 0…1."""

    subclass: str
    share: float
    length: Range
    width: float
    height: float


@functools.cache
def _classes() -> tuple[VehicleClass, ...]:
    text = resources.files(__package__).joinpath("traffic.json").read_text("utf-8")
    return tuple(VehicleClass(**row) for row in json.loads(text))


def make_vehicles(
    config: WorldConfig, network: Network, first_uid: int, first_road: int
) -> Targets:
    """Return vehicles on roads, driving on the right, numbered down from `first_uid`.

    A vehicle whose place the shore has cut off its road is left out.

    Their `parent` is the road's uid, numbered down from `first_road` in the network's order.
    """
    seed = config.own_seed
    density = config.vehicles * np.choose(network.kinds, [*VEHICLES_PER_KM, 0.0])
    counts = density * shapely.length(network.lines) / 1000
    roads = np.arange(len(network.lines))
    whole = np.floor(counts + keyed.uniform(seed, "vehicle/count", roads)).astype(np.int64)
    whole[network.kinds == RAILWAY] = 0
    road = np.repeat(roads, whole)
    number = np.arange(len(road)) - np.repeat(np.cumsum(whole) - whole, whole)

    def chance(what: str) -> Floats:
        return keyed.uniform(seed, f"vehicle/{what}", road, number)

    along = (number + 0.2 + 0.6 * chance("along")) / whole[road]
    onward = np.where(number % 2 == 0, 1.0, -1.0)
    lines, lengths = network.lines[road], shapely.length(network.lines[road])
    points, before, after = (
        shapely.get_coordinates(
            shapely.line_interpolate_point(lines, np.clip(along * lengths + step, 0.0, lengths))
        )
        for step in (0.0, -3.0, 3.0)
    )
    heading = (heading_of(before, after) + np.where(onward > 0, 0.0, 180.0)) % 360.0
    aside = network.widths[road] * (0.12 + 0.22 * chance("lane"))
    turn = np.radians(heading)
    x = points[:, 0] + aside * np.cos(turn)
    y = points[:, 1] - aside * np.sin(turn)
    classes = _classes()
    limits = np.cumsum([row.share for row in classes])
    kind = np.minimum(np.searchsorted(limits, chance("class")), len(classes) - 1)
    low, high = np.array([row.length for row in classes])[kind].T
    fast = network.kinds[road] == MOTORWAY
    heavy = kind > 0
    speed = np.where(fast, 22.0 + np.where(heavy, 3.0, 14.0) * chance("speed"), 0.0)
    town = np.where(chance("halt") < 0.15, 0.0, 7.0 + 10.0 * chance("speed"))
    vehicles = Targets.of(
        uid=0,
        kind="vehicle",
        subclass=np.array([row.subclass for row in classes], dtype=object)[kind],
        x=x,
        y=y,
        length=low + (high - low) * chance("length"),
        width=np.array([row.width for row in classes])[kind],
        height=np.array([row.height for row in classes])[kind],
        heading=heading,
        speed=np.where(fast, speed, town),
        function="road",
        parent=first_road - road,
    )
    vehicles = vehicles.take(np.flatnonzero(shapely.contains_xy(network.grounds[road], x, y)))
    vehicles.uid[:] = first_uid - np.arange(len(vehicles))
    return vehicles
