"""Cells of the benchmark: kept, computed again when something moves, failures told; tables."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sarknowlip.bench.adapter import Adapter, AdapterCard
from sarknowlip.bench.board import COLUMNS, lines, read_cells, write_csv
from sarknowlip.bench.cells import cell_path, fill, kept_draws
from sarknowlip.bench.dataset import DataCard, DataSet, Part
from sarknowlip.bench.example import Example, Label
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.suite import run_suite
from sarknowlip.bench.task import Asking, Task, TaskSpec
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


def run(out: Path, *models: Any, seeds: tuple[int, ...] = (0, 1, 2)) -> Any:
    return run_suite([Bright()], [Levels()], models, out, seeds=seeds)


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
    found = run_suite(
        [Bright()], [Levels()], [lambda seed: Broken("broken", None), mean, lambda seed: Mute()],
        tmp_path, seeds=(0,), tell=told.append,
    )  # fmt: skip
    assert [cell.model.name for cell in found.cells] == ["mean"]
    assert found.cells[0].values[0] == pytest.approx(1.0, abs=0.05)
    assert [(one.model, one.seed) for one in found.failures] == [("broken", 0)]
    assert "fetch them again" in found.failures[0].why
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
