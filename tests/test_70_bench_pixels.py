"""Rung 7: pixel metrics by hand, beside scikit-learn, and on draws of groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer

from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.pixels import (
    change,
    confusion,
    drawn,
    f1,
    iou,
    kappa,
    overall_accuracy,
    segmentation,
)


@st.composite
def maps(draw):
    """Small maps; some classes may be missing, some truth unknown."""
    classes, size = draw(st.integers(2, 5)), draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = rng.integers(-1, classes, size)
    found = np.where(rng.random(size) < 0.6, np.maximum(truth, 0), rng.integers(0, classes, size))
    return truth, found, classes


@settings(deadline=None, max_examples=50)
@given(maps())
def test_metrics_equal_scikit_learn(case) -> None:
    truth, found, classes = case
    known = truth >= 0
    if not known.any():
        return
    one, other = truth[known], found[known]
    matrix = confusion(truth, found, classes)
    assert matrix.tolist() == peer.confusion_matrix(one, other, labels=range(classes)).tolist()
    present = np.union1d(one, other)
    each = {"labels": present, "average": None}
    assert iou(matrix)[present] == pytest.approx(peer.jaccard_score(one, other, **each))
    assert f1(matrix)[present] == pytest.approx(peer.f1_score(one, other, **each))
    absent = np.setdiff1d(np.arange(classes), present)
    assert np.isnan(iou(matrix)[absent]).all()
    assert np.isnan(f1(matrix)[absent]).all()
    expected = [
        peer.accuracy_score(one, other),
        peer.jaccard_score(one, other, average="macro"),
        peer.f1_score(one, other, average="macro"),
    ]
    assert segmentation(matrix)[:3] == pytest.approx(expected)
    if len(present) > 1:
        assert kappa(matrix) == pytest.approx(peer.cohen_kappa_score(one, other))
    else:
        assert np.isnan(kappa(matrix)), "one class only: nothing beyond chance"


def test_values_by_hand() -> None:
    """60 of 100 right; chance is (50·40 + 50·60) / 100² = 1/2, so kappa is 0.1 / 0.5."""
    matrix = [[25, 25], [15, 35]]
    assert overall_accuracy(matrix) == pytest.approx(0.6)
    assert kappa(matrix) == pytest.approx(0.2)
    assert iou(matrix) == pytest.approx([25 / 65, 35 / 75])
    assert change(matrix) == pytest.approx([70 / 110, 35 / 75, 0.2])
    assert segmentation(np.diag([3, 0, 9])) == pytest.approx([1.0] * 4)


def test_saying_same_everywhere_is_right_and_worthless() -> None:
    """A change map that answers "same" everywhere is 99% right and worth nothing."""
    matrix = [[9900, 0], [100, 0]]
    assert overall_accuracy(matrix) == pytest.approx(0.99)
    assert change(matrix) == pytest.approx([0.0, 0.0, 0.0])


def test_a_draw_of_groups_equals_their_pixels_together() -> None:
    rng = np.random.default_rng(0)
    truths = [rng.integers(-1, 3, (int(size), 7)) for size in rng.integers(1, 20, 6)]
    founds = [rng.integers(0, 3, truth.shape) for truth in truths]
    matrices = np.stack([confusion(*pair, 3) for pair in zip(truths, founds, strict=True)])
    draws = rng.multinomial(6, [1 / 6] * 6, size=10)
    values = segmentation(drawn(matrices, draws))
    assert values.shape == (10, 4)
    for times, value in zip(draws, values, strict=True):
        rows = np.repeat(np.arange(6), times)
        together = confusion(
            np.concatenate([truths[row] for row in rows]),
            np.concatenate([founds[row] for row in rows]),
            3,
        )
        assert value == pytest.approx(segmentation(together))
    assert drawn(matrices).tolist() == matrices.sum(axis=0).tolist()


def test_chunks_change_nothing_and_small_types_do_not_overflow(monkeypatch) -> None:
    rng = np.random.default_rng(1)
    truth, found = rng.integers(0, 100, (2, 60, 50)).astype(np.uint8)
    whole = confusion(truth, found, 100)
    assert whole.sum() == truth.size
    assert whole[99].sum() == (truth == 99).sum()
    monkeypatch.setattr("sarknowlip.bench.pixels.CHUNK_PIXELS", 7)
    assert np.array_equal(confusion(truth, found, 100), whole)
    assert confusion(np.full(9, 255, np.uint8), np.zeros(9, int), 2, ignored=255).sum() == 0


def test_nothing_counted_is_no_score() -> None:
    assert np.isnan(segmentation(np.zeros((2, 2)))).all()
    assert np.isnan(change(np.zeros((2, 2)))).all()


def test_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BenchError, match=r"shape \(3,\) answers one of shape \(2,\)"):
        confusion([0, 1], [0, 1, 1], 2)
    with pytest.raises(BenchError, match="a pixel's truth is 2"):
        confusion([0, 2], [0, 1], 2)
    with pytest.raises(BenchError, match="a pixel's answer is -1"):
        confusion([0, 1], [0, -1], 2)
    assert confusion([0, -1], [0, 9], 2).sum() == 1, "not looked at where truth is unknown"
    with pytest.raises(BenchError, match="two classes"):
        change(np.eye(3))
