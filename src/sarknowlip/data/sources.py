"""Where tiles and texts of a split come from: shards, or the corpus itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.store import read_weights
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import Split, TileRecord
from sarknowlip.data.captions import Captions, judged, read_captions
from sarknowlip.data.shard_reader import Shards
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.tile import TileImage

CHUNK = 256
"""Tiles whose claims and facts are in memory at once."""


class TileSource(Protocol):
    """Tiles of one split that have a sentence, in the order of the catalog.

    Attributes:
        untold: Tiles of the split without a sentence, which are left out.
    """

    untold: int

    def __len__(self) -> int: ...

    def image(self, index: int) -> TileImage:
        """Read a tile."""
        ...

    def captions(self, index: int) -> Captions:
        """Return what it can be called."""
        ...


@dataclass(frozen=True)
class _Entry:
    id: str
    path: Path
    acquisition: Acquisition
    radiometry: Radiometry
    captions: Captions


class CorpusSource:
    """Reads GeoTIFFs when asked for; ids, paths and captions stay in memory.

    Args:
        root: Corpus folder.
        split: Part of the corpus.
        annotation: Folder of a version of the annotations.
        scoped: Whether captions shall know what they hold of: claims and facts are read for it.
        asked: Whether questions are among them.
        kept: Tiles that are not left out; None for all.

    Raises:
        CorpusError: The corpus or the annotations are damaged.
    """

    def __init__(
        self,
        root: Path,
        split: Split,
        annotation: Path,
        *,
        scoped: bool,
        asked: bool = False,
        kept: Collection[str] | None = None,
    ) -> None:
        catalog = Catalog(root)
        shared: dict[str, Any] = {}
        self._entries: list[_Entry] = []
        self.untold = 0
        records = (r for r in catalog.records(split) if kept is None or r.id in kept)
        for record, told in _captions(records, annotation, scoped=scoped, asked=asked):
            if told is None:
                self.untold += 1
                continue
            acquisition, radiometry = (
                shared.setdefault(part.digest(), part)
                for part in (record.acquisition, record.radiometry)
            )
            path = catalog.tile_path(record)
            self._entries.append(_Entry(record.id, path, acquisition, radiometry, told))

    def __len__(self) -> int:
        return len(self._entries)

    def image(self, index: int) -> TileImage:
        """Read a tile.

        Raises:
            ProductError: Its file is absent or damaged.
        """
        entry = self._entries[index]
        return TileImage.read(entry.id, entry.path, entry.acquisition, entry.radiometry)

    def captions(self, index: int) -> Captions:
        """Return what it can be called."""
        return self._entries[index].captions


class ShardSource:
    """Reads memory-mapped shards.

    Args:
        shards: Of the corpus.
        split: Part of the corpus.
        asked: Whether questions are among the captions.
        kept: Tiles that are not left out; None for all.
    """

    def __init__(
        self,
        shards: Shards,
        split: Split,
        *,
        asked: bool = False,
        kept: Collection[str] | None = None,
    ) -> None:
        self._shards, self._asked = shards, asked
        rows = [
            row
            for row, tile in enumerate(shards.tiles)
            if tile.split == split and (kept is None or tile.id in kept)
        ]
        self._rows = [row for row in rows if shards.told[row]]
        self.untold = len(rows) - len(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def image(self, index: int) -> TileImage:
        """Read a tile.

        Raises:
            CorpusError: Its shard is damaged.
        """
        return self._shards.image(self._rows[index])

    def captions(self, index: int) -> Captions:
        """Return what it can be called.

        Raises:
            CorpusError: The shard is damaged.
        """
        return self._shards.captions(self._rows[index], asked=self._asked)


def _captions(
    records: Iterator[TileRecord], annotation: Path, *, scoped: bool, asked: bool
) -> Iterator[tuple[TileRecord, Captions | None]]:
    """Yield each tile with its captions, None without a sentence."""
    if not scoped:
        known = read_captions(annotation, asked=asked)
        yield from ((record, known.get(record.id)) for record in records)
        return
    weights = read_weights(annotation)
    while some := list(islice(records, CHUNK)):
        held = stored(annotation, [record.id for record in some])
        for record in some:
            told = judged(held[record.id], asked=asked, weights=weights)
            yield record, told if told.sentences else None
