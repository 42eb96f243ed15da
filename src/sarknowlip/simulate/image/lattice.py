"""The radar's lattice of ground cells, and smooth fields interpolated from its nodes.

All tiles of an image share one endless lattice, whose axes are azimuth (to the right of the look
direction) and ground range. Smooth quantities are evaluated at nodes, every so many cells, and
interpolated linearly, so that a cell has the same values whichever tile it is computed for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.frame import Bounds, Floats

_OFF_GRID = (0.35355339, 0.27639320)
"""Irrational shift of cells, so that outlines on round coordinates never touch cell centres."""


@dataclass(frozen=True)
class Lattice:
    """Equal cells on the ground; cell (i, j) has its centre at (i · `azimuth_m`, j · `range_m`).

    Attributes:
        origin: UTM x and y of cell (0, 0).
        look_deg: Direction of ground range, degrees clockwise from grid north.
        azimuth_m: Extent of a cell in azimuth, metres.
        range_m: Extent of a cell in ground range, metres.
    """

    origin: tuple[float, float]
    look_deg: float
    azimuth_m: float
    range_m: float

    @classmethod
    def over(
        cls, bounds: Bounds, look_deg: float, azimuth_m: float, range_m: float | None = None
    ) -> Lattice:
        """Return the lattice of a world's extent; cells are square unless `range_m` is given."""
        x, y = bounds.centre
        origin = x + _OFF_GRID[0] * azimuth_m, y + _OFF_GRID[1] * azimuth_m
        return cls(origin, look_deg, azimuth_m, azimuth_m if range_m is None else range_m)

    @property
    def posting_m(self) -> float:
        """The longer edge of a cell, metres."""
        return max(self.azimuth_m, self.range_m)

    @property
    def area_m2(self) -> float:
        """Area of a cell."""
        return self.azimuth_m * self.range_m

    @property
    def _turn(self) -> tuple[float, float]:
        look = np.radians(self.look_deg)
        return float(np.cos(look)), float(np.sin(look))

    def xy(self, i: npt.ArrayLike, j: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return UTM metres of fractional cell indices, which are broadcast together."""
        cos, sin = self._turn
        i = np.asarray(i, dtype=np.float64) * self.azimuth_m
        j = np.asarray(j, dtype=np.float64) * self.range_m
        return self.origin[0] + cos * i + sin * j, self.origin[1] - sin * i + cos * j

    def ij(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return fractional cell indices of UTM metres."""
        cos, sin = self._turn
        dx, dy = np.asarray(x) - self.origin[0], np.asarray(y) - self.origin[1]
        i, j = (cos * dx - sin * dy) / self.azimuth_m, (sin * dx + cos * dy) / self.range_m
        return i, j


@dataclass(frozen=True)
class Patch:
    """A window of the lattice.

    Attributes:
        lattice: What it is a window of.
        i0: First cell in azimuth, a multiple of the node step.
        j0: First cell in range, likewise.
        shape: Cells in azimuth and range, multiples of the node step.
    """

    lattice: Lattice
    i0: int
    j0: int
    shape: tuple[int, int]

    @classmethod
    def around(cls, lattice: Lattice, i: Floats, j: Floats, step: int) -> Patch:
        """Return the least window of whole node cells that holds fractional cell indices."""
        i0, j0 = (int(np.floor(v.min() / step)) * step for v in (i, j))
        i1, j1 = (int(np.floor(v.max() / step) + 1) * step for v in (i, j))
        return cls(lattice, i0, j0, (i1 - i0, j1 - j0))

    @property
    def bounds(self) -> Bounds:
        """UTM rectangle around it."""
        i, j = np.array([0, 0, 1, 1]) * self.shape[0], np.array([0, 1, 0, 1]) * self.shape[1]
        x, y = self.lattice.xy(self.i0 - 0.5 + i, self.j0 - 0.5 + j)
        return Bounds(float(x.min()), float(y.min()), float(x.max()), float(y.max()))

    def local(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return fractional indices within the patch, of UTM metres."""
        i, j = self.lattice.ij(x, y)
        return i - self.i0, j - self.j0

    def nodes(self, step: int, halo: int = 0) -> tuple[Floats, Floats]:
        """Return x and y of its nodes, and of `halo` more on all sides.

        Shape (cells / step + 1 + 2 halo) both ways.
        """
        i = self.i0 + np.arange(-halo, self.shape[0] // step + 1 + halo) * step
        j = self.j0 + np.arange(-halo, self.shape[1] // step + 1 + halo) * step
        x, y = self.lattice.xy(i[:, None], j[None, :])
        return x, y


def spread(nodes: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    """Interpolate node values linearly to cells, shape (…, (rows − 1) step, (columns − 1) step)."""
    t = (np.arange(step) / step).astype(nodes.dtype)
    by_row = nodes[..., :-1, None, :] + np.diff(nodes, axis=-2)[..., :, None, :] * t[:, None]
    by_row = by_row.reshape(*nodes.shape[:-2], -1, nodes.shape[-1])
    cells = by_row[..., :-1, None] + np.diff(by_row, axis=-1)[..., None] * t
    return np.asarray(cells.reshape(*cells.shape[:-2], -1))


def between(nodes: Floats, i: Floats, j: Floats) -> Floats:
    """Interpolate node values linearly at fractional node indices; nodes (…, rows, columns)."""
    i0 = np.clip(np.floor(i).astype(np.intp), 0, nodes.shape[-2] - 2)
    j0 = np.clip(np.floor(j).astype(np.intp), 0, nodes.shape[-1] - 2)
    u, v = i - i0, j - j0
    near = nodes[..., i0, j0] * (1 - v) + nodes[..., i0, j0 + 1] * v
    far = nodes[..., i0 + 1, j0] * (1 - v) + nodes[..., i0 + 1, j0 + 1] * v
    return np.asarray(near * (1 - u) + far * u)
