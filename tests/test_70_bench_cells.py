"""Cells of the benchmark: kept, computed again when something moves, failures told; tables.

Before them the audit, beside them what was answered best and worst.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sarknowlip.bench.adapter import Adapter, AdapterCard
from sarknowlip.bench.audited import LeakError, audited, findings_path, read_findings
from sarknowlip.bench.board import (
    COLUMNS,
    lines,
    overview,
    read_cells,
    write_csv,
    write_markdown,
)
from sarknowlip.bench.cells import cell_path, fill, kept_draws
from sarknowlip.bench.dataset import DataCard, DataSet, Part
from sarknowlip.bench.example import Example, Label
from sarknowlip.bench.gallery import Gallery
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.suite import ALL, run_suite
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.thumbnails import PANEL_PX
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.sar.chip import chip
from sarknowlip.sar.tile import TileImage


class Levels(DataSet):
    """Chips of one level each; the class is whether it is above −10 dB."""

    card = DataCard(
        name="levels", title="Levels", what="Flat chips.", size="60", licence="ours",
        citation="none", source="here", folder="levels", layout=(), split="by group",
    )  # fmt: skip
    tasks = ("bright",)
    classes = ("dark", "bright")

    @classmethod
    def open(cls, data: Path) -> Levels:
        del data
        return cls()

    def examples(self, task: str, part: Part) -> Sequence[Example]:
        assert task == "bright"
        found = []
        for number in range(30):
            level = -20.0 + 20.0 * ((number * 7) % 30) / 30
            name = f"{part}-{number}"

            def read(level: float = level, name: str = name) -> TileImage:
                pixels = np.full((1, 4, 4), level, np.float32)
                return chip(name, pixels, polarizations=("VV",), gsd_m=10.0)

            found.append(Example(name, f"{part}-{number // 5}", read, Label(int(level > -10))))
        return found


class Bright(Task):
    """Is the only feature above the middle of training? Predictions are 0 or 1 (N,)."""

    spec = TaskSpec(
        name="bright", version=1, what="?", needs=("features",), metrics=("accuracy",),
        errors=("error",), main="accuracy",
    )  # fmt: skip
    asked = 0

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> Any:
        type(self).asked += 1
        known = adapter.features([one.image() for one in data.examples("bright", "train")])
        asked = adapter.features([one.image() for one in data.examples("bright", "test")])
        return (asked[:, 0] > np.median(known[:, 0])).astype(int)

    def measure(self, data: DataSet, predictions: Any) -> Measure:
        examples = data.examples("bright", "test")
        hit = np.array([p == e.truth.index for p, e in zip(predictions, examples, strict=True)])  # type: ignore[union-attr]
        both = np.stack([hit, ~hit], axis=1).astype(float)
        groups = tuple(one.group for one in examples)
        return Measure.of_means((*self.spec.metrics, *self.spec.errors), groups, both)

    def perfect(self, data: DataSet) -> Any:
        return [one.truth.index for one in data.examples("bright", "test")]  # type: ignore[union-attr]

    def item_scores(self, data: DataSet, predictions: Any) -> np.ndarray:
        examples = data.examples("bright", "test")
        pairs = zip(predictions, examples, strict=True)
        return np.array([float(p == e.truth.index) for p, e in pairs])  # type: ignore[union-attr]

    def told(self, data: DataSet, predictions: Any, row: int) -> Label:
        return Label(int(predictions[row]))

    def random(self, data: DataSet, seed: int) -> Any:
        return np.random.default_rng(seed).integers(0, 2, len(data.examples("bright", "test")))

    def chance(self, data: DataSet) -> np.ndarray:
        return np.array([0.5, 0.5])


class Mean(Adapter):
    """The mean level, or noise."""

    def __init__(self, name: str, seed: int | None, noise: float = 0.0) -> None:
        self.noise, self.seed = noise, seed or 0
        self.card = AdapterCard(
            name=name, title=name, parameters=None, licence="ours", source="here", paper="none",
            channels="mean", normalisation="none", abilities=frozenset({"features"}),
            seeded=seed is not None,
        )  # fmt: skip

    def features(self, tiles: Sequence[TileImage]) -> np.ndarray:
        rows = []
        for tile in tiles:
            own = np.random.default_rng([self.seed, *tile.id.encode()])
            rows.append([tile.db.mean() + self.noise * own.normal()])
        return np.array(rows, np.float32)


class Broken(Mean):
    """Cannot be asked."""

    def features(self, tiles: Sequence[TileImage]) -> np.ndarray:
        raise BenchError("the weights of broken are damaged", "fetch them again")


class Mute(Mean):
    """Has no features."""

    def __init__(self) -> None:
        super().__init__("mute", None)
        self.card = self.card.model_copy(update={"abilities": frozenset({"captions"})})


def mean(seed: int) -> Adapter:
    del seed
    return Mean("mean", None)


def noisy(seed: int) -> Adapter:
    return Mean("noisy", seed, 30.0)


def absent(seed: int) -> Adapter:
    del seed
    raise BenchError("absent: no weights", "fetch them")


def run(out: Path, *models: Any, seeds: tuple[int, ...] = (0, 1, 2)) -> Any:
    named = {model.__name__: model for model in models}
    return run_suite([Bright()], [Levels()], named, out, seeds=seeds)


def test_cells_are_computed_once_and_again_when_something_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Bright.asked
    first = run(tmp_path, mean)
    again = run(tmp_path, mean)
    assert first.cells == again.cells
    assert Bright.asked == before + 3
    monkeypatch.setattr(Bright, "spec", Bright.spec.model_copy(update={"version": 2}))
    assert run(tmp_path, mean).cells[0].version == 2
    assert Bright.asked == before + 6
    path = cell_path(tmp_path, "bright", "levels", "mean", 0)
    path.with_suffix(".npz").unlink()
    run(tmp_path, mean, seeds=(0,))
    assert Bright.asked == before + 7
    assert kept_draws(path).shape == (1000, 2)


def test_one_broken_model_stops_no_other_and_is_tried_again(tmp_path: Path) -> None:
    told: list[str] = []
    steps: list[tuple[int, int]] = []
    models = {
        "absent": absent,
        "broken": lambda seed: Broken("broken", None),
        "mean": mean,
        "mute": lambda seed: Mute(),
    }
    found = run_suite(
        [Bright()], [Levels()], models, tmp_path, seeds=(0,), tell=told.append,
        progress=lambda done, total, item: steps.append((done, total)),
    )  # fmt: skip
    assert steps[-1] == (5, 5)  # an audit and four cells
    assert [cell.model.name for cell in found.cells] == ["mean"]
    assert found.cells[0].values[0] == pytest.approx(1.0, abs=0.05)
    failed = [(one.model, one.task, one.seed, one.cells) for one in found.failures]
    assert failed == [("absent", ALL, None, 1), ("broken", "bright", 0, 1)]
    assert "fetch them again" in found.failures[1].why
    assert found.empty == (("mute", "bright"),)
    assert any("damaged" in line for line in told)
    assert not cell_path(tmp_path, "bright", "levels", "broken", 0).exists()
    with pytest.raises(BenchError, match="mute gives no features"):
        fill(Bright(), Levels(), Mute(), Asking(), tmp_path)


def test_the_table_has_means_intervals_and_paired_differences(tmp_path: Path) -> None:
    run(tmp_path, mean, noisy)
    table = {(line.model, line.score): line for line in lines(read_cells(tmp_path))}
    good, bad = table["mean", "accuracy"], table["noisy", "accuracy"]
    seeds = [cell.values[0] for _, cell in read_cells(tmp_path) if cell.model.name == "noisy"]
    assert bad.value == pytest.approx(np.mean(seeds))
    assert bad.seed_sd == pytest.approx(np.std(seeds, ddof=1))
    assert bad.low <= bad.value <= bad.high
    assert (good.units, good.unit, good.items, good.seeds) == (6, "block", 30, 3)
    assert good.p_against_best == 1.0
    assert bad.p_against_best < 0.05
    assert good.chance == 0.5
    # of errors the smallest is best
    assert table["mean", "error"].p_against_best == 1.0
    assert table["noisy", "error"].p_against_best < 0.05
    write_csv(list(table.values()), tmp_path / "board.csv")
    rows = list(csv.DictReader((tmp_path / "board.csv").open()))
    assert tuple(rows[0]) == COLUMNS
    assert float(rows[0]["value"]) == pytest.approx(good.value, rel=1e-5)


@pytest.mark.parametrize("what", ["json", "npz"])
def test_a_damaged_cell_is_told_in_one_line(tmp_path: Path, what: str) -> None:
    run(tmp_path, mean, seeds=(0,))
    path = cell_path(tmp_path, "bright", "levels", "mean", 0).with_suffix(f".{what}")
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(SarKnowlipError, match="delete the file") as error:
        list(lines(read_cells(tmp_path)))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_cells_and_cells_of_other_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no cells"):
        read_cells(tmp_path)
    run(tmp_path, mean, noisy, seeds=(0,))
    cells = read_cells(tmp_path)
    path, cell = cells[1]
    other = [cells[0], (path, cell.model_copy(update={"version": 2}))]
    with pytest.raises(BenchError, match="not asked the same questions"):
        list(lines(other))


class Leaky(Levels):
    """Two groups are in both parts."""

    def examples(self, task: str, part: Part) -> Sequence[Example]:
        found = super().examples(task, part)
        return [replace(one, group=f"both-{n}") if n < 2 else one for n, one in enumerate(found)]


def test_leaks_of_a_published_split_are_a_note_and_are_sought_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_suite([Bright()], [Leaky()], {"mean": mean}, tmp_path, seeds=(0, 1))
    note = "The parts of the published split leak: 2 group; 2 of 30 test examples are named"
    assert [cell.notes for cell in first.cells] == [(note,)] * 2
    found = read_findings(findings_path(tmp_path, "levels")).tasks["bright"]
    assert [(one.kind, one.train, one.test) for one in found.leaks] == [
        ("group", "train-0", "test-0"), ("group", "train-1", "test-1"),
    ]  # fmt: skip
    monkeypatch.setattr("sarknowlip.bench.audited.audit", None)
    audited(Leaky(), ["bright"], tmp_path)
    with pytest.raises(TypeError):  # other examples: sought again
        audited(Levels(), ["bright"], tmp_path)


def test_a_built_in_set_that_leaks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sarknowlip.bench.audited._is_builtin", lambda data: True)
    with pytest.raises(LeakError, match=r"group of train-0 and test-0"):
        run_suite([Bright()], [Leaky()], {"mean": mean}, tmp_path)
    assert not (tmp_path / "cells").exists()
    assert run_suite([Bright()], [Levels()], {"mean": mean}, tmp_path, seeds=(0,)).cells


def test_a_set_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    class Torn(Levels):
        card = Levels.card.model_copy(update={"name": "torn"})

        def examples(self, task: str, part: Part) -> Sequence[Example]:
            raise BenchError("torn.tif is damaged", "fetch it again")

    class Half(Levels):
        card = Levels.card.model_copy(update={"name": "half"})

        def examples(self, task: str, part: Part) -> Sequence[Example]:
            return super().examples(task, part) if part == "train" else []

    sets = [Torn(), Half(), Levels()]
    found = run_suite([Bright()], sets, {"mean": mean}, tmp_path, seeds=(0, 1))
    failed = [(one.task, one.dataset, one.cells) for one in found.failures]
    assert failed == [(ALL, "torn", 2), ("bright", "half", 2)]
    assert "no example for bright in test" in found.failures[1].why
    assert len(found.cells) == 2


def test_the_first_seed_shows_what_was_answered_best_and_worst(tmp_path: Path) -> None:
    good, other = run(tmp_path, noisy, seeds=(0, 1)).cells
    assert other.shown == Gallery()
    folder = cell_path(tmp_path, "bright", "levels", "noisy", 0).parent
    assert (len(good.shown.best), len(good.shown.worst)) == (4, 4)
    assert {item.score for item in good.shown.best} == {1.0}
    assert all(item.true == item.told for item in good.shown.best)
    assert all(item.true != item.told for item in good.shown.worst)
    for item in (*good.shown.best, *good.shown.worst):
        assert Image.open(folder / item.picture).size == (PANEL_PX, PANEL_PX)


def test_how_far_from_chance_to_perfect(tmp_path: Path) -> None:
    run(tmp_path, mean, noisy)
    table = list(lines(read_cells(tmp_path)))
    tasks, models = overview(table)
    assert tasks == ("bright",)
    value = next(line.value for line in table if line.model == "mean" and line.main)
    assert models["mean"] == (pytest.approx(2.0 * value - 1.0),)
    # a model that nobody asked on a second set has a gap
    more = [*table, next(line for line in table if line.main).model_copy(update={"dataset": "b"})]
    assert overview(more)[1] == {"mean": models["mean"], "noisy": (None,)}

    # a third set has too few examples for any model's score
    few = [line.model_copy(update={"dataset": "few", "value": None}) for line in table]
    assert overview([*table, *few]) == (tasks, models)
    assert overview(few)[1] == dict.fromkeys(models, (None,))
    write_markdown(table, tmp_path / "board.md")
    text = (tmp_path / "board.md").read_text()
    assert f"| mean | **{value:.3f}** (" in text
    assert "* (" in next(line for line in text.splitlines() if line.startswith("| noisy"))
    assert "| chance | 0.500 |" in text
