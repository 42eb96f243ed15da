"""Many cells: every model, every task, every set that serves it, every seed.

A cell that fails doesn't stop the others: it is told, left out, and tried again next time. What a
model cannot do is no failure: its place in the table stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.cells import Cell, fill
from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.task import Asking, Task
from sarknowlip.core.errors import SarKnowlipError

SEEDS = (0, 1, 2)

Make = Callable[[int], Adapter]
"""From a seed to a model; called once for each seed that it depends on."""


@dataclass(frozen=True)
class Failure:
    """A cell that could not be computed, and why."""

    task: str
    dataset: str
    model: str
    seed: int
    why: str


@dataclass(frozen=True)
class Outcome:
    """What a run of a suite left.

    Attributes:
        cells: Computed now or before.
        failures: What could not be computed.
        empty: Model and task, where the model lacks what the task needs.
    """

    cells: tuple[Cell, ...]
    failures: tuple[Failure, ...]
    empty: tuple[tuple[str, str], ...]


def run_suite(
    tasks: Sequence[Task],
    sets: Iterable[DataSet],
    models: Sequence[Make],
    out: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    asking: Asking | None = None,
    tell: Callable[[str], None] | None = None,
) -> Outcome:
    """Fill all cells; those that are there are kept.

    One model is in memory at a time.

    Args:
        tasks: What is asked.
        sets: Where.
        models: Whom.
        out: Folder of the benchmark.
        seeds: Of heads and draws, and of models that are drawn at random.
        asking: Batch size and progress; the seed is set here, and features are kept in `out`.
        tell: Called with a line after each cell.

    Raises:
        StorageError: The disk is full or not writable.
    """
    how = asking or Asking()
    tell = tell or (lambda line: None)
    places = [(task, data) for data in sets for task in tasks if task.spec.name in data.tasks]
    cells: list[Cell] = []
    failures: list[Failure] = []
    empty: dict[tuple[str, str], None] = {}
    for make in models:
        adapter: Adapter | None = None
        for seed in dict.fromkeys(seeds):
            if adapter is None or adapter.card.seeded:
                adapter = make(seed)
            own = replace(how, seed=seed, cache=out / "features")
            for task, data in places:
                spec = task.spec
                if set(spec.needs) - adapter.card.abilities:
                    empty[adapter.name, spec.name] = None
                    continue
                try:
                    cell = fill(task, data, adapter, own, out)
                except SarKnowlipError as error:
                    where = (spec.name, data.card.name, adapter.name, seed)
                    failures.append(Failure(*where, why=str(error)))
                    tell(f"{' '.join(map(str, where))}: {error}")
                    continue
                cells.append(cell)
                tell(_line(cell))
    return Outcome(tuple(cells), tuple(failures), tuple(empty))


def _line(cell: Cell) -> str:
    value = cell.values[0]
    told = "undefined" if value is None else f"{value:.3f}"
    return (
        f"{cell.task} on {cell.dataset}, {cell.model.name}, seed {cell.seed}: "
        f"{cell.names[0]} {told}, {cell.seconds:.1f} s"
    )
