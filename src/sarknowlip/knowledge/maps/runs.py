"""Rows sorted by a key on disk: runs that fit in memory, then all of them merged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

_BATCH = 1024


class SortedRows:
    """Takes rows in pieces and gives them back in the order of their keys.

    In memory are the piece at hand and, of every row, its key (twice 8 bytes as they are merged).
    Rows with equal keys keep their order.

    Args:
        folder: An empty folder for the runs; who made it deletes it.
        schema: Columns of the rows.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema = folder, schema
        self._keys: list[npt.NDArray[np.int64]] = []

    def put(self, rows: pa.Table, keys: npt.NDArray[np.int64]) -> None:
        """Add rows with their keys, shape (n,).

        Raises:
            OSError: The run cannot be written.
        """
        if not len(keys):
            return
        order = np.argsort(keys, kind="stable")
        ordered = rows.take(pa.array(order)).combine_chunks()
        path = self._run(len(self._keys))
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, self._schema) as writer:
            writer.write_table(ordered, max_chunksize=_BATCH)
        self._keys.append(keys[order])

    def tables(self, rows: int) -> Iterator[pa.Table]:
        """Yield all rows in order, so many at a time.

        Raises:
            OSError: A run cannot be read.
        """
        starts = np.cumsum([0, *map(len, self._keys)])
        if len(starts) == 1:
            return
        order = np.argsort(np.concatenate(self._keys), kind="stable")
        for first in range(0, len(order), rows):
            wanted = order[first : first + rows]
            ascending = np.sort(wanted)
            run = np.searchsorted(starts, ascending, side="right") - 1
            parts = []
            for number in np.unique(run).tolist():  # of a run the next rows, without gaps
                own = ascending[run == number] - starts[number]
                parts.append(self._slice(number, int(own[0]), len(own)))
            yield pa.concat_tables(parts).take(pa.array(np.searchsorted(ascending, wanted)))

    def _slice(self, run: int, start: int, count: int) -> pa.Table:
        with pa.OSFile(str(self._run(run))) as file:
            reader = pa.ipc.open_file(file)
            first, last = start // _BATCH, (start + count - 1) // _BATCH
            batches = [reader.get_batch(number) for number in range(first, last + 1)]
        return pa.Table.from_batches(batches).slice(start - first * _BATCH, count)

    def _run(self, number: int) -> Path:
        return self._folder / f"{number:06d}.arrow"
