"""Ranks of retrieval, with honest ties and exact chance.

Legend of array names: Q queries, N gallery items, D embedding width.

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
from typing import Any

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


class RankingError(SarKnowlipError):
    """Embeddings cannot be ranked."""


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

    Memory: the gallery once more in float64, ordered by label so that a query's positives lie
    together, and `chunk_scores` scores (at least one gallery's worth), whatever the number of
    queries. Inner products are of float64.

    Args:
        query_QD: Query embeddings.
        gallery_ND: Gallery embeddings.
        query_labels: Whole number of each query, shape (Q,).
        gallery_labels: Whole number of each gallery item, shape (N,).
        chunk_scores: Scores computed at a time; does not change the result.

    Raises:
        RankingError: Shapes do not fit, an embedding is not finite, a query has no positive.
    """
    query_QD = _embeddings("query", query_QD)
    gallery_ND = _embeddings("gallery", gallery_ND)
    q_labels = np.asarray(query_labels, dtype=np.int64)
    g_labels = np.asarray(gallery_labels, dtype=np.int64)
    sizes = (len(query_QD), len(gallery_ND))
    if query_QD.shape[1] != gallery_ND.shape[1] or (q_labels.size, g_labels.size) != sizes:
        raise RankingError(
            f"queries {query_QD.shape} with {q_labels.size} labels do not fit "
            f"gallery {gallery_ND.shape} with {g_labels.size} labels",
            "images and texts must be embedded into one space",
        )
    order = np.argsort(g_labels, kind="stable")
    gallery_ND, g_labels = gallery_ND[order].astype(np.float64), g_labels[order]
    first = np.searchsorted(g_labels, q_labels, side="left")
    past = np.searchsorted(g_labels, q_labels, side="right")
    if not (past > first).all():
        lost = int(np.argmin(past > first))
        raise RankingError(f"query {lost} has no positive in the gallery", "check the labels")
    rank = np.empty(len(query_QD), dtype=np.int64)
    step = max(1, chunk_scores // len(gallery_ND))
    for start in range(0, len(query_QD), step):
        scores = query_QD[start : start + step].astype(np.float64) @ gallery_ND.T
        for query, row in enumerate(scores, start):
            positive = row[first[query] : past[query]]
            best = positive.max()
            bar = best - TIE * max(1.0, abs(best))
            above = np.count_nonzero(row >= bar) - np.count_nonzero(positive >= bar)
            rank[query] = 1 + above
    return Ranks(rank, past - first, len(gallery_ND))


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


def _embeddings(what: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 2 or len(array) == 0:
        raise RankingError(f"{what} embeddings of shape {array.shape}", "give one row an item")
    if not np.isfinite(array).all():
        # Comparisons with NaN are false: such a query would get rank 1.
        bad = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise RankingError(f"{what} embedding {bad} is not finite", "the model is broken")
    return array
