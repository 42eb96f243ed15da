"""Local statistics of SAR patches that tell simulated from real images, and nothing about place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

Power = npt.NDArray[np.float32]
Features = dict[str, float]

LAGS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (0, 4), (4, 0), (0, 8), (8, 0))
PERCENTILES = (1, 5, 25, 75, 95, 99, 99.9)


def patch_features(power: Power, names: tuple[str, ...]) -> Features:
    """Return the statistics of one patch.

    Args:
        power: Linear power, shape (polarisations, rows, columns), all finite and positive.
        names: One name a polarisation.

    Returns:
        Values under "<family>/<polarisation>/<what>"; families are histogram (of decibels around
        their median), autocorrelation (of amplitude), gradient (of decibels), local (moments of
        power in 7 × 7 windows) and ratio (between polarisations).
    """
    found: Features = {}
    for name, band in zip(names, power, strict=True):
        db = 10 * np.log10(band)
        found |= {f"histogram/{name}/{k}": v for k, v in _histogram(db).items()}
        found |= {f"autocorrelation/{name}/{k}": v for k, v in _correlation(band).items()}
        found |= {f"gradient/{name}/{k}": v for k, v in _gradient(db).items()}
        found |= {f"local/{name}/{k}": v for k, v in _local(band).items()}
    if len(names) == 2:
        ratio = 10 * np.log10(power[0] / power[1])
        found["ratio/median"] = float(np.median(ratio))
        found["ratio/std"] = float(ratio.std())
        amplitudes = np.sqrt(power).reshape(2, -1)
        found["ratio/correlation"] = float(np.corrcoef(amplitudes)[0, 1])
    return found


def _histogram(db: Power) -> Features:
    centred = db - np.median(db)
    found = {f"p{q:g}": float(np.percentile(centred, q)) for q in PERCENTILES}
    found["std"] = float(centred.std())
    found["skewness"] = float(stats.skew(centred, axis=None))
    found["kurtosis"] = float(stats.kurtosis(centred, axis=None))
    return found


def _correlation(band: Power) -> Features:
    amplitude = np.sqrt(band)
    amplitude = amplitude - amplitude.mean()
    variance = float((amplitude**2).mean())
    rows, columns = amplitude.shape
    return {
        f"lag{i},{j}": float(
            (amplitude[i:, j:] * amplitude[: rows - i, : columns - j]).mean() / variance
        )
        for i, j in LAGS
    }


def _gradient(db: Power) -> Features:
    found: Features = {}
    for axis, name in ((0, "rows"), (1, "columns")):
        step = np.diff(db, axis=axis)
        found[f"{name}/std"] = float(step.std())
        found[f"{name}/kurtosis"] = float(stats.kurtosis(step, axis=None))
        smooth = np.diff(ndimage.uniform_filter(db, 3), axis=axis)
        found[f"{name}/smooth_std"] = float(smooth.std())
    return found


def _local(band: Power) -> Features:
    mean = ndimage.uniform_filter(band, 7)
    variance = ndimage.uniform_filter(band * band, 7) - mean * mean
    looks = np.clip(mean**2 / np.maximum(variance, 1e-12 * mean**2), 0, 100)
    found = {f"looks_p{q}": float(np.percentile(looks, q)) for q in (10, 50, 90)}
    spread = 10 * np.log10(mean)
    found["mean_std"] = float(spread.std())
    return found
