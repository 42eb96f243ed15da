"""Rung 9: the benchmark from the command line: lists, runs, goes on, reports, says what failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from data.sets.make import make_eurosat, make_sample
from sarknowlip.bench import request
from sarknowlip.bench.adapters import ADAPTERS
from sarknowlip.bench.datasets import DATASETS
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.request import (
    MODELS,
    Chosen,
    chosen_models,
    chosen_tasks,
    open_sets,
    wanted_sets,
)
from sarknowlip.bench.tasks.suite import SUITE
from sarknowlip.cli import app
from sarknowlip.core.errors import ConfigError, SarKnowlipError

HERE = ["sample", "sample-synthetic"]
"""What `make_sample` makes."""


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_sample(folder)
    return folder


def test_a_run_goes_on_and_is_reported(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ("run", "--data", data, "--out", out, "--sets", "sample", "--json", "--tasks",
             "classification,zero-shot", "--models", "random,mine@pixels", "--seeds")  # fmt: skip
    done = call(*asked, "0")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["cells"] == 3
    assert told["empty"] == ["zero-shot: mine cannot"]
    assert (out / "audit" / "sample.json").is_file()
    before = {path: path.stat().st_mtime_ns for path in out.glob("cells/**/*.json")}
    assert len(before) == 3
    assert json.loads(call(*asked, "0,1").stdout)["cells"] == 6
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(list(out.glob("cells/**/seed-*.json"))) == 6
    told = json.loads(call("report", out, "--json").stdout)
    assert told["models"] == ["mine", "random"]
    assert (out / "leaderboard.html").is_file()
    assert "| mine |" in (out / "board.md").read_text()


def test_failures_are_counted_and_set_the_exit_code(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SARKNOWLIP_WEIGHTS", raising=False)
    done = call("run", "--data", data, "--out", tmp_path, "--sets", "sample", "--tasks", "few-shot",
                "--models", "clip,ours=absent,pixels", "--seeds", "0", "--json")  # fmt: skip
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["cells"] == 1
    assert [(one["model"], one["cells"]) for one in told["failures"]] == [("clip", 1), ("ours", 1)]
    assert "fetch model.safetensors" in told["failures"][0]["why"]


def test_the_list_says_what_is_here(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SARKNOWLIP_WEIGHTS", raising=False)
    told = json.loads(call("list", "--data", data, "--json").stdout)
    assert list(told["tasks"]) == list(SUITE)
    assert [name for name, one in told["sets"].items() if one["found"]] == HERE
    assert list(told["sets"]) == list(DATASETS)
    assert list(told["models"]) == list(ADAPTERS)
    found = [name for name, one in told["models"].items() if one["found"]]
    assert found == ["random", "constant", "pixels", "texture"]
    assert "SARKNOWLIP_WEIGHTS" in told["models"]["croma"]["weights"]
    shown = call("list").stdout
    assert "give --data" in shown
    assert "classification" in shown
    assert shown.count("--tasks") == sum(task.spec.by_name for task in SUITE.values()) == 1


def test_models_by_name() -> None:
    assert list(chosen_models([])) == list(MODELS)
    models = chosen_models(["random", "a@ours=x/y", "b@ours=z"])
    assert models["a"] == Chosen("ours", "a", Path("x/y"))
    assert list(models) == ["random", "a", "b"]
    assert models["random"](3).card.name == "random"
    assert chosen_models(["mine@pixels"])["mine"](0).card.name == "mine"
    for wrong in (["ours=a", "ours=b"], ["a/b@pixels"], ["chess"]):
        with pytest.raises(ConfigError):
            chosen_models(wrong)


def test_which_sets_are_asked_about(data: Path, tmp_path: Path) -> None:
    tasks = chosen_tasks([])
    assert {task.spec.name for task in tasks} == set(SUITE) - {"fine-tuning"}
    built_in = wanted_sets([], tasks, None, None)
    assert all(name.startswith("builtin-") for name in built_in)
    assert built_in == wanted_sets([], tasks, data, "mini")
    assert wanted_sets([], tasks, data, None) == HERE
    change = chosen_tasks(["change"])
    assert wanted_sets([], change, None, None) == ["builtin-change"]
    for names, asked, folder in ((["sample"], change, data), ([], change, data)):
        with pytest.raises(BenchError, match=r"none of the chosen|no data set"):
            wanted_sets(names, asked, folder, None)
    with pytest.raises(BenchError, match="none of the chosen sets serves change"):
        wanted_sets(["sample"], [*change, *chosen_tasks(["few-shot"])], data, None)


def test_every_task_has_a_built_in_set() -> None:
    served = {task for name in request.CARDS for task in DATASETS[name].tasks}
    assert served == {SUITE[name].spec.asks for name in SUITE}


def test_without_tasks_named_those_are_asked_that_sets_serve() -> None:
    tasks = chosen_tasks([], ["sample", "each@polsf"])
    assert {task.spec.name for task in tasks} == {*DATASETS["sample"].tasks, "polsar"}
    assert wanted_sets(["sample", "each@polsf"], tasks, None, None) == ["sample", "each@polsf"]
    assert [task.spec.name for task in chosen_tasks(["fine-tuning"], ["sample"])] == ["fine-tuning"]
    assert wanted_sets([], chosen_tasks(["fine-tuning"]), None, "mini") == wanted_sets(
        [], chosen_tasks(["classification"]), None, "mini"
    )
    with pytest.raises(ConfigError, match="data set"):
        chosen_tasks([], ["chess"])


def test_built_in_sets_are_made_where_they_are_absent(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make(out: Path, size: str, **more) -> None:
        made.append((out, size, more["workers"]))

    monkeypatch.setattr("sarknowlip.bench.builtin.make.make_builtin", make)
    make_eurosat(tmp_path)
    assert len(open_sets(["eurosat-sar"], tmp_path, None)) == 1
    assert made == []
    with pytest.raises(SarKnowlipError, match="is not in"):  # `make` made nothing
        open_sets(["builtin-cover"], tmp_path, None, workers=2)
    with pytest.raises(SarKnowlipError):
        open_sets(["builtin-change"], tmp_path, "full")
    assert made == [(tmp_path / "builtin", "mini", 2), (tmp_path / "builtin", "full", 1)]
