"""Rung 7: intervals that respect dependence."""

from __future__ import annotations

import numpy as np
import pytest

from sarknowlip.bench.metrics import MIN_CLUSTERS, bootstrap_interval, resampling_units


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
    monkeypatch.setattr("sarknowlip.bench.metrics.CHUNK_VALUES", 50)
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
