"""What every task offers: a question to a model, and a score for what came back.

Asking and scoring are apart, so that the contract can score perfect and random predictions without
any model. Heads learn from the part "train" of a data set only; what they must choose (strength of
regularisation, thresholds) they choose within it, by whole groups.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from sarknowlip.bench.adapter import Ability, Adapter
from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.example import Truth
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import Floats
from sarknowlip.core.config import Config
from sarknowlip.core.progress import Progress

Predictions = Any
"""What a task's `predict` returns and its `measure` takes; each task's docstring says what."""


class TaskSpec(Config):
    """What a task measures; data, read from the JSON file beside the task's module.

    Attributes:
        name: Name in `SUITE`.
        version: Raised whenever a change could move a score.
        what: One sentence for the reader of a table.
        needs: What a model must be able to do.
        metrics: Names of the scores, the main one first; all are 1 for perfect predictions, and
            larger is better.
        errors: Names of further scores of which less is better, 0 for perfect predictions.
        main: Of `metrics`, the one of the leaderboard.
        examples: Task whose examples of a set it asks about; empty for its own.
        by_name: Whether it is asked where it is named only, since it takes long.
    """

    name: str
    version: int = Field(ge=1)
    what: str
    needs: tuple[Ability, ...]
    metrics: tuple[str, ...] = Field(min_length=1)
    errors: tuple[str, ...] = ()
    main: str
    examples: str = ""
    by_name: bool = False

    @property
    def asks(self) -> str:
        """Name of the task whose examples it asks about."""
        return self.examples or self.name


@dataclass(frozen=True)
class Asking:
    """How a model is asked.

    Attributes:
        seed: Of heads and draws.
        batch_size: Pictures encoded together; does not change scores.
        cache: Folder where features of this model and data set are kept; None keeps nothing.
        progress: Told after every batch.
    """

    seed: int = 0
    batch_size: int = 32
    cache: Path | None = None
    progress: Progress | None = None


class Task(ABC):
    """A fair question to a model, which stays as it is.

    Attributes:
        spec: What is measured.
    """

    spec: ClassVar[TaskSpec]

    @abstractmethod
    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> Predictions:
        """Ask the model about all test examples, heads trained first where needed.

        Raises:
            BenchError: The model lacks what the task needs, or returns what cannot be used.
            SarKnowlipError: A picture cannot be read.
        """

    @abstractmethod
    def measure(self, data: DataSet, predictions: Predictions) -> Measure:
        """Score predictions; names are `spec.metrics`, then `spec.errors`."""

    @abstractmethod
    def perfect(self, data: DataSet) -> Predictions:
        """Return the truth as predictions."""

    @abstractmethod
    def random(self, data: DataSet, seed: int) -> Predictions:
        """Return predictions made without looking at any picture, uniform over possible answers."""

    @abstractmethod
    def chance(self, data: DataSet) -> Floats:
        """Return what `random` scores on average, in the order of `measure`'s names.

        NaN stands where there is no closed form.
        """

    def item_scores(self, data: DataSet, predictions: Predictions) -> Floats | None:
        """Return how well each test item was answered (N,), to show the best and the worst.

        1 is perfect, NaN is not to be shown; None shows nothing.
        """
        del data, predictions
        return None

    def told(self, data: DataSet, predictions: Predictions, row: int) -> Truth | str:
        """Return what was answered about a test item, in the form of a truth where it has one."""
        del data, predictions, row
        return ""
