"""Ships, which no map holds: moored along quays, piers and port shores, and under way with wakes.

Places are chosen: a hull lies wholly in water that no quay, bridge or building covers, within the
world, and clear of all hulls placed before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.layers import ORDER, Buildings, Regions, Targets, surface_id
from sarknowlip.simulate.world.districts.classes import draw, target_classes
from sarknowlip.simulate.world.osm_ground import CELL_M, grid_cells, made_uid
from sarknowlip.simulate.world.osm_read import ROWS_PER_FEATURE, Geometries
from sarknowlip.simulate.world.osm_traffic import FIRST_SERIAL, TrafficConfig
from sarknowlip.simulate.world.painted import area_of, polygons_of, rectangles

_FENDER_M = 2.0
_SHORTEST_BERTH_M = 16.0
_FREE_BERTH_M = 30.0
_ROUNDING_M = 2.0
_SHORE_M = 4.0
_PLACES = 4
"""Ships that one cell of the world can hold under way."""

_SHIP, _WAKE = 2, 3
_WAKE_LENGTHS, _LONGEST_WAKE_M = 10.0, 1500.0
_SPEED = (3.0, 9.0)
_ROOM_M = 60.0

_TOWN_SHIPS = ("ferry", "cruise", "fishing", "tug")
"""What moors at quays away from ports."""

_INLAND_SHIPS = ("fishing", "tug")
"""What sails on lakes, rivers and canals."""

_NEAR_PORT_M = 50.0


@dataclass(frozen=True)
class _Vessel:
    """A ship before it has a place."""

    uid: int
    subclass: str
    length: float
    width: float
    height: float

    @classmethod
    def drawn(
        cls, uid: int, seed: int, subclasses: tuple[str, ...], longest: float = np.inf
    ) -> _Vessel | None:
        """Return a ship no longer than some metres of some subclasses (none: all), or None."""
        ships = target_classes("ship", *subclasses)
        classes = tuple(ship for ship in ships if ship.length[1] <= longest)
        if not classes:
            return None
        which, size = (keyed.uniform(seed, f"osm/{what}", [uid]) for what in ("class", "size"))
        ship = draw(classes, which, size)
        sizes = (float(values[0]) for values in (ship.length, ship.width, ship.height))
        return cls(uid, str(ship.subclass[0]), *sizes)

    def hull(self, centre: Any, heading: float) -> BaseGeometry:
        """Return its outline on the water."""
        place = (*centre, self.length, self.width, heading)
        return rectangles(*(np.array([value]) for value in place))[0]

    def at(self, centre: Any, heading: float, speed: float, water: Regions) -> Targets:
        """Return it at a place in a region of water (one row)."""
        return Targets.of(
            uid=[self.uid],
            kind="ship",
            subclass=self.subclass,
            x=centre[0],
            y=centre[1],
            length=self.length,
            width=self.width,
            height=self.height,
            heading=heading % 360.0,
            speed=speed,
            function=water.function,
            parent=water.uid,
        )


@dataclass
class _Water:
    """Open water within bounds, and what has been put into it."""

    regions: Regions
    obstacles: Geometries
    bounds: Bounds

    def __post_init__(self) -> None:
        self.tree = shapely.STRtree(self.regions.geometry)
        self.solid = shapely.STRtree(self.obstacles)
        self.hulls: list[BaseGeometry] = []

    def around(self, shape: BaseGeometry) -> tuple[BaseGeometry, int]:
        """Return the free water that meets a shape, and the row of the water at its middle."""
        rows = np.sort(self.tree.query(shape, predicate="intersects"))
        water = shapely.union_all(self.regions.geometry[rows])
        solid = self.solid.query(shape, predicate="intersects")
        # Cells of the sea meet at their edges: what is left between them is no land.
        free = water.buffer(0.01).difference(shapely.union_all(self.obstacles[solid]))
        middle = rows[shapely.intersects(self.regions.geometry[rows], shape.centroid)]
        return free, int(middle[-1]) if len(middle) else -1

    def is_sea(self, centre: Any) -> bool:
        """Tell whether a place lies in the sea."""
        rows = self.tree.query(shapely.Point(centre), predicate="intersects")
        return bool((self.regions.function[rows] == "sea").any())

    def take(self, hull: BaseGeometry, room: float) -> Regions | None:
        """Return the water (one row) a hull is put into, None if there is no room for it."""
        if not area_of(self.bounds).contains_properly(hull):
            return None
        free, row = self.around(hull)
        if row < 0 or not free.covers(hull):
            return None
        if self.hulls and (shapely.distance(np.array(self.hulls), hull) < room).any():
            return None
        self.hulls.append(hull)
        return self.regions.take(np.array([row]))


def ships(
    regions: Regions, buildings: Buildings, bounds: Bounds, config: TrafficConfig, seed: int
) -> tuple[Targets, Regions]:
    """Return ships and the wakes of those under way.

    Args:
        regions: Of the world, in painter's order.
        buildings: Bridges too.
        bounds: Of the world.
        config: How many.
        seed: Of the world.
    """
    wet = regions.order == ORDER["water"]
    if not wet.any():
        return Targets.empty(), Regions.empty()
    solid = regions.geometry[np.isin(regions.order, (ORDER["shore"], ORDER["road"]))]
    water = _Water(regions.take(wet), np.concatenate([solid, buildings.geometry]), bounds)
    moored = [
        _moored(owner, list(edges), water, config, seed)
        for owner, edges in itertools.groupby(_berth_edges(regions, water), lambda pair: pair[0])
    ]
    moving = [_under_way(cell, water, config, seed) for cell in grid_cells(bounds, CELL_M)]
    targets = [*moored, *(ship for ship, _ in moving)]
    return Targets.concat(targets), Regions.concat([wake for _, wake in moving])


def _berth_edges(regions: Regions, water: _Water) -> Iterator[tuple[int, bool, LineString]]:
    """Yield straight shores where ships moor: uid of quay or port, whether at a port, edge."""
    quay = (regions.order == ORDER["shore"]) & (regions.function == "quay")
    port = (regions.order == ORDER["district"]) & (regions.function == "port")
    ports = shapely.STRtree(regions.geometry[port])
    for index in np.flatnonzero(quay | port):
        shape = regions.geometry[index]
        at_port = len(ports.query(shape, predicate="dwithin", distance=_NEAR_PORT_M)) > 0
        reach = shape.buffer(_SHORE_M)
        if not len(water.tree.query(reach, predicate="intersects")):
            continue
        shore = shape.boundary
        if port[index]:
            shore = water.around(reach)[0].boundary.intersection(reach)
        lines = shapely.get_parts(shapely.line_merge(shapely.simplify(shore, _ROUNDING_M)))
        for line in lines[shapely.get_type_id(lines) == 1]:
            for start, end in itertools.pairwise(shapely.get_coordinates(line)):
                if np.hypot(*(end - start)) >= _SHORTEST_BERTH_M:
                    yield int(regions.uid[index]), at_port, LineString([start, end])


def _moored(
    owner: int,
    edges: list[tuple[int, bool, LineString]],
    water: _Water,
    config: TrafficConfig,
    seed: int,
) -> Targets:
    """Return ships moored along straight shores, on whichever side there is water."""
    placed, berths = [], itertools.count(owner + FIRST_SERIAL)
    last = owner + ROWS_PER_FEATURE
    for _, at_port, edge in edges:
        kinds = () if at_port else _TOWN_SHIPS
        start, end = shapely.get_coordinates(edge)
        tangent = (end - start) / edge.length
        heading = float(np.degrees(np.arctan2(*tangent)))
        at = 0.0
        while at + _SHORTEST_BERTH_M <= edge.length and (uid := next(berths)) < last:
            ship = _Vessel.drawn(uid, seed, kinds, edge.length - at)
            if ship is None or keyed.uniform(seed, "osm/berth", uid) >= config.moored:
                at += _FREE_BERTH_M
                continue
            facing = heading + 180.0 * float(keyed.uniform(seed, "osm/flip", uid) < 0.5)
            for side in (1.0, -1.0):
                aside = side * np.array([tangent[1], -tangent[0]]) * (ship.width / 2 + _FENDER_M)
                centre = start + tangent * (at + ship.length / 2) + aside
                row = water.take(ship.hull(centre, heading), 1.0)
                if row is not None:
                    placed.append(ship.at(centre, facing, 0.0, row))
                    break
            at += ship.length * 1.1 + 5.0
    return Targets.concat(placed)


def _under_way(
    cell: tuple[int, int], water: _Water, config: TrafficConfig, seed: int
) -> tuple[Targets, Regions]:
    """Return ships under way in one cell of the world, and their wakes."""
    share = config.under_way_per_km2 * (CELL_M / 1000.0) ** 2 / _PLACES
    placed, wakes = [], []
    for place in range(_PLACES):
        uid = made_uid(_SHIP, *cell) + place
        if keyed.uniform(seed, "osm/sails", uid) >= share:
            continue
        shift = [float(keyed.uniform(seed, f"osm/{axis}", uid)) for axis in "xy"]
        centre = (np.array(cell) + np.array(shift)) * CELL_M
        ship = _Vessel.drawn(uid, seed, () if water.is_sea(centre) else _INLAND_SHIPS)
        heading = 360.0 * float(keyed.uniform(seed, "osm/heading", uid))
        row = None if ship is None else water.take(ship.hull(centre, heading), _ROOM_M)
        if ship is None or row is None:
            continue
        speed = _SPEED[0] + (_SPEED[1] - _SPEED[0]) * float(keyed.uniform(seed, "osm/speed", uid))
        placed.append(ship.at(centre, heading, speed, row))
        wake = _wake(ship, centre, heading, water)
        if wake is not None:
            wakes.append(_wake_region(made_uid(_WAKE, *cell) + place, wake, heading, row))
    return Targets.concat(placed), Regions.concat(wakes)


def _wake(ship: _Vessel, centre: Any, heading: float, water: _Water) -> BaseGeometry | None:
    """Return the turbulent wake behind a ship: as wide as it at the stern, thrice that at its end.

    Length and widths are chosen; land cuts the wake off.
    """
    ahead, across = _axes(heading)
    stern = centre - ahead * ship.length / 2
    end = stern - ahead * min(_WAKE_LENGTHS * ship.length, _LONGEST_WAKE_M)
    near, far = across * ship.width / 2, across * 1.5 * ship.width
    shape = Polygon([stern + near, stern - near, end - far, end + far])
    seen = water.around(shape)[0].intersection(shape).intersection(area_of(water.bounds))
    pieces = [piece for piece in shapely.get_parts(polygons_of(seen)) if piece.area > 1.0]
    return min(pieces, key=lambda piece: piece.distance(shapely.Point(stern)), default=None)


def _wake_region(uid: int, shape: BaseGeometry, heading: float, water: Regions) -> Regions:
    return Regions.of(
        uid=[uid],
        geometry=np.array([shape], dtype=object),
        surface=surface_id("ship_wake"),
        function="wake",
        order=ORDER["wake"],
        heading=heading % 180.0,
        parent=water.uid,
    )


def _axes(heading: float) -> tuple[Any, Any]:
    angle = np.radians(heading)
    ahead = np.array([np.sin(angle), np.cos(angle)])
    return ahead, np.array([ahead[1], -ahead[0]])
