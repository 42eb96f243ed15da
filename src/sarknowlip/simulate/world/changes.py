"""A world at a second date: the same ground with a controlled, exactly listed set of changes.

Every decision depends on (seed of the world, seed of the changes, uid or place) and on the first
date around it, never on the window that is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pydantic import Field, model_validator
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.config import Config
from sarknowlip.simulate.frame import Bounds, Floats, Frame
from sarknowlip.simulate.keyed import uniform
from sarknowlip.simulate.layers import (
    ORDER,
    Buildings,
    Layers,
    Regions,
    Targets,
    World,
    surface_id,
    surfaces,
)
from sarknowlip.simulate.world import flood, movers, sites
from sarknowlip.simulate.world.movers import (
    LONGEST_M,
    SHIP_MOVE_M,
    Movers,
    Traffic,
    cell_bounds,
    cells_in,
    new_uid,
    shifted,
)
from sarknowlip.simulate.world.painted import (
    WATER,
    area_of,
    outlines,
    visible_by_surface,
)

CROPS = tuple(surface_id(name) for name in ("cereal", "broadleaf_crop"))
STANDS_IN_WATER = tuple(
    surface_id(name)
    for name in ("wetland", "cereal", "broadleaf_crop", "shrub", "forest", "park_trees")
)
"""Surfaces whose plants stand out of a flood; other ground becomes open water."""
KINDS = (
    "flood", "new_building", "demolished", "drowned", "ship_left", "ship_arrived", "harvest",
)  # fmt: skip
"""Kinds of changes.

Of what stands in a flood, height is counted from the water, which is not listed; what the water
covers is "drowned".
"""
LEAST_FLOOD_M2 = 0.01
"""Smaller pieces of flooded ground are rounding of coordinates."""
_CUT = 128
"""Added to the surface of harvested fields while a flood is told apart by surface."""


class Changes(Config):
    """What happens between two dates.

    Attributes:
        seed: Of the choices; another seed gives another second date of the same world.
        flood_m: Rise of all water, metres, up to 30.
        new_buildings: Share of free building sites on open ground that are built on.
        demolished: Share of buildings that are gone; bridges stay.
        ships_left: Share of ships that are gone, with their wakes.
        ships_moved: Share of ships that look for another place nearby; where none of a few
            tries is free they stay.
        ships_arrived: New ships for every ship at the first date; fewer where there is no room.
        harvest: Share of fields of cereal or broadleaf crops that become stubble or ploughed.
        vehicles: Whether vehicles stand elsewhere, as they do whenever one looks again, and leave
            flooded ground. This is no change that is listed.
    """

    seed: int = 1
    flood_m: float = Field(0.0, ge=0.0, le=30.0)
    new_buildings: float = Field(0.0, ge=0.0, le=1.0)
    demolished: float = Field(0.0, ge=0.0, le=1.0)
    ships_left: float = Field(0.0, ge=0.0, le=1.0)
    ships_moved: float = Field(0.0, ge=0.0, le=1.0)
    ships_arrived: float = Field(0.0, ge=0.0, le=1.0)
    harvest: float = Field(0.0, ge=0.0, le=1.0)
    vehicles: bool = True

    @model_validator(mode="after")
    def _shares_add_up(self) -> Changes:
        if self.ships_left + self.ships_moved > 1.0:
            raise ValueError("ships_left + ships_moved exceeds 1: a ship cannot do both")
        return self


@dataclass(frozen=True)
class Change:
    """One difference between the dates.

    A ship that moves is listed twice under its uid: it left here and arrived there. Its wake is
    listed like it, under the wake's own uid.

    Attributes:
        uid: Of the region, building or target.
        kind: One of `KINDS`.
        geometry: Ground it concerns, UTM metres.
        before: Surface, kind of building or class of ship at the first date; None if there is none.
        after: The same at the second date.
    """

    uid: int
    kind: str
    geometry: BaseGeometry
    before: str | None
    after: str | None


class ChangedWorld:
    """A `World` at the second date.

    Args:
        world: The first date.
        changes: What happens.
    """

    def __init__(self, world: World, changes: Changes) -> None:
        self.world = world
        self.what = changes
        self._flood = flood.Flood(world, changes.flood_m) if changes.flood_m > 0 else None
        self._sites = sites.Sites(world, changes.seed, changes.new_buildings)
        ships = changes.ships_left, changes.ships_moved, changes.ships_arrived
        self._movers = Movers(world, Traffic(changes.seed, *ships, changes.vehicles))
        self._moving = changes.vehicles or any(ships)
        self._flooded: Callable[[int, int], list[Change]] = functools.lru_cache(64)(
            self._flood_pieces
        )

    @property
    def frame(self) -> Frame:
        """The first date's UTM zone."""
        return self.world.frame

    @property
    def bounds(self) -> Bounds:
        """The first date's extent."""
        return self.world.bounds

    @property
    def seed(self) -> int:
        """The first date's seed: what did not change looks as it did."""
        return self.world.seed

    def height(self, x: Floats, y: Floats) -> Floats:
        """Return heights of terrain, or of water where it stands higher, metres; same shape."""
        ground = self.world.height(x, y)
        return ground if self._flood is None else self._flood.height(x, y, ground)

    def height_range(self, bounds: Bounds) -> tuple[float, float]:
        """Return limits that heights within bounds don't exceed, metres."""
        if self._flood is None:
            return self.world.height_range(bounds)
        low, _ = self.world.height_range(bounds)
        # The level of a flood may come from water beyond the bounds.
        _, high = self.world.height_range(bounds.padded(2 * flood.REACH_M))
        return low, high + self.what.flood_m

    def layers(self, bounds: Bounds) -> Layers:
        """Return everything that touches bounds, whole, regions sorted by `order`."""
        if not self._moving:
            parts = [self._second(self.world.layers(bounds)), *self._new_on_land(bounds)]
            return _touching(Layers.concat(parts), area_of(bounds))
        first = self.world.layers(bounds.padded(SHIP_MOVE_M))
        near = set(cells_in(bounds.padded(SHIP_MOVE_M + LONGEST_M), movers.CELL_M))
        # A new wake is an old one shifted: its ship may be further away than the wake.
        for row in np.flatnonzero(first.regions.function == "wake"):
            ship = self._movers.ship_of(first.regions.geometry[row], first.regions.parent[row])
            if ship is not None:
                near.add((int(ship[1] // movers.CELL_M), int(ship[2] // movers.CELL_M)))
        parts = [self._second(first), *self._new_on_land(bounds), *self._new_ships(sorted(near))]
        return _touching(Layers.concat(parts), area_of(bounds))

    def cells(self) -> Iterator[Layers]:
        """Yield everything in pieces, each row exactly once: first kept rows, then new ones."""
        for piece in self.world.cells():
            yield self._second(piece)
        extent = self._extent()
        yield from self._new_on_land(extent)
        if self._moving:
            yield from self._new_ships(cells_in(extent, movers.CELL_M))

    def changes(self) -> Iterator[Change]:
        """Yield every difference to the first date once; memory stays bounded."""
        for piece in self.world.cells():
            yield from self._gone_or_moved(piece)
        extent = self._extent()
        if self.what.new_buildings > 0:
            for i, j in cells_in(extent, sites.CELL_M):
                built, before = self._new_buildings(i, j)
                rows = zip(built.uid, built.geometry, built.kind, before, strict=True)
                for uid, shape, kind, old in rows:
                    yield Change(int(uid), "new_building", shape, _name(old), kind)
        if self.what.ships_arrived > 0:
            for i, j in cells_in(extent, movers.CELL_M):
                yield from self._arrivals(i, j)
        if self._flood is not None:
            for i, j in cells_in(extent, flood.CELL_M):
                yield from self._flooded(i, j)

    def _extent(self) -> Bounds:
        """Return the ground in which new rows may start: ships may lie across the border."""
        return self.bounds.padded(LONGEST_M)

    def _second(self, first: Layers) -> Layers:
        """Return what rows of the first date have become."""
        regions = self._harvested(first.regions)
        regions, targets = self._moved(regions, first.targets)
        buildings = first.buildings.take(~self._demolished(first.buildings))
        return Layers(regions, *self._above_water(buildings, targets))

    def _above_water(self, buildings: Buildings, targets: Targets) -> tuple[Buildings, Targets]:
        """Return what stands out of the flood, heights counted from the water; ships float."""
        if self._flood is None:
            return buildings, targets
        x, y = shapely.get_coordinates(shapely.centroid(buildings.geometry)).T
        depth = self._depth(x, y)
        buildings = replace(
            buildings,
            base=np.maximum(buildings.base - depth, 0.0),
            height=buildings.height - depth,
        )
        depth = np.where(targets.kind == "ship", 0.0, self._depth(targets.x, targets.y))
        targets = replace(targets, height=targets.height - depth)
        return buildings.take(buildings.height > 0), targets.take(targets.height > 0)

    def _depth(self, x: Floats, y: Floats) -> Floats:
        """Return how deep places are flooded, metres, 0 where they are dry."""
        return np.asarray(self.height(x, y) - self.world.height(x, y))

    def _new_buildings(self, i: int, j: int) -> tuple[Buildings, list[int]]:
        """Return a cell's new buildings on dry ground, and the surfaces before them."""
        built, before = self._sites.cell(i, j)
        corners, owner = shapely.get_coordinates(built.geometry, return_index=True)
        wet = np.unique(owner[self._depth(*corners.T) > 0])
        dry = np.setdiff1d(np.arange(len(built)), wet)
        return built.take(dry), [before[k] for k in dry]

    def _harvested(self, regions: Regions) -> Regions:
        luck = uniform(self.seed, "changes/harvest", self.what.seed, regions.uid)
        ripe = np.isin(regions.surface, CROPS) & (luck < self.what.harvest)
        ploughed = uniform(self.seed, "changes/ploughed", self.what.seed, regions.uid) < 0.5
        after = np.where(ploughed, surface_id("ploughed"), surface_id("stubble"))
        return replace(regions, surface=np.where(ripe, after, regions.surface).astype(np.uint8))

    def _demolished(self, buildings: Buildings) -> npt.NDArray[np.bool_]:
        luck = uniform(self.seed, "changes/demolished", self.what.seed, buildings.uid)
        return np.asarray((luck < self.what.demolished) & (buildings.kind != "bridge"))

    def _moved(self, regions: Regions, targets: Targets) -> tuple[Regions, Targets]:
        if not self._moving:
            return regions, targets
        x, y, kinds = targets.x.copy(), targets.y.copy(), targets.kind.astype(str)
        keep = np.ones(len(targets), dtype=bool)
        for row in np.flatnonzero(np.isin(kinds, ("ship", "vehicle"))):
            uid = int(targets.uid[row])
            fates = self._movers.fates_at(float(targets.x[row]), float(targets.y[row]))
            keep[row] = uid not in fates.left
            dx, dy = fates.shifts.get(uid, (0.0, 0.0))
            x[row], y[row] = x[row] + dx, y[row] + dy
        shapes = regions.geometry.copy()
        afloat = np.ones(len(regions), dtype=bool)
        for row in np.flatnonzero(regions.function == "wake"):
            stays, (dx, dy) = self._wake_fate(shapes[row], int(regions.parent[row]))
            afloat[row] = stays
            if (dx, dy) != (0.0, 0.0):
                shapes[row] = shifted(shapes[row : row + 1], dx, dy)[0]
        targets = replace(targets, x=x, y=y).take(keep)
        if self.what.vehicles and self._flood is not None:
            vehicles = np.flatnonzero(targets.kind == "vehicle")
            wet = vehicles[self._in_flood(targets.take(vehicles))]
            targets = targets.take(np.setdiff1d(np.arange(len(targets)), wet))
        return replace(regions, geometry=shapes).take(afloat), targets

    def _wake_fate(self, shape: BaseGeometry, parent: int) -> tuple[bool, tuple[float, float]]:
        """Return whether a wake is still there, and how far it has moved."""
        ship = self._movers.ship_of(shape, parent)
        if ship is None:
            return True, (0.0, 0.0)
        fates = self._movers.fates_at(ship[1], ship[2])
        return ship[0] not in fates.left, fates.shifts.get(ship[0], (0.0, 0.0))

    def _in_flood(self, vehicles: Targets) -> npt.NDArray[np.bool_]:
        """Tell which vehicles would stand in the flood."""
        wet = np.zeros(len(vehicles), dtype=bool)
        cells = np.stack([vehicles.x, vehicles.y], axis=1) // flood.CELL_M
        for i, j in np.unique(cells, axis=0):
            pieces = self._flooded(int(i), int(j))
            if pieces:
                here = (cells == (i, j)).all(axis=1)
                water = shapely.union_all([piece.geometry for piece in pieces])
                wet[here] = shapely.contains_xy(water, vehicles.x[here], vehicles.y[here])
        return wet

    def _new_on_land(self, bounds: Bounds) -> Iterator[Layers]:
        """Yield new buildings and flooded ground of all cells that meet bounds."""
        if self.what.new_buildings > 0:
            for i, j in cells_in(bounds, sites.CELL_M):
                yield Layers(Regions.empty(), self._new_buildings(i, j)[0], Targets.empty())
        if self._flood is not None:
            for i, j in cells_in(bounds, flood.CELL_M):
                yield Layers(_flood_rows(self._flooded(i, j)), Buildings.empty(), Targets.empty())

    def _new_ships(self, cells: Iterable[tuple[int, int]]) -> Iterator[Layers]:
        for i, j in cells:
            fates = self._movers.fates(i, j)
            yield Layers(fates.wakes, Buildings.empty(), fates.arrived)

    def _flood_pieces(self, i: int, j: int) -> list[Change]:
        """Return the flooded ground of a cell, one piece for each surface it had."""
        depths = None if self._flood is None else self._flood.cell(i, j)
        if depths is None:
            return []
        bounds = cell_bounds(i, j, flood.CELL_M)
        first = self.world.layers(bounds).regions
        cut = self._harvested(first).surface != first.surface
        coded = replace(first, surface=(first.surface + _CUT * cut).astype(np.uint8))
        pieces = []
        for code, shape in visible_by_surface(coded, depths.outline()):
            before = code % _CUT
            if before in WATER or shape.area < LEAST_FLOOD_M2:
                continue
            uid = new_uid(self.seed, "changes/flood", self.what.seed, i, j, code)
            stands = code in STANDS_IN_WATER
            after = "flooded_vegetation" if stands else "inland_water"
            pieces.append(Change(uid, "flood", shape, _name(before), after))
        return pieces

    def _gone_or_moved(self, first: Layers) -> Iterator[Change]:
        """Yield what rows of the first date are concerned by."""
        regions = self._harvested(first.regions)
        for row in np.flatnonzero(regions.surface != first.regions.surface):
            uid, shape = int(regions.uid[row]), regions.geometry[row]
            before, after = _name(first.regions.surface[row]), _name(regions.surface[row])
            yield Change(uid, "harvest", shape, before, after)
        gone = first.buildings.take(self._demolished(first.buildings))
        for uid, shape, kind in zip(gone.uid, gone.geometry, gone.kind, strict=True):
            yield Change(int(uid), "demolished", shape, kind, None)
        yield from self._drowned(first)
        if not self._moving:
            return
        ships = first.targets.take(first.targets.kind == "ship")
        wakes = first.regions.take(first.regions.function == "wake")
        moved_wakes, moved_ships = self._moved(wakes, ships)
        for wake in _ships_moved(wakes.uid, wakes.geometry, moved_wakes.uid, moved_wakes.geometry):
            yield Change(*wake, *_ends(wake[1], "ship_wake"))
        classes = dict(zip(ships.uid.tolist(), ships.subclass, strict=True))
        for ship in _ships_moved(
            ships.uid, outlines(ships), moved_ships.uid, outlines(moved_ships)
        ):
            yield Change(*ship, *_ends(ship[1], classes[ship[0]]))

    def _drowned(self, first: Layers) -> Iterator[Change]:
        buildings = first.buildings.take(~self._demolished(first.buildings))
        _, targets = self._moved(first.regions, first.targets)
        houses, things = self._above_water(buildings, targets)
        lost = buildings.take(~np.isin(buildings.uid, houses.uid))
        for uid, shape, kind in zip(lost.uid, lost.geometry, lost.kind, strict=True):
            yield Change(int(uid), "drowned", shape, kind, None)
        sunk = targets.take(~np.isin(targets.uid, things.uid))
        for uid, shape, kind in zip(sunk.uid, outlines(sunk), sunk.kind, strict=True):
            yield Change(int(uid), "drowned", shape, kind, None)

    def _arrivals(self, i: int, j: int) -> Iterator[Change]:
        fates = self._movers.fates(i, j)
        for uid, shape in zip(fates.wakes.uid, fates.wakes.geometry, strict=True):
            yield Change(int(uid), "ship_arrived", shape, None, "ship_wake")
        ships = fates.arrived
        for uid, shape, kind in zip(ships.uid, outlines(ships), ships.subclass, strict=True):
            yield Change(int(uid), "ship_arrived", shape, None, kind)


def _ships_moved(
    uids: npt.NDArray[np.int64],
    shapes: npt.NDArray[Any],
    uids_after: npt.NDArray[np.int64],
    shapes_after: npt.NDArray[Any],
) -> Iterator[tuple[int, str, BaseGeometry]]:
    """Yield uid, kind and place of what left and arrived, of the same things at two dates."""
    after = dict(zip(uids_after.tolist(), shapes_after, strict=True))
    for uid, shape in zip(uids.tolist(), shapes, strict=True):
        now = after.get(uid)
        if now is None or not shape.equals_exact(now, 0.0):
            yield uid, "ship_left", shape
            if now is not None:
                yield uid, "ship_arrived", now


def _ends(kind: str, what: str) -> tuple[str | None, str | None]:
    return (what, None) if kind == "ship_left" else (None, what)


def _flood_rows(pieces: Sequence[Change]) -> Regions:
    uids = [piece.uid for piece in pieces]
    return Regions.of(
        uid=uids,
        geometry=[piece.geometry for piece in pieces],
        surface=[surface_id(str(piece.after)) for piece in pieces],
        function="flood",
        order=ORDER["change"],
        heading=np.nan,
        parent=uids,
    )


def _touching(found: Layers, area: BaseGeometry) -> Layers:
    regions = found.regions.take(shapely.intersects(found.regions.geometry, area))
    return Layers(
        regions.take(np.argsort(regions.order, kind="stable")),
        found.buildings.take(shapely.intersects(found.buildings.geometry, area)),
        found.targets.take(shapely.intersects(outlines(found.targets), area)),
    )


def _name(surface: int) -> str:
    return surfaces()[int(surface) - 1].name
