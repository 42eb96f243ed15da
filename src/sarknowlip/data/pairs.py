"""A corpus as a map-style data set of (tile, caption) pairs of one split.

Pairs come from shards (`sarknowlip corpus shards`) where there are any of the version asked for,
else from the GeoTIFFs and tables of the corpus; they are equal. Pixels are read when asked for and
not kept. Tiles without a sentence are left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from sarknowlip.annotate.store import annotation_folder
from sarknowlip.core.errors import CorpusError
from sarknowlip.corpus.record import Split
from sarknowlip.data.augment import (
    AugmentConfig,
    Chance,
    changed,
    crop,
    drawn_factor,
    drawn_window,
)
from sarknowlip.data.captions import CaptionConfig, Captions, can_draw, caption_of, drawn_texts
from sarknowlip.data.folds import FoldConfig, tiles_left
from sarknowlip.data.scope import joint
from sarknowlip.data.shard_reader import Shards
from sarknowlip.data.sources import CorpusSource, ShardSource, TileSource
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
    """A tile and what is said about it.

    Attributes:
        image: Tile.
        caption: Words; the answer where there is a question.
        question: What is asked; empty for a caption by itself.
    """

    image: TileImage
    caption: str
    question: str = ""


class PairDataset(Dataset[Pair]):
    """Pairs of one split, looked up by `Visit`.

    Args:
        root: Corpus folder.
        split: Part of the corpus.
        annotation: Version of the texts, "v0001"; None for the newest.
        seed: Of captions and changes, not negative.
        captions: How captions are drawn.
        augment: How tiles are changed; None changes nothing.
        shards: Whether pairs come from shards; None: if there are any.
        fold: Tiles of this fold are left out; None for none.

    Raises:
        CorpusError: No corpus, no such annotations, no shards where they are wanted, or any of
            these is damaged.
    """

    def __init__(
        self,
        root: Path,
        split: Split,
        *,
        annotation: str | None = None,
        seed: int = 0,
        captions: CaptionConfig | None = None,
        augment: AugmentConfig | None = None,
        shards: bool | None = None,
        fold: FoldConfig | None = None,
    ) -> None:
        self.root, self.split, self.seed = root, split, seed
        self.captions = captions or CaptionConfig()
        self.augment = augment or AugmentConfig()
        folder = annotation_folder(root, annotation)
        found = None if shards is False else Shards.find(root, folder.name)
        if shards and found is None:
            raise CorpusError(
                f"{root} has no shards of {folder.name}", "run `sarknowlip corpus shards`"
            )
        asked = self.captions.levels.question > 0
        kept = None if fold is None else tiles_left(root, fold)
        self.source: TileSource = (
            CorpusSource(root, split, folder, scoped=not self.augment.off, asked=asked, kept=kept)
            if found is None
            else ShardSource(found, split, asked=asked, kept=kept)
        )

    @property
    def untold(self) -> int:
        """Tiles of the split without a sentence."""
        return self.source.untold

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, visit: Visit) -> Pair:
        """Read a pair.

        Raises:
            ProductError: The tile's file is absent or damaged.
            CorpusError: The tile's shard is damaged.
        """
        epoch, index = visit
        image, captions = self.source.image(index), self.source.captions(index)
        if epoch == WHOLE:
            return Pair(image, captions.whole)
        chance = Chance(self.seed, epoch, index)
        image, captions = self._cropped(image, captions, chance)
        said = drawn_texts(captions, self.captions, seed=self.seed, epoch=epoch, index=index)
        if not self.augment.off:
            image = changed(image, joint(text.scope for text in said), self.augment, chance)
        return Pair(image, caption_of(said), said[0].question)

    def texts(self) -> list[str]:
        """Return all sentences of the split, tile by tile, and questions if they are drawn."""
        found: list[str] = []
        for index in range(len(self)):
            captions = self.source.captions(index)
            found += captions.sentences
            found += [f"{said.question} {said.text}" for said in captions.said if said.question]
        return found

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

    def _cropped(
        self, image: TileImage, captions: Captions, chance: Chance
    ) -> tuple[TileImage, Captions]:
        """Return a drawn window and what holds of it; all where there would be nothing to say."""
        shape = image.geobox.shape[0], image.geobox.shape[1]
        block = drawn_factor(self.augment, chance)
        window = drawn_window(shape, self.augment.smallest_crop, chance, block=block)
        if window is None:
            return image, captions
        left, part = captions.holding(window), crop(image, window)
        if not can_draw(left, self.captions) or not np.isfinite(part.db).any():
            return image, captions
        return part, left
