"""A set whose groups are all asked about, some at a time, learned from all others.

Where a set is small and its scenes are few, one split asks too little: leaving out one scene (tile,
block) after the other asks about every picture once. Heads are trained anew for each part; what
they told is scored together, so that intervals resample all groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.datasets.published import Published
from sarknowlip.bench.example import Example
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.probes.folds import deal
from sarknowlip.bench.task import Asking, Predictions, Task

EACH = "each"


class Crossed(DataSet):
    """A published set, its groups asked in turn.

    `examples` gives all pictures as the test part, fold after fold, and as the train part too: each
    is learned from in the other folds. Ask through `predict` only.

    Args:
        whole: The set, in whatever parts.
        how: "each" asks about one group at a time; a whole number of at least 2 deals the groups
            into as many folds.

    Attributes:
        folds: Sets whose test parts together are the whole.

    Raises:
        BenchError: There is no such way, or there are too few groups.
    """

    def __init__(self, whole: DataSet, how: str) -> None:
        if not isinstance(whole, Published):
            raise BenchError(f"{whole.card.name} has parts of its own", "ask about it as it is")
        if how != EACH and not (how.isdecimal() and int(how) > 1):
            raise BenchError(
                f"no way {how!r} to ask about groups in turn",
                f"write {EACH}@{whole.card.name}, or 4@{whole.card.name} for four folds",
            )
        dealt = _dealt(whole, None if how == EACH else int(how))
        told = "one group at a time" if how == EACH else f"groups dealt into {how} folds"
        update = {
            "name": f"{how}@{whole.card.name}",
            "split": f"all groups are asked in turn ({told}), learned from all others",
        }
        vars(self)["card"] = whole.card.model_copy(update=update)
        vars(self)["tasks"] = whole.tasks
        self.classes, self.prompts, self.notes = whole.classes, whole.prompts, whole.notes
        self.folds = tuple(whole.leaving_out(*groups) for groups in dealt)

    @classmethod
    def open(cls, data: Path) -> Self:
        """Refuse: a set is opened first."""
        raise BenchError(f"nothing to cross in {data}", "open a set and give it to Crossed")

    def examples(self, task: str, part: Part) -> Sequence[Example]:
        """Return all examples of a task, fold after fold; the same for both parts."""
        del part
        return [one for fold in self.folds for one in fold.examples(task, "test")]


def folds_of(data: DataSet) -> tuple[DataSet, ...]:
    """Return the sets that are asked one by one: those of a crossed set, otherwise the set."""
    return data.folds if isinstance(data, Crossed) else (data,)


def predict(task: Task, data: DataSet, adapter: Adapter, asking: Asking) -> Predictions:
    """Ask a model about a set, fold by fold where it is crossed.

    Raises:
        SarKnowlipError: As `Task.predict`.
    """
    return joined([task.predict(adapter, fold, asking) for fold in folds_of(data)])


def joined(parts: Sequence[Any]) -> Any:
    """Return predictions about one lot of items after the other as predictions about all.

    Items are the last axis of arrays and the elements of sequences; fields of classes are joined
    one by one, and of notes each is kept once.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, np.ndarray):
        return np.concatenate(parts, axis=-1)
    if is_dataclass(first) and not isinstance(first, type):
        whole = {
            one.name: joined([getattr(part, one.name) for part in parts]) for one in fields(first)
        }
        if "notes" in whole:
            whole["notes"] = tuple(dict.fromkeys(whole["notes"]))
        return replace(first, **whole)
    return type(first)(item for part in parts for item in part)


def _dealt(whole: Published, folds: int | None) -> list[tuple[str, ...]]:
    groups = whole.groups
    if len(groups) < (folds or 2):
        raise BenchError(
            f"{whole.card.name} has {len(groups)} groups", "ask about fewer folds, or as it is"
        )
    if folds is None:
        return [(group,) for group in groups]
    task = whole.tasks[0]
    every = [one.group for part in ("train", "test") for one in whole.examples(task, part)]
    fold_N = deal(every, np.zeros(len(every), dtype=np.int64), folds)
    return [
        tuple(sorted({group for group, own in zip(every, fold_N, strict=True) if own == number}))
        for number in range(folds)
    ]
