"""Make small elevation rasters (GeoTIFF, metres) from a formula.

python tests/data/elevation/make.py OUT.tif
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

Floats = npt.NDArray[np.float64]


def make_dem(
    path: Path,
    grid: GeoBox,
    height: Callable[[Floats, Floats], Any] | float,
    *,
    step: float = 10.0,
    margin: float = 200.0,
    crs: str | None = None,
) -> Path:
    """Write an elevation raster that reaches beyond a grid, and return its path.

    Args:
        path: File to write.
        grid: Map grid to cover.
        height: Metres, as a function of map coordinates or one number.
        step: Pixel size, units of the CRS.
        margin: How far to reach beyond the grid, units of the CRS.
        crs: CRS to state; None for the grid's own. Must share its horizontal coordinates.
    """
    west, south, east, north = grid.extent.boundingbox
    affine = Affine(step, 0, west - margin, 0, -step, north + margin)
    shape = int((north - south + 2 * margin) / step), int((east - west + 2 * margin) / step)
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    values = height(*(affine * (columns, rows))) if callable(height) else height
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1, dtype="float32",
        crs=crs or str(grid.crs), transform=affine, nodata=-9999.0,
    ) as target:  # fmt: skip
        target.write(np.broadcast_to(values, shape).astype(np.float32), 1)
    return path


if __name__ == "__main__":
    rome = GeoBox((100, 100), Affine(10, 0, 290_000, 0, -10, 4_641_000), "EPSG:32633")
    print(make_dem(Path(sys.argv[1]), rome, lambda x, y: 95.0 + (x - 290_500) / 50.0))
