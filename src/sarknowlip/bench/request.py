"""What a run of the suite is asked for, by name: tasks, sets on this disk, models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sarknowlip.bench.adapter import Adapter, AdapterCard
from sarknowlip.bench.adapters import ADAPTERS
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.bench.builtin.plan import Size
from sarknowlip.bench.builtin.sets import CARDS, FOLDER
from sarknowlip.bench.crossed import Crossed
from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.datasets import DATASETS
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.task import Task
from sarknowlip.bench.tasks.suite import SUITE
from sarknowlip.core.errors import ConfigError, SarKnowlipError
from sarknowlip.core.progress import Progress

MODELS = ("random", "pixels", "texture")
"""Asked where nobody says otherwise: no weights needed."""

SEED = "{seed}"

NEEDS_RUN = Sheet.read("ours").card.source
"""Source of models that are made of a training run of the user's."""


@dataclass(frozen=True)
class Chosen:
    """A model of `ADAPTERS`, made for a seed when called.

    Attributes:
        kind: Name in `ADAPTERS`.
        name: What a table calls it.
        weights: Where they lie; None looks where the sheet says. "{seed}" in it stands for the
            seed: a model trained from several seeds is one model of the table.
    """

    kind: str
    name: str
    weights: Path | None

    @classmethod
    def parse(cls, told: str) -> Chosen:
        """Read "MODEL", "MODEL=WEIGHTS" or "NAME@MODEL=WEIGHTS"."""
        model, _, path = told.partition("=")
        name, at, kind = model.rpartition("@")
        kind = kind.strip()
        return cls(kind, name.strip() if at else kind, Path(path).expanduser() if path else None)

    def __call__(self, seed: int) -> Adapter:
        """Make it.

        Raises:
            SarKnowlipError: Its weights are absent or damaged.
        """
        name = None if self.name == self.kind else self.name
        weights = self.weights and Path(str(self.weights).replace(SEED, str(seed)))
        made: Adapter = ADAPTERS[self.kind].make(Given(weights, seed=seed, name=name))
        if weights != self.weights:
            made.card = made.card.model_copy(update={"seeded": True})
        return made


def chosen_models(told: Sequence[str]) -> dict[str, Chosen]:
    """Return models by the name that a table gives them.

    Args:
        told: As `Chosen.parse` reads them; none takes `MODELS`.

    Raises:
        ConfigError: There is no such model, or two have one name.
    """
    models: dict[str, Chosen] = {}
    for one in map(Chosen.parse, told or MODELS):
        ADAPTERS[one.kind]  # an unknown name is told before anything is computed
        if not one.name or "/" in one.name or one.name in models:
            raise ConfigError(
                f"models cannot be called {one.name!r} in one table",
                "give each a name of its own, NAME@MODEL=WEIGHTS",
            )
        models[one.name] = one
    return models


def chosen_tasks(names: Sequence[str], sets: Sequence[str] = ()) -> list[Task]:
    """Return tasks by name; if none is named, all of `SUITE` but those asked by name only.

    Args:
        names: Those wanted.
        sets: Names of sets that are asked about, as of `wanted_sets`; if tasks are not named, those
            that one of these serves.

    Raises:
        ConfigError: There is no such task, or no such set.
    """
    if names:
        return [SUITE[name]() for name in names]
    served = {task for name in sets for task in DATASETS[_plain(name)].tasks}
    kinds = [SUITE[name] for name in SUITE]
    return [
        kind() for kind in kinds if not kind.spec.by_name and (not sets or kind.spec.asks in served)
    ]


def is_builtin(name: str) -> bool:
    """Tell whether a set is made here, by `builtin.make.make_builtin`."""
    return name in CARDS


def wanted_sets(
    names: Sequence[str], tasks: Sequence[Task], data: Path | None, size: Size | None
) -> list[str]:
    """Return the names of sets to ask about, each serving a task.

    Args:
        names: Those wanted, NAME, or HOW@NAME for a set whose groups are asked in turn
            (`Crossed`); none takes the built-in ones if a size or no data folder is given, and
            otherwise all that lie in the data folder.
        tasks: Asked.
        data: Data folder, if one is given.
        size: Of the built-in sets, if one is given.

    Raises:
        BenchError: A task is served by none, a named set serves none, or the folder holds none.
        ConfigError: There is no such set.
    """
    wanted = {task.spec.asks for task in tasks}
    if not names and size is None and data is not None:
        found = [
            name
            for name, kind in DATASETS.items()
            if wanted & set(kind.tasks) and opened(kind, data) is not None
        ]
        if not found:
            raise BenchError(
                f"no data set for these tasks in {data}",
                "see `sarknowlip bench list`, or add --suite mini",
            )
        return found
    serves = {name: set(DATASETS[_plain(name)].tasks) & wanted for name in names or CARDS}
    idle = [name for name in names if not serves[name]]
    lost = sorted(wanted.difference(*serves.values()))
    if idle or lost:
        raise BenchError(
            f"none of the chosen tasks is one of {idle[0]}" if idle else
            f"none of the chosen sets serves {lost[0]}",
            "see `sarknowlip bench list`",
        )  # fmt: skip
    return [name for name, own in serves.items() if own]


def open_sets(
    names: Sequence[str],
    folder: Path,
    size: Size | None,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[DataSet]:
    """Open sets in a data folder; the built-in ones are made there if absent.

    Args:
        names: In `DATASETS`, or HOW@NAME.
        folder: Data folder.
        size: Of the built-in sets; None takes what is there, and makes "mini" if nothing is.
        workers: Processes that simulate.
        progress: Of what is made.

    Raises:
        SarKnowlipError: A set is absent, damaged or of another size, or cannot be made.
    """
    own = [name for name in names if is_builtin(name)]
    if own and (size or any(opened(DATASETS[name], folder) is None for name in own)):
        from sarknowlip.bench.builtin.make import make_builtin

        make_builtin(folder / FOLDER, size or "mini", workers=workers, progress=progress)
    return [_open(name, folder) for name in names]


def _open(name: str, folder: Path) -> DataSet:
    how, at, _ = name.rpartition("@")
    found: DataSet = DATASETS[_plain(name)].open(folder)
    return Crossed(found, how) if at else found


def _plain(name: str) -> str:
    """Return the name of a set without how it is asked."""
    return name.rpartition("@")[2]


def opened(kind: type[DataSet], data: Path) -> DataSet | None:
    """Return a set if it lies in a data folder; reads no pictures."""
    try:
        return kind.open(data)
    except SarKnowlipError:
        return None


@dataclass(frozen=True)
class Known:
    """What is known of a model without making it.

    Attributes:
        card: What stands beside its scores.
        weights: Where they were found; what is missing if they were not; empty if none are needed.
        found: Whether it can be made.
    """

    card: AdapterCard
    weights: str
    found: bool


def known_models() -> dict[str, Known]:
    """Return what is known of every model of `ADAPTERS`, by name."""
    return {name: _known(name) for name in ADAPTERS}


def _known(name: str) -> Known:
    sheet = Sheet.read(name)
    if sheet.card.source == NEEDS_RUN:
        return Known(sheet.card, f"give a run: {name}=RUN", False)
    if sheet.weights is None:
        return Known(sheet.card, "", True)
    try:
        return Known(sheet.card, str(sheet.located(Given())), True)
    except BenchError as error:
        return Known(sheet.card, str(error), False)
