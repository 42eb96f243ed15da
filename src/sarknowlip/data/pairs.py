"""A corpus as a map-style data set of (tile, caption) pairs of one split.

Pixels are read from their GeoTIFF when asked for and not kept. What stays in memory per tile is its
id, path and sentences; acquisition and radiometry records are shared between tiles that have equal
ones. Tiles without a sentence are left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from sarknowlip.annotate.store import annotation_folder
from sarknowlip.core.errors import CorpusError
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import Split
from sarknowlip.data.augment import drawn_crop
from sarknowlip.data.captions import Captions, drawn_caption, read_captions
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.tile import TileImage


class Visit(NamedTuple):
    """One look at one tile.

    Attributes:
        epoch: Pass over the split; −1 for validation: whole tile, whole caption.
        tile: Position of the tile in its split.
    """

    epoch: int
    tile: int


WHOLE = -1
"""Epoch of a visit without chance."""


@dataclass(frozen=True)
class Pair:
    """A tile and what is said about it."""

    image: TileImage
    caption: str


@dataclass(frozen=True)
class _Entry:
    id: str
    path: Path
    acquisition: Acquisition
    radiometry: Radiometry
    captions: Captions


class PairDataset(Dataset[Pair]):
    """Pairs of one split, looked up by `Visit`.

    Args:
        root: Corpus folder.
        split: Part of the corpus.
        annotation: Version of the texts, "v0001"; None for the newest.
        seed: Of captions and crops, not negative.
        smallest_crop: Least edge of a crop as a share of the tile's; 1 for no crop.

    Raises:
        CorpusError: No corpus, no such annotations, or they are damaged.
    """

    def __init__(
        self,
        root: Path,
        split: Split,
        *,
        annotation: str | None = None,
        seed: int = 0,
        smallest_crop: float = 1.0,
    ) -> None:
        self.root, self.split = root, split
        self.seed, self.smallest_crop = seed, smallest_crop
        catalog = Catalog(root)
        known = read_captions(annotation_folder(root, annotation))
        shared: dict[str, Any] = {}
        self._entries: list[_Entry] = []
        self.untold = 0
        for record in catalog.records(split):
            told = known.get(record.id)
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

    def __getitem__(self, visit: Visit) -> Pair:
        """Read a pair.

        Raises:
            ProductError: The tile's file is absent or damaged.
        """
        epoch, index = visit
        entry = self._entries[index]
        image = TileImage.read(entry.id, entry.path, entry.acquisition, entry.radiometry)
        if epoch == WHOLE:
            return Pair(image, entry.captions.whole)
        image = drawn_crop(image, self.smallest_crop, seed=self.seed, epoch=epoch, index=index)
        caption = drawn_caption(entry.captions.sentences, seed=self.seed, epoch=epoch, index=index)
        return Pair(image, caption)

    def texts(self) -> list[str]:
        """Return all sentences of the split, tile by tile."""
        return [sentence for entry in self._entries for sentence in entry.captions.sentences]

    def require_pairs(self) -> None:
        """Check that there is something to learn from.

        Raises:
            CorpusError: Fewer than two tiles have a sentence.
        """
        if len(self) < 2:
            raise CorpusError(
                f"{self.root} has {len(self)} tiles with sentences in split {self.split!r},"
                f" and {self.untold} without",
                "a contrastive loss needs two: add scenes, or run `sarknowlip annotate`",
            )
