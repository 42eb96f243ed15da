"""Water, land and bright structures from calibrated backscatter.

Water: power is averaged over 5 × 5 pixels. In each polarisation with a published level the tile's
histogram decides the threshold if it shows two populations (see `mixture`), the darker of which is
as dark as published water; the threshold stays within 3 dB of the published one. Otherwise the
published threshold holds, so that a tile full of water or without any is not split in two. A pixel
is water when any polarisation says so: co-polarised backscatter finds calm water, cross-polarised
also water roughened by wind (the union of ASF HydroSAR). Patches below
0.3 ha are dropped. What looks like water and is not: smooth
sand, asphalt, radar shadow, wet snow. What is water and does not look so: flooded vegetation,
strong wind where only VV is there.

Bright structures: averaged co-polarised power above a level, where the speckle divergence (Esch et
al., "Delineation of urban footprints from TerraSAR-X data by analyzing speckle characteristics and
intensity information", IEEE TGRS 48(2), 2010) shows texture that speckle does not explain.

Land is the rest.

A share is as sure as its thresholds: their error is taken as normal, σ from `thresholds.json`,
larger where the histogram has no valley and the published level has to do. Confidence is the
probability that the share would change by no more than `SHARE_ERROR`. It is low where many pixels
lie near the threshold, as over flooded vegetation, reeds or wet soil around open water. What it
can't see: flooded ground that is as bright as dry ground all over the tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import label
from scipy.special import ndtr

from sarknowlip.geo.grid import ground_sample_distance
from sarknowlip.knowledge.constants import Constants, SurfaceLevels, constants
from sarknowlip.knowledge.mixture import Mixture, fit_mixture
from sarknowlip.knowledge.windows import Floats, Mask, box_mean, box_sums, to_db
from sarknowlip.sar.tile import TileImage

MEAN_HALF = 2
DIVERGENCE_HALF = 4
LEAST_WATER_M2 = 3000.0
"""Smaller dark patches are taken for speckle, streets or shadow: 30 pixels of Sentinel-1."""
SHARE_ERROR = 0.05
"""Change of an area share that still counts as the same."""

Surface = Literal["water", "land", "bright_structure"]
SURFACES: tuple[Surface, ...] = ("water", "land", "bright_structure")


@dataclass(frozen=True)
class Threshold:
    """The darkness below which one polarisation calls a pixel water.

    Attributes:
        polarization: Channel.
        db: Threshold in dB.
        origin: "mixture" if the tile's histogram gave it, else "published".
    """

    polarization: str
    db: float
    origin: Literal["mixture", "published"]


@dataclass(frozen=True)
class SurfaceMap:
    """Which pixel is what.

    Attributes:
        masks: Pixels of each surface, shape (rows, columns); they share no pixel and together are
            the valid pixels.
        thresholds: How water was told, per polarisation.
        confidence: Probability that a share is right within `SHARE_ERROR`, 0…1.
    """

    masks: dict[Surface, Mask]
    thresholds: tuple[Threshold, ...]
    confidence: dict[Surface, float]

    def share(self, surface: Surface) -> float:
        """Return the share of valid pixels, 0…1."""
        valid = sum(int(mask.sum()) for mask in self.masks.values())
        return float(self.masks[surface].sum()) / valid


def map_surfaces(tile: TileImage, looks: float) -> SurfaceMap | None:
    """Return the surfaces of a tile, or None where no published level applies to it.

    Args:
        tile: Any tile; None comes back for an uncalibrated one, another band, or no valid pixel.
        looks: Equivalent number of looks.
    """
    table = constants()
    levels = table.levels(tile.acquisition, tile.radiometry)
    valid = tile.valid
    if not levels or not valid.any():
        return None
    power = tile.power.astype(np.float64)
    names = tile.acquisition.polarizations
    smooth = {name: to_db(box_mean(power[names.index(name)], valid, MEAN_HALF)) for name in levels}
    thresholds = tuple(
        water_threshold(smooth[name][valid], row, table) for name, row in levels.items()
    )

    # In units of the threshold's own error, so that one normal deviate moves all thresholds.
    margins = [
        (smooth[t.polarization] - t.db) / table.threshold_sigma_db[t.origin]  # type: ignore[index]
        for t in thresholds
    ]
    margin = np.minimum.reduce([np.nan_to_num(m, nan=-np.inf) for m in margins])
    gsd_x, gsd_y = ground_sample_distance(tile.geobox)
    water = sieve((margin < 0.0) & valid, math.ceil(LEAST_WATER_M2 / (gsd_x * gsd_y)))
    excess = np.full(valid.shape, np.inf)
    for name, row in levels.items():
        if row.structure_min_db is not None:
            divergence = speckle_divergence(power[names.index(name)], valid, looks)
            textured = (divergence > table.structure_divergence) & valid & ~water
            lacking = (row.structure_min_db - smooth[name]) / table.threshold_sigma_db["published"]
            excess = np.where(textured, np.minimum(excess, lacking), excess)
    structure = (excess < 0.0) & valid
    masks: dict[Surface, Mask] = {
        "water": water,
        "land": valid & ~water & ~structure,
        "bright_structure": structure,
    }
    sure_water, sure_structure = share_confidence(margin[valid]), share_confidence(excess[valid])
    sure: dict[Surface, float] = {
        "water": sure_water,
        "land": min(sure_water, sure_structure),
        "bright_structure": sure_structure,
    }
    return SurfaceMap(masks, thresholds, sure)


def sieve(mask: Mask, least: int) -> Mask:
    """Return a mask without its 8-connected parts of fewer than `least` pixels."""
    labels, _ = label(mask, np.ones((3, 3), dtype=bool))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= least)[labels])


def share_confidence(margin: Floats) -> float:
    """Return the probability that a share is right within `SHARE_ERROR`, 0…1.

    Args:
        margin: How far each pixel is above the threshold, in standard deviations of the
            threshold's error; the share is that of the pixels below 0.
    """
    ranked = np.sort(margin)
    share = int(np.searchsorted(ranked, 0.0))
    room = int(SHARE_ERROR * ranked.size)
    low = ranked[share - room - 1] if share > room else -np.inf
    high = ranked[share + room] if share + room < ranked.size else np.inf
    return float(ndtr(high) - ndtr(low))


def water_threshold(smooth_db: Floats, level: SurfaceLevels, table: Constants) -> Threshold:
    """Return the water threshold of one polarisation.

    Args:
        smooth_db: Averaged backscatter of the valid pixels, dB.
        level: Published level.
        table: Limits.
    """
    finite = smooth_db[np.isfinite(smooth_db)]
    mixture = fit_mixture(finite)
    if mixture is None or not is_bimodal(mixture, table):
        return Threshold(level.polarization, level.water_max_db, "published")
    dark, bright = mixture.mean
    if not dark <= level.water_max_db < bright:
        return Threshold(level.polarization, level.water_max_db, "published")
    limits = level.water_max_db - table.water_rise_db, level.water_max_db + table.water_rise_db
    return Threshold(level.polarization, float(np.clip(mixture.threshold, *limits)), "mixture")


def is_bimodal(mixture: Mixture, table: Constants) -> bool:
    """Whether two populations are separate and neither is negligible."""
    return mixture.ashman >= table.bimodality_min and min(mixture.share) >= table.minority_min


def speckle_divergence(power: Floats, valid: Mask, looks: float) -> Floats:
    """Return the local coefficient of variation in excess of speckle, ≥ 0.

    Args:
        power: Linear power, shape (rows, columns).
        valid: Pixels that count.
        looks: Equivalent number of looks.
    """
    total, count = box_sums(power, valid, DIVERGENCE_HALF)
    square, _ = box_sums(power**2, valid, DIVERGENCE_HALF)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        observed = np.maximum(square / count - mean**2, 0.0) / mean**2
        excess = (1.0 + observed) / (1.0 + 1.0 / looks) - 1.0
    return np.sqrt(np.maximum(np.nan_to_num(excess), 0.0))
