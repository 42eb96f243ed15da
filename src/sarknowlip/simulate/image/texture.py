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

from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Bounds, Floats

LEVELS = 1 << 16
SPAN = 6.0
"""Fields are stored in `LEVELS` steps from −SPAN to SPAN standard deviations."""

_FALL = 1.232
"""Lag in node spacings at which the autocorrelation of cubic B-splines has fallen to 1/e."""

Levels = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class SmoothField:
    """A stationary Gaussian field on the UTM grid.

    Attributes:
        seed: Of the world, or of the acquisition for what does not last.
        stream: Which field.
        length_m: Lag at which the autocorrelation is 1/e.
        step_m: Lattice on which it is sampled; values between are those of the nearest sample.
    """

    seed: int
    stream: str
    length_m: float
    step_m: float

    def sample(self, bounds: Bounds) -> FieldWindow:
        """Return the field's samples that cover bounds."""
        step = max(self.length_m / 5.0, self.step_m)
        node = max(self.length_m / _FALL, step)
        i0, i1 = int(np.floor(bounds.south / step)), int(np.ceil(bounds.north / step)) + 1
        j0, j1 = int(np.floor(bounds.west / step)), int(np.ceil(bounds.east / step)) + 1
        first_y, weights_y = _spline((np.arange(i0, i1) + 0.5) * step / node)
        first_x, weights_x = _spline((np.arange(j0, j1) + 0.5) * step / node)
        keys_y = np.arange(first_y[0], first_y[-1] + 4)
        keys_x = np.arange(first_x[0], first_x[-1] + 4)
        nodes = keyed.normal(self.seed, self.stream, keys_y[:, None], keys_x[None, :])
        nodes = nodes.astype(np.float32)
        by_row = sum(
            nodes[first_y - first_y[0] + k] * weights_y[:, k, None].astype(np.float32)
            for k in range(4)
        )
        columns = np.ascontiguousarray(np.asarray(by_row).T)
        field = sum(
            columns[first_x - first_x[0] + k] * weights_x[:, k, None].astype(np.float32)
            for k in range(4)
        )
        return FieldWindow(_levels(np.asarray(field)).T, i0, j0, step)


@dataclass(frozen=True)
class FieldWindow:
    """Samples of a field: `levels[i − i0, j − j0]` at y = (i + ½) step, x = (j + ½) step."""

    levels: Levels
    i0: int
    j0: int
    step: float

    def at(self, x: Floats, y: Floats) -> Levels:
        """Return the level of the nearest sample at points within the window's bounds."""
        i = np.floor(y / self.step).astype(np.intp) - self.i0
        j = np.floor(x / self.step).astype(np.intp) - self.j0
        return np.asarray(self.levels[i, j])


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
    lower = stats.gamma.ppf(stats.norm.cdf(normal), order)
    upper = stats.gamma.isf(stats.norm.sf(normal), order)
    return np.asarray(np.where(normal < 0, lower, upper) / order, dtype=np.float32)


def _levels(field: npt.NDArray[np.float32]) -> Levels:
    scaled = (field + np.float32(SPAN)) * np.float32(LEVELS / (2.0 * SPAN))
    return np.asarray(np.clip(scaled, 0, LEVELS - 1).astype(np.uint16))


def _spline(place: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the first of four nodes around each place and their normalised weights."""
    base = np.floor(place).astype(np.int64)
    t = place - base
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    return base - 1, weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))
