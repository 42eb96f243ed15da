"""Scores on disk by the identifier of a text, in parts that appear whole and are never changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.files import replacing
from sarknowlip.train.rounds.signals.signal import Scores


class ScoreCache:
    """Columns of numbers by text. One process may write at a time.

    Args:
        folder: Holds the scores of one signal with one key, and nothing else.
        columns: Names of the numbers.

    Raises:
        SarKnowlipError: A part is damaged or of other columns.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self._folder = folder
        self._schema = pa.schema(
            [("text_id", pa.string()), *((name, pa.float64()) for name in columns)]
        )
        self._parts = [self._read(path) for path in sorted(folder.glob("part-*.parquet"))]
        self._table = self._joined()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def places(self, text_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the row of each text, −1 where it has none."""
        found = pa.compute.index_in(
            pa.array(text_ids, pa.string()), value_set=self._table["text_id"].combine_chunks()
        )
        rows: npt.NDArray[np.int64] = found.fill_null(-1).to_numpy().astype(np.int64)
        return rows

    def scores(self, text_ids: Sequence[str]) -> Scores:
        """Return the numbers of texts, (N, columns), NaN where they are NaN or unknown."""
        rows = self.places(text_ids)
        columns = [self._table[name].to_numpy() for name in self._schema.names[1:]]
        held = np.stack(columns, axis=1)
        found = np.full((len(rows), held.shape[1]), np.nan)
        found[rows >= 0] = held[rows[rows >= 0]]
        return found

    def add(self, text_ids: Sequence[str], scores: Scores) -> None:
        """Keep the numbers of texts that have none yet.

        Raises:
            StorageError: The part cannot be written.
        """
        columns = [pa.array(text_ids, pa.string()), *(pa.array(column) for column in scores.T)]
        part = pa.table(columns, schema=self._schema)
        with replacing(self._folder / f"part-{len(self._parts):06d}.parquet") as partial:
            pq.write_table(part, partial)
        self._parts.append(part)
        self._table = self._joined()

    def _joined(self) -> pa.Table:
        return pa.concat_tables([self._schema.empty_table(), *self._parts])

    def _read(self, path: Path) -> pa.Table:
        try:
            return pq.read_table(path).cast(self._schema)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SarKnowlipError(
                f"cannot read {path}: {error}", "delete it and run again"
            ) from error
