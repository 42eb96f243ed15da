"""Scene, land cover or target classification by a linear probe, and by nearest neighbours.

Legend of array names: N test pictures, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import Label, Truth
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.probes.linear import fit_linear
from sarknowlip.bench.probes.neighbours import Neighbours
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.tasks.asked import asked, labels_of, spec_beside

Wholes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Classes:
    """Class of each test picture (N,), told by each head.

    Attributes:
        probe: By the linear probe.
        neighbours: By nearest neighbours.
    """

    probe: Wholes
    neighbours: Wholes


class ClassificationTask(Task):
    """Class of a picture; predictions are `Classes`."""

    spec: ClassVar[TaskSpec] = spec_beside(__file__, TaskSpec)

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> Classes:
        """Train both heads on train and tell the classes of test."""
        train = asked(data, self.spec.name, "train", Label)
        test = asked(data, self.spec.name, "test", Label)
        labels = labels_of(data, train)
        embedded = Embedded(adapter, asking)
        x_train = embedded.features(train.examples, source=source_of(data, "train"))
        x_test = embedded.features(test.examples, source=source_of(data, "test"))
        probe = fit_linear(x_train, labels, train.groups, classes=len(data.classes))
        near = Neighbours.fit(x_train).classes(x_test, labels)
        return Classes(probe.classes(x_test), near)

    def measure(self, data: DataSet, predictions: Classes) -> Measure:
        """Return accuracy and mean F1 of the probe, and accuracy of neighbours."""
        test = asked(data, self.spec.name, "test", Label)
        truth = labels_of(data, test)
        probe = class_scores(truth, predictions.probe, len(data.classes))
        near = class_scores(truth, predictions.neighbours, len(data.classes))

        def values(weights_N: Floats) -> Floats:
            return np.append(probe(weights_N), near(weights_N)[0])

        return Measure(self.spec.metrics, test.groups, values)

    def perfect(self, data: DataSet) -> Classes:
        """Return the true classes."""
        truth = labels_of(data, asked(data, self.spec.name, "test", Label))
        return Classes(truth, truth)

    def random(self, data: DataSet, seed: int) -> Classes:
        """Return classes drawn for each picture, all alike."""
        count = len(asked(data, self.spec.name, "test", Label).examples)
        generator = np.random.Generator(np.random.PCG64(seed))
        return Classes(*generator.integers(len(data.classes), size=(2, count)))

    def chance(self, data: DataSet) -> Floats:
        """Return 1 / K for accuracies; mean F1 has no closed form."""
        share = 1.0 / len(data.classes)
        return np.array([share, np.nan, share])

    def item_scores(self, data: DataSet, predictions: Classes) -> Floats:
        """Return 1 where the probe is right."""
        truth_N = labels_of(data, asked(data, self.spec.name, "test", Label))
        return np.asarray(predictions.probe == truth_N, dtype=np.float64)

    def told(self, data: DataSet, predictions: Classes, row: int) -> Truth:
        """Return the class that the probe tells."""
        del data
        return Label(int(predictions.probe[row]))


def class_scores(truth_N: Wholes, told_N: Wholes, classes: int) -> Callable[[Floats], Floats]:
    """Return what gives accuracy and mean F1 for weights of pictures.

    F1 of a class is 2 · right / (true + told); the mean is over classes that some picture of the
    draw has, each counting once. A class told of −1 is "cannot tell": wrong, and no class's error.

    Raises:
        BenchError: A class is told that is none, or not one for each picture.
    """
    if told_N.shape != truth_N.shape or told_N.min() < -1 or told_N.max() >= classes:
        raise BenchError(
            f"{told_N.shape} classes told from {told_N.min()} to {told_N.max()} for "
            f"{len(truth_N)} pictures of {classes} classes",
            "give each picture one of them",
        )
    right_N = (truth_N == told_N).astype(np.float64)
    column_N = np.where(told_N < 0, classes, told_N)

    def values(weights_N: Floats) -> Floats:
        total = weights_N.sum()
        if total == 0.0:
            return np.full(2, np.nan)
        right_K = np.bincount(truth_N, weights_N * right_N, minlength=classes)
        true_K = np.bincount(truth_N, weights_N, minlength=classes)
        told_K = np.bincount(column_N, weights_N, minlength=classes + 1)[:classes]
        there = true_K > 0.0
        f1 = 2.0 * right_K[there] / (true_K + told_K)[there]
        return np.array([right_K.sum() / total, f1.mean()])

    return values
