"""Building sites: where new buildings stand at the second date.

Sites lie on a lattice, a little off its nodes, and are wide enough apart never to meet. One is free
if the building and a strip around it lie on open ground and touch nothing that stands there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.keyed import uniform
from sarknowlip.simulate.layers import Buildings, Layers, World, surface_id
from sarknowlip.simulate.world.movers import cell_bounds, new_uid
from sarknowlip.simulate.world.painted import area_of, outlines, rectangles, visible

CELL_M = 960.0
SITE_M = 120.0
"""Distance of sites; a cell has a whole number of them."""
JITTER_M = 12.0
STRIP_M = 8.0
"""Open ground kept around a new building."""
OPEN = tuple(surface_id(name) for name in ("grass", "bare_soil"))
OPEN_FUNCTIONS = (
    "grassland", "bare", "industrial", "commercial", "dense_residential", "sparse_residential",
)  # fmt: skip
"""Where towns build; parks, farmland, beaches, airfields and wetland are left alone."""

_LENGTH_M, _WIDTH_M = (25.0, 60.0), (12.0, 30.0)
_STOREY_M = 3.0
_PER_CELL = round(CELL_M / SITE_M)


class Sites:
    """New buildings of a world.

    Args:
        world: First date.
        seed: Of the changes.
        share: Of free sites that are built on, 0…1.
        cached_cells: How many cells are kept in memory.
    """

    def __init__(self, world: World, seed: int, share: float, cached_cells: int = 64) -> None:
        self.world = world
        self.seed = seed
        self.share = share
        self.cell: Callable[[int, int], tuple[Buildings, list[int]]] = functools.lru_cache(
            cached_cells
        )(self._cell)

    def _cell(self, i: int, j: int) -> tuple[Buildings, list[int]]:
        """Return the buildings whose site's node lies in a cell, and the surfaces before them."""
        columns, rows = (
            axis.ravel() + start * _PER_CELL
            for axis, start in zip(np.mgrid[:_PER_CELL, :_PER_CELL], (i, j), strict=True)
        )
        chosen = self._luck("chosen", columns, rows) < self.share
        if not chosen.any():
            return Buildings.empty(), []
        ground = self.world.layers(cell_bounds(i, j, CELL_M).padded(SITE_M))
        area = area_of(cell_bounds(i, j, CELL_M).padded(SITE_M))
        regions = ground.regions
        useful = np.isin(regions.surface, OPEN)
        useful &= np.isin(regions.function.astype(str), OPEN_FUNCTIONS)
        if not useful.any():
            return Buildings.empty(), []
        free = visible(regions, useful, area)
        free = free.intersection(area_of(self.world.bounds))
        shapely.prepare(free)
        standing = shapely.STRtree(
            np.concatenate([ground.buildings.geometry, outlines(ground.targets)])
        )
        made = [
            self._build(int(column), int(row), ground, free, standing)
            for column, row in zip(columns[chosen], rows[chosen], strict=True)
        ]
        parts = [part for part in made if part is not None]
        return Buildings.concat([made for made, _ in parts]), [before for _, before in parts]

    def _build(
        self,
        column: int,
        row: int,
        ground: Layers,
        free: BaseGeometry,
        standing: shapely.STRtree,
    ) -> tuple[Buildings, int] | None:
        def between(what: str, low: float, high: float) -> float:
            return low + (high - low) * float(self._luck(what, column, row))

        x = (column + 0.5) * SITE_M + between("x", -JITTER_M, JITTER_M)
        y = (row + 0.5) * SITE_M + between("y", -JITTER_M, JITTER_M)
        under = np.flatnonzero(shapely.covers(ground.regions.geometry, Point(x, y)))
        if not len(under):
            return None
        region = ground.regions.take(under[-1:])
        heading = float(region.heading[0])
        heading = between("heading", 0.0, 180.0) if np.isnan(heading) else heading
        length, width = between("length", *_LENGTH_M), between("width", *_WIDTH_M)
        shape = rectangles(*(np.array([v]) for v in (x, y, length, width, heading)))[0]
        with_strip = shape.buffer(STRIP_M, join_style="mitre")
        if not free.covers(with_strip) or len(standing.query(with_strip, "intersects")):
            return None
        is_warehouse = region.function[0] in ("industrial", "commercial", "bare")
        storeys = int(between("storeys", 3, 9))
        house = Buildings.of(
            uid=[new_uid(self.world.seed, "changes/site", self.seed, column, row)],
            geometry=[shape],
            base=0.0,
            height=between("eaves", 7.0, 12.0) if is_warehouse else storeys * _STOREY_M,
            surface=surface_id("metal_roof" if is_warehouse else "flat_roof"),
            kind="warehouse" if is_warehouse else "apartment_block",
            function=region.function[0],
            parent=region.parent[0],
        )
        return house, int(region.surface[0])

    def _luck(self, what: str, column: npt.ArrayLike, row: npt.ArrayLike) -> Floats:
        return uniform(self.world.seed, f"changes/site/{what}", self.seed, column, row)
