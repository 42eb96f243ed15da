"""Radar shadow: ground that high things hide from the radar, where pixels are small.

Shadow returns nothing but the receiver's noise, and begins behind what hides it, which faces the
radar and is bright. So a pixel is taken for shadow if

- the mean of its 3 × 3 pixels is no more than the noise floor by the law of gamma speckle, where
  the floor is that of the tile's darkest twentieth part, and lies `CONTRAST_DB` below the median
  (where it does not, nothing dark enough is there to be told from ground, and the share is None);
- it belongs to a dark patch that is no longer than `LONGEST_M` along the look, since longer ones
  are open water, fields or runways;
- on at least `HIDDEN` of the patch's border towards the radar something is brighter than the
  median by `BRIGHT_DB`.

It does not tell shadow from calm water, asphalt or metal roofs of that size beside a wall, and
loses shadow filled by sidelobes or layover, behind hills or trees, or that runs into open water.
All limits are our own choice.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_opening, label, shift
from scipy.ndimage import sum_labels as sums_of
from scipy.special import gammaincinv

from sarknowlip.knowledge.windows import Mask, box_mean

LARGEST_GSD_M = 3.0
CONTRAST_DB = 9.0
BRIGHT_DB = 3.0
LONGEST_M = 120.0
HIDDEN = 0.25
LEAST_PX = 12
REACH_PX = 4
"""Bright pixels are looked for that far towards the radar."""


def shadow_mask(
    power: npt.NDArray[np.floating],
    valid: Mask,
    looks: float,
    away: tuple[float, float],
    gsd_m: float,
) -> Mask | None:
    """Return the pixels in shadow, None where shadow cannot be told.

    Args:
        power: Linear power, any scale, shape (rows, columns).
        valid: Pixels that count.
        looks: Equivalent number of looks.
        away: Unit vector in the image, columns and rows, in which the radar looks.
        gsd_m: Pixel size on the ground, metres.
    """
    if gsd_m > LARGEST_GSD_M or np.count_nonzero(valid) < 64:
        return None
    mean = box_mean(power, valid, 1)
    middle, floor = np.percentile(mean[valid], (50.0, 2.5))
    if not floor > 0 or 10.0 * math.log10(middle / floor) < CONTRAST_DB:
        return None
    cells = 9.0 * looks
    dark = valid & (mean <= floor * float(gammaincinv(cells, 0.999)) / cells)
    dark = np.asarray(binary_opening(dark, np.ones((2, 2), dtype=bool)), dtype=bool)
    bright = valid & (mean > middle * 10.0 ** (BRIGHT_DB / 10.0))
    ahead = _reached(bright, away)
    labels, count = label(dark)
    if not count:
        return np.zeros(dark.shape, dtype=bool)
    numbers = np.arange(1, count + 1)
    border = dark & ~_moved(dark, away, 1.0)
    edge = np.asarray(sums_of(border, labels, numbers))
    hidden = np.asarray(sums_of(border & ahead, labels, numbers))
    area = np.asarray(sums_of(dark, labels, numbers))
    long = area / np.maximum(edge, 1.0) * gsd_m  # pixels of the patch on each line of sight
    keep = (area >= LEAST_PX) & (hidden >= HIDDEN * edge) & (long <= LONGEST_M)
    return np.asarray(np.concatenate([[False], keep])[labels], dtype=bool)


def look_vector(look_azimuth: float, up: float) -> tuple[float, float]:
    """Return the unit vector, columns and rows, of a bearing; `up` is that of the image's top."""
    turn = math.radians(look_azimuth - up)
    return math.sin(turn), -math.cos(turn)


def _moved(mask: Mask, way: tuple[float, float], pixels: float) -> Mask:
    """Return the mask moved along a vector."""
    by = (round(way[1] * pixels), round(way[0] * pixels))
    return np.asarray(shift(mask.astype(np.uint8), by, order=0, cval=0), dtype=bool)


def _reached(bright: Mask, away: tuple[float, float]) -> Mask:
    """Return where something bright lies near on the side of the radar."""
    found = np.zeros_like(bright)
    for pixels in range(1, REACH_PX + 1):
        found |= _moved(bright, away, float(pixels))
    return found
