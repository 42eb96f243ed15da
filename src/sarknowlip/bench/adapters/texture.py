"""Hand-crafted features of radar pictures: co-occurrence, local binary patterns, ratio gradients.

Co- and cross-polarisation (`colour.pair`) on a grid of 128 × 128 pixels, in cells of 8 × 8:

- grey-level co-occurrence (Haralick, Shanmugam and Dinstein, IEEE Trans. SMC 1973) of 16 levels at
  distances of 1 and 3 pixels, four directions together, symmetric: contrast, dissimilarity,
  homogeneity, energy, correlation, entropy;
- rotation-invariant uniform local binary patterns of 8 neighbours (Ojala, Pietikäinen and Mäenpää,
  IEEE TPAMI 2002), neighbours on the pixel grid: shares of the 10 patterns;
- gradients by ratio at three scales (`losses.targets`): shares of 8 orientations weighted by
  length, and the mean length;
- mean and standard deviation of the level.

Pairs and pixels are counted in cells; a picture's features come of the counts of all cells. A
library is not used as cells would have to be counted one by one; tests hold counts against
scikit-image where it is installed.

Legend of array names: N pictures, Y × X pixels, K cells, V levels, F width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from sarknowlip.bench.adapter import Adapter, AdapterCard, Floats32
from sarknowlip.bench.adapters.colour import HIGH, LOW, pair
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.losses.targets import REACHES_PX, gradient_by_ratio
from sarknowlip.models.processing import NEPER
from sarknowlip.sar.tile import TileImage

Counts = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EDGE, GRID = 128, 16
CELLS = GRID**2
LEVELS, DISTANCES = 16, (1, 3)
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))
PATTERNS, ORIENTATIONS = 10, 8
SPREAD_DB = 5.5
"""Of a level, decibels: of co-polarisation; gradients are in units of speckle, about."""


class Texture(Adapter):
    """Counts of textures.

    Args:
        card: What it is.
    """

    def __init__(self, card: AdapterCard) -> None:
        self.card = card

    @classmethod
    def make(cls, given: Given) -> Self:
        """Return the adapter; nothing is needed."""
        return cls(Sheet.read("texture").named(given))

    def features(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return textures of whole pictures."""
        return np.stack([_textures(tile, whole=True)[0] for tile in tiles])

    def patches(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return textures of cells."""
        rows = np.stack([_textures(tile, whole=False) for tile in tiles])
        return rows.reshape(len(tiles), GRID, GRID, -1)


def _textures(tile: TileImage, *, whole: bool) -> Floats32:
    """Return (K, F), K = 1 for a whole picture."""
    co_and_cross = pair(tile, EDGE)
    same = bool(np.array_equal(co_and_cross[0], co_and_cross[1]))
    parts = [_channel(level, whole=whole) for level in co_and_cross[: 1 if same else 2]]
    return np.concatenate(parts * 2 if same else parts, axis=1).astype(np.float32)


def _channel(level_YX: Floats32, *, whole: bool) -> Counts:
    scaled = np.clip((level_YX - LOW) / (HIGH - LOW), 0.0, 1.0)
    grey_YX = np.minimum((scaled * LEVELS).astype(np.int64), LEVELS - 1)
    counts = [cooccurrence(grey_YX, distance) for distance in DISTANCES]
    patterns, gradients = binary_patterns(level_YX), _gradients(level_YX)
    moments = _cell_sums(np.stack([np.ones_like(level_YX), level_YX, level_YX**2]))
    if whole:
        counts = [count.sum(axis=0, keepdims=True) for count in counts]
        patterns, gradients, moments = (
            part.sum(axis=0, keepdims=True) for part in (patterns, gradients, moments)
        )
    mean = moments[:, 1] / moments[:, 0]
    spread = np.sqrt(np.maximum(moments[:, 2] / moments[:, 0] - mean**2, 0.0))
    shares = [_shares(patterns)]
    for scale in np.split(gradients, len(REACHES_PX), axis=1):
        shares += [_shares(scale[:, :ORIENTATIONS]), scale[:, -1:] / moments[:, :1]]
    return np.concatenate(
        [*(haralick(count) for count in counts), *shares, mean[:, None], spread[:, None]], axis=1
    )


def cooccurrence(grey_YX: Ints, distance: int) -> Counts:
    """Return how often two levels lie `distance` apart, (K, V, V), symmetric.

    A pair belongs to the cell of its first pixel, in the order of `DIRECTIONS`.
    """
    cell_YX = _cell_index()
    total = np.zeros(CELLS * LEVELS**2)
    for down, right in DIRECTIONS:
        dy, dx = down * distance, right * distance
        first = (slice(0, EDGE - dy), slice(max(0, -dx), EDGE - max(0, dx)))
        second = (slice(dy, EDGE), slice(max(0, dx), EDGE - max(0, -dx)))
        one, other = grey_YX[first], grey_YX[second]
        index = (cell_YX[first] * LEVELS + one) * LEVELS + other
        total += np.bincount(index.ravel(), minlength=len(total))
    counts_KVV = total.reshape(CELLS, LEVELS, LEVELS)
    return counts_KVV + counts_KVV.transpose(0, 2, 1)


def haralick(counts_KVV: Counts) -> Counts:
    """Return contrast, dissimilarity, homogeneity, energy, correlation and entropy, (K, 6).

    The correlation of a single level is 1.
    """
    share = counts_KVV / counts_KVV.sum(axis=(1, 2), keepdims=True)
    level = np.arange(LEVELS)
    apart = np.abs(level[:, None] - level[None, :])
    mean = (share * level[:, None]).sum(axis=(1, 2))
    from_mean = level[None, :] - mean[:, None]
    variance = (share * (from_mean**2)[:, :, None]).sum(axis=(1, 2))
    together = (share * from_mean[:, :, None] * from_mean[:, None, :]).sum(axis=(1, 2))
    flat = variance < 1e-12
    logs = np.log(np.where(share > 0, share, 1.0))
    return np.stack(
        [
            (share * apart**2).sum(axis=(1, 2)),
            (share * apart).sum(axis=(1, 2)),
            (share / (1 + apart**2)).sum(axis=(1, 2)),
            np.sqrt((share**2).sum(axis=(1, 2))),
            np.where(flat, 1.0, together / np.where(flat, 1.0, variance)),
            -(share * logs).sum(axis=(1, 2)),
        ],
        axis=1,
    )


def binary_patterns(level_YX: Floats32) -> Counts:
    """Return how many pixels of a cell have each pattern, (K, 10); border pixels have none.

    0 … 8 are uniform patterns by the number of neighbours that are not darker; 9 is all others.
    """
    ring = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
    inner = level_YX[1:-1, 1:-1]
    size = EDGE - 2
    above = np.stack(
        [level_YX[1 + y : 1 + y + size, 1 + x : 1 + x + size] >= inner for y, x in ring]
    )
    changes = (above != np.roll(above, 1, axis=0)).sum(axis=0)
    pattern = np.where(changes <= 2, above.sum(axis=0), PATTERNS - 1)
    index = _cell_index()[1:-1, 1:-1] * PATTERNS + pattern
    return np.bincount(index.ravel(), minlength=CELLS * PATTERNS).reshape(CELLS, -1).astype(float)


def _gradients(level_YX: Floats32) -> Counts:
    """Return lengths by orientation, and all lengths, scale after scale: (K, 3 · 9)."""
    power = torch.from_numpy(np.exp(level_YX * np.float32(SPREAD_DB * NEPER)))[None, None]
    valid = torch.ones_like(power, dtype=torch.bool)
    parts = []
    for reach in REACHES_PX:
        across, down = gradient_by_ratio(power, valid, reach)[0][0, 0].double().numpy()
        length = np.hypot(across, down)
        turn = (np.arctan2(down, across) / (2.0 * np.pi)) % 1.0
        bins = np.minimum((turn * ORIENTATIONS).astype(np.int64), ORIENTATIONS - 1)
        index = _cell_index() * ORIENTATIONS + bins
        weights = np.bincount(index.ravel(), length.ravel(), minlength=CELLS * ORIENTATIONS)
        parts += [weights.reshape(CELLS, -1), _cell_sums(length[None])]
    return np.concatenate(parts, axis=1)


def _cell_index() -> Ints:
    """Return the cell of each pixel (Y, X), rows first."""
    at = np.arange(EDGE, dtype=np.int64) // (EDGE // GRID)
    return at[:, None] * GRID + at[None, :]


def _cell_sums(values: npt.NDArray[np.floating]) -> Counts:
    """Return sums of each of several images (M, Y, X) in cells: (K, M)."""
    step = EDGE // GRID
    parts = values.astype(np.float64).reshape(len(values), GRID, step, GRID, step)
    return np.ascontiguousarray(parts.sum(axis=(2, 4)).reshape(len(values), CELLS).T)


def _shares(counts_KV: Counts) -> Counts:
    """Return counts divided by their sum; equal shares of nothing."""
    total = counts_KV.sum(axis=1, keepdims=True)
    even = 1.0 / counts_KV.shape[1]
    return np.where(total > 1e-12, counts_KV / np.where(total > 1e-12, total, 1.0), even)
