"""Features brought to mean 0 and spread 1, by the training part alone.

A feature that does not vary in training becomes 0 everywhere.

Legend of array names: F width of features; other axes, as many as there are, come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.adapter import Floats32

CHUNK_VALUES = 2**20
"""Values held in float64 at a time: 8 MiB."""

FLAT = 1e-5
"""A spread below this share of the largest value is rounding, not variation."""


@dataclass(frozen=True)
class Standard:
    """How features are shifted and scaled.

    Attributes:
        mean: Of the training rows (F,).
        factor: What differences from the mean are multiplied by (F,); 0 where nothing varies.
    """

    mean: npt.NDArray[np.float64]
    factor: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, x: Floats32) -> Self:
        """Measure training rows (..., F), at least one, in chunks."""
        x_NF = x.reshape(-1, x.shape[-1])
        parts = _parts(x_NF)
        mean = np.zeros(x_NF.shape[1])
        for part in parts:
            mean += x_NF[part].sum(axis=0, dtype=np.float64) / len(x_NF)
        square, most = np.zeros_like(mean), np.zeros_like(mean)
        for part in parts:
            away = x_NF[part] - mean
            square += np.einsum("nf,nf->f", away, away) / len(x_NF)
            most = np.maximum(most, np.abs(x_NF[part]).max(axis=0))
        spread = np.sqrt(square)
        varies = spread > FLAT * most
        return cls(mean, np.where(varies, 1.0 / np.where(varies, spread, 1.0), 0.0))

    def __call__(self, x: Floats32) -> Floats32:
        """Return rows (..., F) in the scale of the training rows, float32, made in chunks."""
        x_NF = x.reshape(-1, x.shape[-1])
        out = np.empty(x_NF.shape, dtype=np.float32)
        for part in _parts(x_NF):
            out[part] = (x_NF[part] - self.mean) * self.factor
        return out.reshape(x.shape)


def _parts(x_NF: Floats32) -> list[slice]:
    step = max(1, CHUNK_VALUES // x_NF.shape[1])
    return [slice(start, start + step) for start in range(0, len(x_NF), step)]
