"""Smooth random fields fixed to the ground, and the gamma texture made from them.

White normal numbers keyed by their place on a lattice are interpolated with cubic B-splines whose
weights are normalised at every point to a sum of squares of 1. So the marginal is standard normal
everywhere; mapped through the quantiles of a gamma distribution of order ν it is exactly that, and
speckle times texture is exactly K-distributed (Jakeman & Pusey, IEEE Trans. Antennas Propag. 24,
1976: the compound model of sea clutter).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.interpolate import CubicSpline

from sarknowlip.simulate import keyed
from sarknowlip.simulate.image.lattice import Patch

LEVELS = 1 << 16
SPAN = 6.0
"""Fields are stored in `LEVELS` steps from −SPAN to SPAN standard deviations."""

_STRIP = 64
_KNOTS = 2001
_LEAST = 1e-30
_FALL = 1.232
"""Lag in node spacings at which the autocorrelation of cubic B-splines has fallen to 1/e."""

Levels = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class SmoothField:
    """A stationary Gaussian field on the UTM grid.

    Attributes:
        seed: Of the world, or of the acquisition for what does not last.
        stream: Which field.
        node_m: Spacing of the keyed numbers.
        step_m: Spacing of interpolated samples; values between are those of the nearest sample.
    """

    seed: int
    stream: str
    node_m: float
    step_m: float

    @classmethod
    def of(cls, seed: int, stream: str, length_m: float, posting_m: float) -> SmoothField:
        """Return the field whose autocorrelation is 1/e at a lag, for cells of a posting.

        Where nodes would be less than two cells apart, cells are independent.
        """
        if length_m / _FALL < 2.0 * posting_m:
            return cls(seed, stream, posting_m, posting_m)
        return cls(seed, stream, length_m / _FALL, max(length_m / 4.0, posting_m))

    @property
    def resolved(self) -> bool:
        """Whether cells follow the field's shape instead of being independent."""
        return self.node_m > self.step_m

    def on(self, patch: Patch) -> Levels:
        """Return its levels on the cells of a patch."""
        step = self.step_m
        bounds = patch.bounds.padded(step)
        i0, i1 = int(np.floor(bounds.south / step)), int(np.ceil(bounds.north / step)) + 1
        j0, j1 = int(np.floor(bounds.west / step)), int(np.ceil(bounds.east / step)) + 1
        samples = self._samples(np.arange(i0, i1), np.arange(j0, j1)).ravel()
        levels = np.empty(patch.shape, dtype=np.uint16)
        lattice = patch.lattice
        j = patch.j0 + np.arange(patch.shape[1])
        for start in range(0, patch.shape[0], _STRIP):
            i = patch.i0 + np.arange(start, min(start + _STRIP, patch.shape[0]))
            x, y = lattice.xy(i[:, None], j)
            x *= 1.0 / step
            y *= 1.0 / step
            x -= j0
            y -= i0
            place = y.astype(np.int32)
            place *= j1 - j0
            place += x.astype(np.int32)
            np.take(samples, place, out=levels[start : start + _STRIP])
        return levels

    def _samples(self, i: npt.NDArray[np.int64], j: npt.NDArray[np.int64]) -> Levels:
        """Return levels at y = (i + ½) step, x = (j + ½) step, shape (len(i), len(j))."""
        if not self.resolved:
            return _levels(self._white(int(i[0]), int(j[0]), (len(i), len(j))))
        ratio = self.step_m / self.node_m
        first_y, weights_y = _spline((i + 0.5) * ratio)
        first_x, weights_x = _spline((j + 0.5) * ratio)
        shape = int(first_y[-1] - first_y[0]) + 4, int(first_x[-1] - first_x[0]) + 4
        nodes = self._white(int(first_y[0]), int(first_x[0]), shape)
        first_y, first_x = first_y - first_y[0], first_x - first_x[0]
        by_row = sum(nodes[first_y + k] * weights_y[:, k, None] for k in range(4))
        columns = np.ascontiguousarray(np.asarray(by_row).T)
        field = sum(columns[first_x + k] * weights_x[:, k, None] for k in range(4))
        return np.ascontiguousarray(_levels(np.asarray(field)).T)

    def _white(self, row: int, column: int, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        # Real and imaginary parts are neighbouring columns.
        first, last = column // 2, -(-(column + shape[1]) // 2)
        stream = f"field/{self.stream}"
        pairs = keyed.complex_noise(self.seed, stream, row, first, (shape[0], last - first))
        start = column - 2 * first
        values = pairs.view(np.float32)[:, start : start + shape[1]]
        return np.asarray(values * np.float32(np.sqrt(2.0)))


def deviates(levels: Levels) -> npt.NDArray[np.float32]:
    """Return the standard normal values of levels."""
    scale = np.float32(2.0 * SPAN / LEVELS)
    return np.asarray((levels.astype(np.float32) + np.float32(0.5)) * scale - np.float32(SPAN))


@functools.lru_cache(maxsize=64)
def gamma_table(order: float) -> npt.NDArray[np.float32]:
    """Return the gamma texture of mean 1 and variance 1/order for every level, shape (LEVELS,).

    An infinite order gives ones.
    """
    if not np.isfinite(order):
        return np.ones(LEVELS, dtype=np.float32)
    normal = (np.arange(LEVELS) + 0.5) * (2.0 * SPAN / LEVELS) - SPAN
    knots = np.linspace(-SPAN, SPAN, _KNOTS)
    lower = stats.gamma.ppf(stats.norm.cdf(knots), order)
    upper = stats.gamma.isf(stats.norm.sf(knots), order)
    logarithm = np.log(np.maximum(np.where(knots < 0, lower, upper) / order, _LEAST))
    return np.exp(CubicSpline(knots, logarithm)(normal)).astype(np.float32)  # type: ignore[no-any-return]


def _levels(field: npt.NDArray[np.float32]) -> Levels:
    scaled = (field + np.float32(SPAN)) * np.float32(LEVELS / (2.0 * SPAN))
    return np.asarray(np.clip(scaled, 0, LEVELS - 1).astype(np.uint16))


def _spline(place: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the first of four nodes around each place and their normalised weights."""
    base = np.floor(place).astype(np.int64)
    t = place - base
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return base - 1, weights.astype(np.float32)
