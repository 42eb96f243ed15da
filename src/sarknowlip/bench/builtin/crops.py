"""Pieces of a world that hold many targets, each seen as a small world of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sarknowlip.simulate.frame import Bounds, Floats, Frame
from sarknowlip.simulate.layers import Layers, World

CELL_M = 640.0
"""Edge of a piece, metres; pieces start at multiples of it on the UTM grid."""
RIM_M = 24.0
"""Ground around a piece that is rendered too: hills lean beyond their place."""
ENOUGH = 20
"""Targets of a kind beyond which more of them in one city count for nothing."""

Cell = tuple[int, int]


@dataclass(frozen=True)
class Crop:
    """A piece of a world, as a `World`, in which all targets lie still.

    What is under way would appear far from its place, perhaps in another piece.

    Attributes:
        world: The whole.
        bounds: The piece.
    """

    world: World
    bounds: Bounds

    @classmethod
    def around(cls, world: World, cell: Cell) -> Crop:
        """Return a cell with its rim."""
        return cls(world, cell_bounds(cell).padded(RIM_M))

    @property
    def frame(self) -> Frame:
        """UTM zone."""
        return self.world.frame

    @property
    def seed(self) -> int:
        """Seed of the whole."""
        return self.world.seed

    def height(self, x: Floats, y: Floats) -> Floats:
        """Return terrain or water heights, ellipsoidal metres, same shape."""
        return self.world.height(x, y)

    def height_range(self, bounds: Bounds) -> tuple[float, float]:
        """Return limits that terrain heights within bounds don't exceed, metres."""
        return self.world.height_range(bounds)

    def layers(self, bounds: Bounds) -> Layers:
        """Return everything that touches bounds, whole, targets at rest."""
        found = self.world.layers(bounds)
        still = replace(found.targets, speed=np.zeros(len(found.targets)))
        return replace(found, targets=still)

    def cells(self) -> Iterator[Layers]:
        """Yield everything in the piece."""
        yield self.layers(self.bounds)


def cell_bounds(cell: Cell) -> Bounds:
    """Return the ground of a cell, UTM metres."""
    west, south = cell[0] * CELL_M, cell[1] * CELL_M
    return Bounds(west, south, west + CELL_M, south + CELL_M)


def crowded_cells(world: World, weights: Mapping[str, float], count: int) -> list[Cell]:
    """Return the cells of a world that together hold most targets of many kinds.

    One after another is taken, that which adds most: each target adds the weight of its kind until
    there are `ENOUGH` of it. Cells are sorted; equal worlds give equal cells.

    Args:
        world: The whole.
        weights: Kinds of targets that count, and how much.
        count: Cells at most.
    """
    area, targets = world.bounds, world.layers(world.bounds).targets
    holds: dict[Cell, Counter[str]] = {}
    for x, y, kind in zip(targets.x, targets.y, targets.kind.tolist(), strict=True):
        cell = int(x // CELL_M), int(y // CELL_M)
        if kind in weights and _within(cell_bounds(cell).padded(RIM_M), area):
            holds.setdefault(cell, Counter())[kind] += 1
    chosen: list[Cell] = []
    have: Counter[str] = Counter()

    def gain(cell: Cell) -> float:
        return sum(
            weight * (min(have[kind] + holds[cell][kind], ENOUGH) - min(have[kind], ENOUGH))
            for kind, weight in weights.items()
        )

    while len(chosen) < min(count, len(holds)):
        best = max(sorted(set(holds) - set(chosen)), key=gain)
        chosen.append(best)
        have += holds[best]
    return sorted(chosen)


def _within(inner: Bounds, outer: Bounds) -> bool:
    return (
        inner.west >= outer.west
        and inner.east <= outer.east
        and inner.south >= outer.south
        and inner.north <= outer.north
    )
