"""Numbers drawn from names: what the whole path yields when nothing is known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Self

import numpy as np

from sarknowlip.bench.adapter import Adapter, AdapterCard, Floats32
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.sar.tile import TileImage

WIDTH, GRID = 64, 16


class Random(Adapter):
    """Normal numbers drawn for every tile identifier and every text.

    The draw depends on seed and name alone, so that order and batches do not matter and equal texts
    stay equal.

    Args:
        card: What it is.
        seed: Of all draws.
    """

    def __init__(self, card: AdapterCard, seed: int) -> None:
        self.card, self.seed = card, seed

    @classmethod
    def make(cls, given: Given) -> Self:
        """Return the adapter of one seed."""
        return cls(Sheet.read("random").named(given), given.seed)

    def features(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return `WIDTH` numbers a tile."""
        return self._drawn("features", [tile.id for tile in tiles], (WIDTH,))

    def patches(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return `WIDTH` numbers a cell."""
        return self._drawn("patches", [tile.id for tile in tiles], (GRID, GRID, WIDTH))

    def images(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return a random direction a tile."""
        return _unit(self._drawn("images", [tile.id for tile in tiles], (WIDTH,)))

    def texts(self, texts: Sequence[str]) -> Floats32:
        """Return a random direction a text."""
        return _unit(self._drawn("texts", texts, (WIDTH,)))

    def _drawn(self, kind: str, names: Sequence[str], shape: tuple[int, ...]) -> Floats32:
        rows = np.empty((len(names), *shape), dtype=np.float32)
        for row, name in zip(rows, names, strict=True):
            key = hashlib.sha256(f"{self.seed}\x1f{kind}\x1f{name}".encode()).digest()
            draw = np.random.Generator(np.random.PCG64(int.from_bytes(key[:16], "big")))
            row[...] = draw.standard_normal(shape, dtype=np.float32)
        return rows


def _unit(rows_ND: Floats32) -> Floats32:
    length_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return np.asarray(rows_ND / length_N1, dtype=np.float32)
