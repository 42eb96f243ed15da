"""Reading pictures of data sets when they are asked for.

Readers are `functools.partial` objects of module-level functions: they hold a path, no pixels, and
travel to worker processes.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from sarknowlip.bench.datasets.published import Sheet
from sarknowlip.bench.datasets.windows import Window
from sarknowlip.bench.example import Reader
from sarknowlip.core.errors import ProductError
from sarknowlip.geo.raster import guarded
from sarknowlip.sar.chip import DARKEST, amplitude_db
from sarknowlip.sar.tile import TileImage

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
"""Endings of names, in small letters."""

Pixels = npt.NDArray[Any]


def listed(folder: Path, endings: tuple[str, ...] = PICTURES) -> list[Path]:
    """Return the files of a folder with one of these endings, sorted by name; none if absent."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in endings)


@contextlib.contextmanager
def unplaced() -> Iterator[None]:
    """Open rasters without a word about their having no place on the map."""
    with warnings.catch_warnings(), rasterio.Env():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def levels(path: Path) -> Pixels:
    """Return a picture as it lies on disk, grey: (rows, columns), or (bands, rows, columns).

    Colours become grey where they are equal, as in all pictures of radars saved as colour.

    Raises:
        ProductError: The file is absent or damaged.
    """
    with guarded(path):
        if path.suffix.lower() in (".tif", ".tiff"):
            with unplaced(), rasterio.open(path) as source:
                bands = source.read()
            return np.asarray(bands[0] if len(bands) == 1 else bands)
        with Image.open(path) as picture:
            grey = picture if picture.mode in ("L", "I;16") else picture.convert("L")
            return np.asarray(grey)


def indices(path: Path) -> Pixels:
    """Return a label picture's numbers, of a palette the indices: (rows, columns).

    Raises:
        ProductError: The file is absent or damaged.
    """
    if path.suffix.lower() in (".tif", ".tiff"):
        return levels(path)
    with guarded(path), Image.open(path) as picture:
        return np.asarray(picture if picture.mode in ("L", "P", "I;16") else picture.convert("L"))


def colours(path: Path) -> npt.NDArray[np.uint8]:
    """Return a picture's red, green and blue: (rows, columns, 3).

    Raises:
        ProductError: The file is absent or damaged.
    """
    with guarded(path), Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def size(path: Path) -> tuple[int, int]:
    """Return rows and columns from a picture's header.

    Raises:
        ProductError: The file is absent or damaged.
    """
    with guarded(path):
        if path.suffix.lower() in (".tif", ".tiff"):
            with unplaced(), rasterio.open(path) as source:
                return source.height, source.width
        with Image.open(path) as picture:
            return picture.height, picture.width


def decibels(values: Pixels) -> npt.NDArray[np.float32]:
    """Return decibels of amplitudes stored as integers: the largest integer is 0 dB.

    Of 8 bits as in `sar.chip.amplitude_db`; of more, 0 counts as half a step too.
    """
    if values.dtype == np.uint8:
        return amplitude_db(values)
    top = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1.0
    floor = DARKEST if values.dtype.kind in "iu" else np.finfo(np.float32).tiny
    held = np.maximum(values.astype(np.float64), floor)
    return np.asarray(20.0 * np.log10(held / top), dtype=np.float32)


def picture(sheet: Sheet, chip_id: str, *paths: Path) -> Reader:
    """Return a reader of amplitudes stored as integers, one file a polarisation."""
    return partial(read_picture, sheet, chip_id, paths)


def read_picture(sheet: Sheet, chip_id: str, paths: tuple[Path, ...]) -> TileImage:
    """Read amplitudes stored as integers, one file a polarisation.

    Raises:
        ProductError: A file is absent or damaged, or pictures differ in size.
    """
    bands = [levels(path) for path in paths]
    if len({band.shape for band in bands}) != 1 or bands[0].ndim != 2:
        shapes = ", ".join(str(band.shape) for band in bands)
        raise ProductError(f"{paths[0]}: pictures of {shapes}", "fetch the set again")
    return sheet.chip(chip_id, np.stack([decibels(band) for band in bands]))


def windowed(sheet: Sheet, chip_id: str, window: Window, *paths: Path) -> Reader:
    """Return a reader of a window of pictures, one file a polarisation."""
    return partial(_read_window, sheet, chip_id, window, paths)


def _read_window(sheet: Sheet, chip_id: str, window: Window, paths: tuple[Path, ...]) -> TileImage:
    bands = [window.of(kept(path)) for path in paths]
    return sheet.chip(chip_id, np.stack([decibels(band) for band in bands]))


@lru_cache(maxsize=8)
def kept(path: Path) -> Pixels:
    """Read a picture as `levels` does, and keep the last eight: windows come one after another."""
    found = levels(path)
    found.flags.writeable = False
    return found
