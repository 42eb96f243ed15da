"""The caption most frequent in training, whatever the image: what prior knowledge alone yields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np

from sarknowlip.annotate.store import annotation_folder
from sarknowlip.bench.protocol import Setting
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.data.captions import read_captions
from sarknowlip.infer.encoder import Embeddings
from sarknowlip.sar.tile import TileImage


class MajorityBaseline:
    """Scores a caption by how often training tiles carry it.

    All images are alike to it, so that every search by text ends in a tie, which counts as the
    worst rank.

    Args:
        counts: Training tiles by caption.
    """

    seeded: ClassVar[bool] = False
    needs_model: ClassVar[bool] = False

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.name = "majority"
        most = max(counts.values(), default=1)
        self._share = {caption: count / most for caption, count in counts.items()}

    @classmethod
    def make(cls, setting: Setting, seed: int) -> Self:
        """Count the captions of the training split; `seed` changes nothing."""
        known = read_captions(annotation_folder(setting.corpus, setting.annotations))
        counts: Counter[str] = Counter()
        for row in Catalog(setting.corpus).rows():
            if row["sarknowlip:split"] == "train" and row["id"] in known:
                counts[known[row["id"]].whole] += 1
        return cls(counts)

    def images(self, tiles: Sequence[TileImage]) -> Embeddings:
        """Return the same unit row for every tile."""
        return np.tile(np.array([1.0, 0.0], dtype=np.float32), (len(tiles), 1))

    def texts(self, texts: Sequence[str]) -> Embeddings:
        """Return a unit row whose product with any image's is the caption's relative frequency."""
        share = np.array([self._share.get(text, 0.0) for text in texts])
        return np.stack([share, np.sqrt(1.0 - share**2)], axis=1).astype(np.float32)
