"""Averages of weights over steps (Polyak & Juditsky 1992), which often do better than the last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


class Ema:
    """Exponential moving averages of tensors.

    Over the first steps the decay is less, (1 + step) / (10 + step), so that the random start is
    forgotten (as in TensorFlow's ExponentialMovingAverage).

    Args:
        live: Tensors that change in place; their averages start where they are.
        decay: Of the average a step, 0…1.
    """

    def __init__(self, live: Sequence[Tensor], decay: float) -> None:
        self.decay = decay
        self._live = list(live)
        self._average = [tensor.clone() for tensor in live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the tensors as they are after a step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, self._live, 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages in the tensors' place while the block lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for live, average in zip(self._live, self._average, strict=True):
            kept = live.clone()
            live.copy_(average)
            average.copy_(kept)
