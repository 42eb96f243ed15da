"""Evidence on disk: Parquet whose bytes depend on the facts alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from sarknowlip.core.errors import CorpusError
from sarknowlip.knowledge.evidence import SCHEMA, Evidence

COMPRESSION = "zstd"

Row = TypeVar("Row")


def evidence_table(evidence: Sequence[Evidence]) -> pa.Table:
    """Return facts as an Arrow table of `SCHEMA`, in the order given."""
    return pa.Table.from_pylist([fact.model_dump() for fact in evidence], schema=SCHEMA)


def read_rows(
    path: Path, schema: pa.Schema, make: Callable[[dict[str, Any]], Row]
) -> Iterator[Row]:
    """Yield the rows of a Parquet file in file order, a batch in memory at a time.

    Args:
        path: File.
        schema: Columns that are read.
        make: Turns a row into what is yielded.

    Raises:
        CorpusError: The file is absent, damaged, or holds something else.
    """
    try:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(batch_size=4096, columns=schema.names):
            for row in batch.to_pylist():
                yield make(row)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(f"cannot read {path}: {error}", "annotate the corpus again") from error


def read_evidence(path: Path) -> Iterator[Evidence]:
    """Yield stored facts in file order; see `read_rows`."""
    return read_rows(path, SCHEMA, lambda row: Evidence(**row))
