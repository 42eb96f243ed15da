"""Measures on draws of groups: weights, intervals, comparisons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarknowlip.bench.measure import Measure, drawn_weights, draws, interval, paired_p
from sarknowlip.bench.metrics import bootstrap_interval

CLUSTERS = np.repeat(np.arange(12), 5)
GROUPS = tuple(f"g{number}" for number in CLUSTERS)


def measure(values_NK: np.ndarray) -> Measure:
    names = tuple(f"m{k}" for k in range(values_NK.shape[1]))
    return Measure.of_means(names, GROUPS, values_NK)


def test_the_whole_is_the_mean_and_no_weight_is_nothing() -> None:
    values_NK = np.random.default_rng(0).random((60, 2))
    one = measure(values_NK)
    np.testing.assert_allclose(one.whole(), values_NK.mean(axis=0))
    assert np.isnan(one.values(np.zeros(60))).all()


def test_weights_are_counts_of_whole_clusters() -> None:
    for weights_N in drawn_weights(CLUSTERS, seed=1, resamples=20):
        by_cluster = weights_N.reshape(12, 5)
        assert (by_cluster == by_cluster[:, :1]).all()
        assert by_cluster[:, 0].sum() == 12


def test_the_interval_is_that_of_the_plain_bootstrap() -> None:
    values_NK = np.random.default_rng(2).normal(size=(60, 3)) + np.arange(3)
    low, high = interval(draws(measure(values_NK), CLUSTERS, seed=5, resamples=400))
    expected = bootstrap_interval(values_NK, CLUSTERS, seed=5, resamples=400)
    # the same distribution, other random numbers
    np.testing.assert_allclose(low, expected[0], atol=0.06)
    np.testing.assert_allclose(high, expected[1], atol=0.06)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        effect = generator.normal(size=30)
        values_NK = (effect[:, None] + generator.normal(size=(30, 4))).reshape(-1, 1)
        clusters = np.repeat(np.arange(30), 4)
        one = Measure.of_means(("m",), tuple(map(str, clusters)), values_NK)
        low, high = interval(draws(one, clusters, seed=trial, resamples=200))
        covered += bool(low[0] <= 0.0 <= high[0])
    assert 0.87 <= covered / 200 <= 0.99


def test_equal_models_do_not_differ_and_better_ones_do() -> None:
    generator = np.random.default_rng(4)
    values_NK = generator.random((60, 1))
    first = draws(measure(values_NK), CLUSTERS, seed=0, resamples=300)
    again = draws(measure(values_NK), CLUSTERS, seed=0, resamples=300)
    better = draws(measure(values_NK + 0.1), CLUSTERS, seed=0, resamples=300)
    assert paired_p(first, again)[0] == 1.0
    assert paired_p(first, better)[0] == pytest.approx(2 / 301)
    assert paired_p(first, better)[0] == paired_p(better, first)[0]


@given(st.integers(1, 40), st.integers(0, 5))
def test_undefined_draws_are_left_out(defined: int, undefined: int) -> None:
    values = np.concatenate([np.linspace(0, 1, defined), np.full(undefined, np.nan)])[:, None]
    low, high = interval(values)
    expected = np.quantile(np.linspace(0, 1, defined), [0.025, 0.975])
    np.testing.assert_allclose([low[0], high[0]], expected)
