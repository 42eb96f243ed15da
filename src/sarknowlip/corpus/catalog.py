"""The catalog: `catalog.parquet` (stac-geoparquet) and where the tiles lie beside it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from stac_geoparquet.arrow import to_parquet

from sarknowlip.core.errors import CorpusError
from sarknowlip.core.files import replacing
from sarknowlip.corpus.record import SCHEMA, TileRecord
from sarknowlip.sar.tile import TileImage

CATALOG = "catalog.parquet"
MANIFEST = "manifest.json"
TILES = "tiles"
ANNOTATIONS = "annotations"
ROW_GROUP = 1024


class Catalog:
    """A corpus on disk, read-only.

    Args:
        root: Corpus folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / CATALOG
        if not self.path.is_file():
            raise CorpusError(
                f"no corpus at {root}: {CATALOG} is absent", "run `sarknowlip corpus build` first"
            )
        try:
            self._file = pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise CorpusError(f"cannot read {self.path}: {error}", "rebuild the corpus") from error

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield raw catalog rows in file order, a batch in memory at a time.

        Raises:
            CorpusError: The file is damaged.
        """
        try:
            for batch in self._file.iter_batches(batch_size=ROW_GROUP):
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise CorpusError(f"cannot read {self.path}: {error}", "rebuild the corpus") from error

    def records(self, split: str | None = None) -> Iterator[TileRecord]:
        """Yield tiles in file order, all or those of one split.

        Raises:
            CorpusError: A row does not hold what a tile must have.
        """
        for row in self.rows():
            if split is None or row.get("sarknowlip:split") == split:
                yield self._record(row)

    def identifiers(self) -> list[str]:
        """Return the identifiers of all tiles in file order.

        Raises:
            CorpusError: The file is damaged.
        """
        try:
            return list(self._file.read(columns=["id"])["id"].to_pylist())
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise CorpusError(f"cannot read {self.path}: {error}", "rebuild the corpus") from error

    def span(self, start: int, stop: int) -> list[TileRecord]:
        """Return tiles from row `start` up to `stop`, reading only the row groups that hold them.

        Raises:
            CorpusError: As `records`.
        """
        sizes = [
            self._file.metadata.row_group(k).num_rows for k in range(self._file.num_row_groups)
        ]
        ends = list(itertools.accumulate(sizes))
        groups = [k for k, end in enumerate(ends) if end > start and end - sizes[k] < stop]
        if not groups:
            return []
        first = ends[groups[0]] - sizes[groups[0]]
        try:
            rows = self._file.read_row_groups(groups).slice(start - first, stop - start).to_pylist()
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise CorpusError(f"cannot read {self.path}: {error}", "rebuild the corpus") from error
        return [self._record(row) for row in rows]

    def _record(self, row: dict[str, Any]) -> TileRecord:
        try:
            return TileRecord.from_row(row)
        except (ValidationError, KeyError, TypeError) as error:
            raise CorpusError(
                f"{self.path}: tile {row.get('id')} is invalid: {error}",
                "run `sarknowlip corpus validate`",
            ) from error

    def tile_path(self, record: TileRecord) -> Path:
        """Return where a tile's GeoTIFF lies."""
        return self.root / record.storage.href

    def image(self, record: TileRecord) -> TileImage:
        """Read a tile's pixels.

        Raises:
            ProductError: The file is absent or damaged.
        """
        return TileImage.read(
            record.id, self.tile_path(record), record.acquisition, record.radiometry
        )


def write_catalog(path: Path, records: Iterable[TileRecord]) -> None:
    """Write records, in the order given, as stac-geoparquet; a row group in memory at a time.

    Raises:
        StorageError: The file cannot be written.
    """
    reader = pa.RecordBatchReader.from_batches(SCHEMA, _batches(records))
    with replacing(path) as partial:
        to_parquet(reader, partial, compression="zstd")


def _batches(records: Iterable[TileRecord]) -> Iterator[pa.RecordBatch]:
    stream = iter(records)
    while rows := [record.row() for record in itertools.islice(stream, ROW_GROUP)]:
        for row in rows:
            for name in ("start_datetime", "end_datetime"):
                row[name] = datetime.fromisoformat(row[name].replace("Z", "+00:00"))
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
