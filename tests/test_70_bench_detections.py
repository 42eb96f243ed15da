"""Rung 7: average precision by hand, beside faster-coco-eval, and on draws of images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarknowlip.bench.detections import (
    Boxes,
    ap,
    coco_ap,
    corners_of,
    figures,
    grounded,
    match,
    overlap,
)
from sarknowlip.bench.metrics import BenchError


def boxes_of(image, label, xywh) -> Boxes:
    xywh = np.asarray(xywh, dtype=float).reshape(-1, 4)
    corners = corners_of(np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]]))
    return Boxes(np.asarray(image, dtype=int), np.asarray(label, dtype=int), corners)


def both(truth: Boxes, found: Boxes, score, **size) -> np.ndarray:
    """Return the table of our matching, having compared it with that of faster-coco-eval."""
    mine = ap(match(truth, found, score, **size))
    theirs = coco_ap(truth, found, score, **size)
    assert np.array_equal(np.isnan(mine), np.isnan(theirs))
    assert mine == pytest.approx(theirs, abs=1e-9, nan_ok=True)
    return mine


def test_values_of_detectron2_kept_in_the_tests_of_faster_coco_eval() -> None:
    """tests/test_coco_metric.py, test_detectron2_eval: image 139 of COCO, persons."""
    truth = boxes_of(
        [0, 0], [0, 0], [[412.8, 157.61, 53.05, 138.01], [384.43, 172.21, 15.12, 35.74]]
    )
    found = boxes_of(
        [0] * 3,
        [0] * 3,
        [
            [417.3332824707031, 159.27003479003906, 47.66064453125, 143.00193786621094],
            [383.5909118652344, 172.0777587890625, 17.959075927734375, 36.94813537597656],
            [457.8359069824219, 158.88027954101562, 9.89764404296875, 8.771820068359375],
        ],
    )
    score = [0.9949821829795837, 0.7685421705245972, 0.07092753797769547]
    table = both(truth, found, score, images=1, classes=1)
    assert figures(table) == pytest.approx([0.7504950495049505, 1.0, 1.0], abs=1e-12)


def test_values_of_the_data_set_of_faster_coco_eval() -> None:
    """tests/test_basic.py, test_coco_eval: 9 shapes of 4 classes on 3 images."""
    wide, heart, arrow = [22, 24, 109, 111], [145, 24, 108, 108], [4, 156, 107, 91]
    star, low, right = [10, 147, 107, 107], [132, 130, 107, 108], [144, 2, 109, 111]
    truth = boxes_of(
        [0, 0, 0, 1, 1, 1, 2, 2, 2],
        [0, 1, 2, 0, 3, 1, 0, 1, 3],
        [wide, heart, arrow, wide, star, low, right, [14, 21, 121, 124], [108, 120, 131, 127]],
    )
    found = boxes_of(
        [0, 0, 0, 1, 1, 1, 2, 2, 2],
        [1, 0, 2, 0, 3, 1, 0, 3, 0],
        [wide, heart, arrow, wide, star, low, right, [108, 120, 131, 127], [4, 145, 109, 111]],
    )
    score = np.arange(19, 28) / 30
    table = both(truth, found, score, images=3, classes=4)
    assert figures(table) == pytest.approx([0.6947194719471946] * 3, abs=1e-12)


def test_average_precision_by_hand() -> None:
    """Right, wrong, right of 3 truths: precision 1 up to recall 1/3, 2/3 up to 2/3, then none."""
    truth = boxes_of([0] * 3, [0] * 3, [[0, 0, 9, 9], [20, 0, 9, 9], [40, 0, 9, 9]])
    found = boxes_of([0] * 3, [0] * 3, [[0, 0, 9, 9], [80, 0, 9, 9], [20, 0, 9, 9]])
    matches = match(truth, found, [0.9, 0.8, 0.7], images=1, classes=1)
    assert ap(matches, rule="voc")[0] == pytest.approx([1 / 3 + 2 / 3 / 3] * 10)
    assert ap(matches)[0] == pytest.approx([(34 + 33 * 2 / 3) / 101] * 10)


def test_a_truth_is_taken_once_and_by_the_surest() -> None:
    """Overlaps 0.6 and 1: the surer box takes the truth, the better one comes too late."""
    truth = boxes_of([0], [0], [[0, 0, 10, 10]])
    found = boxes_of([0, 0], [0, 0], [[0, 0, 10, 10], [0, 0, 10, 6]])
    matches = match(truth, found, [0.3, 0.8], images=1, classes=1)
    assert matches.score.tolist() == [0.8, 0.3]
    assert matches.hit[0].tolist() == [True, False], "at 0.5"
    assert matches.hit[3].tolist() == [False, True], "at 0.65"


@st.composite
def scenes(draw):
    """Boxes on a coarse grid: exact thresholds, equal overlaps, equal scores, empty images."""
    seed, count = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 30))
    images, classes = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(seed)
    grid = draw(st.sampled_from([1.0, 0.25]))

    def some(number: int) -> Boxes:
        xywh = np.hstack([rng.integers(0, 6, (number, 2)), rng.integers(1, 5, (number, 2))])
        return boxes_of(
            rng.integers(0, images, number), rng.integers(0, classes, number), xywh * grid
        )

    score = rng.integers(0, 8, count) / 8 if draw(st.booleans()) else rng.random(count)
    return (
        some(draw(st.integers(1, 12))),
        some(count),
        score,
        {"images": images, "classes": classes},
    )


@settings(deadline=None, max_examples=120)
@given(scenes(), st.sampled_from([100, 3]))
def test_matching_equals_faster_coco_eval(scene, limit: int) -> None:
    truth, found, score, size = scene
    both(truth, found, score, limit=limit, **size)


def test_matching_equals_faster_coco_eval_on_many_real_valued_boxes() -> None:
    rng = np.random.default_rng(0)
    images, classes, number = 12, 2, 400
    xywh = np.hstack([rng.random((number, 2)) * 200, 5 + rng.random((number, 2)) * 30])
    image, label = rng.integers(0, images, number), rng.integers(0, classes, number)
    near = np.concatenate([xywh + rng.normal(0, s, xywh.shape) for s in (0.5, 2.0, 6.0)])
    near[:, 2:] = np.abs(near[:, 2:])
    truth = boxes_of(image, label, xywh)
    found = boxes_of(np.tile(image, 3), np.tile(label, 3), near)
    table = both(truth, found, rng.random(len(near)), images=images, classes=classes)
    assert 0.1 < figures(table)[0] < 0.9


def test_oriented_boxes_turn_without_change() -> None:
    """The same scene turned by 30 degrees scores the same; corners may come in any order."""
    rng = np.random.default_rng(1)
    xywh = np.hstack([rng.random((60, 2)) * 300, 8 + rng.random((60, 2)) * 30])
    truth = boxes_of([0] * 60, [0] * 60, xywh)
    found = boxes_of([0] * 60, [0] * 60, xywh + rng.normal(0, 2, xywh.shape))
    score = rng.random(60)
    straight = ap(match(truth, found, score, images=1, classes=1))
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    turned = [
        Boxes(boxes.image, boxes.label, boxes.corners[:, order] @ turn.T)
        for boxes, order in ((truth, [0, 1, 2, 3]), (found, [2, 0, 1, 3]))
    ]
    assert ap(match(*turned, score, images=1, classes=1)) == pytest.approx(straight)
    with pytest.raises(BenchError, match="box 0 is not horizontal"):
        coco_ap(*turned, score, images=1, classes=1)


def test_overlap_of_oriented_boxes_by_hand() -> None:
    """A square and the same turned by 45 degrees share an octagon: 2 (√2 − 1) of side 1."""
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    half = np.sqrt(0.5)
    diamond = np.array([[0, -half], [half, 0], [0, half], [-half, 0]])
    shared = 2 * (np.sqrt(2) - 1)
    found = overlap([square, square, square], [diamond, square + 2, square + np.array([0.5, 0])])
    assert found == pytest.approx([shared / (2 - shared), 0.0, 1 / 3])


def test_boxes_without_area_hit_nothing() -> None:
    point = np.zeros((1, 4, 2))
    assert overlap(point, point).tolist() == [0.0]
    truth = boxes_of([0], [0], [[0, 0, 10, 10]])
    found = boxes_of([0], [0], [[2, 2, 0, 5]])
    assert both(truth, found, [1.0], images=1, classes=1)[0].tolist() == [0.0] * 10


@settings(deadline=None, max_examples=40)
@given(scenes(), st.integers(0, 2**32 - 1), st.sampled_from(["coco", "voc"]))
def test_a_draw_of_images_equals_a_data_set_of_their_copies(scene, seed: int, rule) -> None:
    truth, found, score, size = scene
    score = score + np.arange(len(score)) * 1e-6  # ties may order copies otherwise
    matches = match(truth, found, score, **size)
    drawn = np.random.default_rng(seed).integers(0, size["images"], size["images"])
    times = np.bincount(drawn, minlength=size["images"])

    def copies(boxes: Boxes) -> tuple[Boxes, np.ndarray]:
        rows = [np.flatnonzero(boxes.image == image) for image in drawn]
        image = np.repeat(np.arange(len(drawn)), [len(own) for own in rows])
        taken = np.concatenate(rows)
        return Boxes(image, boxes.label[taken], boxes.corners[taken]), taken

    detections, taken = copies(found)
    again = match(copies(truth)[0], detections, score[taken], **size)
    assert ap(matches, times, rule=rule) == pytest.approx(ap(again, rule=rule), nan_ok=True)


def test_perfect_and_empty_detections() -> None:
    truth = boxes_of([0, 0, 1], [0, 1, 0], [[0, 0, 5, 5], [9, 9, 5, 5], [3, 3, 5, 5]])
    size = {"images": 2, "classes": 3}
    table = both(truth, truth, [0.5, 0.9, 0.1], **size)
    assert figures(table).tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(table[2]).all(), "a class without a truth has no precision"
    nothing = boxes_of([], [], [])
    assert figures(both(truth, nothing, [], **size)).tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(figures(both(nothing, truth, [1, 1, 1], **size))).all()


def test_grounding_counts_overlaps_of_at_least_one_half() -> None:
    truth = corners_of([[0, 0, 10, 10]] * 3)
    found = corners_of([[0, 0, 10, 5], [0, 0, 10, 4.9], [0, 0, 10, 10]])
    assert grounded(found, truth).tolist() == [1.0, 0.0, 1.0]


def test_boxes_that_fit_nothing_are_refused() -> None:
    one = boxes_of([0], [0], [[0, 0, 1, 1]])
    with pytest.raises(BenchError, match="do not fit"):
        Boxes(np.zeros(2, int), np.zeros(1, int), one.corners)
    with pytest.raises(BenchError, match="corners of box 0 are not finite"):
        Boxes(one.image, one.label, one.corners * np.nan)
    for score in (match, coco_ap):
        with pytest.raises(BenchError, match="scores of shape"):
            score(one, one, [], images=1, classes=1)
        with pytest.raises(BenchError, match="scores of shape"):
            score(one, one, [np.nan], images=1, classes=1)
        with pytest.raises(BenchError, match="box 0 is of image 3; there are 2"):
            score(boxes_of([3], [0], [[0, 0, 1, 1]]), one, [1.0], images=2, classes=1)
        with pytest.raises(BenchError, match="box 0 is of class -1"):
            score(one, boxes_of([0], [-1], [[0, 0, 1, 1]]), [1.0], images=1, classes=1)
