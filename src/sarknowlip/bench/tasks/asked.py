"""What tasks ask of data sets: examples of one kind of truth, or a plain error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.example import Example, Label, Truth
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.task import TaskSpec
from sarknowlip.core.files import read_json

Known = TypeVar("Known", bound=Truth)
Spec = TypeVar("Spec", bound=TaskSpec)


def spec_beside(module: str, kind: type[Spec]) -> Spec:
    """Return the specification in the JSON file beside a task's module (`__file__`)."""
    path = Path(module).with_suffix(".json")
    return kind.model_validate(read_json(path, "install the package again"))


@dataclass(frozen=True)
class Asked(Generic[Known]):
    """Examples of one part of a set.

    Attributes:
        examples: In the order of the set, at least one.
        truths: What is true of each.
        groups: Group of each.
    """

    examples: tuple[Example, ...]
    truths: tuple[Known, ...]
    groups: tuple[str, ...]


def asked(data: DataSet, task: str, part: Part, kind: type[Known]) -> Asked[Known]:
    """Return the examples of a task in one part.

    Raises:
        BenchError: There are none, or they tell something else than `kind`.
    """
    examples = tuple(data.examples(task, part))
    if not examples:
        raise BenchError(f"{data.card.title}: no example for {task} in {part}", "use another set")
    truths = tuple(example.truth for example in examples if isinstance(example.truth, kind))
    if len(truths) != len(examples):
        odd = next(one for one in examples if not isinstance(one.truth, kind))
        raise BenchError(
            f"{data.card.title}: {odd.id} has {type(odd.truth).__name__} for {task}, "
            f"not {kind.__name__}",
            "mend the reader of the data set",
        )
    return Asked(examples, truths, tuple(example.group for example in examples))


def labels_of(data: DataSet, labels: Asked[Label]) -> npt.NDArray[np.int64]:
    """Return class indices (N,).

    Raises:
        BenchError: One is not that of a class of the set.
    """
    index_N = np.array([label.index for label in labels.truths], dtype=np.int64)
    if index_N.min() < 0 or index_N.max() >= len(data.classes):
        raise BenchError(
            f"{data.card.title}: classes {index_N.min()} to {index_N.max()}, but "
            f"{len(data.classes)} names",
            "mend the reader of the data set",
        )
    return index_N
