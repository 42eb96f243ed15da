"""Ridge regression on frozen features.

Minimises the mean squared error of the training rows plus λF times the squared length of the
weights, biases free, over features standardised by `Standard`, exactly and in float64. λ is chosen
within the training rows: groups are dealt into parts, each part is told by the others, and the λ
with the least squared error is taken.

Legend of array names: N rows, F width of features, T targets, L strengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.metrics import Floats
from sarknowlip.bench.probes.folds import splits
from sarknowlip.bench.probes.standard import Standard
from sarknowlip.core.config import Config


class RidgeConfig(Config):
    """How the regression is fitted; the same for every model.

    Attributes:
        strengths: Candidates of λ; one alone is taken without choice.
        alone: λ where training rows are of one group, so that nothing can be chosen.
        folds: Parts of the groups for the choice.
    """

    strengths: tuple[float, ...] = Field((1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6), min_length=1)
    alone: float = Field(1e-2, gt=0.0)
    folds: int = Field(5, ge=2)


@dataclass(frozen=True)
class Ridge:
    """A fitted regression.

    Attributes:
        standard: Of the training rows.
        weight: Of standardised features, float64 (F, T).
        bias: float64 (T,).
        strength: λ that was taken.
    """

    standard: Standard
    weight: Floats
    bias: Floats
    strength: float

    def values(self, x_NF: Floats32) -> Floats:
        """Return what is told of each row, float64 (N, T)."""
        return self.standard(x_NF).astype(np.float64) @ self.weight + self.bias


def fit_ridge(
    x_NF: Floats32, y_NT: Floats, groups: Sequence[str], config: RidgeConfig | None = None
) -> Ridge:
    """Fit the regression; the same arguments give the same one.

    Args:
        x_NF: Features of training rows, at least one.
        y_NT: Targets.
        groups: Group of each row.
        config: Settings.
    """
    settings = config or RidgeConfig()
    standard = Standard.fit(x_NF)
    x = standard(x_NF).astype(np.float64)
    strength = settings.strengths[0]
    if len(settings.strengths) > 1:
        strength = _best(x, y_NT, groups, settings)
    weight, bias = _solve(x, y_NT, (strength,))[0]
    return Ridge(standard, weight, bias, strength)


def _best(x: Floats, y_NT: Floats, groups: Sequence[str], settings: RidgeConfig) -> float:
    error_L = np.zeros(len(settings.strengths))
    nothing = np.zeros(len(x), dtype=np.int64)
    looked = 0
    for learn, look in splits(groups, nothing, settings.folds):
        looked += len(look)
        for place, (weight, bias) in enumerate(_solve(x[learn], y_NT[learn], settings.strengths)):
            error_L[place] += np.square(x[look] @ weight + bias - y_NT[look]).sum()
    return settings.strengths[int(error_L.argmin())] if looked else settings.alone


def _solve(x: Floats, y_NT: Floats, strengths: Sequence[float]) -> list[tuple[Floats, Floats]]:
    """Return weights (F, T) and biases (T,) of each strength, from one decomposition.

    Of the covariance of features, or of the likeness of rows where these are fewer.
    """
    count, width = x.shape
    x_mean, y_mean = x.mean(axis=0), y_NT.mean(axis=0)
    away, target = x - x_mean, y_NT - y_mean
    few = count < width
    value, axes = np.linalg.eigh(away @ away.T if few else away.T @ away)
    inner = axes.T @ (target if few else away.T @ target)
    found = []
    for strength in strengths:
        weight = axes @ (inner / (value.clip(0.0) + strength * width * count)[:, None])
        weight = away.T @ weight if few else weight
        found.append((weight, y_mean - x_mean @ weight))
    return found
