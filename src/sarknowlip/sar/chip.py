"""Pictures of a radar that lie nowhere: chips and images of data sets without a map.

They are tiles like others, on a grid of plain metres without a coordinate reference system, so that
whatever takes tiles takes them. What such a set does not tell of the acquisition stays unknown.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from sarknowlip.core.errors import GeometryError
from sarknowlip.sar.product import Acquisition, Polarization, Radiometry
from sarknowlip.sar.tile import TileImage

DARKEST = 0.5
"""Level that stands for 0 of an 8-bit picture, of 255."""


def chip(
    chip_id: str,
    db: npt.NDArray[np.float32],
    *,
    polarizations: tuple[Polarization, ...],
    gsd_m: float,
    frequency_band: str | None = None,
    radiometry: Radiometry | None = None,
) -> TileImage:
    """Return a tile without a place.

    Args:
        chip_id: Unique in its data set.
        db: Decibels (polarisations, rows, columns), NaN for no data.
        polarizations: Of the first axis.
        gsd_m: Metres between pixels, above 0; the nominal one where a set mixes several.
        frequency_band: "C", "X"…, if known.
        radiometry: What values mean; None: amplitude without calibration.

    Raises:
        GeometryError: The shape does not fit, or the spacing is not above 0.
    """
    if db.ndim != 3 or 0 in db.shape or len(db) != len(polarizations):
        raise GeometryError(
            f"{chip_id}: pixels of shape {db.shape} for {len(polarizations)} polarisations",
            "give (polarisations, rows, columns), none of them 0",
        )
    if not gsd_m > 0.0:
        raise GeometryError(f"{chip_id}: {gsd_m} m between pixels", "give metres above 0")
    return TileImage(
        id=chip_id,
        db=np.asarray(db, dtype=np.float32),
        geobox=GeoBox(db.shape[1:], Affine.scale(gsd_m, -gsd_m), None),
        acquisition=Acquisition(polarizations=polarizations, frequency_band=frequency_band),
        radiometry=radiometry or Radiometry(quantity="amplitude", calibrated=False),
    )


def amplitude_db(level: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return decibels of an 8-bit amplitude picture: 255 is 0 dB, 0 counts as half a level."""
    values = np.maximum(np.asarray(level, dtype=np.float32), np.float32(DARKEST))
    return np.asarray(20.0 * np.log10(values / np.float32(255.0)), dtype=np.float32)
