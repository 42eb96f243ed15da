"""How far counts of objects are off: MAE, RMSE, R² and the share within one.

All follow from sums over items, so that a draw of items is scored without looking at them again.

Legend of array names: N items, K sums.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.metrics import BenchError

Floats = npt.NDArray[np.float64]

FIGURES = ("MAE", "RMSE", "R2", "within1")
"""What `figures` returns, in order."""


def count_values(truth: npt.ArrayLike, found: npt.ArrayLike) -> Floats:
    """Return what the figures sum, item by item, shape (N, 5).

    Columns: |error|, error², 1 where it is at most one, true count less the mean of all (R² does
    not see the shift, and sums of squares stay exact), the same squared.

    Args:
        truth: True count of each item, shape (N,).
        found: Count answered, shape (N,); need not be whole.

    Raises:
        BenchError: Shapes differ, there is no item, or a count is not finite.
    """
    truth_N, found_N = np.asarray(truth, dtype=np.float64), np.asarray(found, dtype=np.float64)
    if truth_N.ndim != 1 or truth_N.shape != found_N.shape or not truth_N.size:
        raise BenchError(
            f"counts of shape {found_N.shape} answer true ones of shape {truth_N.shape}",
            "give one count an item",
        )
    if not (np.isfinite(truth_N).all() and np.isfinite(found_N).all()):
        bad = int(np.argmin(np.isfinite(truth_N) & np.isfinite(found_N)))
        raise BenchError(f"count {bad} is not finite", "the model is broken")
    error_N = np.abs(found_N - truth_N)
    centred_N = truth_N - truth_N.mean()
    return np.stack([error_N, error_N**2, error_N <= 1.0, centred_N, centred_N**2], axis=1)


def figures(values_N5: Floats, draw: npt.ArrayLike | None = None) -> Floats:
    """Return MAE, RMSE, R² and the share of items at most one off, shape (4,) or (..., 4).

    R² is 1 less the squared errors over the squared distances of true counts from their mean over
    the draw; NaN where all true counts drawn are equal. It is below 0 for answers worse than that
    mean. All are NaN where nothing is drawn.

    Args:
        values_N5: From `count_values`.
        draw: How often each item is drawn, shape (N,) or (..., N); None takes each once.
    """
    times = np.ones(len(values_N5)) if draw is None else np.asarray(draw, dtype=np.float64)
    size = times.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        absolute, squared, near, centre, spread = np.moveaxis(
            times @ values_N5 / size[..., None], -1, 0
        )
        variance = spread - centre**2
        noise = 1e-12 * spread  # rounding of a difference of equal things
        explained = np.where(variance > noise, 1.0 - squared / variance, np.nan)
    return np.stack([absolute, np.sqrt(squared), explained, near], axis=-1)
