"""Rasters of classes on the grids of tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.warp import reproject

from sarknowlip.geo.raster import guarded

Codes = npt.NDArray[np.uint8]


class Raster:
    """Classes on a map, read once.

    Args:
        path: GeoTIFF, 0 where there is no class.

    Raises:
        ProductError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        with guarded(path), rasterio.open(path) as source:
            self._codes = source.read(1)
            self._metres, self._crs = source.transform, source.crs

    def over(self, geobox: GeoBox) -> Codes:
        """Return the class at each pixel of a grid, 0 beyond the raster; the nearest is taken."""
        found = np.zeros(geobox.shape, dtype=np.uint8)
        reproject(
            self._codes,
            found,
            src_transform=self._metres,
            src_crs=self._crs,
            dst_transform=geobox.affine,
            dst_crs=str(geobox.crs),
            src_nodata=0,
            dst_nodata=0,
            resampling=Resampling.nearest,
        )
        return found


def shares(codes: Codes) -> dict[int, float]:
    """Return the share of each class among pixels that have one."""
    counts = np.bincount(codes.ravel(), minlength=1)
    counts[0] = 0
    total = counts.sum()
    return {int(code): float(counts[code] / total) for code in np.flatnonzero(counts)}
