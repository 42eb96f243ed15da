"""Pictures of the built-in sets: tiles of their corpora, or windows of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.sar.tile import TileImage

Window = tuple[int, int, int, int]
"""First row, first column, rows, columns."""


def corpus_folder(root: Path, kind: str, part: str) -> Path:
    """Return the folder of a corpus: its tiles are of one kind of image and one part."""
    return root / "corpora" / f"{kind}-{part}"


class Tiles:
    """Tiles of a corpus by identifier, without their pixels.

    Raises:
        CorpusError: There is no corpus, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog(folder)
        self.records = {record.id: record for record in self.catalog.records()}

    def picture(self, tile_id: str, window: Window | None = None) -> Picture:
        """Return a reader of a tile, or of a window of it."""
        record = self.records[tile_id]
        return Picture(self.catalog.tile_path(record), record, window)


@dataclass(frozen=True)
class Picture:
    """Reads a tile, or a window of it.

    Attributes:
        path: GeoTIFF.
        record: Of the tile.
        window: None for the whole.
    """

    path: Path
    record: TileRecord
    window: Window | None

    def __call__(self) -> TileImage:
        """Return the picture.

        Raises:
            ProductError: The file is absent or damaged.
        """
        record = self.record
        tile = TileImage.read(record.id, self.path, record.acquisition, record.radiometry)
        if self.window is None:
            return tile
        top, left, rows, columns = self.window
        part = slice(top, top + rows), slice(left, left + columns)
        return replace(
            tile,
            id=f"{tile.id}-r{top}-c{left}",
            db=np.ascontiguousarray(tile.db[:, *part]),
            geobox=tile.geobox[part],
        )


@dataclass(frozen=True)
class MaskAt:
    """Reads one mask of a file of many; 255 there is `UNLABELLED`.

    Attributes:
        path: `.npy` of uint8 (N, rows, columns).
        index: Which.
    """

    path: Path
    index: int

    def __call__(self) -> npt.NDArray[np.int64]:
        """Return the classes (rows, columns)."""
        codes = np.load(self.path, mmap_mode="r")[self.index].astype(np.int64)
        codes[codes == NO_CLASS] = -1
        return np.asarray(codes)


NO_CLASS = 255
"""Of a mask's file: no class."""
