"""Order-statistic CFAR: a background that the edge of clutter and other targets hardly move.

The k-th smallest of N cells of the ring stands for the background (Rohling, "Radar CFAR
thresholding in clutter and multiple target situations", IEEE TAES 19(4), 1983). With gamma speckle
of L looks and U the probability of that order statistic, U ~ Beta(k, N − k + 1), the false-alarm
rate of a multiplier α is

    P = ∫ Q(L, α · F⁻¹(u)) Beta(u; k, N − k + 1) du,

which for one look is Rohling's product Π (N − i) / (N − i + α), i = 0 … k − 1.

Cells are several pixels apart, so that oversampled speckle counts once, and their statistic is
found at every `STRIDE`-th pixel; within a stride it is taken as the same.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import gammaincc, gammaincinv
from scipy.stats import beta

from sarknowlip.knowledge.windows import Floats, Mask

RANK = 0.75
"""k / N, as Rohling recommends."""
CELLS_A_SIDE = 9
STRIDE = 4
LEAST_CELLS = 16


def ring_offsets(guard: int, outer: int) -> npt.NDArray[np.int64]:
    """Return row and column offsets of ring cells, shape (N, 2), about `CELLS_A_SIDE`² at most."""
    line = np.unique(np.rint(np.linspace(-outer, outer, CELLS_A_SIDE)).astype(int))
    offsets = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    kept: npt.NDArray[np.int64] = offsets[np.abs(offsets).max(axis=1) > guard + STRIDE]
    return kept


def ordered_threshold(
    power: Floats, valid: Mask, looks: float, windows: tuple[int, int], pfa: float
) -> Floats:
    """Return the power that clutter exceeds with probability `pfa`; NaN where it is unknown.

    Args:
        power: Linear power, shape (rows, columns).
        valid: Pixels that count as clutter.
        looks: Equivalent number of looks.
        windows: Half widths of the guard and the outer window, pixels.
        pfa: False-alarm rate.
    """
    rows, columns = power.shape
    reach = windows[1]
    padded = np.pad(np.where(valid, power, np.nan), reach, constant_values=np.nan)
    start = reach + STRIDE // 2
    cells = np.stack(
        [
            padded[
                start + dr : reach + rows + dr : STRIDE, start + dc : reach + columns + dc : STRIDE
            ]
            for dr, dc in ring_offsets(*windows)
        ]
    )
    cells.sort(axis=0)  # no data last
    count = np.isfinite(cells).sum(axis=0)
    rank = np.ceil(RANK * count).astype(int)
    level = np.take_along_axis(cells, np.maximum(rank - 1, 0)[None], axis=0)[0]
    alpha = np.full(cells.shape[0] + 1, np.nan)
    for number in np.unique(count[count >= LEAST_CELLS]):
        alpha[number] = ordered_multiplier(round(looks, 2), int(number), pfa)
    threshold = np.repeat(np.repeat(level * alpha[count], STRIDE, axis=0), STRIDE, axis=1)
    missing = rows - threshold.shape[0], columns - threshold.shape[1]
    edge = [(0, max(0, n)) for n in missing]
    return np.asarray(np.pad(threshold, edge, mode="edge")[:rows, :columns])


@functools.lru_cache(maxsize=1024)
def ordered_multiplier(looks: float, cells: int, pfa: float) -> float:
    """Return α for k = ⌈`RANK` · cells⌉.

    Args:
        looks: Equivalent number of looks.
        cells: N, at least 2.
        pfa: False-alarm rate.
    """
    k = int(np.ceil(RANK * cells))
    nodes, weights = np.polynomial.legendre.leggauss(96)
    distribution = beta(k, cells - k + 1)
    low, high = distribution.ppf(1e-12), distribution.isf(1e-12)
    u = low + (high - low) * (nodes + 1) / 2
    weight = weights * distribution.pdf(u) * (high - low) / 2
    level = gammaincinv(looks, u)

    def excess(log_alpha: float) -> float:
        rate = float(weight @ gammaincc(looks, np.exp(log_alpha) * level))
        return float(np.log(max(rate, 1e-300)) - np.log(pfa))

    return float(np.exp(brentq(excess, np.log(1e-3), np.log(1e6), xtol=1e-9)))
