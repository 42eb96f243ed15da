"""Retrieval metrics: ranks with honest ties, exact chance, intervals that respect dependence.

Legend of array names: Q queries, N gallery items, D embedding width, K metrics, C clusters.

A gallery item is a positive of a query when both carry the same label, so that a query may have
several. The rank of a query is that of its best positive:

    1 + number of negatives that score at least as high.

Ties count against the model: a scorer that cannot tell items apart gets the worst rank, one more
than the number of negatives, never the best. Recall@k is the share of queries of rank ≤ k (at least
one positive among the first k; with one positive a query this is recall in the usual sense).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from sarknowlip.core.errors import SarKnowlipError

Floats = npt.NDArray[np.float64]
Wholes = npt.NDArray[np.int64]

TIE = 1e-9
"""Scores nearer than this count as equal: far above the rounding of a float64 inner product of
float32 unit vectors, far below a difference that means anything."""

CHUNK_SCORES = 2**22
"""Scores held at a time: 32 MiB."""

MIN_CLUSTERS = 5
"""Fewest clusters whose resampling says anything about their spread."""


class BenchError(SarKnowlipError):
    """A benchmark cannot be run fairly, or a model's output cannot be scored."""


@dataclass(frozen=True)
class Ranks:
    """How every query fared.

    Attributes:
        rank: Rank of the best positive, from 1, shape (Q,).
        positives: Number of positives in the gallery, at least 1, shape (Q,).
        gallery: Number of items searched.
    """

    rank: Wholes
    positives: Wholes
    gallery: int


def retrieval_ranks(
    query_QD: npt.ArrayLike,
    gallery_ND: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    gallery_labels: npt.ArrayLike,
    *,
    chunk_scores: int = CHUNK_SCORES,
) -> Ranks:
    """Rank the gallery by inner product for every query; see the module's docstring.

    Memory: both embeddings in float64 and a few arrays of `chunk_scores` numbers (at least one
    gallery's worth), whatever the number of queries.

    Args:
        query_QD: Query embeddings.
        gallery_ND: Gallery embeddings.
        query_labels: Whole number of each query, shape (Q,).
        gallery_labels: Whole number of each gallery item, shape (N,).
        chunk_scores: Scores computed at a time; does not change the result.

    Raises:
        BenchError: Shapes do not fit, an embedding is not finite, a query has no positive.
    """
    query_QD = _embeddings("query", query_QD)
    gallery_ND = _embeddings("gallery", gallery_ND)
    q_labels = np.asarray(query_labels, dtype=np.int64)
    g_labels = np.asarray(gallery_labels, dtype=np.int64)
    sizes = (len(query_QD), len(gallery_ND))
    if query_QD.shape[1] != gallery_ND.shape[1] or (q_labels.size, g_labels.size) != sizes:
        raise BenchError(
            f"queries {query_QD.shape} with {q_labels.size} labels do not fit "
            f"gallery {gallery_ND.shape} with {g_labels.size} labels",
            "images and texts must be embedded into one space",
        )
    rank = np.empty(len(query_QD), dtype=np.int64)
    positives = np.empty(len(query_QD), dtype=np.int64)
    step = max(1, chunk_scores // max(1, len(gallery_ND)))
    for start in range(0, len(query_QD), step):
        part = slice(start, start + step)
        positive = q_labels[part, None] == g_labels[None, :]
        positives[part] = positive.sum(axis=1)
        if not positives[part].all():
            lost = start + int(np.argmin(positives[part]))
            raise BenchError(f"query {lost} has no positive in the gallery", "check the labels")
        scores = query_QD[part] @ gallery_ND.T
        best = np.max(scores, axis=1, where=positive, initial=-np.inf)
        bar = best - TIE * np.maximum(1.0, np.abs(best))
        rank[part] = 1 + ((scores >= bar[:, None]) & ~positive).sum(axis=1)
    return Ranks(rank, positives, len(gallery_ND))


def hits(rank: Wholes, ks: Sequence[int]) -> Floats:
    """Return 1 where a query's rank is within k, else 0; shape (Q, len(ks))."""
    return np.asarray(rank[:, None] <= np.asarray(ks)[None, :], dtype=np.float64)


def chance_recall(positives: Wholes, gallery: int, k: int) -> float:
    """Return the expected recall@k of a random order of the gallery, exactly.

    A query with m positives among n items hits with probability 1 − C(n−m, k) / C(n, k)
    (hypergeometric); the result is the mean over queries.
    """
    kinds, counts = np.unique(positives, return_counts=True)
    found = hypergeom.sf(0, gallery, kinds, min(k, gallery))
    return float(np.average(found, weights=counts))


def mean_reciprocal_rank(rank: Wholes) -> float:
    """Return the mean of 1 / rank, in (0, 1]."""
    return float(np.mean(1.0 / rank))


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
    step = max(1, CHUNK_SCORES // len(names))
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


def _embeddings(what: str, values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or len(array) == 0:
        raise BenchError(f"{what} embeddings of shape {array.shape}", "give one row an item")
    if not np.isfinite(array).all():
        # Comparisons with NaN are false: such a query would get rank 1.
        bad = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise BenchError(f"{what} embedding {bad} is not finite", "the model is broken")
    return array
