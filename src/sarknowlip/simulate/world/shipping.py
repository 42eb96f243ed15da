"""Ships off the quays, under way and at anchor, and the wakes of ships.

Sizes and shares (shipping.json) were chosen after common ships of each class.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.config import Config
from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import ORDER, Regions, Targets, surface_id
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.painted import outlines
from sarknowlip.simulate.world.water import Water

Range = tuple[float, float]

SHIPS_PER_KM2 = 0.6
"""Ships on the open sea at `WorldConfig.ships` 1, per square kilometre (chosen)."""

SHIPS_PER_KM = 0.5
"""Ships on a river, per kilometre (chosen)."""

WAKE_LENGTHS = (10.0, 40.0)
"""Length of a turbulent wake in lengths of its ship."""

LONGEST_WAKE_M = 4000.0
"""Longer wakes are cut: sea blurs them (chosen)."""


class ShipClass(Config):
    """Ranges of a class of ships: metres, length over beam, metres, m/s; shares 0…1."""

    subclass: str
    sea: float
    river: float
    length: Range
    slender: Range
    height: Range
    speed: Range
    under_way: float


@functools.cache
def _classes() -> tuple[ShipClass, ...]:
    text = resources.files(__package__).joinpath("shipping.json").read_text("utf-8")
    return tuple(ShipClass(**row) for row in json.loads(text))


def sea_ships(
    config: WorldConfig, sea: BaseGeometry, lane: float, first_uid: int, parent: int
) -> Targets:
    """Return ships on the open sea.

    Args:
        config: Of the world.
        sea: Free water: berths and their approaches taken off.
        lane: Direction of the fairway, degrees from grid north.
        first_uid: Of the first ship; the others are numbered down.
        parent: uid of the sea.
    """
    wanted = round(config.ships * SHIPS_PER_KM2 * sea.area / 1e6)
    if wanted == 0:
        return Targets.empty()
    keys = np.arange(12 * wanted)
    west, south, east, north = sea.bounds
    x = west + (east - west) * keyed.uniform(config.own_seed, "ship/x", keys)
    y = south + (north - south) * keyed.uniform(config.own_seed, "ship/y", keys)
    weights = np.array([row.sea for row in _classes()])
    tries = _ships(config.own_seed, "sea", weights, np.inf, {"x": x, "y": y, "function": "sea"})
    course = lane + 22.0 * keyed.normal(config.own_seed, "ship/course", keys)
    course = course + np.where(keyed.uniform(config.own_seed, "ship/way", keys) < 0.5, 0.0, 180.0)
    wind = 360.0 * float(keyed.uniform(config.own_seed, "ship/wind"))
    swung = wind + 12.0 * keyed.normal(config.own_seed, "ship/swing", keys)
    tries.heading[:] = np.where(tries.speed > 0, course, swung) % 360.0
    return _numbered(_free(tries, sea, 30.0, 60.0), wanted, first_uid, parent)


def river_ships(
    config: WorldConfig, river: BaseGeometry, water: Water, first_uid: int, parent: int
) -> Targets:
    """Return ships that keep to the right on a river.

    Args:
        config: Of the world.
        river: Free water: bridges and berths taken off.
        water: With line and width of the river.
        first_uid: Of the first ship; the others are numbered down.
        parent: uid of the river.
    """
    line = shapely.line_merge(water.river_line.intersection(river))
    lines = shapely.get_parts(shapely.get_parts(line))
    lines = lines[shapely.get_type_id(lines) == 1]
    wanted = round(config.ships * SHIPS_PER_KM * float(shapely.length(lines).sum()) / 1000)
    weights = np.array([row.river for row in _classes()])
    longest = 0.8 * water.river_width
    weights[[row.length[0] > longest for row in _classes()]] = 0.0
    if wanted == 0 or not weights.any():
        return Targets.empty()
    keys = np.arange(8 * wanted)
    ends = np.cumsum(shapely.length(lines))
    place = keyed.uniform(config.own_seed, "barge/along", keys) * ends[-1]
    piece = np.searchsorted(ends, place)
    here = place - (ends - shapely.length(lines))[piece]
    points, ahead = (
        shapely.get_coordinates(shapely.line_interpolate_point(lines[piece], here + step))
        for step in (0.0, 5.0)
    )
    way = (ahead - points) / np.maximum(np.hypot(*(ahead - points).T), 1e-9)[:, None]
    way *= np.where(keyed.uniform(config.own_seed, "barge/way", keys) < 0.5, 1.0, -1.0)[:, None]
    x = points[:, 0] + 0.18 * water.river_width * way[:, 1]
    y = points[:, 1] - 0.18 * water.river_width * way[:, 0]
    tries = _ships(
        config.own_seed, "river", weights, longest, {"x": x, "y": y, "function": "river"}
    )
    tries.heading[:] = np.degrees(np.arctan2(way[:, 0], way[:, 1])) % 360.0
    return _numbered(_free(tries, river, 4.0, 40.0), wanted, first_uid, parent)


def make_wakes(seed: int, ships: Targets, water: BaseGeometry, first_uid: int) -> Regions:
    """Return the turbulent wakes of moving ships: wedges astern, one beam wide, then two.

    Numbered down from `first_uid` like the ships; `parent` is the uid of the ship.
    """
    keys = ships.uid
    low, high = WAKE_LENGTHS
    lengths = ships.length * (low + (high - low) * keyed.uniform(seed, "wake/length", keys))
    lengths = np.minimum(lengths, LONGEST_WAKE_M)
    turn = np.radians(ships.heading)
    ahead = np.stack([np.sin(turn), np.cos(turn)], axis=1)
    right = np.stack([np.cos(turn), -np.sin(turn)], axis=1)
    stern = np.stack([ships.x, ships.y], axis=1) - (ships.length / 2)[:, None] * ahead
    end = stern - lengths[:, None] * ahead
    beam = (ships.width / 2)[:, None] * right
    wedges = shapely.polygons(
        np.stack([stern + beam, stern - beam, end - 2 * beam, end + 2 * beam], axis=1)
    )
    moving = np.flatnonzero(ships.speed > 0)
    sterns = shapely.points(stern)
    shapes = [_part_at(wedges[k].intersection(water), sterns[k]) for k in moving]
    return Regions.of(
        uid=first_uid - moving,
        geometry=shapes,
        surface=surface_id("ship_wake"),
        function="wake",
        order=ORDER["wake"],
        heading=ships.heading[moving] % 180.0,
        parent=ships.uid[moving],
    )


def _ships(
    seed: int, stream: str, weights: Floats, longest: float, known: dict[str, Any]
) -> Targets:
    """Return ships of random classes and sizes, heading 0, at known places."""
    classes, keys = _classes(), np.arange(len(known["x"]))

    def chance(what: str) -> Floats:
        return keyed.uniform(seed, f"ship/{stream}/{what}", keys)

    def between(field: str, mix: Floats) -> Floats:
        low, high = np.array([getattr(row, field) for row in classes])[kind].T
        return np.asarray(low + (high - low) * mix)

    kind = np.searchsorted(np.cumsum(weights / weights.sum()), chance("class"), side="right")
    kind = np.minimum(kind, int(np.flatnonzero(weights)[-1]))
    size = chance("size") ** 1.3
    length = np.minimum(between("length", size), longest)
    under_way = np.array([row.under_way for row in classes])[kind]
    return Targets.of(
        uid=0,
        kind="ship",
        subclass=np.array([row.subclass for row in classes], dtype=object)[kind],
        length=length,
        width=length / between("slender", chance("slender")),
        height=between("height", size),
        heading=0.0,
        speed=np.where(chance("way") < under_way, between("speed", chance("speed")), 0.0),
        parent=0,
        **known,
    )


def _free(tries: Targets, water: BaseGeometry, clear: float, apart: float) -> Targets:
    """Return the ships that lie in water and clear of ships before them, metres."""
    shapely.prepare(water)
    room = shapely.buffer(outlines(tries), clear, quad_segs=2)
    tries = tries.take(np.flatnonzero(shapely.contains_properly(water, room)))
    kept: list[int] = []
    for k in range(len(tries)):
        away = np.hypot(tries.x[kept] - tries.x[k], tries.y[kept] - tries.y[k])
        if np.all(away > (tries.length[kept] + tries.length[k]) / 2 + apart):
            kept.append(k)
    return tries.take(np.array(kept, dtype=np.int64))


def _numbered(ships: Targets, wanted: int, first_uid: int, parent: int) -> Targets:
    ships = ships.take(np.arange(min(wanted, len(ships))))
    ships.uid[:] = first_uid - np.arange(len(ships))
    ships.parent[:] = parent
    return ships


def _part_at(geometry: BaseGeometry, place: BaseGeometry) -> Polygon:
    """Return the polygon of a geometry that is nearest to a place."""
    parts = shapely.get_parts(geometry)
    parts = parts[shapely.get_type_id(parts) == 3]
    return parts[int(np.argmin(shapely.distance(parts, place)))]
