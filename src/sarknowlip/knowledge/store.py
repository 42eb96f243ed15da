"""Evidence on disk: Parquet whose bytes depend on the facts alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sarknowlip.core.errors import CorpusError
from sarknowlip.knowledge.evidence import SCHEMA, Evidence

COMPRESSION = "zstd"


def evidence_table(evidence: Sequence[Evidence]) -> pa.Table:
    """Return facts as an Arrow table of `SCHEMA`, in the order given."""
    return pa.Table.from_pylist([fact.model_dump() for fact in evidence], schema=SCHEMA)


def read_evidence(path: Path) -> Iterator[Evidence]:
    """Yield stored facts in file order, a batch in memory at a time.

    Raises:
        CorpusError: The file is absent, damaged, or holds something else.
    """
    try:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(batch_size=4096, columns=SCHEMA.names):
            for row in batch.to_pylist():
                yield Evidence(**row)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(f"cannot read {path}: {error}", "annotate the corpus again") from error
