"""A city world from a seed: asked for ground, it fills the districts there and keeps some."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate.frame import Bounds, Floats, Frame
from sarknowlip.simulate.layers import Buildings, Layers, Regions
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.districts import fill
from sarknowlip.simulate.world.ground import plan_layers
from sarknowlip.simulate.world.plan import Plan, make_plan
from sarknowlip.simulate.world.water import rectangle

KEPT_DISTRICTS = 192
"""Filled districts that stay in memory: about 100 km² of a large world."""

CELL_DISTRICTS = 8
"""Districts that one cell holds."""

OVERHANG_M = 450.0
"""How far ships at a quay may reach beyond the district they belong to, metres."""


Shaped = TypeVar("Shaped", Regions, Buildings)


@dataclass(frozen=True)
class _Boxed:
    """Layers with the rectangles around their rows, for questions about a part of the ground."""

    layers: Layers
    regions: Floats
    buildings: Floats
    targets: Floats

    @classmethod
    def of(cls, layers: Layers) -> _Boxed:
        targets = layers.targets
        half = np.hypot(targets.length, targets.width) / 2
        around = [targets.x - half, targets.y - half, targets.x + half, targets.y + half]
        return cls(
            layers,
            shapely.bounds(layers.regions.geometry).reshape(-1, 4),
            shapely.bounds(layers.buildings.geometry).reshape(-1, 4),
            np.stack(around, axis=1),
        )

    def touching(self, bounds: Bounds) -> Layers:
        """Return the rows that touch bounds; targets with the circle around them."""
        box = rectangle(bounds)
        shapely.prepare(box)
        targets = np.flatnonzero(_meeting(self.targets, bounds))
        return Layers(
            _kept(self.layers.regions, self.regions, bounds, box),
            _kept(self.layers.buildings, self.buildings, bounds, box),
            self.layers.targets.take(targets),
        )


class ProceduralWorld:
    """A city laid out from a `WorldConfig`; implements `layers.World`.

    Equal configurations give equal worlds. Rows of districts are numbered as `world.district` says,
    1…; rows of the plan (water, roads, bridges, ships off the quays, …) have negative uids, see
    `world.ground`.

    Args:
        config: What the world is like.
    """

    def __init__(self, config: WorldConfig) -> None:
        plan = make_plan(config)
        self._take_in(config, plan, _Boxed.of(plan_layers(config, plan)))

    def _take_in(self, config: WorldConfig, plan: Plan, coarse: _Boxed) -> None:
        self.config = config
        self._frame = config.frame()
        self._bounds = config.bounds()
        self.plan = plan
        self._coarse = coarse
        self._boxes = shapely.bounds([d.polygon for d in self.plan.districts]).reshape(-1, 4)
        reach = np.array([OVERHANG_M if d.quay is not None else 0.0 for d in self.plan.districts])
        self._boxes += np.array([-1, -1, 1, 1]) * reach[:, None]
        self._filled = functools.lru_cache(maxsize=KEPT_DISTRICTS)(self._fill)

    def __getstate__(self) -> tuple[WorldConfig, Plan, _Boxed]:
        # A copy is not planned again, and fills its districts itself.
        return self.config, self.plan, self._coarse

    def __setstate__(self, state: tuple[WorldConfig, Plan, _Boxed]) -> None:
        self._take_in(*state)

    @property
    def frame(self) -> Frame:
        """Its UTM zone."""
        return self._frame

    @property
    def bounds(self) -> Bounds:
        """Its extent."""
        return self._bounds

    @property
    def seed(self) -> int:
        """Seed of everything random in it: of the configuration and its city."""
        return self.config.own_seed

    def height(self, x: Floats, y: Floats) -> Floats:
        """Return terrain or water heights, ellipsoidal metres, same shape; any place."""
        return self.plan.relief(x, y)

    def height_range(self, bounds: Bounds) -> tuple[float, float]:
        """Return limits that terrain heights within bounds don't exceed, metres."""
        return self.plan.relief.range_within(bounds)

    def layers(self, bounds: Bounds) -> Layers:
        """Return everything that touches bounds, whole, regions sorted by `order`."""
        found = np.flatnonzero(_meeting(self._boxes, bounds))
        parts = [self._coarse.touching(bounds)]
        parts += [self._filled(int(index)).touching(bounds) for index in found]
        return _sorted(Layers.concat(parts))

    def cells(self) -> Iterator[Layers]:
        """Yield the rows of the plan, then those of a few districts at a time."""
        yield self._coarse.layers
        for first in range(0, len(self.plan.districts), CELL_DISTRICTS):
            some = self.plan.districts[first : first + CELL_DISTRICTS]
            yield _sorted(Layers.concat([fill(district) for district in some]))

    def _fill(self, index: int) -> _Boxed:
        return _Boxed.of(fill(self.plan.districts[index]))


def _meeting(boxes: Floats, bounds: Bounds) -> Any:
    west, south, east, north = boxes.T
    return (
        (west <= bounds.east)
        & (east >= bounds.west)
        & (south <= bounds.north)
        & (north >= bounds.south)
    )


def _kept(table: Shaped, boxes: Floats, bounds: Bounds, box: BaseGeometry) -> Shaped:
    near = np.flatnonzero(_meeting(boxes, bounds))
    west, south, east, north = boxes[near].T
    inside = (
        (west >= bounds.west)
        & (south >= bounds.south)
        & (east <= bounds.east)
        & (north <= bounds.north)
    )
    geometry = table.geometry[near]
    inside[~inside] = shapely.intersects(box, geometry[~inside])
    return table.take(near[inside])


def _sorted(layers: Layers) -> Layers:
    order = np.argsort(layers.regions.order, kind="stable")
    return Layers(layers.regions.take(order), layers.buildings, layers.targets)
