"""Water, land and bright structures from calibrated backscatter.

Water: power is averaged over 5 × 5 pixels. In each polarisation with a published level the tile's
histogram decides the threshold if it shows two populations (see `mixture`), the darker of which is
as dark as published water; the threshold stays within 3 dB of the published one. Otherwise the
published threshold holds, so that a tile full of water or without any is not split in two. A pixel
is water when any polarisation says so: co-polarised backscatter finds calm water, cross-polarised
also water roughened by wind (the union of ASF HydroSAR). What looks like water and is not: smooth
sand, asphalt, radar shadow, wet snow. What is water and does not look so: flooded vegetation,
strong wind where only VV is there.

Bright structures: averaged co-polarised power above a level, where the speckle divergence (Esch et
al., "Delineation of urban footprints from TerraSAR-X data by analyzing speckle characteristics and
intensity information", IEEE TGRS 48(2), 2010) shows texture that speckle does not explain.

Land is the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sarknowlip.knowledge.constants import Constants, SurfaceLevels, constants
from sarknowlip.knowledge.mixture import Mixture, fit_mixture
from sarknowlip.knowledge.windows import Floats, Mask, box_mean, box_sums, to_db
from sarknowlip.sar.tile import TileImage

MEAN_HALF = 2
DIVERGENCE_HALF = 4
TOLERANCE_DB = 1.0
"""Assumed error of a threshold; how much a share moves with it is its uncertainty."""

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
        water_range: Water share with thresholds lowered and raised by `TOLERANCE_DB`.
    """

    masks: dict[Surface, Mask]
    thresholds: tuple[Threshold, ...]
    water_range: tuple[float, float]

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

    def darker(shift_db: float) -> Mask:
        dark = [smooth[t.polarization] < t.db + shift_db for t in thresholds]  # type: ignore[index]
        return np.asarray(np.logical_or.reduce(dark) & valid)

    water = darker(0.0)
    structure = np.zeros_like(valid)
    for name, row in levels.items():
        if row.structure_min_db is not None:
            bright = (smooth[name] > row.structure_min_db) & valid & ~water
            divergence = speckle_divergence(power[names.index(name)], valid, looks)
            structure |= bright & (divergence > table.structure_divergence)
    count = np.count_nonzero(valid)
    low, high = (float(np.count_nonzero(darker(s)) / count) for s in (-TOLERANCE_DB, TOLERANCE_DB))
    masks: dict[Surface, Mask] = {
        "water": water,
        "land": valid & ~water & ~structure,
        "bright_structure": structure,
    }
    return SurfaceMap(masks, thresholds, (low, high))


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
