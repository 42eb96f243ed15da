"""The longest straight strips that fit in a plot: where runways and tracks can lie."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.simulate.world.districts.plot import Boxes, Plot

SAMPLES = 300
"""Of the plot along its longer side: how finely strips are sought."""
FINEST_M = 4.0
"""Samples are never closer."""


def strips_along(plot: Plot, width: float) -> Boxes:
    """Return the longest strip along u at each of many positions across, shape (n, 4).

    Each lies wholly in the plot; there is none if the plot is narrower than `width` everywhere.

    Args:
        plot: Where.
        width: Of the strips, metres.
    """
    u0, v0, u1, v1 = plot.bounds
    step = max(max(u1 - u0, v1 - v0) / SAMPLES, FINEST_M)
    us, vs = np.arange(u0 + step / 2, u1, step), np.arange(v0 + 0.01, v1, step)
    rows = int(np.ceil(width / step)) + 1
    if len(vs) < rows or not len(us):
        return np.empty((0, 4))
    u, v = np.meshgrid(us, vs)
    free = shapely.contains_xy(plot.area, u, v)
    # A strip is free where all rows of samples across it are.
    total = np.cumsum(np.concatenate([np.zeros((1, len(us)), dtype=np.int64), free]), axis=0)
    first, last = _longest_runs(total[rows:] - total[:-rows] == rows)
    middles = (vs[: len(first)] + vs[rows - 1 :]) / 2
    found = last > first
    first, last, middles = first[found], last[found], middles[found]
    strips = np.stack([us[first], middles - width / 2, us[last], middles + width / 2], axis=1)
    return _shortened(plot, strips)


def _longest_runs(free: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return first and last index of the longest run of True in each row; last = −1 if none."""
    length = np.zeros(len(free), dtype=np.int64)
    best = np.zeros(len(free), dtype=np.int64)
    last = np.full(len(free), -1, dtype=np.int64)
    for column in range(free.shape[1]):
        length = np.where(free[:, column], length + 1, 0)
        longer = length > best
        best[longer], last[longer] = length[longer], column
    return last - best + 1, last


def _shortened(plot: Plot, strips: Boxes) -> Boxes:
    """Return strips that hold; those that cross the edge between samples lose a little first."""
    done = []
    for _ in range(4):
        holds = shapely.contains_properly(
            plot.area, shapely.box(strips[:, 0], strips[:, 1], strips[:, 2], strips[:, 3])
        )
        done.append(strips[holds])
        strips = strips[~holds]
        trim = 0.03 * (strips[:, 2] - strips[:, 0])
        strips = strips + np.stack([trim, 0 * trim, -trim, 0 * trim], axis=1)
    return np.concatenate(done)
