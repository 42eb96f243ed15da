"""Rung 7: sets whose groups are all asked about in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from data.sets.make import make_opensarship, make_sar_acd
from sarknowlip.bench.audited import audited
from sarknowlip.bench.cells import fill
from sarknowlip.bench.crossed import Crossed, folds_of, joined, predict
from sarknowlip.bench.datasets.opensarship import OpenSarShip
from sarknowlip.bench.datasets.sar_acd import SarAcd
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.request import chosen_models, open_sets, wanted_sets
from sarknowlip.bench.task import Asking
from sarknowlip.bench.tasks.classification import ClassificationTask
from sarknowlip.bench.tasks.few_shot import FewShotTask
from sarknowlip.core.errors import SarKnowlipError


@pytest.fixture
def ships(tmp_path: Path) -> OpenSarShip:
    make_opensarship(tmp_path)
    return OpenSarShip.open(tmp_path)


def ids(data, part: str, task: str = "classification") -> list[str]:
    return [example.id for example in data.examples(task, part)]


@pytest.mark.parametrize(("how", "folds"), [("each", 3), ("2", 2), ("3", 3)])
def test_every_group_is_asked_once_and_learned_from_otherwise(
    how: str, folds: int, ships: OpenSarShip
) -> None:
    crossed = Crossed(ships, how)
    assert len(crossed.folds) == folds
    assert crossed.card.name == f"{how}@opensarship"
    every = sorted(ids(ships, "train") + ids(ships, "test"))
    assert sorted(ids(crossed, "test")) == every
    for fold in crossed.folds:
        assert sorted(ids(fold, "train") + ids(fold, "test")) == every
        train, test = ({e.group for e in fold.examples("few-shot", p)} for p in ("train", "test"))
        assert not train & test
    assert len({fold.card.name for fold in crossed.folds}) == folds


def test_answers_of_folds_are_scored_together(ships: OpenSarShip, tmp_path: Path) -> None:
    crossed, task = Crossed(ships, "each"), ClassificationTask()
    pixels = chosen_models(["pixels"])["pixels"](0)
    told = predict(task, crossed, pixels, Asking())
    parts = [task.predict(pixels, fold, Asking()) for fold in crossed.folds]
    assert told.probe.tolist() == [one for part in parts for one in part.probe.tolist()]
    cell = fill(task, crossed, pixels, Asking(), tmp_path)
    assert cell.dataset == "each@opensarship"
    assert cell.items == len(ids(crossed, "test")) == sum(len(part.probe) for part in parts)
    perfect = joined([task.perfect(fold) for fold in crossed.folds])
    assert task.measure(crossed, perfect).whole().tolist() == [1.0, 1.0, 1.0]
    assert set(task.measure(crossed, perfect).groups) == set(ships.groups)


def test_predictions_of_any_form_are_joined(ships: OpenSarShip) -> None:
    @dataclass(frozen=True)
    class Told:
        values: np.ndarray
        texts: tuple[str, ...]
        notes: tuple[str, ...]

    one = Told(np.zeros((2, 3)), ("a",), ("same", "x"))
    both = joined([one, Told(np.ones((2, 1)), ("b",), ("same",))])
    assert both.values.shape == (2, 4)
    assert (both.texts, both.notes) == (("a", "b"), ("same", "x"))
    assert joined([[1], [2, 3]]) == [1, 2, 3]
    crossed, task = Crossed(ships, "each"), FewShotTask()
    perfect = joined([task.perfect(fold) for fold in crossed.folds])
    assert np.nanmin(task.measure(crossed, perfect).whole()) == 1.0


def test_the_audit_looks_across_all_folds(tmp_path: Path) -> None:
    make_sar_acd(tmp_path)
    acd = SarAcd.open(tmp_path)
    assert not audited(Crossed(acd, "3"), ["few-shot"], tmp_path / "a")["few-shot"].leaks
    every = [*acd.examples("few-shot", "train"), *acd.examples("few-shot", "test")]
    alone = [replace(example, group=example.id) for example in every]
    apart = Crossed(SarAcd(dict.fromkeys(SarAcd.tasks, alone), [alone[0].id]), "each")
    finding = audited(apart, ["few-shot"], tmp_path / "b")["few-shot"]
    assert finding.touched == finding.items == 66, "each picture has a copy"
    assert finding.counts == {"look-alike": 2 * (24 + 6 * 3)}, "each way; triples have three pairs"


def test_sets_are_crossed_by_name(ships: OpenSarShip, tmp_path: Path) -> None:
    task = [ClassificationTask()]
    assert wanted_sets(["2@opensarship"], task, tmp_path, None) == ["2@opensarship"]
    (crossed,) = open_sets(["2@opensarship"], tmp_path, None)
    assert len(folds_of(crossed)) == 2
    assert folds_of(ships) == (ships,)
    for how, why in (("1", "no way '1'"), ("some", "no way 'some'"), ("4", "has 3 groups")):
        with pytest.raises(BenchError, match=why):
            open_sets([f"{how}@opensarship"], tmp_path, None)
    with pytest.raises(BenchError, match="has parts of its own"):
        Crossed(crossed, "each")


def test_one_model_of_several_runs() -> None:
    make = chosen_models(["mine@pixels=runs/{seed}/x"])["mine"]
    assert make(1).card.seeded
    assert not chosen_models(["mine@pixels=runs/x"])["mine"](1).card.seeded
    with pytest.raises(SarKnowlipError, match="runs/2/x"):
        chosen_models(["ours=runs/{seed}/x"])["ours"](2)
