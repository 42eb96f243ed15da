"""Reading shards: rows by their number, in any order, from memory maps.

What is read of an image first in a process is checked against its CRC-32; a file of texts is
checked whole when it is first opened. Files must not be cut while they are mapped: no reader of a
memory map survives that; `sarknowlip corpus shards` moves new files into place instead.
"""

from __future__ import annotations

import json
import math
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from sarknowlip.annotate.store import annotation_folder
from sarknowlip.core.errors import CorpusError
from sarknowlip.data.captions import Captions
from sarknowlip.data.shard_texts import ToldBatch
from sarknowlip.data.shards import (
    IMAGE_SCHEMA,
    IMAGES,
    MANIFEST,
    RECORD,
    SHARDS,
    TEXT_SCHEMA,
    file_crc32,
    read_manifest,
    record_crc32,
    sources_of,
)
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.scaling import Encoding
from sarknowlip.sar.tile import CodedTile, Codes

REMEDY = "run `sarknowlip corpus shards` again, or delete the folder of shards"
Pixels = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class ShardTile:
    """What is known of a tile's pixels; acquisitions and radiometries are shared between tiles.

    Attributes:
        id: Tile.
        split: Part of the corpus.
        crs: Code or WKT2 of the map grid.
        transform: Affine transform a, b, c, d, e, f.
        shape: Polarisations, rows, columns.
        encoding: Of the pixels.
        acquisition: How and when the radar looked.
        radiometry: Quantity and calibration.
        crc32: Of the pixels.
    """

    id: str
    split: str
    crs: str
    transform: tuple[float, ...]
    shape: tuple[int, int, int]
    encoding: Encoding
    acquisition: Acquisition
    radiometry: Radiometry
    crc32: int


class _Rows:
    """Record batches of a folder of shards, mapped when asked for; a copy maps anew."""

    def __init__(self, folder: Path, schema: pa.Schema, *, checked: bool) -> None:
        self.folder, self.checked = folder, checked
        self._schema = schema
        manifest = read_manifest(folder)
        if not manifest.complete:
            raise CorpusError(f"the shards in {folder} are unfinished", REMEDY)
        self.sources = manifest.sources
        self._entries = list(manifest.shards.items())
        self.ends = list(accumulate(entry.rows for _, entry in self._entries))
        for name, entry in self._entries:
            path = folder / name
            size = path.stat().st_size if path.is_file() else None
            if size != entry.bytes:
                found = "absent" if size is None else f"{size} bytes instead of {entry.bytes}"
                raise CorpusError(f"{path} is damaged: {found}", REMEDY)
        self._maps: dict[int, list[pa.RecordBatch]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_maps": {}}

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def file_of(self, row: int) -> tuple[int, int]:
        """Return the number of the file that holds a row, and its first row."""
        number = bisect_right(self.ends, row)
        return number, self.ends[number - 1] if number else 0

    def path(self, number: int) -> Path:
        return self.folder / self._entries[number][0]

    def batches(self, number: int) -> list[pa.RecordBatch]:
        """Return the record batches of a file.

        Raises:
            CorpusError: The file is damaged.
        """
        if number not in self._maps:
            name, entry = self._entries[number]
            path = self.folder / name
            try:
                if self.checked and file_crc32(path) != entry.crc32:
                    raise ValueError("its checksum differs")
                reader = pa.ipc.open_file(pa.memory_map(str(path)))
                if not reader.schema.equals(self._schema, check_metadata=True):
                    raise ValueError("it holds other columns")
                found = [reader.get_batch(k) for k in range(reader.num_record_batches)]
                for batch in found:
                    batch.validate(full=True)
                rows = sum(len(batch) for batch in found)
                if rows != entry.rows:
                    raise ValueError(f"it holds {rows} rows, not {entry.rows}")
            except (pa.ArrowException, OSError, ValueError, TypeError) as error:
                raise CorpusError(f"{path} is damaged: {error}", REMEDY) from error
            self._maps[number] = found
        return self._maps[number]


class Shards:
    """Images and texts of a corpus by row, in the order of the catalog.

    Args:
        root: Corpus folder.
        version: Of the annotations, "v0001".

    Raises:
        CorpusError: Shards are absent, damaged, unfinished, or made from another corpus.
    """

    def __init__(self, root: Path, version: str) -> None:
        folder = root / SHARDS
        self._images = _Rows(folder / IMAGES, IMAGE_SCHEMA, checked=False)
        self._texts = _Rows(folder / version, TEXT_SCHEMA, checked=True)
        wanted = sources_of(root, annotation_folder(root, version))
        if not self._images.sources.items() <= wanted.items() or self._texts.sources != wanted:
            raise CorpusError(f"{folder} was made from another state of the corpus", REMEDY)
        self.tiles = [
            self._tile(number, row)
            for number in range(len(self._images.ends))
            for batch in self._images.batches(number)
            for row in batch.select([*RECORD, "record_crc32", "pixels_crc32"]).to_pylist()
        ]
        self.told: list[int] = [
            count
            for number in range(len(self._texts.ends))
            for batch in self._texts.batches(number)
            for count in batch.column("sentences").to_pylist()
        ]
        self._reset()

    @classmethod
    def find(cls, root: Path, version: str) -> Shards | None:
        """Return the shards of a version; None if none were built.

        Raises:
            CorpusError: They are damaged, unfinished, or made from another corpus.
        """
        folder = root / SHARDS
        there = all((folder / part / MANIFEST).is_file() for part in (IMAGES, version))
        return cls(root, version) if there else None

    def __len__(self) -> int:
        return len(self.tiles)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_views": [], "_boxes": [], "_told": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._reset()

    def pixels(self, row: int) -> Pixels:
        """Return stored integers, shape (polarisations, rows, columns): a read-only memory map.

        Raises:
            CorpusError: They are damaged.
        """
        return self._flat(row).reshape(self.tiles[row].shape)

    def stack(self, rows: Sequence[int] | npt.NDArray[np.integer[Any]]) -> Pixels:
        """Return stored integers of tiles of one shape, (B, polarisations, rows, columns).

        Raises:
            CorpusError: They are damaged.
            ValueError: Shapes differ, or there are no rows.
        """
        numbers: list[int] = np.asarray(rows).tolist()
        shape = self._shape
        if shape is None:
            (shape,) = {self.tiles[row].shape for row in numbers}
        out = np.empty((len(numbers), math.prod(shape)), dtype=np.uint16)
        views = self._views
        for place, row in enumerate(numbers):
            view = views[row]
            out[place] = self._flat(row) if view is None else view
        return out.reshape(-1, *shape)

    def image(self, row: int) -> CodedTile:
        """Return a tile; its decibels are decoded when asked for.

        Raises:
            CorpusError: It is damaged.
        """
        tile = self.tiles[row]
        box = self._boxes[row]
        if box is None:
            box = GeoBox(tile.shape[1:], Affine(*tile.transform), _crs(tile.crs))
            self._boxes[row] = box
        return CodedTile(
            tile.id,
            Codes(self.pixels(row), tile.encoding),
            box,
            acquisition=tile.acquisition,
            radiometry=tile.radiometry,
        )

    def captions(self, row: int, *, asked: bool = False) -> Captions:
        """Return what a tile can be called, and what can be asked about it if `asked`.

        Raises:
            CorpusError: The file is damaged.
        """
        number, first = self._texts.file_of(row)
        if number not in self._told:
            self._told[number] = [ToldBatch(batch) for batch in self._texts.batches(number)]
        place = row - first
        for batch in self._told[number]:
            if place < len(batch):
                return batch.captions(place, asked=asked)
            place -= len(batch)
        raise IndexError(row)

    def _reset(self) -> None:
        """Map nothing yet."""
        self._views: list[Pixels | None] = [None] * len(self.tiles)
        self._boxes: list[GeoBox | None] = [None] * len(self.tiles)
        self._told: dict[int, list[ToldBatch]] = {}
        shapes = {tile.shape for tile in self.tiles}
        self._shape = shapes.pop() if len(shapes) == 1 else None

    def _flat(self, row: int) -> Pixels:
        view = self._views[row]
        if view is None:
            view = self._views[row] = self._read(row)
        return view

    def _read(self, row: int) -> Pixels:
        """Return the checked pixels of a tile in one dimension."""
        number, first = self._images.file_of(row)
        place = row - first
        batches = self._images.batches(number)
        batch = next(b for b in batches if (place := place - len(b)) < 0)
        column = batch.column("pixels")
        start, stop = (column.offsets[len(batch) + place + k].as_py() for k in (0, 1))
        values: Pixels = column.values.to_numpy(zero_copy_only=True)[start:stop]
        tile = self.tiles[row]
        if values.size != math.prod(tile.shape) or zlib.crc32(values.data) != tile.crc32:
            path = self._images.path(number)
            raise CorpusError(f"{path} is damaged: pixels of tile {tile.id}", REMEDY)
        return values

    def _tile(self, number: int, row: dict[str, Any]) -> ShardTile:
        if record_crc32(row) != row["record_crc32"]:
            path = self._images.path(number)
            raise CorpusError(f"{path} is damaged: record of tile {row['id']}", REMEDY)
        return ShardTile(
            row["id"],
            row["split"],
            row["crs"],
            tuple(row["transform"]),
            (len(row["polarizations"]), row["rows"], row["columns"]),
            Encoding(row["scale"], row["offset"]),
            _acquisition(row["acquisition"]),
            _radiometry(row["radiometry"]),
            row["pixels_crc32"],
        )


@lru_cache(maxsize=64)
def _crs(text: str) -> CRS:
    return CRS(text)


@lru_cache(maxsize=4096)
def _acquisition(text: str) -> Acquisition:
    return Acquisition(**json.loads(text))


@lru_cache(maxsize=64)
def _radiometry(text: str) -> Radiometry:
    return Radiometry(**json.loads(text))
