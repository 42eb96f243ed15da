"""Rung 7: retrieval metrics against brute force, exact chance, intervals."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarknowlip.bench.metrics import (
    MIN_CLUSTERS,
    BenchError,
    bootstrap_interval,
    chance_recall,
    hits,
    mean_reciprocal_rank,
    resampling_units,
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


def test_interval_of_independent_queries_is_the_binomial_one() -> None:
    values = (np.arange(400) < 120).astype(float)[:, None]
    low, high = bootstrap_interval(values, np.arange(400), resamples=4000)
    spread = 1.96 * np.sqrt(0.3 * 0.7 / 400)
    assert low[0] == pytest.approx(0.3 - spread, abs=0.006)
    assert high[0] == pytest.approx(0.3 + spread, abs=0.006)


def test_interval_of_blocks_sees_their_dependence() -> None:
    """All queries of a block agree: 20 observations, not 400, so √20 times the width."""
    blocks = np.repeat(np.arange(20), 20)
    values = (blocks < 6).astype(float)[:, None]
    low, high = bootstrap_interval(values, blocks, resamples=4000)
    alone = bootstrap_interval(values, np.arange(400), resamples=4000)
    ratio = (high[0] - low[0]) / (alone[1][0] - alone[0][0])
    assert ratio == pytest.approx(np.sqrt(20), rel=0.1)


def test_interval_of_uneven_blocks_equals_resampling_by_hand() -> None:
    rng = np.random.default_rng(2)
    blocks = np.repeat(np.arange(8), rng.integers(1, 30, 8))
    values = rng.random((len(blocks), 2))
    low, high = bootstrap_interval(values, blocks, resamples=6000)
    means = []
    for _ in range(6000):
        drawn = rng.integers(0, 8, 8)
        means.append(np.concatenate([values[blocks == block] for block in drawn]).mean(axis=0))
    expected = np.quantile(means, [0.025, 0.975], axis=0)
    assert np.allclose([low, high], expected, atol=0.012)


def test_interval_is_seeded_and_its_memory_bound_changes_nothing(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    values, blocks = rng.random((90, 3)), rng.integers(0, 11, 90)
    first = bootstrap_interval(values, blocks, seed=3)
    assert np.array_equal(first, bootstrap_interval(values, blocks, seed=3))
    assert not np.array_equal(first, bootstrap_interval(values, blocks, seed=4))
    monkeypatch.setattr("sarknowlip.bench.metrics.CHUNK_SCORES", 50)
    assert np.allclose(first, bootstrap_interval(values, blocks, seed=3), rtol=0, atol=1e-12)


def test_blocks_are_resampled_when_there_are_enough() -> None:
    names = [f"b{i}" for i in range(MIN_CLUSTERS)] * 3
    member, unit = resampling_units(names)
    assert unit == "block"
    assert len(set(member.tolist())) == MIN_CLUSTERS
    assert all(member[i] == member[i + MIN_CLUSTERS] for i in range(MIN_CLUSTERS))
    member, unit = resampling_units(names[: MIN_CLUSTERS - 1] * 4)
    assert unit == "query"
    assert len(set(member.tolist())) == 4 * (MIN_CLUSTERS - 1)


def test_what_cannot_be_scored_is_refused() -> None:
    good, labels = np.eye(3), [0, 1, 2]
    with pytest.raises(BenchError, match="embedding 1 is not finite"):
        retrieval_ranks(np.array([[1, 0, 0], [0, np.nan, 0], [0, 0, 1.0]]), good, labels, labels)
    with pytest.raises(BenchError, match="query 2 has no positive"):
        retrieval_ranks(good, good, [0, 1, 7], labels, chunk_scores=1)
    with pytest.raises(BenchError, match="do not fit"):
        retrieval_ranks(np.ones((3, 2)), good, labels, labels)
    with pytest.raises(BenchError, match="do not fit"):
        retrieval_ranks(good, good, labels, [0, 1])
    with pytest.raises(BenchError, match="one row an item"):
        retrieval_ranks(good, np.empty((0, 3)), labels, [])
