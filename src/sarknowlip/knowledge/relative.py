"""Ground of images without absolute levels: two tones or one, and calm ground like water.

Power averaged over about 30 m, at least 5 × 5 pixels, shows two populations or one (see `mixture`).
Calm ground is the darker of two that lie `LEAST_CONTRAST_DB` apart, or the whole of an image whose
means over about 60 m vary by no more than `UNIFORM_DB`, as open sea does, if it varies below its
speckle by no more than `SMOOTH`, as woods and towns do. Bare fields, runways and shadow can look as
calm: what is said of calm ground as water is less sure than with absolute levels. Leave bright
targets out. All limits are our own choice, `SMOOTH` on a simulated world (Marseille, seed 12).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sarknowlip.knowledge.constants import constants
from sarknowlip.knowledge.looks import texture_variation
from sarknowlip.knowledge.mixture import Mixture, fit_mixture
from sarknowlip.knowledge.surface import is_bimodal
from sarknowlip.knowledge.windows import Floats, Mask, box_mean, to_db

MEAN_M, BROAD_M = 30.0, 60.0
MEAN_HALF, BROAD_HALF = (2, 10), (5, 20)
"""Least and greatest half widths of the windows, pixels."""
UNIFORM_DB = 3.0
LEAST_CONTRAST_DB = 3.0
SMOOTH = 0.45
LEAST_PX = 64
"""Less calm ground than that is none."""


@dataclass(frozen=True)
class Tones:
    """Tones of an image.

    Attributes:
        two: The two populations, or None if there is one.
        calm: Calm ground, shape (rows, columns).
    """

    two: Mixture | None
    calm: Mask


def tell_tones(power: Floats, valid: Mask, gsd_m: float, looks: float = 1.0) -> Tones:
    """Return the tones of an image.

    Args:
        power: Linear power, any scale, shape (rows, columns).
        valid: Pixels that count.
        gsd_m: Pixel size on the ground, metres.
        looks: Equivalent number of looks.
    """
    half = int(np.clip(round(MEAN_M / 2 / gsd_m), *MEAN_HALF))
    smooth = to_db(box_mean(power, valid, half))
    mixture = fit_mixture(smooth[valid & np.isfinite(smooth)])
    if mixture is not None and is_bimodal(mixture, constants()):
        apart = mixture.mean[1] - mixture.mean[0] >= LEAST_CONTRAST_DB
        calm = valid & (smooth < mixture.threshold) & apart
    else:
        mixture = None
        half = int(np.clip(round(BROAD_M / 2 / gsd_m), *BROAD_HALF))
        broad = to_db(box_mean(power, valid, half))[valid]
        broad = broad[np.isfinite(broad)]
        low, high = np.percentile(broad, (5, 95)) if broad.size else (0.0, np.inf)
        calm = valid & (high - low <= UNIFORM_DB)
    if np.count_nonzero(calm) < LEAST_PX or texture_variation(power, calm, looks) > SMOOTH:
        calm = np.zeros_like(valid)
    return Tones(mixture, calm)
