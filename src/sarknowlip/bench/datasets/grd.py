"""Sentinel-1 GRD pictures on a map grid, in decibels of σ⁰, whole or by windows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.windows import Window as RasterWindow

from sarknowlip.bench.datasets.pictures import unplaced
from sarknowlip.bench.datasets.published import Sheet
from sarknowlip.bench.datasets.windows import Window
from sarknowlip.bench.example import Reader
from sarknowlip.core.errors import ProductError
from sarknowlip.geo.raster import guarded
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.tile import TileImage

SIGMA0 = Radiometry(quantity="sigma0", calibrated=True)


def grd_reader(sheet: Sheet, chip_id: str, path: Path, window: Window | None = None) -> Reader:
    """Return a reader of a GeoTIFF whose bands are the card's polarisations, or of a window."""
    return partial(_read, sheet, chip_id, path, window)


def _read(sheet: Sheet, chip_id: str, path: Path, window: Window | None) -> TileImage:
    with guarded(path), unplaced(), rasterio.open(path) as source:
        whole = Window(0, 0, source.height, source.width)
        used = window or whole
        area = RasterWindow(used.left, used.top, used.columns, used.rows)
        db = source.read(window=area).astype(np.float32)
        crs, transform = source.crs, source.window_transform(area)
    if len(db) != len(sheet.polarizations):
        raise ProductError(
            f"{path} has {len(db)} bands, not {', '.join(sheet.polarizations)}", "fetch it again"
        )
    db[~np.isfinite(db)] = np.nan
    if crs is None:
        return sheet.chip(chip_id, db, SIGMA0)
    acquisition = Acquisition(
        platform="sentinel-1",
        instrument_mode="IW",
        product_type="GRD",
        polarizations=sheet.polarizations,
        frequency_band=sheet.frequency_band,
    )
    return TileImage(chip_id, db, GeoBox(db.shape[1:], transform, crs), acquisition, SIGMA0)
