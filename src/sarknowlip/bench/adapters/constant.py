"""The same for every picture: heads then learn how often each answer comes, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from sarknowlip.bench.adapter import Adapter, AdapterCard, Floats32
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.sar.tile import TileImage

GRID = 16


class Constant(Adapter):
    """One number, always 1.

    Args:
        card: What it is.
    """

    def __init__(self, card: AdapterCard) -> None:
        self.card = card

    @classmethod
    def make(cls, given: Given) -> Self:
        """Return the adapter; nothing is needed."""
        return cls(Sheet.read("constant").named(given))

    def features(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return 1 for each tile."""
        return np.ones((len(tiles), 1), dtype=np.float32)

    def patches(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return 1 for each cell."""
        return np.ones((len(tiles), GRID, GRID, 1), dtype=np.float32)

    def images(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return 1 for each tile: every search ends in a tie."""
        return np.ones((len(tiles), 1), dtype=np.float32)

    def texts(self, texts: Sequence[str]) -> Floats32:
        """Return 1 for each text."""
        return np.ones((len(texts), 1), dtype=np.float32)
