"""Random numbers that depend on a key only: never on order, block, process or machine.

`uniform` hashes integers with the finaliser of SplitMix64 (Steele et al., Fast Splittable
Pseudorandom Number Generators, OOPSLA 2014): element i depends on seed, stream and key i alone.
`complex_noise` cuts an endless field of circular Gaussian noise into blocks, each from its own
generator (SFC64 of Doty-Humphrey's PractRand, NumPy's fastest), seeded by the block's place.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NOISE_BLOCK = 128
"""Edge of a block of the noise field, samples: smaller ones cost more to seed than they save."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def stream_id(name: str) -> int:
    """Return a number for the name of a stream of random numbers, the same everywhere."""
    return zlib.crc32(name.encode())


def bits(seed: int, stream: str, *keys: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Return 64 hashed bits per element of integer keys, which are broadcast together."""
    state: Any = np.uint64((seed * 0x9E3779B97F4A7C15 + stream_id(stream)) % 2**64)
    with np.errstate(over="ignore"):
        for key in keys or (0,):
            state = _mixed(state ^ _mixed(np.asarray(key).astype(np.int64).view(np.uint64)))
    return np.asarray(state, dtype=np.uint64)


def uniform(seed: int, stream: str, *keys: npt.ArrayLike) -> Floats:
    """Return numbers in [0, 1), one per element of the integer keys.

    Args:
        seed: Of the world or the acquisition.
        stream: What the numbers are for; other streams are independent.
        keys: Integers or integer arrays that are broadcast together (identifier, index, …).
    """
    return np.asarray((bits(seed, stream, *keys) >> np.uint64(11)) * 2.0**-53)


def normal(seed: int, stream: str, *keys: npt.ArrayLike) -> Floats:
    """Return standard normal numbers, one per element of the keys (Box–Muller)."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform(seed, stream + "/radius", *keys)))
    return np.asarray(radius * np.cos(2.0 * np.pi * uniform(seed, stream + "/angle", *keys)))


def generator(seed: int, stream: str, *keys: int) -> np.random.Generator:
    """Return a generator for everything that belongs to one key."""
    words = [seed % 2**64, stream_id(stream), *(key % 2**64 for key in keys)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def complex_noise(
    seed: int, stream: str, row: int, column: int, shape: tuple[int, int]
) -> npt.NDArray[np.complex64]:
    """Return a window of an endless field of white circular Gaussian noise, mean power 1.

    Args:
        seed: Of the acquisition.
        stream: Which field (look, polarisation, …).
        row: First row, may be negative.
        column: First column, may be negative.
        shape: Rows and columns.
    """
    size = NOISE_BLOCK
    window = np.empty(shape, dtype=np.complex64)
    for i in range(row // size, -(-(row + shape[0]) // size)):
        for j in range(column // size, -(-(column + shape[1]) // size)):
            block = _noise_block(seed, stream, i, j)
            top, left = max(row, i * size), max(column, j * size)
            bottom = min(row + shape[0], (i + 1) * size)
            right = min(column + shape[1], (j + 1) * size)
            window[top - row : bottom - row, left - column : right - column] = block[
                top - i * size : bottom - i * size, left - j * size : right - j * size
            ]
    return window


def _noise_block(seed: int, stream: str, i: int, j: int) -> npt.NDArray[np.complex64]:
    words = [seed % 2**64, stream_id(stream), i % 2**64, j % 2**64]
    random = np.random.Generator(np.random.SFC64(np.random.SeedSequence(words)))
    pairs = random.standard_normal((NOISE_BLOCK, 2 * NOISE_BLOCK), dtype=np.float32)
    pairs *= np.float32(np.sqrt(0.5))
    return pairs.view(np.complex64)


def _mixed(state: Any) -> Any:
    state = state + _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * _MIX[0]
    state = (state ^ (state >> np.uint64(27))) * _MIX[1]
    return state ^ (state >> np.uint64(31))
