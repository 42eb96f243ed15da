"""Where map pixels lie in an image in radar geometry, and their multilooked power.

A sensor model is slow and smooth. It is evaluated at the nodes of a lattice in map coordinates and
height and interpolated linearly between them. Nodes lie on whole multiples of a step that depends
on product and CRS only, so that a pixel's position does not depend on the window it is asked with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from scipy import ndimage

from sarknowlip.core.errors import GeometryError
from sarknowlip.geo.grid import apply_affine
from sarknowlip.geo.warp import sample

Floats = npt.NDArray[np.float64]
Power = npt.NDArray[np.float32]

TOLERANCE_PX = 0.02
"""Largest interpolation error accepted at the middle of a lattice cell, image pixels."""
FIRST_STEP_M = 512.0
LAST_STEP_M = 1.0
READ_PX = 2**23
"""Number of image pixels that one block of the target may need: bounds memory."""
MODEL_POINTS = 2**18
"""Number of points for which a sensor model is asked at once: bounds memory."""
EARTH_RADIUS_M = 6_378_137.0


class SensorModel(Protocol):
    """Maps ground to image."""

    def __call__(self, lon: Floats, lat: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns, NaN where the ground is not seen; pixel centres are whole.

        Args:
            lon: Degrees, any shape.
            lat: Degrees, same shape.
            height: Metres above the WGS 84 ellipsoid, same shape.
        """


class PowerReader(Protocol):
    """Reads windows of an image."""

    def __call__(self, rows: slice, columns: slice) -> Power:
        """Return power, shape (rows, columns), NaN where the image has no data."""


@dataclass(frozen=True)
class Lattice:
    """A sensor model interpolated between nodes.

    Attributes:
        model: The sensor model.
        crs: CRS of the map coordinates.
        step: Distance between nodes, units of the CRS.
        height_step: Distance between nodes in height, metres.
    """

    model: SensorModel
    crs: CRS
    step: float
    height_step: float

    @classmethod
    def fit(cls, model: SensorModel, crs: CRS, lon: Floats, lat: Floats, height: float) -> Lattice:
        """Choose the widest steps that keep the interpolation error below `TOLERANCE_PX`.

        The error is measured in the middle of cells centred on the given points, where that of a
        linear interpolation is largest.

        Args:
            model: The sensor model.
            crs: CRS of the maps to fill.
            lon: Degrees; points spread over the product, shape (points,).
            lat: Degrees.
            height: Height at which they lie, metres.

        Raises:
            GeometryError: The points have no position in the CRS, or the model fails on them.
        """
        x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise GeometryError(
                f"the product has no position in {crs.name}", "choose a CRS that covers it"
            )
        unit = crs.axis_info[0].unit_conversion_factor
        metres = unit * EARTH_RADIUS_M if crs.is_geographic else unit
        flat = _halved(lambda step: cls(model, crs, step / metres, 1.0)._flat_error(x, y, height))
        rise = _halved(lambda step: cls(model, crs, 1.0, step)._height_error(x, y, height))
        return cls(model, crs, flat / metres, rise)

    def at(self, x: Floats, y: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Evaluate the model itself at map coordinates; rows and columns."""
        lon, lat = Transformer.from_crs(self.crs, 4326, always_xy=True).transform(x, y)
        return self.model(np.asarray(lon), np.asarray(lat), height)

    def positions(self, target: GeoBox, height: float | Floats) -> tuple[Floats, Floats]:
        """Return the image positions of a grid's pixel centres.

        On grids coarser than the lattice the model itself is asked.

        Args:
            target: Grid in this lattice's CRS.
            height: Metres above the ellipsoid: one number, or shape (rows, columns), NaN unknown.

        Returns:
            Rows and columns, each of the target's shape, NaN where the ground is not seen.
        """
        rows, columns = target.shape
        column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
        x, y = apply_affine(target.affine, column, row)
        if self.step <= min(np.hypot(*target.affine[0:4:3]), np.hypot(*target.affine[1:5:3])):
            return self._exact(x, y, np.broadcast_to(np.asarray(height, np.float64), x.shape))
        axes: list[Floats] = [y / self.step, x / self.step]
        if isinstance(height, np.ndarray):
            if not np.isfinite(height).any():
                return np.full(target.shape, np.nan), np.full(target.shape, np.nan)
            axes.insert(0, height / self.height_step)
        first = [int(np.floor(np.nanmin(axis))) for axis in axes]
        last = [int(np.floor(np.nanmax(axis))) + 1 for axis in axes]
        nodes = np.meshgrid(
            *(np.arange(a, b + 1, dtype=np.float64) for a, b in zip(first, last, strict=True)),
            indexing="ij",
        )
        levels = (
            nodes[0] * self.height_step
            if isinstance(height, np.ndarray)
            else np.full(nodes[0].shape, float(height))
        )
        image = self.at(nodes[-1] * self.step, nodes[-2] * self.step, levels)
        where = np.stack([axis - start for axis, start in zip(axes, first, strict=True)])
        known = np.isfinite(where).all(axis=0)
        row_at, column_at = (
            np.where(known, ndimage.map_coordinates(values, np.nan_to_num(where), order=1), np.nan)
            for values in image
        )
        return row_at, column_at

    def looks(self, target: GeoBox, x: float, y: float, height: float) -> tuple[float, float]:
        """Return how many image rows and columns a target pixel spans at a map point; at least 1.

        A span is the root of the summed squares along the pixel's two sides: for square pixels it
        does not depend on how the image is turned against the map.
        """
        a, b, _, d, e, _ = tuple(target.affine)[:6]
        xs = x + np.array([a, -a, b, -b]) / 2
        ys = y + np.array([d, -d, e, -e]) / 2
        row, column = self.at(xs, ys, np.full(4, height))
        spans = (np.hypot(v[0] - v[1], v[2] - v[3]) for v in (row, column))
        n_rows, n_columns = (max(1.0, float(span)) for span in spans)
        if not np.isfinite([n_rows, n_columns]).all():
            raise GeometryError(
                "the sensor model fails at the scene's centre", "check its metadata"
            )
        return n_rows, n_columns

    def _exact(self, x: Floats, y: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Evaluate the model where heights are known, a bounded number of points at a time."""
        result = np.full((2, x.size), np.nan)
        known = np.flatnonzero(np.isfinite(height))
        for start in range(0, known.size, MODEL_POINTS):
            part = known[start : start + MODEL_POINTS]
            result[:, part] = self.at(x.ravel()[part], y.ravel()[part], height.ravel()[part])
        return result[0].reshape(x.shape), result[1].reshape(x.shape)

    def _flat_error(self, x: Floats, y: Floats, height: float) -> float:
        half = self.step / 2
        levels = np.full(x.shape, height)
        exact = np.stack(self.at(x, y, levels))
        corners = [
            np.stack(self.at(x + dx, y + dy, levels))
            for dx in (-half, half)
            for dy in (-half, half)
        ]
        return _worst(exact - sum(corners) / 4)

    def _height_error(self, x: Floats, y: Floats, height: float) -> float:
        half, levels = self.height_step / 2, np.full(x.shape, height)
        exact = np.stack(self.at(x, y, levels))
        ends = [np.stack(self.at(x, y, levels + rise)) for rise in (-half, half)]
        return _worst(exact - (ends[0] + ends[1]) / 2)


def fill(
    rows: Floats,
    columns: Floats,
    shape: tuple[int, int],
    looks: tuple[float, float],
    read: PowerReader,
) -> Power:
    """Return the multilooked power of an image at the pixels of a map grid.

    Works block by block, so that memory is bounded by the grid, not by the image.

    Args:
        rows: Image row of each map pixel's centre, shape (rows, columns) of the grid; NaN for none.
        columns: Image column, likewise.
        shape: Rows and columns of the image.
        looks: Rows and columns averaged for one pixel; see `Lattice.looks`.
        read: Reads the image.
    """
    result = np.full(rows.shape, np.nan, dtype=np.float32)
    margin = [int(np.ceil(n / 2)) + 2 for n in looks]
    for block in _blocks((rows.shape[0], rows.shape[1]), looks):
        row, column = rows[block], columns[block]
        seen = (row >= 0) & (row <= shape[0] - 1) & (column >= 0) & (column <= shape[1] - 1)
        if not seen.any():
            continue
        window = tuple(
            slice(max(0, int(at[seen].min()) - m), min(n, int(at[seen].max()) + 2 + m))
            for at, m, n in zip((row, column), margin, shape, strict=True)
        )
        power = boxcar(read(*window), looks)
        result[block] = sample(power, row - window[0].start, column - window[1].start)
    return result


def boxcar(power: Power, looks: tuple[float, float]) -> Power:
    """Return the running mean of power over a window of `looks` pixels, centred on each pixel.

    Widths need not be whole: the outermost pixels then count in part. Pixels without data (NaN)
    don't count, nor do places beyond the edge; pixels without data stay without.
    """
    if max(looks) <= 1.0:
        return power
    valid = np.isfinite(power)
    total = np.where(valid, power, np.float32(0)).astype(np.float64)
    if valid.all():
        weights = [
            _running_sum(np.ones(n), look, 0) for n, look in zip(power.shape, looks, strict=True)
        ]
        count = np.multiply.outer(*weights)
    else:
        count = valid.astype(np.float64)
        for axis, look in enumerate(looks):
            count = _running_sum(count, look, axis)
    for axis, look in enumerate(looks):
        total = _running_sum(total, look, axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Running sums leave a rounding residue behind bright targets, of either sign.
        return np.where(valid, np.maximum(total, 0.0) / count, np.nan).astype(np.float32)


def _running_sum(values: Floats, width: float, axis: int) -> Floats:
    """Sum over a centred window of `width` ≥ 1 pixels, zero beyond the edge.

    A window of m whole pixels (m odd) and f/2 of a pixel more on each side is the mean of windows
    of m and of m + 2 in the shares 1 − f/2 and f/2: running sums, whatever the width.
    """
    inner = 2 * int((width - 1.0) // 2.0) + 1
    share = (width - inner) / 2.0
    total = np.zeros_like(values)
    for size, weight in ((inner, 1.0 - share), (inner + 2, share)):
        if weight > 0.0:
            mean = ndimage.uniform_filter1d(values, size, axis=axis, mode="constant")
            total += weight * size * mean
    return total


def _blocks(shape: tuple[int, int], looks: tuple[float, float]) -> Iterator[tuple[slice, slice]]:
    """Cut a target so that a block needs about `READ_PX` image pixels, turned images included."""
    edge = max(16, int(np.sqrt(READ_PX / (2.0 * looks[0] * looks[1]))))
    for row in range(0, shape[0], edge):
        for column in range(0, shape[1], edge):
            yield slice(row, row + edge), slice(column, column + edge)


def _halved(error: Callable[[float], float]) -> float:
    """Halve a step until the error it makes is tolerable.

    Raises:
        GeometryError: It never is.
    """
    step = FIRST_STEP_M
    while step >= LAST_STEP_M:
        if error(step) <= TOLERANCE_PX:
            return step
        step /= 2.0
    raise GeometryError(
        "the sensor model fails on the product's own ground", "its geometry metadata are unusable"
    )


def _worst(difference: Floats) -> float:
    distance = np.hypot(difference[0], difference[1])
    finite = distance[np.isfinite(distance)]
    return float(finite.max()) if finite.size else float("inf")
