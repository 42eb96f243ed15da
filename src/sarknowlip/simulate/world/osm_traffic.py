"""What a map does not tell and every image shows: vehicles on streets and car parks, aircraft.

Numbers and places are chosen; sizes are those of the classes of `districts.classes`. Drawn from
the seed for places of the map (street, side, slot): the same whatever else the map holds, but for
things that would overlap, of which the one with the smaller uid stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.config import Config
from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.layers import Regions, Targets
from sarknowlip.simulate.world.districts.classes import draw, target_classes
from sarknowlip.simulate.world.osm_read import Geometries, Things
from sarknowlip.simulate.world.osm_rules import WorldLine, world_rules
from sarknowlip.simulate.world.painted import outlines

Ints = npt.NDArray[np.int64]

FIRST_SERIAL = 4096
"""Drawn things are numbered from here within the uids of their street, car park or apron."""

_SLOTS = 15000
_KERB_SLOT_M, _LANE_SLOT_M, _KERB_M = 7.2, 25.0, 1.2
_KERB_ROOM_M, _LANE_ROOM_M = 7.0, 18.0
_STALL, _AISLE_M = (2.6, 5.2), 6.0
_CARS = ("car", "van")
_LANE_STALL = (6.2, 2.3)
_STANDS = (
    ((80.0, 80.0), ("wide_body",)),
    ((45.0, 46.0), ("narrow_body", "regional")),
    ((20.0, 20.0), ("business_jet", "light")),
)


class TrafficConfig(Config):
    """How much is drawn.

    Attributes:
        vehicles: Factor on the number of vehicles along streets.
        parking: Share of stalls of car parks that are taken.
        aircraft: Share of stands of aprons that are taken.
        moored: Share of berths at quays and piers that are taken.
        under_way_per_km2: Ships under way per square kilometre of open water.
    """

    vehicles: float = 1.0
    parking: float = 0.55
    aircraft: float = 0.5
    moored: float = 0.5
    under_way_per_km2: float = 0.4


def street_vehicles(lines: Things[WorldLine], config: TrafficConfig, seed: int) -> Targets:
    """Return vehicles in the lanes and at the kerbs of streets (traffic keeps right)."""
    traffic = [rule.traffic for rule in lines.rules]
    busy = lines.keep(np.array([t.moving_per_km + t.parked_per_km > 0 for t in traffic], bool))
    if not len(busy):
        return Targets.empty()
    tagged, pairs = world_rules().tags, zip(busy.tags, busy.rules, strict=True)
    width = np.array([tagged.width(tags, line.rule) for tags, line in pairs])
    moving = np.array([line.traffic.moving_per_km for line in busy.rules]) * config.vehicles
    parked = np.array([line.traffic.parked_per_km for line in busy.rules]) * config.vehicles
    speed = np.array([line.traffic.speed for line in busy.rules])
    parts = []
    for side in (0, 1):
        parts.append(
            _row(busy, 0, side, pitch=_LANE_SLOT_M, per_km=moving, offset=width / 4, speed=speed,
                 seed=seed)
        )  # fmt: skip
        parts.append(
            _row(busy, 1, side, pitch=_KERB_SLOT_M, per_km=parked, offset=width / 2 - _KERB_M,
                 speed=0 * speed, seed=seed)
        )  # fmt: skip
    return Targets.concat(parts)


def parked_vehicles(parkings: Regions, config: TrafficConfig, seed: int) -> Targets:
    """Return vehicles in the stalls of car parks."""
    parts = []
    for uid, area in zip(parkings.uid, parkings.geometry, strict=True):
        across, deep, heading = _frame(area)
        parallel = min(across, deep) < _STALL[1]
        stall, aisle = (_LANE_STALL, _AISLE_M) if parallel else (_STALL, _AISLE_M)
        places = stall_places(area, heading, stall, aisle)
        slot = np.arange(min(len(places), _SLOTS), dtype=np.int64)
        key = uid + FIRST_SERIAL + slot
        taken = keyed.uniform(seed, "osm/stall", key) < config.parking
        turn = 0.0 if parallel else 90.0
        flip = 180.0 * (keyed.uniform(seed, "osm/flip", key) < 0.5)
        facing = heading + turn + flip
        kinds = _CARS if parallel else ("car",)  # vans are longer than a stall
        parts.append(
            _put("vehicle", kinds, key, places[slot], heading=facing, taken=taken, seed=seed)
        )
    return Targets.concat(parts)


def parked_aircraft(aprons: Regions, config: TrafficConfig, seed: int) -> Targets:
    """Return aircraft on stands of aprons: large stands where they fit, else smaller ones."""
    parts = []
    for uid, area in zip(aprons.uid, aprons.geometry, strict=True):
        heading = _frame(area)[2]
        for stand, kinds in _STANDS:
            places = stall_places(area, heading, stand, stand[1] / 2)
            if not len(places):
                continue
            slot = np.arange(min(len(places), _SLOTS), dtype=np.int64)
            key = uid + FIRST_SERIAL + slot
            taken = keyed.uniform(seed, "osm/stand", key) < config.aircraft
            nose = heading + 90.0 + 180.0 * (keyed.uniform(seed, "osm/flip", uid) < 0.5)
            parts.append(
                _put("aircraft", kinds, key, places[slot], heading=nose, taken=taken, seed=seed)
            )
            break
    return Targets.concat(parts)


def stall_places(
    area: BaseGeometry, heading: float, stall: tuple[float, float], aisle: float
) -> Floats:
    """Return centres of stalls that lie wholly in an area: pairs of rows with aisles between.

    Args:
        area: Polygon, metres.
        heading: Direction of the rows, degrees.
        stall: Extent along and across the rows, metres.
        aisle: Between pairs of rows, metres.

    Returns:
        Shape (n, 2).
    """
    angle = np.radians(heading)
    along = np.array([np.sin(angle), np.cos(angle)])
    across = np.array([along[1], -along[0]])
    local = shapely.get_coordinates(area) @ np.column_stack([along, across])
    low, high = local.min(axis=0), local.max(axis=0)
    u = np.arange(low[0] + stall[0] / 2, high[0] - stall[0] / 2 + 1e-6, stall[0])
    count = int((high[1] - low[1]) // stall[1]) + 1
    row = np.arange(count)
    v = low[1] + stall[1] * (row + 0.5) + aisle * ((row + 1) // 2)
    grid = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1).reshape(-1, 2)
    corners = [(i, j) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    basis = np.stack([along, across])
    quads = [(grid + np.array(c) * np.array(stall) / 2.02) @ basis for c in corners]
    if not len(grid):
        return grid
    shapely.prepare(area)
    inside = shapely.contains_properly(area, shapely.polygons(np.stack(quads, axis=1)))
    return np.asarray((grid @ basis)[inside])


def settled(targets: Targets, bounds: Bounds, obstacles: Geometries) -> Targets:
    """Return targets that lie within bounds, off obstacles and off each other, by uid."""
    targets = targets.take(np.argsort(targets.uid))
    shapes = outlines(targets)
    inside = shapely.box(bounds.west, bounds.south, bounds.east, bounds.north)
    shapely.prepare(inside)
    kept = shapely.contains_properly(inside, shapes)
    kept[shapely.STRtree(obstacles).query(shapes, predicate="intersects")[0]] = False
    targets, shapes = targets.take(kept), shapes[kept]
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    free = np.ones(len(shapes), dtype=bool)
    for i, j in sorted(zip(one[one < other], other[one < other], strict=True)):
        free[j] &= not free[i]
    return targets.take(free)


def _frame(area: BaseGeometry) -> tuple[float, float, float]:
    """Return length, width and direction (of the long side) of the box around an area."""
    box = shapely.minimum_rotated_rectangle(area)
    places = shapely.get_coordinates(box if isinstance(box, Polygon) else shapely.box(*area.bounds))
    step = np.diff(places[:3], axis=0)
    length = np.hypot(*step.T)
    longer = int(length[1] > length[0])
    heading = float(np.degrees(np.arctan2(step[longer, 0], step[longer, 1]))) % 180.0
    return float(length[longer]), float(length[1 - longer]), heading


def _row(
    lines: Things[WorldLine],
    what: int,
    side: int,
    *,
    pitch: float,
    per_km: Floats,
    offset: Floats,
    speed: Floats,
    seed: int,
) -> Targets:
    """Return vehicles in one row of slots along all lines: `side` 0 is right, with the line."""
    shapes = np.array(lines.geometry, dtype=object)
    length = shapely.length(shapes)
    count = np.minimum(np.round(length / pitch), _SLOTS).astype(np.int64)
    count[(count == 0) & (length >= _KERB_ROOM_M)] = 1
    pace = length / np.maximum(count, 1)
    owner = np.repeat(np.arange(len(shapes)), count)
    slot = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    uid = np.array(lines.uids, dtype=np.int64)[owner]
    key = uid + FIRST_SERIAL + (2 * what + side) * _SLOTS + slot
    taken = keyed.uniform(seed, "osm/slot", key) < per_km[owner] * pace[owner] / 2000.0
    owner, slot, key = owner[taken], slot[taken], key[taken]
    shake = keyed.uniform(seed, "osm/shake", key) - 0.5
    room = _LANE_ROOM_M if what == 0 else _KERB_ROOM_M
    at = (slot + 0.5) * pace[owner] + shake * np.maximum(pace[owner] - room, 0.0)
    here = shapely.get_coordinates(shapely.line_interpolate_point(shapes[owner], at))
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(shapes[owner], at + 0.5))
    back = shapely.get_coordinates(shapely.line_interpolate_point(shapes[owner], at - 0.5))
    tangent = ahead - back
    heading = np.degrees(np.arctan2(tangent[:, 0], tangent[:, 1]))
    tangent /= np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]
    right = np.column_stack([tangent[:, 1], -tangent[:, 0]]) * (1 - 2 * side)
    oneway = np.array([tags.get("oneway") == "yes" for tags in lines.tags])[owner]
    places = here + right * offset[owner][:, None]
    turned = heading + np.where((side == 1) & ~oneway, 180.0, 0.0)
    classes = (*_CARS, "truck") if what == 0 else _CARS
    every = np.ones(len(key), dtype=bool)
    targets = _put("vehicle", classes, key, places, heading=turned, taken=every, seed=seed)
    targets.speed[:] = speed[owner] * (0.8 + 0.4 * keyed.uniform(seed, "osm/speed", key))
    return targets


def _put(
    kind: str,
    subclasses: tuple[str, ...],
    key: Ints,
    places: Floats,
    *,
    heading: Any,
    taken: npt.NDArray[np.bool_],
    seed: int,
) -> Targets:
    key, places = key[taken], places[taken]
    sizes = draw(
        target_classes(kind, *subclasses),
        keyed.uniform(seed, "osm/class", key),
        keyed.uniform(seed, "osm/size", key),
    )
    return Targets.of(
        uid=key,
        kind=kind,
        subclass=sizes.subclass,
        x=places[:, 0],
        y=places[:, 1],
        length=sizes.length,
        width=sizes.width,
        height=sizes.height,
        heading=np.broadcast_to(heading, taken.shape)[taken] % 360.0,
        speed=0.0,
        function="",
        parent=-1,
    )
