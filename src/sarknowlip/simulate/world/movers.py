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
from sarknowlip.simulate.layers import Regions, Targets, World, surface_id
from sarknowlip.simulate.world.painted import WATER, area_of, outlines, visible

CELL_M = 1000.0
"""Edge of a cell of movers, metres; cells start at multiples of it on the UTM grid."""
SHIP_MOVE_M = 300.0
"""How far at most a ship moves, or an arrival lies from the ship it is drawn after, metres."""
LONGEST_M = 400.0
"""Greatest length of a ship; with twice `SHIP_MOVE_M` it is no more than a cell."""
VEHICLE_MOVE_M = 40.0
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
class _Scene:
    """One cell at the first date."""

    ships: Targets
    vehicles: Targets
    wakes: Regions
    wake_ships: npt.NDArray[np.int64]
    regions: Regions
    area: BaseGeometry
    obstacles: npt.NDArray[Any]
    obstacle_uids: npt.NDArray[np.int64]

    @functools.cached_property
    def tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.obstacles)

    def ground(self, surfaces: tuple[int, ...]) -> BaseGeometry:
        """Return where one of some surfaces is seen, prepared."""
        seen = visible(self.regions, np.isin(self.regions.surface, surfaces), self.area)
        shapely.prepare(seen)
        return seen

    def free(
        self,
        shapes: npt.NDArray[Any],
        uids: npt.NDArray[np.int64],
        ground: BaseGeometry,
        gap: float,
    ) -> npt.NDArray[np.bool_]:
        """Tell which shapes are on the ground and clear of everything but their own old place."""
        good = shapely.covers(ground, shapes)
        which, hit = self.tree.query(shapes, predicate="dwithin", distance=gap)
        good[which[self.obstacle_uids[hit] != uids[which]]] = False
        return np.asarray(good)


class Movers:
    """Fates of all ships and vehicles of a world.

    Args:
        world: First date.
        traffic: What is to happen.
        cached_cells: How many cells are kept in memory.
    """

    def __init__(self, world: World, traffic: Traffic, cached_cells: int = 64) -> None:
        self.world = world
        self.traffic = traffic
        cache = functools.lru_cache(cached_cells)
        self.fates: Callable[[int, int], Fates] = cache(self._fates)
        self._wishes: Callable[[int, int], tuple[_Scene, _Wishes, _Wishes, _Wishes]] = cache(
            self._wished
        )

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
        scene, moves, arrivals, drives = self._wishes(i, j)
        around = [self._wishes(i + a, j + b) for b in (-1, 0, 1) for a in (-1, 0, 1)]
        sailing = [wishes for cell in around for wishes in cell[1:3]]
        driving = [cell[3] for cell in around]
        moves, arrivals = (_settled(w, sailing, SHIP_GAP_M) for w in (moves, arrivals))
        shifts = _shifts(scene.ships, moves)
        shifts |= _shifts(scene.vehicles, _settled(drives, driving, VEHICLE_GAP_M))
        left = scene.ships.uid[self._leaves(scene.ships)]
        return Fates(
            frozenset(left.tolist()), shifts, arrivals.placed, self._new_wakes(scene, arrivals)
        )

    def _leaves(self, ships: Targets) -> npt.NDArray[np.bool_]:
        luck = uniform(self.world.seed, "changes/ship", self.traffic.seed, ships.uid)
        return np.asarray(luck < self.traffic.ships_left)

    def _wished(self, i: int, j: int) -> tuple[_Scene, _Wishes, _Wishes, _Wishes]:
        """Return a cell, and the places that its ships, arrivals and vehicles want."""
        scene = self._scene(i, j)
        traffic, ships = self.traffic, scene.ships
        water = scene.ground(WATER) if len(ships) else None
        leaves = self._leaves(ships)
        luck = uniform(self.world.seed, "changes/ship", traffic.seed, ships.uid)
        moves = ~leaves & (luck < traffic.ships_left + traffic.ships_moved)
        comes = uniform(self.world.seed, "changes/comes", traffic.seed, ships.uid)
        arrives = comes < traffic.ships_arrived
        moving = self._sail(scene, np.flatnonzero(moves), "moves", water)
        arriving = self._sail(scene, np.flatnonzero(arrives), "arrives", water)
        driving = self._drive(scene) if traffic.vehicles else _nothing()
        return scene, moving, arriving, driving

    def _scene(self, i: int, j: int) -> _Scene:
        cell = cell_bounds(i, j, CELL_M)
        around = cell.padded(SHIP_MOVE_M + LONGEST_M)
        found = self.world.layers(around)
        wakes = found.regions.take(found.regions.function == "wake")
        owners = [self.ship_of(*row) for row in zip(wakes.geometry, wakes.parent, strict=True)]
        own = [row for row, owner in enumerate(owners) if owner and _holds(cell, *owner[1:])]
        wakes = wakes.take(np.array(own, dtype=np.int64))
        if len(wakes):
            # Wakes come along with their ships, so all water under them must be known.
            reach = Bounds(*shapely.total_bounds(wakes.geometry)).padded(SHIP_MOVE_M)
            around = Bounds(
                min(around.west, reach.west),
                min(around.south, reach.south),
                max(around.east, reach.east),
                max(around.north, reach.north),
            )
            found = self.world.layers(around)
        targets = found.targets
        inside = (targets.x // CELL_M == i) & (targets.y // CELL_M == j)
        return _Scene(
            ships=targets.take(inside & (targets.kind == "ship")),
            vehicles=targets.take(inside & (targets.kind == "vehicle")),
            wakes=wakes,
            wake_ships=np.array([owners[k][0] for k in own], dtype=np.int64),  # type: ignore[index]
            regions=found.regions,
            area=area_of(around),
            obstacles=np.concatenate([found.buildings.geometry, outlines(targets)]),
            obstacle_uids=np.concatenate([found.buildings.uid, targets.uid]),
        )

    def _sail(
        self, scene: _Scene, rows: npt.NDArray[np.int64], why: str, water: BaseGeometry | None
    ) -> _Wishes:
        """Return free places in water for some ships, or for new ships like them.

        Ships at rest go ahead or astern of a place, along the quay; those under way anywhere near,
        with their wakes. The first try of an arrival is the berth its model has left.
        """
        if water is None or not len(rows):
            return _nothing()
        seed, models, tries = self.world.seed, scene.ships.take(rows), np.arange(TRIES)[:, None]
        key = (self.traffic.seed, models.uid, tries)
        angle = 2 * np.pi * uniform(seed, f"changes/{why}/angle", *key)
        distance = SHIP_MOVE_M * uniform(seed, f"changes/{why}/distance", *key)
        along = np.radians(models.heading) + np.pi * (angle > np.pi)
        angle = np.where(models.speed > 0, angle, along)
        movers, uids = models, models.uid
        if why == "arrives":
            distance[0, self._leaves(models) & (models.speed == 0)] = 0.0
            uids = np.where(self._leaves(models), models.uid, -1)
            movers = self._like(models)
        wakes = {
            row: scene.wakes.geometry[scene.wake_ships == uid] for row, uid in enumerate(models.uid)
        }

        def good(k: npt.NDArray[np.int64], shapes: Any, dx: Floats, dy: Floats) -> Any:
            free = scene.free(shapes, uids[k], water, SHIP_GAP_M)
            for n in np.flatnonzero(free):
                drawn = shifted(wakes[int(k[n])], dx[n], dy[n])
                free[n] = bool(np.all(shapely.covers(water, drawn)))
            return free

        found = _first_good(movers, distance * np.sin(angle), distance * np.cos(angle), good)
        return replace(found, rows=rows[found.rows])

    def _drive(self, scene: _Scene) -> _Wishes:
        """Return free places on hard ground for vehicles: along the road, or across if parked."""
        vehicles = scene.vehicles
        if not len(vehicles):
            return _nothing()
        hard = scene.ground(HARD)
        tries = np.arange(TRIES)[:, None]
        key = (self.traffic.seed, vehicles.uid, tries)
        way = VEHICLE_MOVE_M * (2 * uniform(self.world.seed, "changes/vehicle", *key) - 1)
        angle = np.radians(vehicles.heading + np.where(vehicles.speed > 0, 0.0, 90.0))

        def good(k: npt.NDArray[np.int64], shapes: Any, dx: Floats, dy: Floats) -> Any:
            return scene.free(shapes, vehicles.uid[k], hard, VEHICLE_GAP_M)

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

    def _new_wakes(self, scene: _Scene, arrivals: _Wishes) -> Regions:
        made = []
        for n, row in enumerate(arrivals.rows):
            model = scene.ships.take(np.array([row]))
            wakes = scene.wakes.take(scene.wake_ships == model.uid[0])
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


def _holds(cell: Bounds, x: float, y: float) -> bool:
    return cell.west <= x < cell.east and cell.south <= y < cell.north
