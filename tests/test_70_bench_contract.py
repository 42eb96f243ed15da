"""Rung 7: what every task and every baseline must do, run over both tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.bench.make import WORDS, make_corpus, make_model
from sarknowlip.bench.baselines import BASELINES
from sarknowlip.bench.baselines.random import RandomBaseline
from sarknowlip.bench.protocol import Setting, TaskSpec
from sarknowlip.bench.tasks import TASKS
from sarknowlip.core.files import read_json
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.infer.encoder import ModelEncoder
from sarknowlip.infer.ranking import chance_recall, hits

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> Setting:
    folder = tmp_path_factory.mktemp("contract")
    return Setting(make_corpus(folder), None, make_model(folder / "run"))


@pytest.fixture(params=list(TASKS))
def task(request, setting):
    return TASKS[request.param].open(setting)


def recall(outcome) -> np.ndarray:
    return hits(outcome.ranks.rank, (1, 2, 5, 10)).mean(axis=0)


@pytest.mark.parametrize("name", list(TASKS))
def test_a_task_is_versioned_data_and_has_its_page(name: str) -> None:
    kind = TASKS[name]
    module = ROOT / "src" / Path(*kind.__module__.split(".")).with_suffix(".json")
    assert TaskSpec.model_validate(read_json(module, "")) == kind.spec
    assert kind.spec.name == name
    assert kind.spec.split == "test"
    assert f"`{name}`" in (ROOT / "docs" / "bench.md").read_text("utf-8")


def test_a_perfect_encoder_scores_one(task) -> None:
    outcomes = task.evaluate(task.oracle(), 4)
    assert len({outcome.direction for outcome in outcomes}) == len(outcomes) >= 1
    for outcome in outcomes:
        assert (outcome.ranks.rank == 1).all()
        assert len(outcome.blocks) == len(outcome.ranks.rank) > 20
        assert outcome.ranks.gallery > 1


def test_random_encoders_score_chance_on_average(task) -> None:
    seeds = 150
    runs = [task.evaluate(RandomBaseline(seed), 64) for seed in range(seeds)]
    for outcomes in zip(*runs, strict=True):
        found = np.array([recall(outcome) for outcome in outcomes])
        ranks = outcomes[0].ranks
        chance = [chance_recall(ranks.positives, ranks.gallery, k) for k in (1, 2, 5, 10)]
        error = found.std(axis=0, ddof=1) / np.sqrt(seeds)
        assert (np.abs(found.mean(axis=0) - chance) < 4 * error + 1e-12).all()
        assert error.max() < 0.02, "the comparison above must be able to fail"


def test_batches_do_not_change_scores(task, setting) -> None:
    encoder = ModelEncoder.load(setting.model)
    whole, single = task.evaluate(encoder, 64), task.evaluate(encoder, 1)
    for first, second in zip(whole, single, strict=True):
        assert first.direction == second.direction
        assert np.array_equal(first.ranks.positives, second.ranks.positives)
        assert np.allclose(recall(first), recall(second), atol=1.5 / len(first.blocks))


def test_an_encoder_that_sees_no_difference_scores_zero(task) -> None:
    class Constant:
        name = "constant"

        def images(self, tiles):
            return np.ones((len(tiles), 3), dtype=np.float32)

        texts = images

    for outcome in task.evaluate(Constant()):
        worst = outcome.ranks.gallery - outcome.ranks.positives + 1
        assert np.array_equal(outcome.ranks.rank, worst)


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_baseline_keeps_the_contract_of_encoders(name: str, setting: Setting) -> None:
    kind = BASELINES[name]
    catalog = Catalog(setting.corpus)
    tiles = [catalog.image(record) for record in list(catalog.records())[::9]]
    texts = [*WORDS, " ".join(WORDS[:2])]
    encoder = kind.make(setting, 3)
    images_BD, texts_BD = encoder.images(tiles), encoder.texts(texts)
    assert encoder.name == name
    assert images_BD.dtype == texts_BD.dtype == np.float32
    assert images_BD.shape == (len(tiles), texts_BD.shape[1])
    assert len(texts_BD) == len(texts)
    for rows in (images_BD, texts_BD):
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    again = kind.make(setting, 3)
    assert np.array_equal(again.images(tiles), images_BD)
    assert np.array_equal(again.texts(texts), texts_BD)
    assert np.abs(encoder.images(tiles[1:2]) - images_BD[1:2]).max() <= 1e-5
    assert np.abs(encoder.texts(texts[3:4]) - texts_BD[3:4]).max() <= 1e-5
    other = kind.make(setting, 4)
    assert np.array_equal(other.texts(texts), texts_BD) == (not kind.seeded)
    assert np.array_equal(other.images(tiles), images_BD) == (not kind.seeded)
