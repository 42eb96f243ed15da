"""Reading rasters in strips and writing tiles as cloud-optimised GeoTIFF.

Strips span the raster's full width, so that each compressed block is decoded once whatever the tile
size, and GDAL decodes the blocks of one strip on several threads. A block is not needed again, so
GDAL's block cache is kept small meanwhile: recycled memory is faster than fresh.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.env import get_gdal_config, set_gdal_config
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window

from sarknowlip.core.errors import ProductError

THREADS = "ALL_CPUS"
STRIP_BYTES = 32 * 2**20
"""Least amount read at once, so that starting and joining decoder threads costs little."""
CACHE_BYTES = 2 * STRIP_BYTES


@dataclass(frozen=True)
class StoredTile:
    """A tile raster as it lies on disk.

    Attributes:
        pixels: Stored integers, shape (bands, rows, columns), dtype uint16, 0 = no data.
        geobox: Grid.
        bands: Band names, for example ("VV", "VH").
        scale: Stored unit per step.
        offset: Value of stored integer 0.
        tags: Further GeoTIFF metadata items.
    """

    pixels: npt.NDArray[np.uint16]
    geobox: GeoBox
    bands: tuple[str, ...]
    scale: float
    offset: float
    tags: Mapping[str, str]


def iter_strips(
    path: Path, rows: int, *, threads: str | int = THREADS
) -> Iterator[tuple[int, npt.NDArray[np.generic]]]:
    """Read a raster from top to bottom in full-width strips.

    Args:
        path: Any raster GDAL opens.
        rows: Height of a strip; the last one may be lower.
        threads: GDAL's NUM_THREADS for decoding.

    Yields:
        The first row's index and an array of shape (bands, ≤ rows, columns) in the file's dtype.

    Raises:
        ProductError: The file cannot be opened or ends early.
    """
    with guarded(path), rasterio.open(path, num_threads=threads) as source:
        for row in range(0, source.height, rows):
            window = Window(0, row, source.width, min(rows, source.height - row))
            with _block_cache(CACHE_BYTES):
                strip = source.read(window=window)
            yield row, strip


def iter_tiles(
    path: Path, size: int, *, threads: str | int = THREADS
) -> Iterator[tuple[int, int, npt.NDArray[np.generic]]]:
    """Cut a raster into aligned windows of `size`² pixels, reading each block once.

    Yields:
        First row, first column, and a view of shape (bands, ≤ size, ≤ size).
    """
    with guarded(path), rasterio.open(path) as source:
        row_bytes = source.width * sum(np.dtype(kind).itemsize for kind in source.dtypes)
    rows = size * max(1, STRIP_BYTES // max(1, row_bytes * size))
    for first, strip in iter_strips(path, rows, threads=threads):
        for row in range(0, strip.shape[1], size):
            for column in range(0, strip.shape[2], size):
                yield first + row, column, strip[:, row : row + size, column : column + size]


def encode_tile(tile: StoredTile) -> bytes:
    """Return the tile as the bytes of a cloud-optimised GeoTIFF (zstd, horizontal predictor).

    Equal tiles give equal bytes. Scale and offset stand in the GeoTIFF's own per-band fields, so
    that any GDAL program shows decibels.
    """
    bands, height, width = tile.pixels.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="COG",
            height=height,
            width=width,
            count=bands,
            dtype="uint16",
            crs=str(tile.geobox.crs),
            transform=tile.geobox.affine,
            nodata=0,
            compress="ZSTD",
            level=9,
            predictor="STANDARD",
            blocksize=min(512, max(128, 16 * -(-max(height, width) // 16))),
            overviews="NONE",
        ) as target:
            target.write(tile.pixels)
            target.scales = (tile.scale,) * bands
            target.offsets = (tile.offset,) * bands
            target.units = ("dB",) * bands
            for index, name in enumerate(tile.bands, start=1):
                target.set_band_description(index, name)
            target.update_tags(**tile.tags)
        return bytes(memory.getbuffer())


def decode_tile(path: Path) -> StoredTile:
    """Read a tile written by `encode_tile`.

    Raises:
        ProductError: The file is absent, truncated, or not such a tile.
    """
    with guarded(path), rasterio.open(path) as source:
        pixels = source.read()
        if pixels.dtype != np.uint16:
            raise ProductError(f"{path} holds {pixels.dtype}, not uint16", "rebuild the corpus")
        return StoredTile(
            pixels=pixels,
            geobox=GeoBox(source.shape, source.transform, source.crs),
            bands=tuple(str(name) for name in source.descriptions),
            scale=float(source.scales[0]),
            offset=float(source.offsets[0]),
            tags=dict(source.tags()),
        )


@contextlib.contextmanager
def _block_cache(size: int) -> Iterator[None]:
    """Limit GDAL's block cache, bytes; `rasterio.Env` does not put it back when nested."""
    before = get_gdal_config("GDAL_CACHEMAX")
    set_gdal_config("GDAL_CACHEMAX", min(size, before))
    try:
        yield
    finally:
        set_gdal_config("GDAL_CACHEMAX", before)


class guarded:  # noqa: N801 - reads as a statement
    """Context manager: turn GDAL's errors about one file into a `ProductError` that names it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (RasterioError, OSError)):
            raise ProductError(
                f"cannot read {self.path}: {error.__cause__ or error}",
                "the file is damaged or not a raster; fetch it again",
            ) from error
