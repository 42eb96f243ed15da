"""Means over square windows of an image with holes.

Windows that reach past the image or over no-data count only the pixels they have.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def box_sums(values: npt.NDArray[np.generic], counted: Mask, half: int) -> tuple[Floats, Floats]:
    """Return the sum and the number of counted pixels in the window around each pixel.

    Args:
        values: Shape (rows, columns); ignored where not counted.
        counted: Pixels that take part.
        half: The window is 2·half + 1 pixels wide.

    Returns:
        Sums and counts, float64, shape (rows, columns).
    """
    size = 2 * half + 1
    filled = np.where(counted, values, 0.0).astype(np.float64)
    total = uniform_filter(filled, size, mode="constant") * size**2
    count = np.rint(uniform_filter(counted.astype(np.float64), size, mode="constant") * size**2)
    return total, count


def box_mean(values: npt.NDArray[np.generic], counted: Mask, half: int) -> Floats:
    """Return the mean of the counted pixels in the window around each pixel, NaN where none."""
    total, count = box_sums(values, counted, half)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)


def to_db(power: npt.NDArray[np.floating]) -> Floats:
    """Return 10·log10(power) in float64; NaN where power is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(power > 0, 10.0 * np.log10(power), np.nan)
