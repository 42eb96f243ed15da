"""Random unit vectors: what the whole path yields when nothing is known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from sarknowlip.bench.protocol import Setting
from sarknowlip.infer.encoder import Embeddings
from sarknowlip.sar.tile import TileImage

WIDTH = 64


class RandomBaseline:
    """A direction drawn uniformly for every tile identifier and every text.

    The draw depends on seed and item alone, so that order and batches do not matter and equal texts
    stay equal.
    """

    seeded: ClassVar[bool] = True
    needs_model: ClassVar[bool] = False

    def __init__(self, seed: int) -> None:
        self.name, self.seed = "random", seed

    @classmethod
    def make(cls, setting: Setting, seed: int) -> Self:
        """Return the encoder of one seed."""
        return cls(seed)

    def images(self, tiles: Sequence[TileImage]) -> Embeddings:
        """Return one random unit row a tile."""
        return self._draw("image", [tile.id for tile in tiles])

    def texts(self, texts: Sequence[str]) -> Embeddings:
        """Return one random unit row a text."""
        return self._draw("text", texts)

    def _draw(self, kind: str, names: Sequence[str]) -> Embeddings:
        rows = np.empty((len(names), WIDTH), dtype=np.float64)
        for row, name in zip(rows, names, strict=True):
            key = hashlib.sha256(f"{self.seed}\x1f{kind}\x1f{name}".encode()).digest()
            rng = np.random.Generator(np.random.PCG64(int.from_bytes(key[:16], "big")))
            row[:] = rng.standard_normal(WIDTH)
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(unit, dtype=np.float32)
