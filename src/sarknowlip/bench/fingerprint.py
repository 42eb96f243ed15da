"""What a picture of a radar looks like, whatever its speckle and however it is turned.

A picture is multilooked to a coarse grid, in decibels, and transformed to cosines (DCT-II). Cosines
are taken by octaves of frequency, and each octave is brought to a length of its own: coarse ones,
which outlast another drawing of speckle but are few and alike in any two pictures of ground, and
fine ones, which are many but mostly speckle, all have a say. An octave of n numbers gets the share
√n of the squared length: the sum of the octaves' correlations over what they scatter by if
pictures have nothing to do with each other (1/√n each). Turned and mirrored
pictures have the same cosines but for signs and the order of rows and columns, so that the eight
symmetries of the square cost no further transform. Blocks far brighter or darker than most are held
back: two pictures of one ship each on a dark sea are no copies because the ships lie alike.

Legend of array names: N and M pictures, H rows and W columns of a picture, K blocks along an edge,
D numbers of a fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

from sarknowlip.sar.tile import TileImage

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]

BLOCKS = 32
"""Blocks along an edge of the coarse grid."""
OCTAVES = (1.5, 3.0, 6.0, 12.0, 24.0)
"""Edges of the octaves, half periods along an edge: hypotenuse of those of rows and columns."""
FARTHEST = 4.0
"""Robust standard deviations from the median (interquartile range / 1.35) that a block may lie."""
ALIKE, ALIKE_STRICT = 0.4, 0.5
"""Correlation from which pictures count as copies. The strict one is for chips of single targets,
which are alike by pose; see docs/builtin.md for what copies and others reach."""
CHUNK = 2048
"""Pictures of either side that are compared at a time: 16 MiB of similarities."""

_FREQUENCY = np.hypot(*np.meshgrid(np.arange(BLOCKS), np.arange(BLOCKS)))
_BAND = np.searchsorted(OCTAVES, _FREQUENCY, side="right") - 1
_COUNTS = np.isin(_BAND, np.arange(len(OCTAVES) - 1))
_OCTAVE = _BAND[_COUNTS]
_SHARE = np.sqrt(np.bincount(_OCTAVE)) / np.sqrt(np.bincount(_OCTAVE)).sum()


def fingerprint(tile: TileImage) -> Floats32:
    """Return the fingerprint of a picture (D,), of unit length, or zero if it shows nothing.

    All polarisations count alike; pixels without data are left out, and blocks of nothing else take
    the median.
    """
    cosines = np.zeros((BLOCKS, BLOCKS))
    for power_HW in tile.power:
        cosines += dctn(_decibels(multilooked(power_HW, BLOCKS)), norm="ortho")
    numbers = cosines[_COUNTS]
    energy = np.bincount(_OCTAVE, np.square(numbers))
    if energy.min() < 1e-12:
        return np.zeros(len(numbers), dtype=np.float32)
    return np.asarray(numbers * np.sqrt(_SHARE / energy)[_OCTAVE], dtype=np.float32)


def multilooked(power_HW: npt.ArrayLike, blocks: int) -> Floats:
    """Return mean power of blocks that share a picture evenly, (K, K); NaN where there is none.

    Blocks may begin and end within pixels, which then count in part; a turned picture has the
    turned blocks.
    """
    power = np.asarray(power_HW, dtype=np.float64)
    known = np.isfinite(power)
    total = _shared(_shared(np.where(known, power, 0.0), blocks).T, blocks).T
    area = _shared(_shared(known.astype(np.float64), blocks).T, blocks).T
    return np.where(area > 1e-9, total / np.maximum(area, 1e-9), np.nan)


def alike(
    first_ND: Floats32, second_MD: Floats32, least: float
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats32]]:
    """Yield which pictures look alike, some at a time: rows of either side, and how much.

    How much is the greatest correlation over the eight symmetries of the square, −1 to 1.

    Args:
        first_ND: Fingerprints.
        second_MD: Fingerprints that they are compared with.
        least: Correlation from which pictures are told of.
    """
    for start in range(0, len(second_MD), CHUNK):
        turned = list(turned_fingerprints(second_MD[start : start + CHUNK]))
        for row in range(0, len(first_ND), CHUNK):
            some = first_ND[row : row + CHUNK]
            best = some @ turned[0].T
            for other in turned[1:]:
                np.maximum(best, some @ other.T, out=best)
            i, j = np.nonzero(best >= least)
            if len(i):
                yield i + row, j + start, best[i, j]


def turned_fingerprints(prints_ND: Floats32) -> Iterator[Floats32]:
    """Yield the fingerprints of the pictures in all eight symmetries, as they are first."""
    whole = np.zeros((len(prints_ND), BLOCKS, BLOCKS), dtype=np.float32)
    whole[:, _COUNTS] = prints_ND
    sign = (-1.0) ** np.arange(BLOCKS, dtype=np.float32)
    for side in (whole, whole.transpose(0, 2, 1)):
        for rows in (1.0, sign[:, None]):
            for columns in (1.0, sign[None, :]):
                yield np.ascontiguousarray((side * rows * columns)[:, _COUNTS], dtype=np.float32)


def _decibels(power_KK: Floats) -> Floats:
    """Return decibels less their median, held within limits; 0 where nothing is known."""
    known = np.isfinite(power_KK)
    if not known.any():
        return np.zeros(power_KK.shape)
    least = max(float(np.nanmax(power_KK)) * 1e-9, 1e-30)
    decibels = 10.0 * np.log10(np.maximum(np.where(known, power_KK, least), least))
    low, middle, high = np.quantile(decibels[known], [0.25, 0.5, 0.75])
    farthest = FARTHEST * (high - low) / 1.35
    return np.where(known, np.clip(decibels - middle, -farthest, farthest), 0.0)


def _shared(values: Floats, blocks: int) -> Floats:
    """Return sums over even shares of the first axis."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    edges = np.linspace(0.0, len(values), blocks + 1)
    low = np.minimum(edges.astype(np.int64), len(values) - 1)
    part = (edges - low)[:, None]
    return np.diff(sums[low] * (1.0 - part) + sums[low + 1] * part, axis=0)
