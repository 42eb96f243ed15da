"""Small georeferenced radar rasters for tests: gamma speckle over a known layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

UTM_10M = Affine(10, 0, 500_000, 0, -10, 4_700_000)


def make_geotiff(
    path: Path,
    *,
    seed: int = 0,
    shape: tuple[int, int] = (200, 220),
    bands: tuple[str, ...] = ("VV", "VH"),
    crs: str | None = "EPSG:32633",
    transform: Affine | None = UTM_10M,
    units: str = "db",
    dtype: str = "float32",
    fill: float | None = None,
    nodata: float | None = None,
    nodata_columns: int = 0,
    describe: bool = True,
) -> Path:
    """Write a raster: land at −9 dB, a water rectangle at −20 dB, 4-look gamma speckle.

    Args:
        path: Target.
        seed: Speckle.
        shape: Rows, columns.
        bands: Band descriptions.
        crs: Coordinate reference system, or None.
        transform: Affine transform, or None.
        units: "db", "power" or "amplitude".
        dtype: Pixel type.
        fill: One value for all pixels instead of a picture.
        nodata: Declared no-data value.
        nodata_columns: How many left columns hold no data.
        describe: Whether bands carry their names.
    """
    rng = np.random.default_rng(seed)
    mean = np.full(shape, 10 ** (-0.9))
    mean[shape[0] // 4 : shape[0] // 2, shape[1] // 3 : shape[1] // 2] = 0.01
    power = np.stack([mean * rng.gamma(4, 0.25, shape) / 5.0**k for k in range(len(bands))])
    values = {"db": 10 * np.log10(power), "power": power, "amplitude": 1000 * np.sqrt(power)}[units]
    if fill is not None:
        values = np.full_like(values, fill)
    if nodata_columns:
        values[:, :, :nodata_columns] = np.nan if nodata is None else nodata
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=shape[0],
        width=shape[1],
        count=len(bands),
        dtype=dtype,
        crs=crs,
        transform=transform,
        nodata=nodata,
    ) as target:
        target.write(values.astype(dtype))
        if describe:
            for index, name in enumerate(bands, start=1):
                target.set_band_description(index, name)
    return path
