"""Rung 6: ranks of retrieval against brute force, exact chance."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarknowlip.infer.ranking import (
    RankingError,
    chance_recall,
    hits,
    mean_reciprocal_rank,
    retrieval_ranks,
)


def brute_force(query, gallery, query_labels, gallery_labels) -> list[int]:
    """Order the gallery with exact arithmetic, equal scores worst first, and find a positive."""
    ranks = []
    for vector, label in zip(query.tolist(), query_labels, strict=True):
        scored = [
            (
                -sum(Fraction(a) * Fraction(b) for a, b in zip(vector, item, strict=True)),
                own == label,
            )
            for item, own in zip(gallery.tolist(), gallery_labels, strict=True)
        ]
        ordered = [positive for _, positive in sorted(scored)]  # False (negative) sorts first
        negatives_before = ordered[: ordered.index(True)].count(False)
        ranks.append(1 + negatives_before)
    return ranks


@st.composite
def galleries(draw):
    """Small whole-number embeddings: many exact ties, duplicates, several positives."""
    width = draw(st.integers(1, 4))
    kinds = draw(st.integers(1, 5))
    labels = draw(st.lists(st.integers(0, kinds - 1), min_size=1, max_size=14))
    asked = draw(st.lists(st.sampled_from(labels), min_size=1, max_size=10))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    low = draw(st.sampled_from([0, -2]))
    query = rng.integers(low, 3, (len(asked), width)).astype(np.float32)
    gallery = rng.integers(low, 3, (len(labels), width)).astype(np.float32)
    return query, gallery, asked, labels


@settings(deadline=None, max_examples=200)
@given(galleries(), st.integers(1, 40))
def test_ranks_equal_brute_force_whatever_the_chunks(case, chunk_scores: int) -> None:
    query, gallery, asked, labels = case
    ranks = retrieval_ranks(query, gallery, asked, labels, chunk_scores=chunk_scores)
    assert ranks.rank.tolist() == brute_force(query, gallery, asked, labels)
    assert ranks.positives.tolist() == [labels.count(label) for label in asked]
    assert ranks.gallery == len(labels)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(0, 1000), st.sampled_from([1, 7, 61, 1000, 2**22]))
def test_chunks_do_not_change_ranks_of_real_embeddings(count, seed, chunk_scores) -> None:
    rng = np.random.default_rng(seed)
    query, gallery = (rng.standard_normal((count, 33)).astype(np.float32) for _ in range(2))
    gallery[count // 2 :] = gallery[0]  # duplicates tie whatever kernel multiplies them
    labels = np.arange(count)
    whole = retrieval_ranks(query, gallery, labels, labels)
    parts = retrieval_ranks(query, gallery, labels, labels, chunk_scores=chunk_scores)
    assert np.array_equal(whole.rank, parts.rank)


def test_memory_does_not_grow_with_queries_times_gallery() -> None:
    count = 4000
    rng = np.random.default_rng(0)
    query, gallery = (rng.standard_normal((count, 8)).astype(np.float32) for _ in range(2))
    tracemalloc.start()
    retrieval_ranks(query, gallery, np.arange(count), np.arange(count), chunk_scores=2**16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"peak {peak / 1e6:.1f} MB; all scores at once take {8 * count**2 / 1e6:.0f} MB")
    assert peak < 0.05 * 8 * count**2


def test_perfect_and_constant_scorers() -> None:
    labels = np.repeat(np.arange(10), 3)
    perfect = np.eye(10)[labels]
    ranks = retrieval_ranks(perfect, perfect, labels, labels)
    assert (ranks.rank == 1).all()
    assert mean_reciprocal_rank(ranks.rank) == 1.0
    constant = np.ones((30, 4))
    ranks = retrieval_ranks(constant, constant, labels, labels)
    assert (ranks.rank == 28).all(), "27 negatives tie with the positives: the worst rank"
    assert hits(ranks.rank, (1, 5, 10)).sum() == 0


@given(
    st.integers(1, 60).flatmap(
        lambda n: st.tuples(
            st.just(n), st.integers(1, 80), st.lists(st.integers(1, n), min_size=1, max_size=6)
        )
    )
)
def test_chance_is_exact(case) -> None:
    gallery, k, positives = case
    depth = min(k, gallery)
    exact = sum(
        1 - Fraction(comb(gallery - m, depth), comb(gallery, depth)) for m in positives
    ) / len(positives)
    assert chance_recall(np.array(positives), gallery, k) == pytest.approx(float(exact), abs=1e-9)


def test_random_embeddings_score_chance() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 30, 200)
    ks = (1, 5, 10)
    found = []
    for _ in range(40):
        query, gallery = rng.standard_normal((2, 200, 16))
        ranks = retrieval_ranks(query, gallery, labels, labels)
        found.append(hits(ranks.rank, ks).mean(axis=0))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    chance = [chance_recall(ranks.positives, 200, k) for k in ks]
    assert (np.abs(mean - chance) < 4 * error).all()
    assert (error < 0.02).all()


def test_what_cannot_be_scored_is_refused() -> None:
    good, labels = np.eye(3), [0, 1, 2]
    with pytest.raises(RankingError, match="embedding 1 is not finite"):
        retrieval_ranks(np.array([[1, 0, 0], [0, np.nan, 0], [0, 0, 1.0]]), good, labels, labels)
    with pytest.raises(RankingError, match="query 2 has no positive"):
        retrieval_ranks(good, good, [0, 1, 7], labels, chunk_scores=1)
    with pytest.raises(RankingError, match="do not fit"):
        retrieval_ranks(np.ones((3, 2)), good, labels, labels)
    with pytest.raises(RankingError, match="do not fit"):
        retrieval_ranks(good, good, labels, [0, 1])
    with pytest.raises(RankingError, match="one row an item"):
        retrieval_ranks(good, np.empty((0, 3)), labels, [])
