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
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.keyed import uniform
from sarknowlip.simulate.layers import Buildings, Regions, World, surface_id
from sarknowlip.simulate.world.movers import cell_bounds, new_uid
from sarknowlip.simulate.world.painted import area_of, on_top, outlines, rectangles, visible

CELL_M = 960.0
SITE_M = 120.0
"""Distance of sites; a cell has a whole number of them, and no building leaves its site."""
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
        columns, rows = columns[chosen], rows[chosen]
        x = (columns + 0.5) * SITE_M + self._between("x", -JITTER_M, JITTER_M, columns, rows)
        y = (rows + 0.5) * SITE_M + self._between("y", -JITTER_M, JITTER_M, columns, rows)
        ground = self.world.layers(cell_bounds(i, j, CELL_M))
        useful = np.isin(ground.regions.surface, OPEN)
        useful &= np.isin(ground.regions.function.astype(str), OPEN_FUNCTIONS)
        top = on_top(ground.regions, x, y)
        hopeful = np.flatnonzero(np.append(useful, False)[top])
        if not len(hopeful):
            return Buildings.empty(), []
        standing = shapely.STRtree(
            np.concatenate([ground.buildings.geometry, outlines(ground.targets)])
        )
        made = []
        for k in hopeful:
            region = ground.regions.take(top[k : k + 1])
            site = self._build(int(columns[k]), int(rows[k]), float(x[k]), float(y[k]), region)
            plot = site.geometry[0].buffer(STRIP_M, join_style="mitre")
            if self._is_free(plot, ground.regions, useful, standing):
                made.append((site, int(region.surface[0])))
        return Buildings.concat([site for site, _ in made]), [before for _, before in made]

    def _is_free(
        self,
        plot: BaseGeometry,
        regions: Regions,
        useful: npt.NDArray[np.bool_],
        standing: shapely.STRtree,
    ) -> bool:
        if len(standing.query(plot, "intersects")) or not area_of(self.world.bounds).covers(plot):
            return False
        near = shapely.intersects(regions.geometry, plot)
        seen = visible(regions.take(near), useful[near], plot)
        return bool(seen.area >= plot.area * (1.0 - 1e-9))

    def _build(self, column: int, row: int, x: float, y: float, region: Regions) -> Buildings:
        def between(what: str, low: float, high: float) -> float:
            return float(self._between(what, low, high, column, row))

        heading = float(region.heading[0])
        heading = between("heading", 0.0, 180.0) if np.isnan(heading) else heading
        length, width = between("length", *_LENGTH_M), between("width", *_WIDTH_M)
        is_warehouse = region.function[0] in ("industrial", "commercial", "bare")
        storeys = int(between("storeys", 3, 9))
        return Buildings.of(
            uid=[new_uid(self.world.seed, "changes/site", self.seed, column, row)],
            geometry=rectangles(*(np.array([v]) for v in (x, y, length, width, heading))),
            base=0.0,
            height=between("eaves", 7.0, 12.0) if is_warehouse else storeys * _STOREY_M,
            surface=surface_id("metal_roof" if is_warehouse else "flat_roof"),
            kind="warehouse" if is_warehouse else "apartment_block",
            function=region.function[0],
            parent=region.parent[0],
        )

    def _between(
        self, what: str, low: float, high: float, column: npt.ArrayLike, row: npt.ArrayLike
    ) -> Floats:
        return low + (high - low) * self._luck(what, column, row)

    def _luck(self, what: str, column: npt.ArrayLike, row: npt.ArrayLike) -> Floats:
        return uniform(self.world.seed, f"changes/site/{what}", self.seed, column, row)
