"""Ships and vehicles at the second date: who left, came, or stands elsewhere.

Every fate hangs on (seeds, uid) and on the first date's content within a fixed distance. A new
place must be free at the first date, so that nobody who stays is run over; of two that want the
same place the one with the greater uid yields, whether or not the other gets it. Both rules look at
the ground around only, so that the answer does not depend on the window that is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.keyed import bits, uniform
from sarknowlip.simulate.layers import Layers, Regions, Targets, World, surface_id
from sarknowlip.simulate.world.painted import WATER, area_of, on_top, outlines, visible

CELL_M = 1000.0
"""Edge of a cell of movers, metres; cells start at multiples of it on the UTM grid."""
SHIP_MOVE_M = 300.0
"""How far at most a ship moves, or an arrival lies from the ship it is drawn after, metres."""
LONGEST_M = 400.0
"""Greatest length of a ship; with twice `SHIP_MOVE_M` it is no more than a cell."""
VEHICLE_MOVE_M, LONGEST_VEHICLE_M = 40.0, 20.0
TRIES = 8
SHIP_GAP_M, VEHICLE_GAP_M = 5.0, 0.8
"""Room kept around a new place."""
WAKE_TOUCH_M = 5.0
"""A wake's ship is its parent, or else the ship under way nearest to it, within this distance."""
HARD = tuple(surface_id(name) for name in ("asphalt", "concrete", "gravel"))


def new_uid(seed: int, stream: str, *keys: int) -> int:
    """Return an identifier in 2⁵²…2⁵³: apart from first-date rows, and exact as a double."""
    return 2**52 + int(bits(seed, stream, *keys)) // 2**12


def cells_in(bounds: Bounds, size: float) -> Iterator[tuple[int, int]]:
    """Yield column and row of all cells of a size that meet bounds, row by row."""
    for j in range(int(bounds.south // size), int(-(-bounds.north // size))):
        for i in range(int(bounds.west // size), int(-(-bounds.east // size))):
            yield i, j


def cell_bounds(i: int, j: int, size: float) -> Bounds:
    """Return the bounds of a cell."""
    return Bounds(i * size, j * size, (i + 1) * size, (j + 1) * size)


@dataclass(frozen=True)
class Traffic:
    """What ships and vehicles do; fields as in `changes.Changes`."""

    seed: int
    ships_left: float
    ships_moved: float
    ships_arrived: float
    vehicles: bool


@dataclass(frozen=True)
class Fates:
    """What happens to the movers whose centre lies in one cell.

    Attributes:
        left: uids of ships that are gone.
        shifts: Metres east and north by which ships and vehicles are shifted, by uid.
        arrived: New ships.
        wakes: Wakes of new ships.
    """

    left: frozenset[int]
    shifts: dict[int, tuple[float, float]]
    arrived: Targets
    wakes: Regions


@dataclass(frozen=True)
class _Wishes:
    """Places wanted: `rows` of `movers` are put down as `placed`, with outlines `shapes`."""

    rows: npt.NDArray[np.int64]
    placed: Targets
    shapes: npt.NDArray[Any]

    def take(self, which: npt.NDArray[Any]) -> _Wishes:
        return _Wishes(self.rows[which], self.placed.take(which), self.shapes[which])


@dataclass(frozen=True)
class _Obstacles:
    """What stands on a piece of ground at the first date, and the ground."""

    layers: Layers
    area: BaseGeometry
    shapes: npt.NDArray[Any]
    uids: npt.NDArray[np.int64]
    tree: shapely.STRtree

    @classmethod
    def of(cls, world: World, bounds: Bounds) -> _Obstacles:
        found = world.layers(bounds)
        shapes = np.concatenate([found.buildings.geometry, outlines(found.targets)])
        uids = np.concatenate([found.buildings.uid, found.targets.uid])
        return cls(found, area_of(bounds), shapes, uids, shapely.STRtree(shapes))

    def clear(
        self, shapes: npt.NDArray[Any], uids: npt.NDArray[np.int64], gap: float
    ) -> npt.NDArray[np.bool_]:
        """Tell which shapes are clear of everything but the old place of their own uid."""
        free = np.ones(len(shapes), dtype=bool)
        which, hit = self.tree.query(shapes, predicate="dwithin", distance=gap)
        free[which[self.uids[hit] != uids[which]]] = False
        return free

    def movers(self, i: int, j: int, kind: str) -> Targets:
        """Return the targets of a kind whose centre lies in a cell."""
        targets = self.layers.targets
        inside = (targets.x // CELL_M == i) & (targets.y // CELL_M == j)
        return targets.take(inside & (targets.kind == kind))


@dataclass(frozen=True)
class _Cell:
    """Movers of a cell and the places they want."""

    ships: Targets
    wakes: Regions
    wake_ships: npt.NDArray[np.int64]
    vehicles: Targets
    moves: _Wishes
    arrivals: _Wishes
    drives: _Wishes


class Movers:
    """Fates of all ships and vehicles of a world.

    Args:
        world: First date.
        traffic: What is to happen.
        cached_cells: How many cells are kept in memory.
    """

    def __init__(self, world: World, traffic: Traffic, cached_cells: int = 256) -> None:
        self.world = world
        self.traffic = traffic
        cache = functools.lru_cache(cached_cells)
        self.fates: Callable[[int, int], Fates] = cache(self._fates)
        self._cell: Callable[[int, int], _Cell] = cache(self._wished)

    def fates_at(self, x: float, y: float) -> Fates:
        """Return the fates of the cell in which a place lies."""
        return self.fates(int(x // CELL_M), int(y // CELL_M))

    def ship_of(self, wake: BaseGeometry, parent: int) -> tuple[int, float, float] | None:
        """Return uid, x and y of the ship that draws a wake, None if there is none."""
        near = self.world.layers(Bounds(*wake.bounds).padded(WAKE_TOUCH_M)).targets
        ships = near.take((near.kind == "ship") & (near.speed > 0))
        if not len(ships):
            return None
        distance = shapely.distance(outlines(ships), wake)
        distance[ships.uid == parent] = -1.0
        row = np.lexsort([ships.uid, distance])[0]
        if distance[row] > WAKE_TOUCH_M:
            return None
        return int(ships.uid[row]), float(ships.x[row]), float(ships.y[row])

    def _fates(self, i: int, j: int) -> Fates:
        cell = self._cell(i, j)
        around = [self._cell(i + a, j + b) for b in (-1, 0, 1) for a in (-1, 0, 1)]
        sailing = [wishes for other in around for wishes in (other.moves, other.arrivals)]
        moves, arrivals = (_settled(w, sailing, SHIP_GAP_M) for w in (cell.moves, cell.arrivals))
        drives = _settled(cell.drives, [other.drives for other in around], VEHICLE_GAP_M)
        return Fates(
            frozenset(cell.ships.uid[self._leaves(cell.ships)].tolist()),
            _shifts(cell.ships, moves) | _shifts(cell.vehicles, drives),
            arrivals.placed,
            self._new_wakes(cell, arrivals),
        )

    def _leaves(self, ships: Targets) -> npt.NDArray[np.bool_]:
        luck = uniform(self.world.seed, "changes/ship", self.traffic.seed, ships.uid)
        return np.asarray(luck < self.traffic.ships_left)

    def _wished(self, i: int, j: int) -> _Cell:
        """Return the movers of a cell and the places that they and newcomers want."""
        traffic, bounds = self.traffic, cell_bounds(i, j, CELL_M)
        near = _Obstacles.of(self.world, bounds.padded(VEHICLE_MOVE_M + LONGEST_VEHICLE_M))
        ships, vehicles = (near.movers(i, j, kind) for kind in ("ship", "vehicle"))
        drives = self._drive(near, vehicles) if traffic.vehicles else _nothing()
        wakes, owners = self._wakes(bounds)
        if not len(ships) or traffic.ships_moved + traffic.ships_arrived == 0.0:
            return _Cell(ships, wakes, owners, vehicles, _nothing(), _nothing(), drives)
        # Wakes come along with their ships, so all water under them must be known.
        around = bounds.padded(LONGEST_M)
        if len(wakes):
            around = _hull(around, Bounds(*shapely.total_bounds(wakes.geometry)))
        wide = _Obstacles.of(self.world, around.padded(SHIP_MOVE_M))
        regions = wide.layers.regions
        water = visible(regions, np.isin(regions.surface, WATER), wide.area)
        shapely.prepare(water)
        luck = uniform(self.world.seed, "changes/ship", traffic.seed, ships.uid)
        moves = ~self._leaves(ships) & (luck < traffic.ships_left + traffic.ships_moved)
        comes = uniform(self.world.seed, "changes/comes", traffic.seed, ships.uid)
        cell = _Cell(ships, wakes, owners, vehicles, _nothing(), _nothing(), drives)
        arrives = comes < traffic.ships_arrived
        return replace(
            cell,
            moves=self._sail(cell, wide, water, np.flatnonzero(moves), "moves"),
            arrivals=self._sail(cell, wide, water, np.flatnonzero(arrives), "arrives"),
        )

    def _wakes(self, cell: Bounds) -> tuple[Regions, npt.NDArray[np.int64]]:
        """Return the wakes of ships whose centre lies in a cell, and the ships' uids."""
        regions = self.world.layers(cell.padded(LONGEST_M / 2 + WAKE_TOUCH_M)).regions
        wakes = regions.take(regions.function == "wake")
        ships = [self.ship_of(*row) for row in zip(wakes.geometry, wakes.parent, strict=True)]
        own = [row for row, ship in enumerate(ships) if ship and _holds(cell, *ship[1:])]
        uids = [ship[0] for ship in ships if ship and _holds(cell, *ship[1:])]
        return wakes.take(np.array(own, dtype=np.int64)), np.array(uids, dtype=np.int64)

    def _sail(
        self,
        cell: _Cell,
        wide: _Obstacles,
        water: BaseGeometry,
        rows: npt.NDArray[np.int64],
        why: str,
    ) -> _Wishes:
        """Return free places in water for some ships, or for new ships like them.

        Ships at rest go ahead or astern of a place, along the quay; those under way anywhere near,
        with their wakes. The first try of an arrival is the berth its model has left.
        """
        if not len(rows):
            return _nothing()
        seed, models, tries = self.world.seed, cell.ships.take(rows), np.arange(TRIES)[:, None]
        key = (self.traffic.seed, models.uid, tries)
        angle = 2 * np.pi * uniform(seed, f"changes/{why}/angle", *key)
        distance = SHIP_MOVE_M * uniform(seed, f"changes/{why}/distance", *key)
        along = np.radians(models.heading) + np.pi * (angle > np.pi)
        angle = np.where(models.speed > 0, angle, along)
        movers, uids = models, models.uid
        if why == "arrives":
            leaves = self._leaves(models)
            distance[0, leaves & (models.speed == 0)] = 0.0
            uids = np.where(leaves, models.uid, -1)
            movers = self._like(models)
        wakes = [cell.wakes.geometry[cell.wake_ships == uid] for uid in models.uid]

        def good(k: npt.NDArray[np.int64], shapes: Any, dx: Floats, dy: Floats) -> Any:
            free = shapely.covers(water, shapes) & wide.clear(shapes, uids[k], SHIP_GAP_M)
            for n in np.flatnonzero(free):
                drawn = shifted(wakes[int(k[n])], dx[n], dy[n])
                free[n] = bool(np.all(shapely.covers(water, drawn)))
            return free

        found = _first_good(movers, distance * np.sin(angle), distance * np.cos(angle), good)
        return replace(found, rows=rows[found.rows])

    def _drive(self, near: _Obstacles, vehicles: Targets) -> _Wishes:
        """Return free places on hard ground for vehicles: along the road, or across if parked.

        The ground is looked at under the corners and the middle.
        """
        if not len(vehicles):
            return _nothing()
        regions = near.layers.regions
        is_hard = np.append(np.isin(regions.surface, HARD), False)
        tries = np.arange(TRIES)[:, None]
        key = (self.traffic.seed, vehicles.uid, tries)
        way = VEHICLE_MOVE_M * (2 * uniform(self.world.seed, "changes/vehicle", *key) - 1)
        angle = np.radians(vehicles.heading + np.where(vehicles.speed > 0, 0.0, 90.0))

        def good(k: npt.NDArray[np.int64], shapes: Any, dx: Floats, dy: Floats) -> Any:
            points = shapely.get_coordinates(shapes).reshape(len(shapes), -1, 2)[:, :4]
            points = np.concatenate([points, points.mean(axis=1, keepdims=True)], axis=1)
            top = on_top(regions, *points.reshape(-1, 2).T).reshape(len(shapes), -1)
            return is_hard[top].all(axis=1) & near.clear(shapes, vehicles.uid[k], VEHICLE_GAP_M)

        return _first_good(vehicles, way * np.sin(angle), way * np.cos(angle), good)

    def _like(self, models: Targets) -> Targets:
        """Return new ships of the same classes, 60 to 100 % as large."""
        size = 0.6 + 0.4 * uniform(self.world.seed, "changes/size", self.traffic.seed, models.uid)
        uids = [
            new_uid(self.world.seed, "changes/arrived", self.traffic.seed, int(uid))
            for uid in models.uid
        ]
        return replace(
            models,
            uid=np.array(uids, dtype=np.int64),
            length=models.length * size,
            width=models.width * size,
            height=models.height * size,
        )

    def _new_wakes(self, cell: _Cell, arrivals: _Wishes) -> Regions:
        made = []
        for n, row in enumerate(arrivals.rows):
            model = cell.ships.take(np.array([row]))
            wakes = cell.wakes.take(cell.wake_ships == model.uid[0])
            ship = int(arrivals.placed.uid[n])
            dx = float(arrivals.placed.x[n] - model.x[0])
            dy = float(arrivals.placed.y[n] - model.y[0])
            uids = [
                new_uid(self.world.seed, "changes/wake", self.traffic.seed, ship, int(uid))
                for uid in wakes.uid
            ]
            made.append(
                replace(
                    wakes,
                    uid=np.array(uids, dtype=np.int64),
                    geometry=shifted(wakes.geometry, dx, dy),
                    parent=np.full(len(wakes), ship, dtype=np.int64),
                )
            )
        return Regions.concat(made)


def shifted(shapes: npt.NDArray[Any], dx: float, dy: float) -> npt.NDArray[Any]:
    """Return shapes moved by metres east and north."""
    moved = shapely.transform(shapes, lambda points: points + np.array([dx, dy]))
    return np.asarray(moved, dtype=object)


def _first_good(
    movers: Targets,
    dx: Floats,
    dy: Floats,
    good: Callable[[npt.NDArray[np.int64], npt.NDArray[Any], Floats, Floats], Any],
) -> _Wishes:
    """Return for each mover the first of its tries, offsets of shape (tries, n), that is good."""
    open_rows = np.arange(len(movers))
    found = []
    for x, y in zip(dx, dy, strict=True):
        if not len(open_rows):
            break
        some = movers.take(open_rows)
        placed = replace(some, x=some.x + x[open_rows], y=some.y + y[open_rows])
        tried = _Wishes(open_rows, placed, outlines(placed))
        fits = good(open_rows, tried.shapes, x[open_rows], y[open_rows])
        found.append(tried.take(fits))
        open_rows = open_rows[~fits]
    return _joined(found)


def _settled(wishes: _Wishes, rivals: list[_Wishes], gap: float) -> _Wishes:
    """Return the wishes that no rival with a smaller uid contests."""
    everyone = _joined(rivals)
    tree = shapely.STRtree(everyone.shapes)
    which, rival = tree.query(wishes.shapes, predicate="dwithin", distance=gap)
    keep = np.ones(len(wishes.rows), dtype=bool)
    keep[which[everyone.placed.uid[rival] < wishes.placed.uid[which]]] = False
    return wishes.take(keep)


def _shifts(movers: Targets, wishes: _Wishes) -> dict[int, tuple[float, float]]:
    old, new = movers.take(wishes.rows), wishes.placed
    moves = zip((new.x - old.x).tolist(), (new.y - old.y).tolist(), strict=True)
    return dict(zip(old.uid.tolist(), moves, strict=True))


def _joined(parts: list[_Wishes]) -> _Wishes:
    if not parts:
        return _nothing()
    return _Wishes(
        np.concatenate([part.rows for part in parts]),
        Targets.concat([part.placed for part in parts]),
        np.concatenate([part.shapes for part in parts]),
    )


def _nothing() -> _Wishes:
    return _Wishes(np.empty(0, dtype=np.int64), Targets.empty(), np.empty(0, dtype=object))


def _hull(a: Bounds, b: Bounds) -> Bounds:
    return Bounds(
        min(a.west, b.west), min(a.south, b.south), max(a.east, b.east), max(a.north, b.north)
    )


def _holds(cell: Bounds, x: float, y: float) -> bool:
    return cell.west <= x < cell.east and cell.south <= y < cell.north
