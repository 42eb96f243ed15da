"""What is shown of answers: every task tells how well items were answered, and of the best what."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from levelled import Levelled
from planted import Planted, scene
from sarknowlip.bench.example import Boxes, Captions, Example, Label, Mask, Region
from sarknowlip.bench.gallery import LONGEST, SHOWN, chosen, gallery, in_words
from sarknowlip.bench.tasks.suite import SUITE
from sarknowlip.bench.thumbnails import GAP_PX, PANEL_PX, TOLD, TRUE, thumbnail
from sarknowlip.sar.chip import chip


def served(name: str):
    if SUITE[name].spec.asks in Levelled.tasks:
        return Levelled()
    return Planted([scene(0)], [scene(seed) for seed in range(100, 106)]).for_task(name)


@pytest.mark.parametrize("name", SUITE)
def test_the_truth_is_answered_best_and_told_as_it_is(name: str, tmp_path) -> None:
    task, data = SUITE[name](), served(name)
    perfect = task.perfect(data)
    scores = task.item_scores(data, perfect)
    examples = data.examples(task.spec.asks, "test")
    assert scores.shape == (len(examples),)
    np.testing.assert_allclose(scores[np.isfinite(scores)], 1.0)
    shown = gallery(task, data, perfect, tmp_path / "seed-0")
    assert len(shown.best) == min(SHOWN, np.isfinite(scores).sum())
    assert not shown.worst
    told_as_truth = not isinstance(task.told(data, perfect, 0), str)
    for item in shown.best:
        assert item.told == item.true or not told_as_truth or name in ("answering", "captioning")
        assert item.told
        assert Image.open(tmp_path / item.picture).height <= PANEL_PX


@pytest.mark.parametrize("name", SUITE)
def test_drawn_answers_are_between(name: str) -> None:
    task, data = SUITE[name](), served(name)
    scores = task.item_scores(data, task.random(data, 0))
    known = scores[np.isfinite(scores)]
    assert known.min() >= 0.0
    assert known.max() <= 1.0
    assert known.mean() < 0.9


def test_best_and_worst_share_nothing_and_do_not_depend_on_order() -> None:
    scores = np.array([1.0, 0.0, 0.5, np.nan, 1.0, 0.2, 0.0, 1.0, 1.0, 1.0])
    names = [f"item{n}" for n in range(10)]
    best, worst = chosen(scores, names)
    assert len(best) == len(worst) == SHOWN
    assert scores[best].tolist() == [1.0] * 4
    assert scores[worst].tolist() == [0.0, 0.0, 0.2, 0.5]
    again = chosen(scores[::-1], names[::-1])
    assert [names[::-1][row] for row in again[0]] == [names[row] for row in best]
    assert chosen(np.zeros(9), names[:9])[0] == []
    assert chosen(np.ones(9), names[:9])[1] == []


def test_answers_in_words() -> None:
    data = Levelled()
    assert in_words(Label(-1), data) == "cannot tell"
    boxes = Boxes(np.zeros((3, 4, 2)), np.array([1, 0, 1]))
    assert in_words(boxes, data) == "2 field, 1 water"
    assert in_words(Boxes(np.empty((0, 4, 2)), np.empty(0, np.int64)), data) == "nothing"
    mask = Mask(lambda: np.array([[0, 0, -1], [0, 3, -1]]))
    assert in_words(mask, data) == "water 75%, town 25%"
    assert len(in_words(Captions(("x" * 1000,)), data)) == LONGEST + 1


def example(truth, before=False) -> Example:
    def read():
        db = np.random.default_rng(0).normal(-10.0, 1.0, (1, 40, 80)).astype(np.float32)
        return chip("a", db, polarizations=("VV",), gsd_m=1.0)

    return Example("a", "g", read, truth, read if before else None)


def pixels(truth, told, before=False) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(thumbnail(example(truth, before), told))))


def test_boxes_are_drawn_where_they_lie() -> None:
    box = np.array([[[8.0, 8.0], [40.0, 8.0], [40.0, 24.0], [8.0, 24.0]]])
    shown = pixels(Boxes(box, np.array([0])), Boxes(box + 8.0, np.array([0])))
    assert shown.shape == (PANEL_PX // 2, PANEL_PX, 3)
    scale = PANEL_PX / 80
    for corner, colour in ((8.0, TRUE), (16.0, TOLD)):
        row = int(corner * scale)
        assert (shown[row, round(20 * scale)] == colour).all()
    # a region's box beside its words
    region = Region("the ship", np.array([8.0, 8.0, 40.0, 24.0]))
    assert (pixels(region, "no idea") == TRUE).all(axis=-1).any()


def test_maps_stand_beside_two_dates() -> None:
    left = Mask(lambda: np.zeros((40, 80), np.int64))
    shown = pixels(left, Mask(lambda: np.full((40, 80), -1)), before=True)
    assert shown.shape == (PANEL_PX // 2, 4 * PANEL_PX + 3 * GAP_PX, 3)
    truth, told = (shown[:, k * (PANEL_PX + GAP_PX) :][:, :PANEL_PX] for k in (2, 3))
    assert np.unique(truth.reshape(-1, 3), axis=0).shape == (1, 3)
    assert np.unique(told).tolist() == [60]


def test_maps_have_a_key_of_the_classes_in_them(tmp_path) -> None:
    task, data = SUITE["segmentation"](), served("segmentation")
    shown = gallery(task, data, task.perfect(data), tmp_path / "seed-0")
    for item in shown.best:
        colours = np.asarray(Image.open(tmp_path / item.picture)).reshape(-1, 3)
        drawn = {f"#{bytes(colour).hex()}" for colour in np.unique(colours, axis=0)}
        assert item.key
        names, hues = zip(*item.key, strict=True)
        assert set(names) <= set(data.classes)
        assert set(hues) <= drawn


def test_marks_are_drawn_on_grey() -> None:
    def read():
        db = np.random.default_rng(0).normal(-10.0, 3.0, (2, 40, 40)).astype(np.float32)
        return chip("a", db, polarizations=("VV", "VH"), gsd_m=1.0)

    box = Boxes(np.array([[[8.0, 8.0], [30.0, 8.0], [30.0, 24.0], [8.0, 24.0]]]), np.array([0]))
    shown = np.asarray(Image.open(io.BytesIO(thumbnail(Example("a", "g", read, box), "nothing"))))
    marked = (shown == TRUE).all(axis=-1)
    assert marked.any()
    assert (np.ptp(shown[~marked], axis=-1) == 0).all()
