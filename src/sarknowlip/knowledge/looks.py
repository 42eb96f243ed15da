"""How much speckle an image has: the equivalent number of looks.

Method: Anfinsen, Doulgeris and Eltoft, "Estimation of the equivalent number of looks in
polarimetric synthetic aperture radar imagery", IEEE TGRS 47(11), 2009, reduced to one channel. In a
homogeneous window of gamma speckle the variance of ln(power) is the trigamma function of the
number of looks; the mode of the window estimates over the image is that of the homogeneous ones.
Neighbouring pixels of an oversampled image are correlated, which makes the estimate a little high.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.special import polygamma

from sarknowlip.knowledge.windows import Floats, Mask, box_sums

WINDOW_HALF = 3
STRIDE = 3
LARGEST = 256.0
_LOOKS_TABLE = np.geomspace(0.25, LARGEST, 512)
_VARIANCE_TABLE = polygamma(1, _LOOKS_TABLE)


def equivalent_looks(power: npt.NDArray[np.floating], valid: Mask) -> float | None:
    """Return the equivalent number of looks of a power image, 0.25…256.

    Args:
        power: Linear power, shape (rows, columns).
        valid: Pixels that count; non-positive power never does.

    Returns:
        The estimate, or None if fewer than 16 whole windows are valid.
    """
    counted = valid & (power > 0)
    log_power = np.log(np.where(counted, power, 1.0))
    total, count = box_sums(log_power, counted, WINDOW_HALF)
    square, _ = box_sums(log_power**2, counted, WINDOW_HALF)
    size = (2 * WINDOW_HALF + 1) ** 2
    whole = np.zeros_like(counted)
    whole[::STRIDE, ::STRIDE] = True
    whole &= count >= size
    if np.count_nonzero(whole) < 16:
        return None
    mean = total[whole] / size
    variance = (square[whole] / size - mean**2) * size / (size - 1)
    return _mode(np.log(_looks_of_variance(variance)))


def texture_variation(power: npt.NDArray[np.floating], valid: Mask, looks: float) -> float:
    """Return the coefficient of variation of the scene below the speckle, ≥ 0.

    Product model: (1 + c²) = (1 + t²)(1 + 1/L) for observed c, texture t and L looks (Lee and
    Pottier, Polarimetric Radar Imaging, 2009, §5.2).
    """
    values = power[valid].astype(np.float64)
    observed = float(values.var() / values.mean() ** 2)
    return float(np.sqrt(max(0.0, (1.0 + observed) / (1.0 + 1.0 / looks) - 1.0)))


def _looks_of_variance(variance: Floats) -> Floats:
    inverse = np.interp(
        np.clip(variance, _VARIANCE_TABLE[-1], _VARIANCE_TABLE[0]),
        _VARIANCE_TABLE[::-1],
        _LOOKS_TABLE[::-1],
    )
    return np.asarray(inverse, dtype=np.float64)


def _mode(log_looks: Floats) -> float:
    counts, edges = np.histogram(log_looks, bins=96, range=(np.log(0.25), np.log(LARGEST)))
    smooth = gaussian_filter1d(counts.astype(np.float64), 3.0)
    peak = int(smooth.argmax())
    return float(np.exp((edges[peak] + edges[peak + 1]) / 2))
