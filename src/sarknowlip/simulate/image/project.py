"""Where ground appears in an image, fast: geometry at nodes, a parabola in height.

An orbit's geometry is smooth: over a node cell of tens to hundreds of metres rows and columns bend
by thousandths of a pixel. `Projection.of` halves the cell until the error is small enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sarknowlip.core.errors import GeometryError
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.image.contract import ImageGeometry
from sarknowlip.simulate.image.lattice import Lattice, Patch, between

TOLERANCE_PX = 0.02
"""Greatest error of an interpolated image position."""
_STEPS = (64, 32, 16, 8)


@dataclass(frozen=True)
class Projection:
    """How patches of one image are projected.

    Attributes:
        geometry: Of the image.
        heights: Three heights that image positions are evaluated at, metres.
        step: Cells per node.
    """

    geometry: ImageGeometry
    heights: tuple[float, float, float]
    step: int

    @classmethod
    def of(
        cls, geometry: ImageGeometry, lattice: Lattice, low_m: float, high_m: float
    ) -> Projection:
        """Choose the node step for an image whose content lies between two heights.

        Raises:
            GeometryError: Even the smallest step misses `TOLERANCE_PX`.
        """
        high_m = max(high_m, low_m + 10.0)
        heights = (low_m, (low_m + high_m) / 2, high_m)
        rows, columns = (np.linspace(0, n - 1, 3) for n in geometry.shape)
        x, y = geometry.ground(np.repeat(rows, 3), np.tile(columns, 3), geometry.reference_height_m)
        i, j = lattice.ij(np.asarray(x), np.asarray(y))
        error = np.inf
        for step in _STEPS:
            projection = cls(geometry, heights, step)
            error = max(
                projection.nodes(Patch.around(lattice, i[k : k + 1], j[k : k + 1], step)).error()
                for k in range(len(i))
            )
            if error < TOLERANCE_PX / 2:
                return projection
        raise GeometryError(
            f"image positions bend by {error:.3g} pixels over {_STEPS[-1]} ground cells",
            "lower the ground posting (raise RenderConfig.oversampling)",
        )

    def nodes(self, patch: Patch) -> NodeFields:
        """Evaluate the geometry at a patch's nodes."""
        x, y = patch.nodes(self.step, halo=1)
        low, middle, high = (np.stack(self._positions(x, y, z)) for z in self.heights)
        half = (self.heights[2] - self.heights[0]) / 2
        positions = np.stack(
            [middle, (high - low) / (2 * half), (high - 2 * middle + low) / 2 / half**2]
        )
        reference = self.geometry.reference_height_m - self.heights[1]
        flat = positions[0] + reference * (positions[1] + reference * positions[2])
        lattice = patch.lattice
        span = 2 * self.step * lattice.azimuth_m, 2 * self.step * lattice.range_m
        down = (flat[:, 2:, 1:-1] - flat[:, :-2, 1:-1]) / span[0]
        across = (flat[:, 1:-1, 2:] - flat[:, 1:-1, :-2]) / span[1]
        density = np.abs(down[0] * across[1] - down[1] * across[0])
        inner = x[1:-1, 1:-1], y[1:-1, 1:-1]
        incidence = np.radians(np.asarray(self.geometry.incidence_deg(*inner)))
        return NodeFields(
            self, patch, positions[:, :, 1:-1, 1:-1], density, np.cos(incidence), np.sin(incidence)
        )

    def _positions(self, x: Floats, y: Floats, z: float) -> tuple[Floats, Floats]:
        rows, columns = self.geometry.positions(x, y, np.full(x.shape, z))
        return np.asarray(rows), np.asarray(columns)


@dataclass(frozen=True)
class NodeFields:
    """Geometry at a patch's nodes; all arrays end in (node rows, node columns).

    Attributes:
        projection: What made them.
        patch: Which cells.
        positions: Coefficients of row and column in height, shape (3, 2, …).
        density: Pixels per square metre of the reference plane.
        cos: Of the incidence angle.
        sin: Of the incidence angle.
    """

    projection: Projection
    patch: Patch
    positions: Floats
    density: Floats
    cos: Floats
    sin: Floats

    def at(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
        """Return rows, columns and density of points."""
        i, j = (v / self.projection.step for v in self.patch.local(x, y))
        place = between(self.positions, i, j)
        up = z - self.projection.heights[1]
        rows, columns = place[0] + up * (place[1] + up * place[2])
        return rows, columns, between(self.density, i, j)

    def error(self) -> float:
        """Return by how much positions are wrong at most where it's worst, pixels.

        Compared at the centres of node cells and a quarter of the height range from the middle.
        """
        x, y = self.patch.nodes(self.projection.step)
        x, y = ((v[:-1, :-1] + v[1:, 1:]) / 2 for v in (x, y))
        low, middle, _ = self.projection.heights
        z = np.full(x.shape, (low + middle) / 2)
        exact = self.projection.geometry.positions(x, y, z)
        found = self.at(x, y, z)
        return float(max(np.abs(found[k] - np.asarray(exact[k])).max() for k in range(2)))


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels that facets and points are added to.

    Attributes:
        row: First row.
        column: First column.
        values: Shape (fields, rows, columns), float64.
    """

    row: int
    column: int
    values: Floats

    def splat(self, rows: Floats, columns: Floats, weights: npt.NDArray[np.floating]) -> None:
        """Add points, each shared bilinearly by the four pixels around it; others are left out.

        Args:
            rows: Row of each point, shape (n,).
            columns: Column.
            weights: What to add, shape (fields, n).
        """
        height, width = self.values.shape[1:]
        i, j = np.floor(rows), np.floor(columns)
        u, v = rows - i, columns - j
        top, left = (i - self.row).astype(np.intp), (j - self.column).astype(np.intp)
        inside = (top >= -1) & (top < height) & (left >= -1) & (left < width)
        if not inside.all():
            top, left, u, v = top[inside], left[inside], u[inside], v[inside]
            weights = weights[:, inside]
        if not len(top):
            return
        i0, j0 = int(top.min()), int(left.min())
        shape = int(top.max()) - i0 + 2, int(left.max()) - j0 + 2
        place = (top - i0) * shape[1] + (left - j0)
        shares = ((1 - u) * (1 - v), (1 - u) * v, u * (1 - v), u * v)
        steps = (0, 1, shape[1], shape[1] + 1)
        for k, field in enumerate(weights):
            total = np.zeros(shape[0] * shape[1])
            for share, step in zip(shares, steps, strict=True):
                part = np.bincount(place, share * field, minlength=len(total) - step)
                total[step:] += part[: len(total) - step]
            self._add(k, i0, j0, total.reshape(shape))

    def _add(self, k: int, i0: int, j0: int, part: Floats) -> None:
        height, width = self.values.shape[1:]
        a, b = max(i0, 0), min(i0 + part.shape[0], height)
        c, d = max(j0, 0), min(j0 + part.shape[1], width)
        self.values[k, a:b, c:d] += part[a - i0 : b - i0, c - j0 : d - j0]
