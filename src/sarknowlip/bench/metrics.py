"""Intervals that respect dependence, and what makes a benchmark unfair.

Legend of array names: Q queries, K metrics, C clusters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sarknowlip.core.errors import SarKnowlipError

Floats = npt.NDArray[np.float64]

CHUNK_VALUES = 2**22
"""Resampled values held at a time: 32 MiB."""

MIN_CLUSTERS = 5
"""Fewest clusters whose resampling says anything about their spread."""


class BenchError(SarKnowlipError):
    """A benchmark cannot be run fairly, or a model's output cannot be scored."""


def bootstrap_interval(
    values_QK: Floats,
    clusters: npt.ArrayLike,
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[Floats, Floats]:
    """Return the percentile bootstrap interval of column means, resampling whole clusters.

    Clusters are drawn with replacement as often as there are clusters, and a resampled mean is the
    sum over their queries divided by the number of their queries (Efron & Tibshirani, An
    Introduction to the Bootstrap, 1993, §13.3; Field & Welsh, J. R. Stat. Soc. B 69, 2007, for
    clusters). With one query a cluster it is the ordinary bootstrap.

    Args:
        values_QK: One row a query.
        clusters: Cluster of each query, any sortable values, shape (Q,).
        seed: Seed of the generator; the same seed gives the same interval.
        resamples: Number of resamples.
        level: Coverage aimed at.

    Returns:
        Lower and upper ends, each of shape (K,).
    """
    names, member = np.unique(np.asarray(clusters), return_inverse=True)
    size_C = np.bincount(member).astype(np.float64)
    sum_CK = np.zeros((len(names), values_QK.shape[1]))
    np.add.at(sum_CK, member, values_QK)
    rng = np.random.Generator(np.random.PCG64(seed))
    even = np.full(len(names), 1.0 / len(names))
    means = np.empty((resamples, values_QK.shape[1]))
    step = max(1, CHUNK_VALUES // len(names))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = rng.multinomial(len(names), even, size=count).astype(np.float64)
        means[start : start + count] = (drawn @ sum_CK) / (drawn @ size_C)[:, None]
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return low, high


def resampling_units(blocks: Sequence[str]) -> tuple[npt.NDArray[np.int64], str]:
    """Return the cluster of each query and what clusters are: "block", or "query" as a last resort.

    Queries of one geographic block look alike, so that blocks, not queries, are the independent
    units. Below `MIN_CLUSTERS` blocks there is nothing to resample, and queries are taken although
    the interval then comes out too narrow.
    """
    names, member = np.unique(np.asarray(blocks, dtype=np.str_), return_inverse=True)
    if len(names) >= MIN_CLUSTERS:
        return member.astype(np.int64), "block"
    return np.arange(len(blocks), dtype=np.int64), "query"
