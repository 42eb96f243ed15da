"""Tasks on whole pictures: the contract, and cases worked by hand."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from levelled import NAMES, TASKS, LevelAdapter, Levelled, circle
from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.captions import cider
from sarknowlip.bench.example import Answer, Captions, Count, Example, Label
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.probes import tuned
from sarknowlip.bench.probes.linear import LinearConfig, fit_linear
from sarknowlip.bench.probes.tuned import TuneConfig
from sarknowlip.bench.task import Asking
from sarknowlip.bench.tasks.answering import AnsweringTask, Said
from sarknowlip.bench.tasks.captioning import CaptioningTask, Told
from sarknowlip.bench.tasks.classification import class_scores
from sarknowlip.bench.tasks.counting import CountingTask
from sarknowlip.bench.tasks.few_shot import FewShotTask
from sarknowlip.bench.tasks.fine_tuning import FineTuningTask
from sarknowlip.bench.tasks.search import SearchTask, ranks
from sarknowlip.bench.tasks.suite import SUITE
from sarknowlip.bench.tasks.zero_shot import CANNOT_TELL, ZeroShotTask
from sarknowlip.bench.trainable import Trainable
from sarknowlip.core.files import read_json
from sarknowlip.infer.ranking import chance_recall, retrieval_ranks

DATA = Levelled()
ASKING = Asking(batch_size=16)
SEEDS = 100


class Handmade(Levelled):
    """A data set of given examples that show nothing."""

    def __init__(self, train: Sequence[Example], test: Sequence[Example]) -> None:
        super().__init__()
        self.parts = {"train": list(train), "test": list(test)}

    def examples(self, task, part):
        return self.parts[part]


def told(*truths, groups: str = "own") -> list[Example]:
    image = DATA.examples("classification", "train")[0].image
    return [
        Example(f"e{number}", f"g{number}" if groups == "own" else groups, image, truth)
        for number, truth in enumerate(truths)
    ]


@pytest.fixture(scope="module", params=(*TASKS, "fine-tuning"))
def task(request):
    return SUITE[request.param]()


@pytest.fixture(scope="module")
def predicted(task):
    return task.predict(model_for(task), DATA, ASKING)


class Slow(nn.Module):
    """What `LevelAdapter` sees, with a gain that may be trained and noise while it is."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.unused = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(1))
        self.noise = nn.Dropout(0.1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.noise(rows * self.gain)


class Learner(LevelAdapter):
    """Sees levels, and gives a copy that learns."""

    def __init__(self) -> None:
        super().__init__(("features", "training"))
        self.module = Slow().eval()
        self.given: list[Trainable] = []

    def features(self, tiles):
        with torch.no_grad():
            return self.module(torch.from_numpy(super().features(tiles))).numpy()

    def trainable(self) -> Trainable:
        own = copy.deepcopy(self.module)
        see = super().features
        self.given.append(Trainable(own, lambda tiles: torch.from_numpy(see(tiles)), own))
        return self.given[-1]


class TestFineTuning:
    task = FineTuningTask()

    def test_a_copy_is_trained_and_the_model_stays(self) -> None:
        model = Learner()
        told = self.task.predict(model, DATA, ASKING)
        assert len(model.given) == 4  # three rates, and the one that was chosen
        assert torch.equal(model.module.gain, torch.ones(4))
        for one in model.given:
            assert not torch.equal(one.module.gain, torch.ones(4))
            assert torch.equal(one.module.unused, torch.ones(1))
        assert (told == self.task.perfect(DATA)).mean() > 0.9

    def test_the_same_comes_again_and_follows_the_seed(self) -> None:
        gains = []
        for seed in (0, 0, 1):
            model = Learner()
            self.task.predict(model, DATA, replace(ASKING, seed=seed))
            gains.append(model.given[-1].module.gain.detach().numpy())
        np.testing.assert_array_equal(gains[0], gains[1])
        assert (gains[0] != gains[2]).any()

    def test_the_rate_that_does_best_on_groups_left_out_is_taken(self, monkeypatch) -> None:
        seen: list[float] = []
        looked = tuned._Tuning._looked
        trained = tuned._Tuning.trained

        def noted(self, learn, rate):
            seen.append(rate)
            return trained(self, learn, rate)

        def worse(self, model, look):
            groups = {self.rows.groups[row] for row in look}
            assert 0 < len(groups) < len(set(self.rows.groups))
            right, likely = looked(self, model, look)
            return right - 100 * (len(seen) != 2), likely  # the second rate is best

        monkeypatch.setattr(tuned._Tuning, "trained", noted)
        monkeypatch.setattr(tuned._Tuning, "_looked", worse)
        self.task.predict(Learner(), DATA, ASKING)
        assert seen == [*TuneConfig().rates, TuneConfig().rates[1]]

    def test_nothing_can_be_chosen_from_one_group(self) -> None:
        train = [replace(one, group="own") for one in DATA.examples("classification", "train")]
        told_of: list[str] = []
        asking = replace(ASKING, progress=lambda done, total, item: told_of.append(item))
        data = Handmade(train, DATA.examples("classification", "test"))
        told = self.task.predict(Learner(), data, asking)
        rates = [item for item in told_of if item.startswith("rate")]
        assert set(rates) == {"rate 0.0001"}
        assert len(rates) == self.task.spec.tuning.steps(len(train)) == 20
        assert (told == self.task.perfect(DATA)).mean() > 0.9

    def test_classes_without_training_pictures_are_never_told(self) -> None:
        train = [one for one in DATA.examples("classification", "train") if one.truth.index != 1]
        told = self.task.predict(
            Learner(), Handmade(train, DATA.examples("classification", "test")), ASKING
        )
        assert set(np.unique(told)) == {0, 2, 3}

    def test_what_learns_nothing_is_refused_in_one_line(self) -> None:
        class Broken(Learner):
            def trainable(self) -> Trainable:
                made = super().trainable()
                return replace(made, features=lambda rows: made.features(rows) * float("nan"))

        with pytest.raises(BenchError, match="gave a loss of nan"):
            self.task.predict(Broken(), DATA, ASKING)
        with pytest.raises(BenchError, match="level gives no training"):
            self.task.predict(LevelAdapter(), DATA, ASKING)

    def test_a_rate_that_diverges_is_not_taken(self) -> None:
        class Sensitive(Learner):
            def trainable(self) -> Trainable:
                made, number = super().trainable(), len(self.given)
                times = float("nan") if number == 3 else 1.0  # the third rate
                return replace(made, features=lambda rows: made.features(rows) * times)

        model = Sensitive()
        told = self.task.predict(model, DATA, ASKING)
        assert len(model.given) == 4
        assert (told == self.task.perfect(DATA)).mean() > 0.9

    def test_nothing_can_be_chosen_by_classes_that_only_one_group_has(self) -> None:
        train = [
            replace(one, group=f"class-{one.truth.index}")
            for one in DATA.examples("classification", "train")
        ]
        model = Learner()
        test = DATA.examples("classification", "test")
        told = self.task.predict(model, Handmade(train, test), ASKING)
        assert len(model.given) == 1
        assert (told == self.task.perfect(DATA)).mean() > 0.9

    def test_too_little_memory_is_told_in_one_line(self, monkeypatch) -> None:
        def full(*_args, **_more):
            raise torch.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(tuned._Tuning, "trained", full)
        with pytest.raises(BenchError, match="does not fit into the device's memory"):
            self.task.predict(Learner(), DATA, ASKING)

    def test_the_head_begins_as_the_linear_probe(self) -> None:
        examples = DATA.examples("classification", "train")
        tiles = [one.image() for one in examples]
        model = Learner()
        labels = np.array([one.truth.index for one in examples])
        probe = fit_linear(
            model.features(tiles), labels, [one.group for one in examples], classes=5
        )
        begun = tuned.Tuned(model.trainable(), probe)
        expected = probe.scores(model.features(tiles))[:, :4]
        np.testing.assert_allclose(begun.scores(tiles), expected, atol=1e-3)
        np.testing.assert_array_equal(begun.classes(tiles), probe.classes(model.features(tiles)))

    def test_rates_rise_and_fall(self) -> None:
        shares = [tuned._share(step, 100) for step in range(100)]
        assert shares[0] == pytest.approx(0.1)
        assert shares[9] == shares[10] == 1.0
        assert all(one > other for one, other in pairwise(shares[10:]))
        assert 0.0 < shares[-1] < 0.001
        shown = np.concatenate(list(tuned._batches(10, 4, 6, 0)))
        np.testing.assert_array_equal(np.bincount(shown), np.full(10, 2))


class TestContract:
    def test_a_task_is_versioned_data_and_has_its_section(self, task) -> None:
        kind, root = type(task), Path(__file__).resolve().parent.parent
        module = root / "src" / Path(*kind.__module__.split(".")).with_suffix(".json")
        assert type(kind.spec).model_validate(read_json(module, "")) == kind.spec
        assert SUITE[kind.spec.name] is kind
        assert kind.spec.main in kind.spec.metrics
        assert f"`{kind.spec.name}`" in (root / "docs" / "protocol.md").read_text("utf-8")

    def test_perfect_answers_score_one_and_err_by_nothing(self, task) -> None:
        measure = task.measure(DATA, task.perfect(DATA))
        assert measure.names == task.spec.metrics + task.spec.errors
        ones = len(task.spec.metrics)
        for weights in (np.ones(len(measure.groups)), np.arange(len(measure.groups)) % 3.0):
            scores = measure.values(weights)
            np.testing.assert_allclose(scores[:ones], 1.0, atol=1e-12)
            np.testing.assert_allclose(scores[ones:], 0.0, atol=1e-12)

    def test_groups_are_those_of_the_test_part(self, task) -> None:
        groups = {one.group for one in DATA.examples(task.spec.asks, "test")}
        assert set(task.measure(DATA, task.perfect(DATA)).groups) == groups

    def test_random_answers_score_chance_on_average(self, task) -> None:
        chance = task.chance(DATA)
        if task.spec.name == "captioning":
            assert np.isnan(chance).all()
            return
        runs = [task.measure(DATA, task.random(DATA, seed)).whole() for seed in range(SEEDS)]
        found = np.array(runs)
        error = found.std(axis=0, ddof=1) / np.sqrt(SEEDS)
        known = np.isfinite(chance)
        away = np.abs(found.mean(axis=0) - chance)[known]
        assert (away < 4 * error[known] + 1e-12).all()
        limit = 0.04 * np.maximum(1.0, np.abs(chance[known]))
        assert (error[known] < limit).all(), "the comparison above must be able to fail"
        assert known[task.spec.metrics.index(task.spec.main)]
        np.testing.assert_array_equal(task.measure(DATA, task.random(DATA, 3)).whole(), found[3])

    def test_a_model_that_sees_levels_beats_chance(self, task, predicted) -> None:
        main = task.spec.metrics.index(task.spec.main)
        score = task.measure(DATA, predicted).whole()[main]
        random = [task.measure(DATA, task.random(DATA, seed)).whole()[main] for seed in range(9)]
        assert score > np.mean(random) + 0.1
        assert score <= 1.0

    def test_batches_and_what_is_kept_change_nothing(self, task, predicted, tmp_path) -> None:
        for size in (1, 1000):
            asking = Asking(batch_size=size, cache=tmp_path)
            other = task.predict(model_for(task), DATA, asking)
            np.testing.assert_array_equal(
                task.measure(DATA, other).whole(), task.measure(DATA, predicted).whole()
            )

    def test_test_labels_are_not_looked_at(self, task, predicted) -> None:
        class Shuffled(Levelled):
            def examples(self, name, part):
                whole = super().examples(name, part)
                if part == "train":
                    return whole
                turned = [*whole[1:], whole[0]]
                return [
                    replace(one, truth=_like(one.truth, other.truth))
                    for one, other in zip(whole, turned, strict=True)
                ]

        again = task.predict(model_for(task), Shuffled(), ASKING)
        if task.spec.name != "search":  # captions are its queries
            assert _plain(again) == _plain(predicted)

    def test_another_truth_is_a_plain_error(self, task) -> None:
        odd = Count(1) if task.spec.name != "counting" else Label(1)
        with pytest.raises(BenchError, match="mend the reader"):
            task.predict(LevelAdapter(), Handmade(told(odd), told(odd)), ASKING)
        with pytest.raises(BenchError, match="no example"):
            task.predict(LevelAdapter(), Handmade([], []), ASKING)

    def test_a_model_without_the_ability_is_refused(self, task) -> None:
        class Bare(LevelAdapter):
            images = Adapter.images
            texts = Adapter.texts

        if "texts" in task.spec.needs:
            with pytest.raises(BenchError, match="gives no texts"):
                task.predict(Bare(("features",)), DATA, ASKING)


def model_for(task) -> LevelAdapter:
    return Learner() if "training" in task.spec.needs else LevelAdapter()


def _like(own, other):
    """Return another truth that asks the same."""
    return (
        replace(other, question=own.question, kind=own.kind) if isinstance(own, Answer) else other
    )


def _plain(predictions) -> str:
    return repr(getattr(predictions, "texts", predictions))


class TestClassScores:
    def test_they_are_those_of_scikit_learn(self) -> None:
        generator = np.random.default_rng(0)
        truth, found = generator.integers(4, size=(2, 200))
        weights = generator.integers(0, 3, size=200).astype(np.float64)
        accuracy, mean_f1 = class_scores(truth, found, 4)(weights)
        rows = np.repeat(np.arange(200), weights.astype(int))
        assert accuracy == pytest.approx((truth == found)[rows].mean())
        assert mean_f1 == pytest.approx(f1_score(truth[rows], found[rows], average="macro"))

    def test_classes_that_are_not_drawn_do_not_count(self) -> None:
        values = class_scores(np.array([0, 0, 1]), np.array([0, 2, CANNOT_TELL]), 3)
        np.testing.assert_allclose(values(np.array([1.0, 1.0, 0.0])), [1 / 2, 2 / 3])
        np.testing.assert_allclose(values(np.ones(3)), [1 / 3, 1 / 3])
        assert np.isnan(values(np.zeros(3))).all()

    @pytest.mark.parametrize("found", [[0, 3], [0, -2], [0]])
    def test_what_is_no_class_is_refused(self, found) -> None:
        with pytest.raises(BenchError, match="give each picture one"):
            class_scores(np.array([0, 1]), np.array(found), 3)


class TestFewShot:
    def test_shots_that_a_class_cannot_give_do_not_exist(self) -> None:
        task = FewShotTask()
        scores = task.measure(DATA, task.predict(LevelAdapter(), DATA, ASKING)).whole()
        assert np.isfinite(scores[:4]).all()  # 12 a class: 1, 2, 5 and 10 shots
        assert np.isnan(scores[4:]).all()

    def test_draws_follow_the_seed_and_hold_one_another(self, monkeypatch) -> None:
        seen: list[np.ndarray] = []

        def noted(x, labels, groups, **others):
            seen.append(x)
            return fit(x, labels, groups, **others | {"config": few})

        from sarknowlip.bench.tasks import few_shot

        fit, few = few_shot.fit_linear, LinearConfig(strengths=(1e-2,))
        monkeypatch.setattr(few_shot, "fit_linear", noted)
        FewShotTask().predict(LevelAdapter(), DATA, ASKING)
        assert [len(x) for x in seen[:4]] == [4, 8, 20, 40]
        for small, large in pairwise(seen[:4]):
            assert {row.tobytes() for row in small} < {row.tobytes() for row in large}
        assert len({x.tobytes() for x in seen[::4]}) == 5
        first = seen[0]
        seen.clear()
        FewShotTask().predict(LevelAdapter(), DATA, replace(ASKING, seed=1))
        assert not np.array_equal(seen[0], first)

    def test_classes_nobody_asks_for_are_left_out(self) -> None:
        data = Handmade(told(*map(Label, [0, 0, 2, 2, 3])), told(Label(0), Label(2)))
        task = FewShotTask()
        found = task.predict(LevelAdapter(), data, ASKING)
        assert set(found[:2].ravel()) <= {0, 2}
        assert (found[2:] == -1).all()
        np.testing.assert_allclose(task.chance(data), 0.5)


class TestZeroShot:
    def test_what_looks_alike_counts_as_wrong(self) -> None:
        class Same(LevelAdapter):
            def texts(self, texts):
                return circle([1.0] * len(texts))

        task = ZeroShotTask()
        found = task.predict(Same(), DATA, ASKING)
        assert (found == CANNOT_TELL).all()
        assert task.measure(DATA, found).whole()[0] == 0.0

    def test_prompts_are_averaged(self) -> None:
        class Odd(LevelAdapter):
            def texts(self, texts):  # "seen by radar" pulls every class but town away
                away = [3.0 * ("seen" in text) for text in texts]
                return circle([NAMES.index(text.split()[-1]) if "of" in text else 3.0
                               for text, _ in zip(texts, away, strict=True)])  # fmt: skip

        found = ZeroShotTask().predict(Odd(), DATA, ASKING)
        rows = circle([0.0, 1.0, 2.0, 3.0]) + circle([3.0] * 4)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        images = LevelAdapter().images([one.image() for one in DATA.examples("zero-shot", "test")])
        assert np.array_equal(found, (images @ rows.T).argmax(axis=1))

    def test_without_prompts_there_is_no_question(self) -> None:
        data = Levelled()
        data.prompts = ()
        with pytest.raises(BenchError, match="no prompts"):
            ZeroShotTask().predict(LevelAdapter(), data, ASKING)


class TestCounting:
    def test_scores_by_hand(self) -> None:
        data = Handmade(told(Count(4)), told(Count(0), Count(10), Count(30), Count(2)))
        task = CountingTask()
        scores = task.measure(data, np.array([1, 12, 33, 2])).whole()
        errors = np.array([1, 2, 3, 0])
        spread = np.square(np.array([0, 10, 30, 2]) - 10.5).sum()
        expected = [3 / 4, 2 / 4, 1 - 14 / spread, errors.mean(), np.sqrt(14 / 4)]
        np.testing.assert_allclose(scores, expected)

    def test_answers_stay_within_twice_what_training_has(self) -> None:
        class Wild(LevelAdapter):
            def features(self, tiles):
                return super().features(tiles) * (1e3 if len(tiles) == 1 else 1)

        data = Levelled()
        found = CountingTask().predict(LevelAdapter(), data, ASKING)
        assert found.min() >= 0
        assert found.max() <= 16
        test = DATA.examples("counting", "test")[:1]
        data = Handmade(DATA.examples("counting", "train"), test)
        assert 0 <= CountingTask().predict(Wild(), data, ASKING)[0] <= 16


class TestCaptioning:
    def test_several_captions_a_picture(self) -> None:
        own = ("a ship lies in the harbour", "a ship at the long pier")
        other = ("fields of wheat by a road", "large fields around a farm")
        data = Handmade(told(Captions(own)), told(Captions(own), Captions(other)))
        task = CaptioningTask()
        best = cider([own[0], other[0]], [own, other])
        second = cider([own[1], other[1]], [own, other])
        scores = task.measure(data, Told((own[1], other[0]))).whole()
        ceiling = np.maximum(best, second).sum()
        assert scores[0] == pytest.approx((second[0] + best[1]) / ceiling)
        np.testing.assert_allclose(scores[1:], 1.0)
        assert task.measure(data, Told(("nothing", "alike"))).whole()[0] == 0.0

    def test_one_caption_a_picture_gives_a_tenth_of_cider_d(self) -> None:
        texts = [f"the radar shows {name} in the {where}" for name in NAMES for where in "nsew"]
        data = Handmade(told(Captions(("x",))), told(*(Captions((text,)) for text in texts)))
        said = tuple(texts[1:] + texts[:1])
        expected = cider(said, [[text] for text in texts]).mean() / 10
        assert 0.0 < expected < 1.0
        score = CaptioningTask().measure(data, Told(said)).whole()[0]
        assert score == pytest.approx(expected)

    def test_who_speaks_is_told(self) -> None:
        task = CaptioningTask()
        own = task.predict(LevelAdapter(("features", "captions")), DATA, ASKING)
        assert "own decoder" in own.notes[0]
        assert own.texts[:2] == ("the radar shows water", "the radar shows field")
        borrowed = task.predict(LevelAdapter(), DATA, ASKING)
        assert "nearest" in borrowed.notes[0]
        known = {one.truth.texts[0] for one in DATA.examples("captioning", "train")}
        assert set(borrowed.texts) <= known


class TestAnswering:
    def test_words_must_agree_not_marks(self) -> None:
        data = Handmade(
            told(Answer("?", "yes", "a")),
            told(*(Answer("?", text, kind) for text, kind in
                   [("Yes.", "a"), ("no", "a"), ("2", "b"), ("?", "b"), ("two", "b")])),
        )  # fmt: skip
        said = Said(("yes", "Yes", "two", "?", "Two!"))
        scores = AnsweringTask().measure(data, said).whole()
        np.testing.assert_allclose(scores, [3 / 5, (1 / 2 + 2 / 3) / 2])
        weighted = AnsweringTask().measure(data, said).values(np.array([2.0, 1, 0, 0, 0]))
        np.testing.assert_allclose(weighted, [2 / 3, 2 / 3])

    def test_questions_of_a_kind_are_told_apart(self) -> None:
        task = AnsweringTask()
        said = task.predict(LevelAdapter(), DATA, ASKING)
        assert task.measure(DATA, said).whole()[0] > 0.9
        assert "linear probes" in said.notes[0]
        assert len(said.notes) == 1

    def test_what_training_never_answers_is_wrong_and_told(self) -> None:
        train = told(*(Answer("What is it?", name, "class") for name in ("town", "water")))
        test = told(Answer("What is it?", "ship", "class"), Answer("Why?", "so", "reason"))
        task, data = AnsweringTask(), Handmade(train, test)
        said = task.predict(LevelAdapter(), data, ASKING)
        assert said.texts[1] == ""
        assert said.notes[1] == "2 of 2 true answers never occur in training"
        np.testing.assert_array_equal(task.measure(data, said).whole(), 0.0)
        np.testing.assert_array_equal(task.chance(data), 0.0)

    def test_a_decoder_answers_for_itself(self) -> None:
        said = AnsweringTask().predict(LevelAdapter(("features", "answers")), DATA, ASKING)
        assert "own decoder" in said.notes[0]
        assert AnsweringTask().measure(DATA, said).whole()[0] == 1.0


class TestSearch:
    def test_ranks_are_those_of_labels(self) -> None:
        generator = np.random.default_rng(0)
        query, gallery = generator.integers(-2, 3, size=(2, 60, 4)).astype(np.float32)
        labels, others = generator.integers(7, size=(2, 60))
        right = [np.flatnonzero(others == label) for label in labels]
        expected = retrieval_ranks(query, gallery, labels, others).rank
        assert np.array_equal(ranks(query, gallery, right), expected)

    def test_shared_and_several_captions_by_brute_force(self) -> None:
        captions = [("a town", "a large town"), ("a town",), ("water",), ("a field", "a town")]
        data = Handmade(told(Captions(("x",))), told(*map(Captions, captions)))
        generator = np.random.default_rng(1)
        image, text = generator.normal(size=(2, 4, 3))
        names = ["a town", "a large town", "water", "a field"]

        class Given(LevelAdapter):
            def images(self, tiles):
                return unit(image[: len(tiles)])

            def texts(self, texts):
                return unit(text[[names.index(one) for one in texts]])

        def unit(rows):
            return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

        shown = DATA.examples("search", "test")[:4]
        data.parts["test"] = [
            replace(one, image=other.image)
            for one, other in zip(data.parts["test"], shown, strict=True)
        ]
        found = SearchTask().predict(Given(), data, ASKING)
        scores = unit(image) @ unit(text).T

        def rank(row, right):
            best = max(row[place] for place in right)
            return 1 + sum(row[k] >= best for k in range(len(row)) if k not in right)

        of_image = [[names.index(one) for one in own] for own in captions]
        of_text = [[n for n, own in enumerate(captions) if name in own] for name in names]
        assert found.by_image.tolist() == [rank(scores[n], of_image[n]) for n in range(4)]
        assert found.by_text.tolist() == [rank(scores[:, t], of_text[t]) for t in range(4)]
        values = SearchTask().measure(data, found).whole()
        hit = (found.by_text == 1).astype(float)
        by_text = [(hit[0] + hit[1]) / 2, hit[0], hit[2], (hit[3] + hit[0]) / 2]
        assert values[1] == pytest.approx(np.mean(by_text))
        assert values[4] == pytest.approx((found.by_image == 1).mean())
        assert values[0] == pytest.approx(values[1:].mean())

    def test_chance_is_that_of_random_orders(self) -> None:
        task = SearchTask()
        one = Levelled(per_class=9)  # every picture has one caption, or that and another
        texts = [truth.texts for truth in (e.truth for e in one.examples("search", "test"))]
        names = sorted({text for own in texts for text in own})
        positives = np.array([len(own) for own in texts])
        expected = [chance_recall(positives, len(names), k) for k in (1, 5, 10)]
        np.testing.assert_allclose(task.chance(one)[4:], expected)

    def test_a_model_that_sees_no_difference_finds_nothing(self) -> None:
        class Blind(LevelAdapter):
            def images(self, tiles):
                return circle([0.0] * len(tiles))

            def texts(self, texts):
                return circle([0.0] * len(texts))

        found = SearchTask().measure(DATA, SearchTask().predict(Blind(), DATA, ASKING))
        np.testing.assert_array_equal(found.whole(), 0.0)

    def test_pictures_and_texts_share_a_space(self) -> None:
        class Apart(LevelAdapter):
            def texts(self, texts):
                return np.eye(3, dtype=np.float32)[np.zeros(len(texts), dtype=int)]

        for task in (SearchTask(), ZeroShotTask()):
            with pytest.raises(BenchError, match="one space"):
                task.predict(Apart(), DATA, ASKING)
