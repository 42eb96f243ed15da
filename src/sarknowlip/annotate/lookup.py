"""Rows of a few tiles out of an annotation's tables, without reading the rest.

A table is written tile after tile, so that the statistics of its row groups let a reader skip what
is about other tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.store import (
    CLAIM_SCHEMA,
    CLAIMS,
    EVIDENCE,
    TEXT_SCHEMA,
    TEXTS,
    claim_of,
)
from sarknowlip.core.errors import CorpusError
from sarknowlip.knowledge.evidence import SCHEMA as EVIDENCE_SCHEMA
from sarknowlip.knowledge.evidence import Evidence

Item = Evidence | Claim | Text
_KINDS: dict[str, tuple[pa.Schema, Callable[[dict[str, Any]], Item]]] = {
    EVIDENCE: (EVIDENCE_SCHEMA, lambda row: Evidence(**row)),
    CLAIMS: (CLAIM_SCHEMA, claim_of),
    TEXTS: (TEXT_SCHEMA, lambda row: Text(**row)),
}


@dataclass
class Stored:
    """What a version holds about one tile, in file order."""

    evidence: list[Evidence]
    claims: list[Claim]
    texts: list[Text]

    def add(self, item: Item) -> None:
        """Take an item in."""
        if isinstance(item, Evidence):
            self.evidence.append(item)
        elif isinstance(item, Claim):
            self.claims.append(item)
        else:
            self.texts.append(item)


def stored(
    folder: Path, tile_ids: Collection[str], *, tables: Collection[str] = tuple(_KINDS)
) -> dict[str, Stored]:
    """Return what a version holds about some tiles, by tile.

    Args:
        folder: The version.
        tile_ids: Tiles; one that the version does not know has nothing.
        tables: File names of the tables that are read.

    Raises:
        CorpusError: A file is absent, damaged, or holds something else.
    """
    found = {tile_id: Stored([], [], []) for tile_id in tile_ids}
    wanted = _about(tile_ids)
    for name in tables:
        for item in _items(folder / name, wanted):
            found[item.tile_id].add(item)
    return found


def rows_of(path: Path, tile_ids: Collection[str]) -> pa.Table:
    """Return the rows of a version's table that are about some tiles, as they are.

    Raises:
        CorpusError: The file is absent, damaged, or holds something else.
    """
    schema, _ = _KINDS[path.name]
    return pa.Table.from_batches(_batches(path, schema.names, _about(tile_ids)), schema)


def strays(folder: Path, tile_ids: Collection[str]) -> Iterator[Item]:
    """Yield what a version holds about tiles other than these, a batch in memory at a time.

    Raises:
        CorpusError: A file is absent, damaged, or holds something else.
    """
    known = pa.compute.field("tile_id").isin(list(tile_ids))
    for name in _KINDS:
        yield from _items(folder / name, ~known)


def _about(tile_ids: Collection[str]) -> ds.Expression:
    """Return what selects rows about some tiles, by statistics first."""
    field = pa.compute.field("tile_id")
    wanted = field.isin(list(tile_ids))
    if not tile_ids:
        return wanted
    return (field >= min(tile_ids)) & (field <= max(tile_ids)) & wanted


def _items(path: Path, wanted: ds.Expression) -> Iterator[Item]:
    schema, make = _KINDS[path.name]
    for batch in _batches(path, schema.names, wanted):
        try:
            items = [make(row) for row in batch.to_pylist()]
        except (ValueError, TypeError) as error:
            raise _damaged(path, error) from error
        yield from items


def _batches(path: Path, columns: list[str], wanted: ds.Expression) -> Iterator[pa.RecordBatch]:
    try:
        yield from ds.dataset(path, format="parquet").to_batches(
            columns=columns, filter=wanted, batch_size=4096, use_threads=False
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CorpusError:
    return CorpusError(f"cannot read {path}: {error}", "annotate the corpus again")
