"""Scores that can be taken again on a draw of groups: intervals, and comparisons of two models.

Legend of array names: N items, C clusters, R draws, K scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.metrics import Floats


@dataclass(frozen=True)
class Measure:
    """How a model fared in a task, item by item, and what follows for a weighting of items.

    Attributes:
        names: Of the K scores.
        groups: Group of each of the N items (`Example.group`).
        values: From weights (N,) ≥ 0, how often each item counts, to K scores; NaN where a score
            is not defined. It must not keep or change the weights.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    values: Callable[[Floats], Floats]

    def whole(self) -> Floats:
        """Return the scores (K,), every item counting once."""
        return self.values(np.ones(len(self.groups)))

    @classmethod
    def of_means(
        cls, names: tuple[str, ...], groups: tuple[str, ...], values_NK: Floats
    ) -> Measure:
        """Return a measure whose scores are means of items' values (N, K)."""

        def means(weights_N: Floats) -> Floats:
            total = weights_N.sum()
            if total == 0.0:
                return np.full(values_NK.shape[1], np.nan)
            return np.asarray(weights_N @ values_NK / total, dtype=np.float64)

        return cls(names, groups, means)


def drawn_weights(
    clusters_N: npt.NDArray[np.int64], *, seed: int, resamples: int
) -> Iterator[Floats]:
    """Yield weights (N,) of items: clusters drawn with replacement, as many as there are.

    Two models asked the same items get the same draws from the same seed.

    Args:
        clusters_N: Cluster of each item, 0…C − 1 (`metrics.resampling_units`).
        seed: Of the generator.
        resamples: Draws.
    """
    count = int(clusters_N.max()) + 1
    generator = np.random.Generator(np.random.PCG64(seed))
    even = np.full(count, 1.0 / count)
    for _ in range(resamples):
        yield generator.multinomial(count, even)[clusters_N].astype(np.float64)


def draws(
    measure: Measure, clusters_N: npt.NDArray[np.int64], *, seed: int = 0, resamples: int = 1000
) -> Floats:
    """Return the scores of each draw, (R, K)."""
    rows = drawn_weights(clusters_N, seed=seed, resamples=resamples)
    return np.stack([measure.values(weights_N) for weights_N in rows])


def interval(draws_RK: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return lower and upper ends (K,) of the percentile interval; undefined draws are left out."""
    tail = (1.0 - level) / 2.0
    low, high = np.nanquantile(draws_RK, [tail, 1.0 - tail], axis=0)
    return low, high


def paired_p(first_RK: Floats, second_RK: Floats) -> Floats:
    """Return two-sided bootstrap p-values (K,) of "the two models score the same".

    Twice the smaller share of draws in which the difference lies on one side of 0, with one draw
    added on either side so that it is never 0 (Efron and Tibshirani 1993, §15.4; Davison and
    Hinkley 1997, §4.2.3). Both must come of the same items, clusters and seed.
    """
    difference_RK = first_RK - second_RK
    known_K = np.isfinite(difference_RK).sum(axis=0)
    below_K = (difference_RK <= 0.0).sum(axis=0)
    above_K = (difference_RK >= 0.0).sum(axis=0)
    p_K = 2.0 * (np.minimum(below_K, above_K) + 1) / (known_K + 1)
    return np.asarray(np.minimum(1.0, p_K), dtype=np.float64)
