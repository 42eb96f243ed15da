"""Land cover and heights of a world as GeoTIFF, a block in memory at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.features
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.windows import Window

from sarknowlip.core.errors import StorageError
from sarknowlip.core.files import replacing, write_bytes
from sarknowlip.core.progress import Progress
from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.layers import World, surfaces

BLOCK = 256
"""Edge of a block, pixels."""
BUILT_UP = 50
"""Code of ESA WorldCover for everything that is built."""


@dataclass(frozen=True)
class _Grid:
    """North-up pixels that cover a world, edges at multiples of the pixel."""

    affine: Affine
    rows: int
    columns: int

    @classmethod
    def over(cls, bounds: Bounds, gsd_m: float) -> _Grid:
        west = np.floor(bounds.west / gsd_m) * gsd_m
        north = np.ceil(bounds.north / gsd_m) * gsd_m
        columns = int(np.ceil((bounds.east - west) / gsd_m))
        rows = int(np.ceil((north - bounds.south) / gsd_m))
        return cls(Affine(gsd_m, 0.0, float(west), 0.0, -gsd_m, float(north)), rows, columns)

    def blocks(self) -> list[Window]:
        return [
            Window(x, y, min(BLOCK, self.columns - x), min(BLOCK, self.rows - y))
            for y in range(0, self.rows, BLOCK)
            for x in range(0, self.columns, BLOCK)
        ]

    def of(self, window: Window) -> tuple[Affine, tuple[int, int]]:
        """Return transform and shape of a block."""
        corner = self.affine * Affine.translation(window.col_off, window.row_off)
        return corner, (window.height, window.width)


def landcover_codes() -> npt.NDArray[np.uint8]:
    """Return codes of ESA WorldCover v200 by surface id; 0 for nothing."""
    return np.array([0, *(surface.landcover for surface in surfaces())], dtype=np.uint8)


def write_landcover(world: World, path: Path, gsd_m: float, tell: Progress) -> None:
    """Write codes of what is on top at pixel centres, uint8; 0 where there is nothing.

    Raises:
        StorageError: The file cannot be written; nothing is left.
    """
    codes = landcover_codes()

    def block(affine: Affine, shape: tuple[int, int]) -> npt.NDArray[Any]:
        found = world.layers(_bounds_of(affine, shape))
        painted = zip(found.regions.geometry, codes[found.regions.surface].tolist(), strict=True)
        shapes = [*painted, *((footprint, BUILT_UP) for footprint in found.buildings.geometry)]
        if not shapes:
            return np.zeros(shape, dtype=np.uint8)
        image = rasterio.features.rasterize(shapes, shape, transform=affine, dtype="uint8")
        return np.asarray(image)

    profile = {"dtype": "uint8", "nodata": 0, "crs": world.frame.crs.to_wkt(), "predictor": 1}
    _write_raster(path, _Grid.over(world.bounds, gsd_m), profile, block, tell)


def write_dem(world: World, path: Path, gsd_m: float, tell: Progress) -> None:
    """Write heights at pixel centres above the WGS 84 ellipsoid, metres, float32.

    GeoTIFF cannot say that heights over a map grid are ellipsoidal, so the three-dimensional CRS
    stands in GDAL's sidecar, PATH.aux.xml, which any GDAL program reads with the raster.

    Raises:
        StorageError: The file cannot be written; nothing is left.
    """

    def block(affine: Affine, shape: tuple[int, int]) -> npt.NDArray[Any]:
        x = affine.c + affine.a * (np.arange(shape[1]) + 0.5)
        y = affine.f + affine.e * (np.arange(shape[0]) + 0.5)
        return world.height(*np.meshgrid(x, y)).astype(np.float32)

    crs = world.frame.crs
    sidecar = (
        f'<PAMDataset>\n  <SRS dataAxisToSRSAxisMapping="1,2,3">{escape(crs.to_3d().to_wkt())}'
    )
    write_bytes(
        path.with_name(f"{path.name}.aux.xml"), f"{sidecar}</SRS>\n</PAMDataset>\n".encode()
    )
    profile = {"dtype": "float32", "nodata": None, "crs": crs.to_wkt(), "predictor": 3}
    _write_raster(path, _Grid.over(world.bounds, gsd_m), profile, block, tell)


def _write_raster(
    path: Path,
    grid: _Grid,
    profile: dict[str, Any],
    block: Callable[[Affine, tuple[int, int]], npt.NDArray[Any]],
    tell: Progress,
) -> None:
    windows = grid.blocks()
    with replacing(path) as partial:
        with rasterio.open(
            partial,
            "w",
            driver="GTiff",
            height=grid.rows,
            width=grid.columns,
            count=1,
            transform=grid.affine,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            compress="zstd",
            bigtiff="if_safer",
            **profile,
        ) as target:
            for number, window in enumerate(windows, start=1):
                target.write(block(*grid.of(window)), 1, window=window)
                tell(number, len(windows), path.name)
        _reread(partial, path)


def _reread(partial: Path, path: Path) -> None:
    """Read a raster once: on a full disk GDAL may fail when it closes a file, and not tell."""
    try:
        with rasterio.open(partial) as source:
            for _, window in source.block_windows(1):
                source.read(1, window=window)
    except RasterioError as error:
        raise StorageError(
            f"{path} was not written whole: {error}", "free space and run again"
        ) from error


def _bounds_of(affine: Affine, shape: tuple[int, int]) -> Bounds:
    east, south = affine.c + affine.a * shape[1], affine.f + affine.e * shape[0]
    return Bounds(affine.c, south, east, affine.f)
