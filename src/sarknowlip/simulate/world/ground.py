"""The rows of a plan: water, roads, bridges, beaches, ships and vehicles as tables.

Their uids are negative: minus the group's number times `GROUP`, minus the row in its group.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from sarknowlip.simulate.layers import ORDER, Buildings, Layers, Regions, Targets, surface_id
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.plan import Plan
from sarknowlip.simulate.world.roads import RAILWAY, line_headings
from sarknowlip.simulate.world.shipping import make_wakes, river_ships, sea_ships
from sarknowlip.simulate.world.traffic import make_vehicles
from sarknowlip.simulate.world.water import rectangle

GROUP = 10**8
"""Uids a group of rows has for itself."""

WATER, ROADS, ABUTMENTS, BRIDGES, LEFTOVERS, BEACHES, VEHICLES, SHIPS, BARGES, WAKES = range(1, 11)
"""Groups of rows."""

DECK_M = 1.5
"""Thickness of a bridge, metres."""

BERTH_M = 180.0
"""Water before a quay that ships off the quays keep out of, metres."""


def first_uid(group: int) -> int:
    """Return the uid of the first row of a group; the next are one lower each."""
    return -group * GROUP - 1


def plan_layers(config: WorldConfig, plan: Plan) -> Layers:
    """Return everything of a plan but the contents of districts, regions sorted by `order`."""
    water = _water(config, plan)
    roads, bridges = _roads(plan), _bridges(plan)
    abutments = _abutments(config, plan)
    land = [
        _natural(plan.leftovers, LEFTOVERS, "grass", "grassland", "district"),
        _natural(plan.beaches, BEACHES, "beach", "beach", "shore"),
    ]
    vehicles = make_vehicles(config, plan.network, first_uid(VEHICLES), first_uid(ROADS))
    ships = _ships(config, plan, water)
    wet = shapely.union_all(water.geometry) if len(water) else shapely.Polygon()
    wakes = [make_wakes(config.own_seed, some, wet, first_uid(WAKES) - k) for k, some in ships]
    regions = Regions.concat([*land, water, roads, abutments, *wakes])
    regions = regions.take(np.argsort(regions.order, kind="stable"))
    return Layers(regions, bridges, Targets.concat([vehicles, *(some for _, some in ships)]))


def _water(config: WorldConfig, plan: Plan) -> Regions:
    world, water = rectangle(config.bounds()), plan.water
    bodies = [(water.sea, "sea"), (water.river, "river"), *((lake, "lake") for lake in water.lakes)]
    rows = [(body.intersection(world), function) for body, function in bodies]
    rows = [row for row in rows if not row[0].is_empty]
    uids = first_uid(WATER) - np.arange(len(rows))
    surface = [surface_id("sea" if f == "sea" else "inland_water") for _, f in rows]
    return Regions.of(
        uid=uids, geometry=[g for g, _ in rows], surface=surface, function=[f for _, f in rows],
        order=ORDER["water"], heading=np.nan, parent=uids,
    )  # fmt: skip


def _roads(plan: Plan) -> Regions:
    network = plan.network
    iron = network.kinds == RAILWAY
    uids = first_uid(ROADS) - np.arange(len(network.lines))
    # Railway first: roads are painted over it where they cross.
    order = np.argsort(~iron, kind="stable")
    return Regions.of(
        uid=uids,
        geometry=network.grounds,
        surface=np.where(iron, surface_id("gravel"), surface_id("asphalt")),
        function=np.where(iron, "rail_track", "road"),
        order=ORDER["road"],
        heading=line_headings(network.lines) % 180.0,
        parent=uids,
    ).take(order)


def _abutments(config: WorldConfig, plan: Plan) -> Regions:
    """Return the ends of bridges on land."""
    world, water = rectangle(config.bounds()), plan.water.everything
    ends = shapely.intersection(shapely.difference(plan.network.decks, water), world)
    uids = first_uid(ABUTMENTS) - np.arange(len(ends))
    return Regions.of(
        uid=uids, geometry=ends, surface=surface_id("asphalt"), function="bridge",
        order=ORDER["road"], heading=line_headings(plan.network.deck_lines) % 180.0, parent=uids,
    )  # fmt: skip


def _bridges(plan: Plan) -> Buildings:
    decks, clearances = plan.network.decks, plan.network.clearances
    rows = np.arange(len(decks))
    return Buildings.of(
        uid=first_uid(BRIDGES) - rows, geometry=decks, base=clearances,
        height=clearances + DECK_M, surface=surface_id("asphalt"), kind="bridge",
        function="bridge", parent=first_uid(ABUTMENTS) - rows,
    )  # fmt: skip


def _natural(geometry: Any, group: int, surface: str, function: str, order: str) -> Regions:
    uids = first_uid(group) - np.arange(len(geometry))
    return Regions.of(
        uid=uids, geometry=geometry, surface=surface_id(surface), function=function,
        order=ORDER[order], heading=np.nan, parent=uids,
    )  # fmt: skip


def _ships(config: WorldConfig, plan: Plan, water: Regions) -> list[tuple[int, Targets]]:
    """Return ships of sea and river, each with the number of ships before them."""
    berths = [d.quay.buffer(BERTH_M) for d in plan.districts if d.quay is not None]
    bridges = [deck.buffer(20.0) for deck in plan.network.decks]
    busy = shapely.union_all([*berths, *bridges])
    found: list[tuple[int, Targets]] = []
    for row in np.flatnonzero(np.isin(water.function.astype(str), ["sea", "river"])):
        free, uid = water.geometry[row].difference(busy), int(water.uid[row])
        if water.function[row] == "sea":
            lane = -np.degrees(plan.layout.angle)  # along v, a quarter turn from u
            ships = sea_ships(config, free, lane, first_uid(SHIPS), uid)
        else:
            ships = river_ships(config, free, plan.water, first_uid(BARGES), uid)
        found.append((sum(len(some) for _, some in found), ships))
    return found
