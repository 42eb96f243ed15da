"""Rung 7: training that goes on from a model of our own, and training without a fold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data.pairs.make import make_corpus
from data.runs.small import SIZE, config, curve, train_cut
from sarknowlip.core.errors import ConfigError, SarKnowlipError
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.data.folds import FoldConfig, fold_of
from sarknowlip.models.config import ImageStyle
from sarknowlip.train.config import DataConfig, with_settings
from sarknowlip.train.loop import train
from sarknowlip.train.objectives.config import ObjectiveConfig
from sarknowlip.train.optim import OptimConfig
from sarknowlip.train.start import going_on


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("start") / "corpus", 12, val=0.35)


@pytest.fixture(scope="module")
def first(corpus: Path) -> Path:
    """Return a finished run."""
    out = corpus.parent / "first"
    train(config(steps=4), corpus, out)
    return out


@pytest.mark.parametrize("part", ["", "model"])
def test_a_run_goes_on_from_a_model(corpus: Path, first: Path, tmp_path: Path, part: str) -> None:
    told: list[str] = []
    still = OptimConfig(lr=1e-12, weight_decay=0.0)
    start = str(first / part)
    again = config(start=start, steps=1, optim=still, vocab_size=300, seed=5)
    report = train(again, corpus, tmp_path / "run", tell=told.append)
    assert told == [report.origin] == [f"weights, processor and tokenizer are those of {start}"]
    mine, theirs = (load_file(run / "model/model.safetensors") for run in (tmp_path / "run", first))
    assert mine.keys() == theirs.keys()
    for name, weight in theirs.items():
        if "running" not in name:  # statistics go on
            assert torch.allclose(mine[name], weight, atol=1e-8), name
    for name in ("tokenizer.json", "sarknowlip_processor.json"):
        assert (tmp_path / "run/model" / name).read_bytes() == (first / "model" / name).read_bytes()
    card = (tmp_path / "run" / "model" / "README.md").read_text("utf-8")
    assert "| steps | 1 |" in card


def test_resumed_as_if_never_stopped(corpus: Path, first: Path, tmp_path: Path) -> None:
    settings = {"start": str(first), "steps": 6, "checkpoint_every": 2}
    train_cut(corpus, tmp_path, **settings)
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    weights = [load_file(tmp_path / run / "model/model.safetensors") for run in ("cut", "whole")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])
    fresh = config(steps=6, checkpoint_every=2)
    train(fresh, corpus, tmp_path / "fresh")
    assert curve(tmp_path / "fresh") != curve(tmp_path / "whole")


def test_the_model_s_content_is_part_of_the_run(corpus: Path, first: Path, tmp_path: Path) -> None:
    start, out = tmp_path / "start", tmp_path / "run"
    shutil.copytree(first, start)
    begun = config(start=str(start), steps=2)
    assert train(begun, corpus, out).steps == 2
    (start / "log.jsonl").unlink()  # no part of the model
    assert train(begun, corpus, out).steps == 2
    about = start / "model" / "config.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"run": None}))
    with pytest.raises(ConfigError, match=r"differs in data\.start_sha256"):
        train(begun, corpus, out)


def test_a_run_may_be_moved_with_the_model_that_it_began_from(
    corpus: Path, first: Path, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    shutil.copytree(first, start)
    report = train(config(start=str(start), steps=1), corpus, tmp_path / "run")
    moved = start.rename(tmp_path / "elsewhere")
    (tmp_path / "run").rename(tmp_path / "again")
    assert train(config(start=str(moved), steps=1), corpus, tmp_path / "again") == report
    with pytest.raises(ConfigError, match=r"differs in data\.start_sha256"):
        train(config(steps=1), corpus, tmp_path / "again")


def test_a_run_that_goes_on_has_the_style_of_its_first_model(corpus: Path, tmp_path: Path) -> None:
    styled = SIZE.model_copy(update={"image_style": ImageStyle(activation="quick_gelu")})
    train(config(steps=1, model=styled), corpus, tmp_path / "first")
    # a public encoder brought the style: the configuration does not tell it
    later = going_on(config(steps=1, init="public"), tmp_path / "first")
    assert (later.init, later.start) == (None, str(tmp_path / "first"))
    assert later.model == styled
    assert train(later, corpus, tmp_path / "later").steps == 1


def test_what_does_not_fit_leaves_no_run(corpus: Path, first: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    deeper = SIZE.model_copy(update={"image_depth": 3})
    rebuilding = ObjectiveConfig(name="combined")
    for changes, message in (
        ({"model": deeper}, "has image_depth=2, the run has 3; set model.image_depth"),
        ({"objective": rebuilding}, "has pixel_features=None, the run has 96"),
        (
            {"model": SIZE.model_copy(update={"geo_dropout": 0.0})},
            r"has geo_dropout=0\.3, the run has 0\.0",
        ),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            train(config(start=str(first), **changes), corpus, out)
        assert "\n" not in str(caught.value)
        assert not (out / "config.json").exists()
    with pytest.raises(SarKnowlipError, match=r"no model at .*absent") as missing:
        train(config(start=str(tmp_path / "absent")), corpus, out)
    assert "\n" not in str(missing.value)
    assert not (out / "config.json").exists()


def test_init_and_start_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="init=a and start=b; give one"):
        config(init="a", start="b")
    with pytest.raises(ConfigError, match="init=a and start=b"):
        with_settings(config(), ["init=a", "start=b"])


def test_a_fold_is_left_out_of_training_alone(corpus: Path, tmp_path: Path) -> None:
    fold = FoldConfig(folds=2, leave_out=0)
    settings = with_settings(config(steps=2), [f"data.fold={fold.model_dump_json()}"])
    assert settings.data.fold == fold
    report = train(settings, corpus, tmp_path / "run")
    records = [r for r in Catalog(corpus).records() if r.split == "train"]
    assert report.pairs == sum(fold_of(r.block, 2, 0) == 1 for r in records) < len(records)
    assert report.val_loss is not None
    other = DataConfig(batch=4, fold=FoldConfig(folds=2, leave_out=1))
    with pytest.raises(ConfigError, match=r"differs in config\.data\.fold\.leave_out"):
        train(config(steps=2, data=other), corpus, tmp_path / "run")
    with pytest.raises(ConfigError, match="leave_out=2 is not below folds=2"):
        with_settings(config(), ['data.fold={"folds": 2, "leave_out": 2}'])
