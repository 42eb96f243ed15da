"""A world given row by row, for tests: what `layers` returns is what the test drew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from shapely.geometry import box

from sarknowlip.simulate.frame import Bounds, Floats, Frame
from sarknowlip.simulate.layers import (
    ORDER,
    Buildings,
    Layers,
    Regions,
    Table,
    Targets,
    surface_id,
)
from sarknowlip.simulate.world.painted import outlines

ORIGIN = (380_000.0, 6_670_000.0)
"""South-west corner of the default bounds on UTM zone 35 north: off Helsinki, 2° west of the
central meridian, so that grid north and true north differ."""


def local_bounds(width: float, height: float) -> Bounds:
    """Return bounds of a size, metres, whose south-west corner is `ORIGIN`."""
    west, south = ORIGIN
    return Bounds(west, south, west + width, south + height)


DEFAULT_BOUNDS = local_bounds(2000.0, 2000.0)
HELSINKI = Frame(32635)


@dataclass
class HandWorld:
    """A world that holds given layers (UTM metres) and nothing else.

    Attributes:
        given: Everything in it. Where it has no region there is none: add a background with
            `ground` if a test needs full cover.
        bounds: Its extent, 2 km × 2 km by default.
        relief: Ellipsoidal height of the terrain as a function of x and y; or one height.
        limits: Least and greatest height; by default from a lattice of 101 × 101 samples.
        frame: UTM zone.
        seed: Of everything random.
        cell_m: Edge of the pieces that `cells` yields.
    """

    given: Layers
    bounds: Bounds = DEFAULT_BOUNDS
    relief: float | Callable[[Floats, Floats], Floats] = 20.0
    limits: tuple[float, float] | None = None
    frame: Frame = HELSINKI
    seed: int = 7
    cell_m: float = 500.0

    def height(self, x: Floats, y: Floats) -> Floats:
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        if callable(self.relief):
            return np.asarray(self.relief(x, y), dtype=float)
        return np.full(x.shape, float(self.relief))

    def height_range(self, bounds: Bounds) -> tuple[float, float]:
        if self.limits is not None:
            return self.limits
        x = np.linspace(bounds.west, bounds.east, 101)
        y = np.linspace(bounds.south, bounds.north, 101)
        heights = self.height(*np.meshgrid(x, y))
        margin = 1.0 if callable(self.relief) else 0.0
        return float(heights.min()) - margin, float(heights.max()) + margin

    def layers(self, bounds: Bounds) -> Layers:
        area = box(bounds.west, bounds.south, bounds.east, bounds.north)
        regions = self.given.regions
        near = regions.take(shapely.intersects(regions.geometry, area))
        return Layers(
            near.take(np.argsort(near.order, kind="stable")),
            self.given.buildings.take(shapely.intersects(self.given.buildings.geometry, area)),
            self.given.targets.take(shapely.intersects(outlines(self.given.targets), area)),
        )

    def cells(self) -> Iterator[Layers]:
        places = [self._cell(part) for part in _tables(self.given)]
        for cell in sorted({tuple(row) for part in places for row in part.tolist()}):
            yield Layers(
                *(  # type: ignore[arg-type]
                    table.take((place == cell).all(axis=1))
                    for table, place in zip(_tables(self.given), places, strict=True)
                )
            )

    def _cell(self, table: Table) -> Any:
        """Return the column and row of the cell that holds the south-west corner of each row."""
        shapes = outlines(table) if isinstance(table, Targets) else table.geometry  # type: ignore[attr-defined]
        corners = shapely.bounds(shapes)[:, :2].reshape(-1, 2)
        return np.floor((corners - ORIGIN) / self.cell_m).astype(int)


def rectangle(x: float, y: float, width: float, height: float) -> Any:
    """Return a rectangle by its south-west corner relative to `ORIGIN` and its size, metres."""
    west, south = ORIGIN[0] + x, ORIGIN[1] + y
    return box(west, south, west + width, south + height)


def ground(bounds: Bounds, surface: str = "grass", uid: int = 1) -> Regions:
    """Return one region that covers the bounds."""
    return region(uid, box(*_edges(bounds)), surface, "grassland", "nature")


def region(
    uid: int,
    geometry: Any,
    surface: str,
    function: str,
    order: str = "district",
    heading: float = float("nan"),
    parent: int | None = None,
) -> Regions:
    """Return a table of one region; its parent is itself by default."""
    return Regions.of(
        uid=[uid],
        geometry=[geometry],
        surface=surface_id(surface),
        function=function,
        order=ORDER[order],
        heading=heading,
        parent=uid if parent is None else parent,
    )


def building(
    uid: int,
    geometry: Any,
    height: float = 12.0,
    kind: str = "building",
    base: float = 0.0,
    surface: str = "flat_roof",
    function: str = "dense_residential",
    parent: int = 1,
) -> Buildings:
    """Return a table of one building."""
    return Buildings.of(
        uid=[uid],
        geometry=[geometry],
        base=base,
        height=height,
        surface=surface_id(surface),
        kind=kind,
        function=function,
        parent=parent,
    )


def target(
    uid: int,
    kind: str,
    x: float,
    y: float,
    length: float = 20.0,
    width: float = 8.0,
    height: float = 6.0,
    heading: float = 0.0,
    speed: float = 0.0,
    subclass: str | None = None,
    function: str = "sea",
    parent: int = 1,
) -> Targets:
    """Return a table of one target; x and y are relative to `ORIGIN`."""
    return Targets.of(
        uid=[uid],
        kind=kind,
        subclass=subclass or kind,
        x=ORIGIN[0] + x,
        y=ORIGIN[1] + y,
        length=length,
        width=width,
        height=height,
        heading=heading,
        speed=speed,
        function=function,
        parent=parent,
    )


def layers(*parts: Table) -> Layers:
    """Return layers of tables of any kind, each kind in the order given."""
    return Layers(
        Regions.concat([part for part in parts if isinstance(part, Regions)]),
        Buildings.concat([part for part in parts if isinstance(part, Buildings)]),
        Targets.concat([part for part in parts if isinstance(part, Targets)]),
    )


def _tables(given: Layers) -> tuple[Table, Table, Table]:
    return given.regions, given.buildings, given.targets


def _edges(bounds: Bounds) -> tuple[float, float, float, float]:
    return bounds.west, bounds.south, bounds.east, bounds.north
