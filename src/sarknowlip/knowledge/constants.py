"""Published backscatter levels of surfaces, kept as data (`thresholds.json`)."""

from __future__ import annotations

import functools
import json
from importlib import resources

from sarknowlip.core.config import Config
from sarknowlip.sar.product import Acquisition, Polarization, Quantity, Radiometry


class SurfaceLevels(Config):
    """Backscatter levels that hold for one band and polarisation.

    Attributes:
        band: Frequency band, "C".
        polarization: Channel.
        quantities: Calibrated quantities the levels hold for.
        water_max_db: Open calm water is darker than this.
        structure_min_db: Buildings and metal are brighter than this; None if not separable.
    """

    band: str
    polarization: Polarization
    quantities: tuple[Quantity, ...]
    water_max_db: float
    structure_min_db: float | None


class Constants(Config):
    """All levels and limits, with where each is from.

    Attributes:
        surfaces: Levels by band and polarisation.
        references: Publication or reason of each constant.
        structure_divergence: Least texture variation of built structures, 1.
        water_rise_db: How far a tile's own threshold may differ from the published one, dB.
        bimodality_min: Least Ashman's D at which two populations count as separate.
        threshold_sigma_db: Standard error of a threshold by its origin, "mixture" or "published".
        minority_min: Least share of the smaller population, 0…0.5.
    """

    surfaces: tuple[SurfaceLevels, ...]
    references: dict[str, str]
    structure_divergence: float
    water_rise_db: float
    bimodality_min: float
    minority_min: float
    threshold_sigma_db: dict[str, float]

    def levels(
        self, acquisition: Acquisition, radiometry: Radiometry
    ) -> dict[Polarization, SurfaceLevels]:
        """Return the levels that hold for an image, by polarisation; empty if none do.

        Levels are absolute: an uncalibrated image, or one of another band, has none.
        """
        if not radiometry.calibrated:
            return {}
        return {
            row.polarization: row
            for row in self.surfaces
            if row.band == acquisition.frequency_band
            and row.polarization in acquisition.polarizations
            and radiometry.quantity in row.quantities
        }


@functools.cache
def constants() -> Constants:
    """Return the packaged constants."""
    text = resources.files("sarknowlip.knowledge").joinpath("thresholds.json").read_text("utf-8")
    return Constants(**json.loads(text))
