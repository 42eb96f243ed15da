"""Tiles in memory for tests: gamma speckle over masks of known mean."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.scaling import power_to_db
from sarknowlip.sar.tile import TileImage

PLACE = Affine(10, 0, 500_000, 0, -10, 4_700_000)


def speckled(mean: np.ndarray, looks: float, seed: int = 0) -> np.ndarray:
    """Return mean power times gamma speckle of mean 1, float64."""
    return mean * np.random.default_rng(seed).gamma(looks, 1 / looks, mean.shape)


def make_tile(
    power: np.ndarray,
    *,
    polarizations: tuple[str, ...] = ("VV",),
    calibrated: bool = True,
    quantity: str = "sigma0",
    band: str = "C",
    transform: Affine = PLACE,
    name: str = "tile",
) -> TileImage:
    """Return a tile of linear power of shape (polarisations, rows, columns)."""
    return TileImage(
        id=name,
        db=power_to_db(power.astype(np.float32)),
        geobox=GeoBox(power.shape[1:], transform, "EPSG:32633"),
        acquisition=Acquisition(
            polarizations=polarizations,
            frequency_band=band,
            start_datetime=datetime(2024, 6, 1, tzinfo=UTC),
        ),
        radiometry=Radiometry(quantity=quantity, calibrated=calibrated),
    )


def coast(looks: float = 4.4, seed: int = 0, size: int = 192) -> tuple[TileImage, np.ndarray]:
    """Return a dual-polarised tile, water in its left third with one ship, and the water mask."""
    water = np.zeros((size, size), dtype=bool)
    water[:, : size // 3] = True
    vv = np.where(water, 10**-2.0, 10**-0.95)
    vh = np.where(water, 10**-2.7, 10**-1.6)
    for band, level in ((vv, 10**0.8), (vh, 10**-0.3)):
        band[size // 2 : size // 2 + 3, size // 6 - 6 : size // 6 + 6] = level
    power = np.stack([speckled(vv, looks, seed), speckled(vh, looks, seed + 1)])
    return make_tile(power, polarizations=("VV", "VH")), water
