"""How many different texts there are, in eight bytes a text.

Texts are counted by 64-bit digests: among n different ones, two share a digest with probability
n² / 2⁶⁵, 10⁻⁵ for 18 million.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

PENDING = 2**20
"""Digests gathered before they are merged with those seen, at least."""


class DistinctCount:
    """Counts different texts."""

    def __init__(self) -> None:
        self._seen = np.empty(0, np.uint64)
        self._new: list[np.ndarray] = []
        self._waiting = 0

    def add(self, texts: Iterable[str]) -> None:
        """Take texts in."""
        digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
        new = np.unique(np.frombuffer(digests, np.uint64))
        self._new.append(new)
        self._waiting += new.size
        if self._waiting > max(PENDING, self._seen.size // 4):
            self._merge()

    def total(self) -> int:
        """Return the number of different texts so far."""
        self._merge()
        return int(self._seen.size)

    def _merge(self) -> None:
        self._seen = np.unique(np.concatenate([self._seen, *self._new]))
        self._new, self._waiting = [], 0
