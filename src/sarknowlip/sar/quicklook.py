"""Radar pictures for the eye: decibels between robust limits, no colours that invent structure.

Two polarisations make the usual composite (red co-pol, green cross-pol, blue ratio).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from sarknowlip.sar.scaling import db_to_power, power_to_db

Rgb = npt.NDArray[np.uint8]

SPAN_DB = 12.0
"""Least range of a channel, so that speckle alone does not fill the picture."""
NO_DATA = 244
"""Grey level of pixels without data."""


def composite(db: npt.NDArray[np.float32]) -> Rgb:
    """Return a picture of 1–4 polarisations, shape (rows, columns, 3).

    Args:
        db: Decibels, shape (polarisations, rows, columns), NaN for no data; the first is co-pol,
            the second cross-pol. Power is averaged over 3 × 3 pixels for the eye; each channel
            runs from its 2nd to its 98th percentile or over `SPAN_DB`, whichever is wider.
    """
    valid = np.asarray(np.isfinite(db).all(axis=0))
    power = uniform_filter(np.where(valid, db_to_power(db), 0), size=(1, 3, 3))
    calm = power_to_db(np.maximum(power, 1e-9))
    channels = [calm[0]] * 3 if db.shape[0] == 1 else [calm[0], calm[1], calm[0] - calm[1]]
    picture = np.stack([_stretch(channel, valid) for channel in channels], axis=-1)
    picture[~valid] = NO_DATA
    return picture


def _stretch(
    channel: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    if not valid.any():
        return np.full(channel.shape, NO_DATA, dtype=np.uint8)
    low, high = np.nanpercentile(channel[valid], [2, 98])
    spare = max(0.0, SPAN_DB - float(high - low)) / 2
    scaled = (np.nan_to_num(channel, nan=low) - low + spare) / (high - low + 2 * spare)
    return np.asarray(np.clip(scaled, 0, 1) * 255, dtype=np.uint8)
