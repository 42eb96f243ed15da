"""Raw levels: what can be told without any model.

Of a picture, for each polarisation of `models.channels` (0 where it is absent): whether it is
there, mean and standard deviation of its decibels, percentiles, and a thumbnail. Of a cell: mean
and standard deviation of its decibels. Decibels are taken as they are, calibrated or not.

Legend of array names: N pictures, C polarisations, G × G cells, F width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from sarknowlip.bench.adapter import Adapter, AdapterCard, Floats32
from sarknowlip.bench.adapters.colour import require_known
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.models.channels import POLARIZATIONS
from sarknowlip.models.processing import FLOOR_DB, area_mean
from sarknowlip.sar.tile import TileImage

GRID, THUMBNAIL = 16, 8
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


class Pixels(Adapter):
    """Statistics of decibels.

    Args:
        card: What it is.
    """

    def __init__(self, card: AdapterCard) -> None:
        self.card = card

    @classmethod
    def make(cls, given: Given) -> Self:
        """Return the adapter; nothing is needed."""
        return cls(Sheet.read("pixels").named(given))

    def features(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return level statistics and a thumbnail."""
        return np.stack([_whole(tile) for tile in tiles])

    def patches(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return level statistics of cells."""
        return np.stack([_cells(tile) for tile in tiles])


def _whole(tile: TileImage) -> Floats32:
    size = 3 + len(PERCENTILES) + THUMBNAIL**2
    out = np.zeros((len(POLARIZATIONS), size), dtype=np.float32)
    for name, db in _channels(tile):
        known = db[np.isfinite(db)]
        if not known.size:
            continue
        row = out[POLARIZATIONS.index(name)]
        row[:3] = 1.0, known.mean(), known.std()
        row[3 : 3 + len(PERCENTILES)] = np.percentile(known, PERCENTILES)
        small = area_mean(db[None], THUMBNAIL)[0]
        row[3 + len(PERCENTILES) :] = np.where(np.isfinite(small), small, known.mean()).ravel()
    return out.ravel()


def _cells(tile: TileImage) -> Floats32:
    out = np.zeros((GRID, GRID, len(POLARIZATIONS), 2), dtype=np.float32)
    for name, db in _channels(tile):
        known = db[np.isfinite(db)]
        if not known.size:
            continue
        centre = known.mean(dtype=np.float64).astype(np.float32)
        from_centre = db - centre
        # cells may be smaller than pixels, so that moments are weighted by area
        first, second = area_mean(np.stack([from_centre, from_centre**2]), GRID)
        spread = np.sqrt(np.maximum(second - first**2, 0.0))
        cell = np.stack([np.nan_to_num(first) + centre, np.nan_to_num(spread)], axis=-1)
        out[:, :, POLARIZATIONS.index(name)] = cell
    return out.reshape(GRID, GRID, -1)


def _channels(tile: TileImage) -> list[tuple[str, Floats32]]:
    """Return decibels by polarisation; power 0 is `FLOOR_DB`.

    Raises:
        BenchError: A polarisation is unknown.
    """
    require_known(tile)
    return [
        (name, np.maximum(db, np.float32(FLOOR_DB)))
        for name, db in zip(tile.acquisition.polarizations, tile.db, strict=True)
    ]
