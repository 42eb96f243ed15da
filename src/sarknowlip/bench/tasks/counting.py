"""Counting objects in a picture by ridge regression on frozen features.

The target is log(1 + count), so that a factor weighs the same for few objects and for many; what is
told is turned back, rounded to a whole number, and not below 0 nor above twice the largest count of
training. The main score is the share of pictures whose count is right within 10 % or 1, whichever
is more.

Legend of array names: N test pictures, M largest count of training.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.counts import count_values, figures
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import Count, Truth
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.probes.ridge import fit_ridge
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.tasks.asked import Asked, asked, spec_beside

Wholes = npt.NDArray[np.int64]


class CountingSpec(TaskSpec):
    """What counting measures.

    Attributes:
        share: Of the true count, by which a near count may differ; one object always may.
    """

    share: float = Field(ge=0.0)


class CountingTask(Task):
    """Predictions are whole numbers (N,)."""

    spec: ClassVar[CountingSpec] = spec_beside(__file__, CountingSpec)

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> Wholes:
        """Fit the regression on train and tell the counts of test."""
        train, true_N = self._asked(data, "train")
        test, _ = self._asked(data, "test")
        embedded = Embedded(adapter, asking)
        x_train = embedded.features(train.examples, source=source_of(data, "train"))
        x_test = embedded.features(test.examples, source=source_of(data, "test"))
        ridge = fit_ridge(x_train, np.log1p(true_N)[:, None], train.groups)
        most = np.log1p(2.0 * true_N.max())
        told = np.expm1(np.clip(ridge.values(x_test)[:, 0], 0.0, most))
        return np.rint(told).astype(np.int64)

    def measure(self, data: DataSet, predictions: Wholes) -> Measure:
        """Return share near, share within one, R²; mean and root mean square error."""
        test, true_N = self._asked(data, "test")
        sums_NK = count_values(true_N, predictions)
        near_N = self._near(true_N, np.asarray(predictions, dtype=np.float64))

        def values(weights_N: Floats) -> Floats:
            mae, rmse, r2, within = figures(sums_NK, weights_N)
            total = weights_N.sum()
            near = weights_N @ near_N / total if total else np.nan
            return np.array([near, within, r2, mae, rmse])

        return Measure(self.spec.metrics + self.spec.errors, test.groups, values)

    def perfect(self, data: DataSet) -> Wholes:
        """Return the true counts."""
        return self._asked(data, "test")[1].astype(np.int64)

    def random(self, data: DataSet, seed: int) -> Wholes:
        """Return counts drawn from 0 to the largest of training, all alike."""
        most = int(self._asked(data, "train")[1].max())
        count = len(self._asked(data, "test")[1])
        generator = np.random.Generator(np.random.PCG64(seed))
        return generator.integers(most, size=count, endpoint=True)

    def chance(self, data: DataSet) -> Floats:
        """Return expectations over 0…M; the root mean square error has no closed form."""
        true_N = self._asked(data, "test")[1]
        told_M = np.arange(self._asked(data, "train")[1].max() + 1.0)
        near = within = absolute = squared = 0.0
        for true in true_N:  # one row at a time: N · M may be large
            error_M = np.abs(told_M - true)
            near += self._near(np.full_like(told_M, true), told_M).mean()
            within += (error_M <= 1.0).mean()
            absolute, squared = absolute + error_M.mean(), squared + np.square(error_M).mean()
        spread = np.square(true_N - true_N.mean()).sum()
        r2 = 1.0 - squared / spread if spread else np.nan
        return np.array([near, within, r2 * len(true_N), absolute, np.nan]) / len(true_N)

    def item_scores(self, data: DataSet, predictions: Wholes) -> Floats:
        """Return 1 less the error, as a share of the larger of the two counts."""
        true_N = self._asked(data, "test")[1]
        most_N = np.maximum(1.0, np.maximum(true_N, predictions))
        return np.asarray(1.0 - np.abs(true_N - predictions) / most_N, dtype=np.float64)

    def told(self, data: DataSet, predictions: Wholes, row: int) -> Truth:
        """Return the count."""
        del data
        return Count(int(predictions[row]))

    def _near(self, true_N: Floats, told_N: Floats) -> Floats:
        allowed = np.maximum(1.0, self.spec.share * true_N)
        return (np.abs(told_N - true_N) <= allowed + 1e-9).astype(np.float64)

    def _asked(self, data: DataSet, part: Part) -> tuple[Asked[Count], Floats]:
        counts = asked(data, self.spec.name, part, Count)
        number_N = np.array([count.number for count in counts.truths], dtype=np.float64)
        if number_N.min() < 0:
            raise BenchError(f"{data.card.title}: a count below 0", "mend the reader of the set")
        return counts, number_N
