"""Rasters that grow tile by tile on disk and go on after a kill.

The pixels are one `.npy` file, mapped into memory; finished tiles are lines of a journal. A tile's
pixels are flushed before its line is written, so a line is a promise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sarknowlip.core.errors import SarKnowlipError, StorageError
from sarknowlip.core.files import TEMPORARY, read_json, read_json_lines, write_bytes, write_json

_PIXELS = "raster.npy"
_ABOUT = "raster.json"
_JOURNAL = "tiles.jsonl"
_PIECE = 1 << 24


@dataclass(frozen=True)
class Raster:
    """Image channels on disk.

    Attributes:
        folder: Where they lie.
        channels: Names, "VV" or "C12_real", in order.
        shape: Rows and columns.
    """

    folder: Path
    channels: tuple[str, ...]
    shape: tuple[int, int]

    @classmethod
    def open(cls, folder: Path) -> Raster:
        """Open a raster that was made before, whole or not.

        Raises:
            SarKnowlipError: There is none, or its description is damaged.
        """
        about = read_json(folder / _ABOUT, "render the image again")
        return cls(folder, tuple(about["channels"]), tuple(about["shape"]))

    @classmethod
    def create(
        cls,
        folder: Path,
        channels: tuple[str, ...],
        shape: tuple[int, int],
        dtype: npt.DTypeLike,
        recipe: str,
    ) -> Raster:
        """Make an empty raster, or open the one of the same recipe that is there.

        Raises:
            SarKnowlipError: The folder holds a raster of another recipe.
            StorageError: The folder cannot be written, or the disk is too small.
        """
        about = {"channels": list(channels), "shape": list(shape), "recipe": recipe}
        raster = cls(folder, channels, shape)
        if (folder / _ABOUT).exists():
            if read_json(folder / _ABOUT, "delete the folder") != about:
                raise SarKnowlipError(
                    f"{folder} holds an image of another recipe", "choose another folder"
                )
            return raster
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f"{TEMPORARY}{_PIXELS}"
            pixels = np.lib.format.open_memmap(
                partial, mode="w+", dtype=dtype, shape=(len(channels), *shape)
            )
            del pixels
            _reserve(partial)
            partial.replace(folder / _PIXELS)
        except OSError as error:
            raise StorageError(f"cannot write {folder}: {error.strerror}", "free space") from error
        write_json(folder / _ABOUT, about)
        return raster

    def read(
        self, channel: int | str, rows: slice = slice(None), columns: slice = slice(None)
    ) -> npt.NDArray[Any]:
        """Return a window of one channel, complex64 or float32; only that is read.

        Args:
            channel: Index or name.
            rows: Any slice of rows.
            columns: Any slice of columns.
        """
        index = self.channels.index(channel) if isinstance(channel, str) else channel
        return np.array(self._map("r")[index, rows, columns])

    def pixels(self) -> npt.NDArray[Any]:
        """Return all channels as an array that is mapped from the file, read-only."""
        return self._map("r")

    def write(self, row: int, column: int, values: npt.NDArray[Any]) -> None:
        """Write a window of all channels, shape (channels, rows, columns), through to the disk."""
        pixels = self._map("r+")
        pixels[:, row : row + values.shape[1], column : column + values.shape[2]] = values
        pixels.flush()

    def finished(self) -> set[int]:
        """Return the numbers of finished tiles; a line that a kill cut off is dropped."""
        path = self.folder / _JOURNAL
        if not path.exists():
            return set()
        numbers = set(read_json_lines(path))
        write_bytes(path, "".join(f"{json.dumps(n)}\n" for n in sorted(numbers)).encode())
        return numbers

    def finish(self, numbers: Iterable[int]) -> None:
        """Note tiles as finished, durably."""
        with (self.folder / _JOURNAL).open("a", encoding="utf-8") as journal:
            journal.writelines(f"{json.dumps(n)}\n" for n in numbers)
            journal.flush()
            os.fsync(journal.fileno())

    def _map(self, mode: Literal["r", "r+"]) -> np.memmap[Any, Any]:
        try:
            return np.lib.format.open_memmap(self.folder / _PIXELS, mode=mode)
        except (OSError, ValueError) as error:
            raise SarKnowlipError(
                f"cannot read {self.folder / _PIXELS}: {error}", "render the image again"
            ) from error


def _reserve(path: Path) -> None:
    """Take the disk space of a file now: writing to a mapped hole on a full disk is a SIGBUS.

    Raises:
        OSError: The disk is too small.
    """
    size = path.stat().st_size
    with path.open("rb+") as handle:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle.fileno(), 0, size)
            return
        # macOS and Windows have no such call: write what the file holds, nearly all zeros.
        for start in range(0, size, _PIECE):
            handle.seek(start)
            piece = handle.read(_PIECE)
            handle.seek(start)
            handle.write(piece)
