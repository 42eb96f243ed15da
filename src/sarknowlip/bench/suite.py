"""Many cells: every model, every task, every set that serves it, every seed.

Each set is audited before it is asked about. A cell that fails doesn't stop the others: it is told,
left out, and tried again next time. What a model cannot do is no failure: its place in the table
stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.audited import LeakError, audited
from sarknowlip.bench.cells import Cell, fill
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.core.errors import SarKnowlipError, StorageError
from sarknowlip.core.progress import Progress

SEEDS = (0, 1, 2)
ALL = "*"
"""Stands in a failure for every task, model or set."""

Make = Callable[[int], Adapter]
"""From a seed to a model; called once for each seed that it depends on."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Failure:
    """A cell that could not be computed, and why.

    Attributes:
        task: Name, or `ALL`.
        dataset: Name, or `ALL`.
        model: Name, or `ALL`.
        seed: None stands for all.
        cells: How many are missing for this reason.
        why: One line.
    """

    task: str
    dataset: str
    model: str
    seed: int | None
    cells: int
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


@dataclass(frozen=True)
class _Place:
    """A task on a set, and what the audit says of it."""

    task: Task
    data: DataSet
    notes: tuple[str, ...]


def run_suite(
    tasks: Sequence[Task],
    sets: Iterable[DataSet],
    models: Mapping[str, Make],
    out: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    asking: Asking | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Outcome:
    """Fill all cells; those that are there are kept.

    One model is in memory at a time.

    Args:
        tasks: What is asked.
        sets: Where.
        models: Whom, by name.
        out: Folder of the benchmark.
        seeds: Of heads and draws, and of models that are drawn at random.
        asking: Batch size; seed and progress are set here, and features are kept in `out`.
        progress: Of sets audited and cells filled, in all.
        tell: Called with a line after each cell.

    Raises:
        LeakError: A built-in set leaks.
        StorageError: The disk is full or not writable.
    """
    return _Suite(tasks, tuple(sets), models, out, tuple(dict.fromkeys(seeds))).run(
        asking or Asking(), progress or (lambda _done, _all, _item: None), tell or (lambda _: None)
    )


class _Suite:
    """A run of `run_suite`, with what it has found so far."""

    def __init__(
        self,
        tasks: Sequence[Task],
        sets: Sequence[DataSet],
        models: Mapping[str, Make],
        out: Path,
        seeds: tuple[int, ...],
    ) -> None:
        self.models, self.out, self.seeds = models, out, seeds
        self.asked = [
            (data, own)
            for data in sets
            if (own := [task for task in tasks if task.spec.asks in data.tasks])
        ]
        self.done = 0
        self.total = len(self.asked) + len(models) * len(seeds) * sum(
            len(own) for _, own in self.asked
        )
        self.cells: list[Cell] = []
        self.failures: list[Failure] = []
        self.empty: dict[tuple[str, str], None] = {}

    def run(self, asking: Asking, progress: Progress, tell: Tell) -> Outcome:
        self.progress, self.tell = progress, tell
        places = [place for data, own in self.asked for place in self._audited(data, own)]
        for name, make in self.models.items():
            adapter: Adapter | None = None
            for seed in self.seeds:
                if adapter is None or adapter.card.seeded:
                    try:
                        adapter = make(seed)
                    except StorageError:
                        raise
                    except SarKnowlipError as error:
                        rest = len(self.seeds) - self.seeds.index(seed)
                        self._failed(ALL, ALL, name, None, cells=rest * len(places), why=error)
                        break
                for place in places:
                    self._cell(place, adapter, replace(asking, seed=seed))
        return Outcome(tuple(self.cells), tuple(self.failures), tuple(self.empty))

    def _audited(self, data: DataSet, tasks: Sequence[Task]) -> list[_Place]:
        where = f"audit of {data.card.name}"
        each = len(self.models) * len(self.seeds)
        try:
            full = [task for task in tasks if self._full(data, task.spec, each)]
            names = list(dict.fromkeys(task.spec.asks for task in full))
            found = audited(data, names, self.out, progress=self._within(where))
        except (StorageError, LeakError):
            raise
        except SarKnowlipError as error:
            self._failed(ALL, data.card.name, ALL, None, cells=len(tasks) * each, why=error)
            return []
        finally:
            self._step(1, where)
        places = []
        for task in full:
            note = found[task.spec.asks].note
            if note:
                self.tell(f"{task.spec.name} on {data.card.name}: {note}")
            places.append(_Place(task, data, (note,) if note else ()))
        return places

    def _full(self, data: DataSet, task: TaskSpec, cells: int) -> bool:
        """Tell whether both parts hold examples; a failure where they do not."""
        for part in get_args(Part):
            if not data.examples(task.asks, part):
                error = BenchError(f"no example for {task.asks} in {part}", "use another set")
                self._failed(task.name, data.card.name, ALL, None, cells=cells, why=error)
                return False
        return True

    def _cell(self, place: _Place, adapter: Adapter, asking: Asking) -> None:
        spec, data = place.task.spec, place.data
        if set(spec.needs) - adapter.card.abilities:
            self.empty[adapter.name, spec.name] = None
            self._step(1, "")
            return
        where = f"{spec.name} on {data.card.name}, {adapter.name}, seed {asking.seed}"
        own = replace(asking, cache=self.out / "features", progress=self._within(where))
        try:
            cell = fill(place.task, data, adapter, own, self.out, notes=place.notes)
        except StorageError:
            raise
        except SarKnowlipError as error:
            names = spec.name, data.card.name, adapter.name
            self._failed(*names, asking.seed, cells=1, why=error)
            return
        self.cells.append(cell)
        self._step(1, where)
        self.tell(_line(cell))

    def _failed(
        self, task: str, dataset: str, model: str, seed: int | None, *, cells: int, why: Exception
    ) -> None:
        self.failures.append(Failure(task, dataset, model, seed, cells, str(why)))
        told = [part for part in (task, dataset, model) if part != ALL]
        told += [] if seed is None else [f"seed {seed}"]
        self._step(cells, ", ".join(told))
        self.tell(f"failed: {', '.join(told)}: {why}")

    def _step(self, count: int, where: str) -> None:
        self.done += count
        self.progress(self.done, self.total, where)

    def _within(self, where: str) -> Progress:
        """Return what tells of batches without counting them."""
        return lambda done, total, _item: self.progress(
            self.done, self.total, f"{where}: {done}/{total}"
        )


def _line(cell: Cell) -> str:
    value = cell.values[cell.names.index(cell.main)]
    told = "undefined" if value is None else f"{value:.3f}"
    return (
        f"{cell.task} on {cell.dataset}, {cell.model.name}, seed {cell.seed}: "
        f"{cell.main} {told}, {cell.seconds:.1f} s"
    )
