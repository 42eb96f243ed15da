"""What tasks share that are answered with one class a picture.

Legend of array names: N test pictures.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.example import Label, Truth
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import Floats
from sarknowlip.bench.task import Task
from sarknowlip.bench.tasks.asked import asked, labels_of
from sarknowlip.bench.tasks.classification import class_scores

Wholes = npt.NDArray[np.int64]


class OneClassTask(Task):
    """Class of a picture; predictions are classes (N,), or −1 for "cannot tell"."""

    def measure(self, data: DataSet, predictions: Wholes) -> Measure:
        """Return accuracy and mean F1."""
        test = asked(data, self.spec.asks, "test", Label)
        values = class_scores(labels_of(data, test), predictions, len(data.classes))
        return Measure(self.spec.metrics, test.groups, values)

    def perfect(self, data: DataSet) -> Wholes:
        """Return the true classes."""
        return labels_of(data, asked(data, self.spec.asks, "test", Label))

    def random(self, data: DataSet, seed: int) -> Wholes:
        """Return classes drawn for each picture, all alike."""
        count = len(asked(data, self.spec.asks, "test", Label).examples)
        return np.random.Generator(np.random.PCG64(seed)).integers(len(data.classes), size=count)

    def chance(self, data: DataSet) -> Floats:
        """Return 1 / K for accuracy; mean F1 has no closed form."""
        return np.array([1.0 / len(data.classes), np.nan])

    def item_scores(self, data: DataSet, predictions: Wholes) -> Floats:
        """Return 1 where the class is right."""
        truth_N = labels_of(data, asked(data, self.spec.asks, "test", Label))
        return np.asarray(predictions == truth_N, dtype=np.float64)

    def told(self, data: DataSet, predictions: Wholes, row: int) -> Truth:
        """Return the class that was told, −1 for none."""
        del data
        return Label(int(predictions[row]))
