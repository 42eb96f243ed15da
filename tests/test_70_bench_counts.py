"""Rung 7: metrics of counting by hand, beside scikit-learn, and on draws of items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer

from sarknowlip.bench.counts import count_values, figures
from sarknowlip.bench.metrics import BenchError


def test_values_by_hand() -> None:
    """Errors 0, 1, 3, 2; squares 14; true counts 0, 4, 2, 2 spread by 8 around 2."""
    found = figures(count_values([0, 4, 2, 2], [0, 3, 5, 4]))
    assert found == pytest.approx([6 / 4, np.sqrt(14 / 4), 1 - 14 / 8, 2 / 4])


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 30), st.integers(0, 2**32 - 1), st.sampled_from([0, 10**6]))
def test_values_equal_scikit_learn_on_draws(size: int, seed: int, offset: int) -> None:
    rng = np.random.default_rng(seed)
    truth = offset + rng.integers(0, 20, size)
    answer = truth + np.round(rng.normal(0, 2, size), 1)
    values = count_values(truth, answer)
    draws = rng.multinomial(size, np.full(size, 1 / size), size=5)
    for times, found in zip(draws, figures(values, draws), strict=True):
        rows = np.repeat(np.arange(size), times)
        one, other = truth[rows], answer[rows]
        assert found[0] == pytest.approx(peer.mean_absolute_error(one, other))
        assert found[1] == pytest.approx(peer.root_mean_squared_error(one, other))
        if len(set(one.tolist())) > 1:
            assert found[2] == pytest.approx(peer.r2_score(one, other), rel=1e-6, abs=1e-6)
        else:
            assert np.isnan(found[2])
        assert found[3] == pytest.approx(np.mean(np.abs(other - one) <= 1))


def test_perfect_and_mean_answers() -> None:
    truth = np.array([1, 5, 9, 9])
    assert figures(count_values(truth, truth)) == pytest.approx([0.0, 0.0, 1.0, 1.0])
    assert figures(count_values(truth, np.full(4, 6.0)))[2] == pytest.approx(0.0)


def test_what_has_no_answer_is_no_number() -> None:
    values = count_values([3, 3, 4], [3, 2, 4])
    assert np.isnan(figures(values, [2, 1, 0])[2]), "true counts drawn are all 3"
    assert np.isnan(figures(values, [0, 0, 0])).all()


def test_counts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BenchError, match="one count an item"):
        count_values([1, 2], [1])
    with pytest.raises(BenchError, match="one count an item"):
        count_values([], [])
    with pytest.raises(BenchError, match="count 1 is not finite"):
        count_values([1, 2], [1, np.nan])
