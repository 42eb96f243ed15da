"""Rung 7: whether a loop is collapsing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarknowlip.annotate.claim import Text
from sarknowlip.train.rounds.config import FloorConfig
from sarknowlip.train.rounds.diversity import (
    Diversity,
    effective_rank,
    fallen,
    text_diversity,
)


def test_effective_rank_counts_directions() -> None:
    corners = np.concatenate([np.eye(4), -np.eye(4)])
    assert effective_rank(corners) == pytest.approx(4.0)
    line = np.outer([1.0, -1.0, 2.0, -2.0], [3.0, 4.0])
    assert effective_rank(line) == pytest.approx(1.0)
    assert effective_rank(np.ones((5, 3))) == 1.0


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(1, 8), st.integers(0, 99))
def test_effective_rank_is_bounded_and_ignores_place_and_size(n: int, d: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((n, d))
    rank = effective_rank(rows)
    assert 1.0 - 1e-9 <= rank <= min(n, d) + 1e-9
    assert effective_rank(7.0 * rows + 3.0) == pytest.approx(rank)


def test_uniform_texts_have_little_diversity() -> None:
    varied = [Text.of("t", "target", "sentence", w, claim_ids=["c"]) for w in ("a b c", "d e f")]
    same = [Text.of(t, "target", "sentence", "a b c", claim_ids=["c"]) for t in ("t", "u")]
    one, two = text_diversity(varied), text_diversity(same)
    assert (one.texts, one.vocabulary, one.distinct_2) == (2, 6, 1.0)
    assert (two.texts, two.vocabulary, two.distinct_2) == (2, 3, 0.5)


def test_what_fell_is_named() -> None:
    first = Diversity(texts=10, vocabulary=100, distinct_2=0.5, rank=20.0)
    floor = FloorConfig(vocabulary=0.8, distinct_2=0.8, rank=0.5)
    assert fallen(first, first, floor) is None
    lost = first.model_copy(update={"vocabulary": 79})
    assert fallen(lost, first, floor) == "vocabulary fell to 79, below 80"
    flat = first.model_copy(update={"rank": 9.0})
    assert fallen(flat, first, floor) == "rank fell to 9, below 10"
    assert fallen(first.model_copy(update={"rank": None}), first, floor) is None
