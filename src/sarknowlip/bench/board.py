"""From cells to a table: means over seeds, intervals, and which differences are more than chance.

Legend of array names: R draws, K scores, S seeds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sarknowlip.bench.cells import REMEDY, Cell, kept_draws
from sarknowlip.bench.measure import interval, paired_p
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.core.config import Config
from sarknowlip.core.files import read_json, write_bytes

COLUMNS = (
    "task", "version", "dataset", "model", "score", "main", "value", "low", "high", "best",
    "seed_sd", "chance", "p_against_best", "seeds", "items", "units", "unit", "parameters",
    "seconds",
)  # fmt: skip
LEVEL = 0.05
"""Of p-values: below it a model counts as worse than the best."""
WORSE = "*"
LEGEND = (
    f"Means over seeds, 95 % intervals from draws of groups. Bold: best. {WORSE}: worse than the "
    f"best (paired bootstrap, p < {LEVEL}, not corrected for the number of comparisons). A dash: "
    "the model cannot do it, or nobody asked it."
)


class Line(Config):
    """One score of one model on one set.

    Attributes:
        task: Name.
        version: Of the task.
        dataset: Name.
        model: Name.
        score: Name.
        main: Whether it is the task's score of the leaderboard.
        value: Mean over seeds; None if not defined.
        low: Lower end of the 95 % interval; groups are drawn, and scores of a draw are means over
            seeds.
        high: Upper end.
        best: Whether no model has a better value.
        seed_sd: Standard deviation over seeds; None of one seed.
        chance: What chance scores; None if there is no closed form.
        p_against_best: Bootstrap p-value of "scores as the best model on this set", paired; 1 for
            the best itself. Not corrected for the number of comparisons.
        seeds: How many.
        items: Examples asked.
        units: Groups that are drawn.
        unit: What they are.
        parameters: Of the image encoder.
        seconds: Mean over seeds; of seeds that found their features on disk, less.
    """

    task: str
    version: int
    dataset: str
    model: str
    score: str
    main: bool
    value: float | None
    low: float | None
    high: float | None
    best: bool
    seed_sd: float | None
    chance: float | None
    p_against_best: float | None
    seeds: int
    items: int
    units: int
    unit: str
    parameters: int | None
    seconds: float


class _Fared:
    """All seeds of one model on one task and set."""

    def __init__(self, cells: Sequence[tuple[Path, Cell]]) -> None:
        self.cells = [cell for _, cell in cells]
        self.first = self.cells[0]
        values = [[np.nan if v is None else v for v in cell.values] for cell in self.cells]
        self.values_SK = np.array(values, dtype=np.float64)
        self.draws_RK: Floats = np.mean([kept_draws(path) for path, _ in cells], axis=0)

    @property
    def comparable(self) -> tuple[object, ...]:
        """What must be equal for draws to be of the same items."""
        one = self.first
        return one.version, one.names, one.items, one.units, self.draws_RK.shape


def read_cells(out: Path) -> list[tuple[Path, Cell]]:
    """Return all cells below a folder of the benchmark, sorted, with their paths.

    Raises:
        BenchError: There is none, or one is damaged.
    """
    paths = sorted((out / "cells").glob("*/*/*/seed-*.json"))
    if not paths:
        raise BenchError(f"no cells in {out}", "run `sarknowlip bench run` first")
    try:
        return [(path, Cell.model_validate(read_json(path, REMEDY))) for path in paths]
    except ValueError as error:
        raise BenchError(f"a cell in {out} cannot be read: {error}", REMEDY) from error


def lines(cells: Sequence[tuple[Path, Cell]]) -> Iterator[Line]:
    """Yield one line a score, by task, set and model in order of name.

    Raises:
        BenchError: Cells of one task and set are not of the same questions.
    """
    places: dict[tuple[str, str], dict[str, list[tuple[Path, Cell]]]] = {}
    for path, cell in cells:
        models = places.setdefault((cell.task, cell.dataset), {})
        models.setdefault(cell.model.name, []).append((path, cell))
    for (task, dataset), models in sorted(places.items()):
        fared = {name: _Fared(own) for name, own in sorted(models.items())}
        if len({one.comparable for one in fared.values()}) > 1:
            raise BenchError(
                f"{task} on {dataset}: the models were not asked the same questions", REMEDY
            )
        yield from _compared(fared)


def _compared(fared: dict[str, _Fared]) -> Iterator[Line]:
    names = next(iter(fared.values())).first.names
    means = {model: one.values_SK.mean(axis=0) for model, one in fared.items()}
    for k, score in enumerate(names):
        defined = [model for model in fared if np.isfinite(means[model][k])]
        sign = -1.0 if score in next(iter(fared.values())).first.errors else 1.0
        best = max(defined, key=lambda model: sign * means[model][k], default=None)
        for model, one in fared.items():
            value = means[model][k]
            known = np.isfinite(value)
            low, high = interval(one.draws_RK[:, k : k + 1]) if known else (np.full(1, np.nan),) * 2
            p = None
            if known and best is not None:
                p = (
                    1.0
                    if model == best
                    else float(
                        paired_p(fared[best].draws_RK[:, k : k + 1], one.draws_RK[:, k : k + 1])[0]
                    )
                )
            cell, seeds = one.first, len(one.cells)
            yield Line(
                task=cell.task, version=cell.version, dataset=cell.dataset, model=model,
                score=score, main=score == cell.main, value=_told(value),
                low=_told(low[0]), high=_told(high[0]),
                best=best is not None and bool(value == means[best][k]),
                seed_sd=_told(np.std(one.values_SK[:, k], ddof=1)) if seeds > 1 else None,
                chance=cell.chance[k], p_against_best=p, seeds=seeds, items=cell.items,
                units=cell.units, unit=cell.unit, parameters=cell.model.parameters,
                seconds=round(float(np.mean([c.seconds for c in one.cells])), 3),
            )  # fmt: skip


def overview(
    table: Sequence[Line],
) -> tuple[tuple[str, ...], Mapping[str, tuple[float | None, ...]]]:
    """Return the tasks, and how far each model is from chance to perfect in each of them.

    (value − chance) / (1 − chance) of the main score, at least 0, and the mean over the task's
    sets; where chance has no closed form it counts as 0. A set on which no model has a defined
    score (few-shot where classes are too small, say) does not count. None where a model lacks one
    of the others, or has no score there.
    """
    main = [line for line in table if line.main]
    tasks = tuple(dict.fromkeys(line.task for line in main))
    told = [line for line in main if line.value is not None]
    sets = {task: {line.dataset for line in told if line.task == task} for task in tasks}
    models: dict[str, tuple[float | None, ...]] = {}
    for model in dict.fromkeys(line.model for line in main):
        own = {(line.task, line.dataset): _above(line) for line in main if line.model == model}
        models[model] = tuple(
            _mean([own.get((task, dataset)) for dataset in sets[task]]) for task in tasks
        )
    return tasks, models


def _above(line: Line) -> float | None:
    if line.value is None:
        return None
    chance = line.chance or 0.0
    return max(0.0, (line.value - chance) / (1.0 - chance)) if chance < 1.0 else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def is_worse(line: Line) -> bool:
    """Tell whether a model is worse than the best by more than chance."""
    return line.p_against_best is not None and line.p_against_best < LEVEL


def write_markdown(table: Sequence[Line], path: Path) -> None:
    """Write main scores as Markdown: a table a task, a row a model, a column a set.

    Raises:
        StorageError: The file cannot be written.
    """
    tasks, _ = overview(table)
    parts = ["# Benchmark", LEGEND]
    for task in tasks:
        main = [line for line in table if line.main and line.task == task]
        sets = list(dict.fromkeys(line.dataset for line in main))
        told = {(line.model, line.dataset): _markdown(line) for line in main}
        rows = [["model", *sets], ["---"] * (len(sets) + 1)]
        rows += [
            [model, *(told.get((model, name), "–") for name in sets)]
            for model in dict.fromkeys(line.model for line in main)
        ]
        chances = {line.dataset: line.chance for line in main}
        rows.append(["chance", *(_number(chances[name]) for name in sets)])
        parts.append(f"## {task}: {main[0].score} (version {main[0].version})")
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    write_bytes(path, ("\n\n".join(parts) + "\n").encode())


def _markdown(line: Line) -> str:
    value = f"**{_number(line.value)}**" if line.best else _number(line.value)
    if line.low is None or line.high is None:
        return value
    return f"{value}{WORSE if is_worse(line) else ''} ({line.low:.3f}–{line.high:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{round(value, 3) + 0.0:.3f}"  # no -0.000


def write_csv(table: Sequence[Line], path: Path) -> None:
    """Write a table as CSV, unknown values empty.

    Raises:
        StorageError: The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in table:
        values = line.model_dump()
        writer.writerow([_cell(values[name]) for name in COLUMNS])
    write_bytes(path, text.getvalue().encode())


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else value


def _told(value: np.floating[Any] | float) -> float | None:
    return float(value) if np.isfinite(value) else None
