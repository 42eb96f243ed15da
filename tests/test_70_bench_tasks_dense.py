"""Rung 7: tasks answered from patch features, on pictures with planted objects and regions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planted import LocalMeans, Planted, scene
from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.detections import corners_of, overlap
from sarknowlip.bench.example import Boxes, Label
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.probes.boxes import BoxSettings, Detections
from sarknowlip.bench.probes.referring import PointingSettings
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.tasks.change import ChangeTask
from sarknowlip.bench.tasks.detection import DetectionTask
from sarknowlip.bench.tasks.grounding import Answered, GroundingTask
from sarknowlip.bench.tasks.polsar import PolsarTask
from sarknowlip.bench.tasks.segmentation import SegmentationTask
from sarknowlip.bench.tasks.suite import SUITE
from sarknowlip.core.files import read_json

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("segmentation", "change", "detection", "grounding", "polsar")
LIGHT = {
    "detection": lambda: DetectionTask(BoxSettings(steps=160, width=32)),
    "segmentation": lambda: SegmentationTask(3000),
    "change": lambda: ChangeTask(3000),
    "polsar": lambda: PolsarTask(3000),
    "grounding": lambda: GroundingTask(PointingSettings(steps=80, decays=(0.03,))),
}
"""Heads with a smaller budget, enough for what is planted."""


class Levels(LocalMeans):
    """Tells how near each mean is to some levels: what a linear head needs to know a dim thing."""

    def patches(self, tiles):
        means = super().patches(tiles)
        near = [np.exp(-(((means - level) / 0.3) ** 2)) for level in (0.0, 0.4, 0.8, 1.2, 1.6)]
        return np.concatenate(near, axis=-1).astype(np.float32)


class Blind(LocalMeans):
    """Sees no difference."""

    def patches(self, tiles):
        return np.ones((len(tiles), self.cells, self.cells, 3), dtype=np.float32)


SEES = {name: Levels(16, 1) for name in NAMES} | {"detection": LocalMeans(8, 2)}


def made(name: str) -> Task:
    return LIGHT.get(name, SUITE[name])()


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted([scene(seed) for seed in range(28)], [scene(seed) for seed in range(100, 112)])


@pytest.fixture(scope="module")
def answers(planted):
    """Return a function from a task's name to what the seeing model answers, made once."""
    kept: dict[str, list] = {}

    def answer(name: str) -> list:
        if name not in kept:
            kept[name] = asked(name, planted, SEES[name])
        return kept[name]

    return answer


def asked(name: str, data: Planted, adapter: Adapter, asking: Asking | None = None) -> list:
    return made(name).predict(adapter, data.for_task(name), asking or Asking(seed=1))


def scores(name: str, data: Planted, told: list) -> np.ndarray:
    return made(name).measure(data.for_task(name), told).whole()


def same(one, other) -> None:
    """Assert that two predictions are equal, but for rounding."""
    if isinstance(one, Detections):
        sure, other_sure = one.scores > 0.1, other.scores > 0.1
        np.testing.assert_allclose(one.scores[sure], other.scores[other_sure], atol=1e-3)
        np.testing.assert_allclose(one.oriented[sure], other.oriented[other_sure], atol=0.05)
    elif isinstance(one, Answered):
        np.testing.assert_allclose(one.box, other.box, atol=1.0)
    else:
        assert (one == other).mean() > 0.999


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_versioned_data(name: str) -> None:
    kind = SUITE[name]
    told = read_json(ROOT / "src" / Path(*kind.__module__.split(".")).with_suffix(".json"), "")
    assert kind.spec.model_dump(mode="json", exclude_defaults=True) == told
    assert isinstance(kind.spec, TaskSpec)
    assert kind.spec.name == name
    assert kind.spec.main == kind.spec.metrics[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_scores_one_and_draws_weigh_pictures(name: str, planted) -> None:
    task, data = made(name), planted.for_task(name)
    test = data.examples(name, "test")
    truth = task.perfect(data)
    measure = task.measure(data, truth)
    assert measure.names == (*task.spec.metrics, *task.spec.errors)
    assert measure.groups == tuple(example.group for example in test)
    np.testing.assert_allclose(measure.whole(), 1.0)
    chance = task.random(data, 0)
    half = len(test) // 2
    mixed = task.measure(data, [*truth[:half], *chance[half:]])
    first = (np.arange(len(test)) < half).astype(float)
    np.testing.assert_allclose(mixed.values(3.0 * first), 1.0)
    alone = task.measure(data, chance).values(1.0 - first)
    np.testing.assert_allclose(mixed.values(1.0 - first), alone)
    assert (alone < 0.6).all()
    with pytest.raises(BenchError):
        task.measure(data, truth[:-1])


@pytest.mark.parametrize("name", NAMES)
def test_random_answers_score_chance_where_it_is_known(name: str, planted) -> None:
    task, data = made(name), planted.for_task(name)
    chance = task.chance(data)
    assert len(chance) == len(task.spec.metrics)
    many = np.array([task.measure(data, task.random(data, seed)).whole() for seed in range(8)])
    known = np.isfinite(chance)
    np.testing.assert_allclose(many.mean(axis=0)[known], chance[known], atol=0.01)
    assert known.any() == (name not in ("detection", "grounding"))
    assert (many.mean(axis=0) < 0.6).all()


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("segmentation", (0.75, 0.95)),
        ("change", (0.8, 0.8, 0.7)),
        ("detection", (0.8, 0.4, 0.75)),
        ("grounding", (0.6, 0.5, 0.4)),
        ("polsar", (0.97, 0.8, 0.85)),
    ],
)
def test_what_is_planted_is_found(name: str, least, planted, answers) -> None:
    found = scores(name, planted, answers(name))
    assert (found > least).all(), found


@pytest.mark.parametrize("name", ["segmentation", "change"])
def test_a_model_that_sees_nothing_tells_the_most_frequent_class(name: str, planted) -> None:
    assert not np.any(asked(name, planted, Blind()))


@pytest.mark.parametrize("name", ["detection", "grounding"])
def test_a_model_that_sees_nothing_finds_hardly_anything(name: str, planted) -> None:
    """Where objects mostly lie can be learned without seeing them, and no more."""
    found = scores(name, planted, asked(name, planted, Blind()))
    assert (found < 0.1).all(), found


@pytest.mark.parametrize("name", NAMES[:4])
def test_batches_and_a_cache_change_nothing(name: str, planted, answers, tmp_path) -> None:
    asking = Asking(seed=1, batch_size=7, cache=tmp_path)
    for one, other in zip(answers(name), asked(name, planted, SEES[name], asking), strict=True):
        same(one, other)
    assert list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize("name", NAMES)
def test_another_kind_of_truth_is_refused(name: str, planted) -> None:
    class Labels(Planted):
        def examples(self, task, part):
            return [replace(one, truth=Label(0)) for one in super().examples(task, part)]

    task = made(name)
    with pytest.raises(BenchError, match="choose another data set"):
        task.perfect(Labels(planted.parts["train"], planted.parts["test"]))


def test_a_picture_cut_into_windows_gives_each_object_once(planted) -> None:
    """Objects of a large picture are found at their places, wherever borders of windows run."""

    class Cut(DetectionTask):
        spec = DetectionTask.spec.model_copy(update={"window": 64, "overlap": 24})

    large = scene(7, objects=14, size=(150, 230))
    empty = scene(8, objects=0, size=(150, 90))
    data = Planted(planted.parts["train"], [large, empty]).for_task("detection")
    task = Cut(BoxSettings(steps=120, width=32))
    found, nothing = task.predict(LocalMeans(8, 2), data, Asking())
    sure = found.rows(np.flatnonzero(found.scores > 0.3))
    shared = np.array(
        [
            overlap(sure.oriented, np.repeat(one[None], len(sure.scores), axis=0))
            for one in large.boxes.corners
        ]
    )
    right = sure.classes == large.boxes.classes[:, None]
    assert ((right & (shared > 0.4)).sum(axis=1) == 1).mean() > 0.85
    assert (shared > 0.4).any(axis=0).mean() > 0.85
    assert (nothing.scores < 0.3).all()
    assert task.measure(data, [found, nothing]).whole()[0] > 0.6
    assert (found.horizontal >= 0).all()
    assert (found.horizontal <= (230, 150)).all()


def test_horizontal_truth_leaves_the_oriented_score_open() -> None:
    flat = [scene(seed, oriented=False) for seed in range(3)]
    data = Planted(flat, flat).for_task("detection")
    task = DetectionTask()
    ap50, ap, oriented = task.measure(data, task.perfect(data)).whole()
    assert (ap50, ap) == (1.0, 1.0)
    assert np.isnan(oriented)


def test_false_alarms_in_an_empty_picture_cost_precision() -> None:
    """By hand: one truth, found with score 0.5; an alarm elsewhere scores 0.9: AP is 1/2."""
    one, none = scene(1, objects=1), scene(2, objects=0)
    data = Planted([one], [one, none]).for_task("detection")
    task = DetectionTask()
    right, empty = task.perfect(data)
    assert len(empty.scores) == 0
    right = replace(right, scores=np.array([0.5]))
    box = corners_of([1, 1, 9, 9])
    alarm = Detections(box, box, np.array([0.9]), right.classes)
    measure = task.measure(data, [right, alarm])
    np.testing.assert_allclose(measure.whole(), 0.5)
    np.testing.assert_allclose(measure.values(np.array([1.0, 0.0])), 1.0)
    assert np.isnan(measure.values(np.array([0.0, 1.0]))).all()


def test_a_class_that_train_does_not_show_is_never_found() -> None:
    def only_bright(one):
        bright = one.boxes.classes == 0
        boxes = Boxes(one.boxes.corners[bright], one.boxes.classes[bright])
        return replace(one, boxes=boxes, mask=np.where(one.mask == 2, 0, one.mask))

    train = [only_bright(scene(seed)) for seed in range(12)]
    data = Planted(train, [scene(seed) for seed in range(100, 103)])
    told = asked("segmentation", data, SEES["segmentation"])
    assert set(np.unique(told)) == {0, 1}
    task = DetectionTask(BoxSettings(steps=40, width=16))
    found = task.predict(LocalMeans(8, 2), data.for_task("detection"), Asking())
    dim = np.concatenate([one.scores[one.classes == 1] for one in found])
    assert (dim < 0.2).all()


def test_masks_of_answers_are_compared_where_they_lie() -> None:
    mask = np.zeros((10, 12), dtype=bool)
    mask[2:6, 3:9] = True
    answer = Answered.of(np.array([3.0, 2.0, 9.0, 6.0]), mask)
    assert answer.mask.shape == (4, 6)
    assert answer.overlap(mask) == 1.0
    assert answer.overlap(np.roll(mask, 3, axis=1)) == pytest.approx(12 / 36)
    assert answer.overlap(~mask) == 0.0
    assert Answered.of(np.zeros(4), None).mask is None


def test_without_true_masks_their_score_is_open(planted) -> None:
    class Boxed(Planted):
        def examples(self, task, part):
            made_here = super().examples(task, part)
            return [replace(one, truth=replace(one.truth, read=None)) for one in made_here]

    data = Boxed(planted.parts["train"][:2], planted.parts["test"])
    task = GroundingTask()
    accuracy, box, mask = task.measure(data, task.perfect(data)).whole()
    assert accuracy == 1.0
    assert box == pytest.approx(1.0)
    assert np.isnan(mask)
