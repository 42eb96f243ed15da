"""Few-shot recognition: the class of a picture from a few labelled ones of each class.

For each draw the training pictures of a class are put in a random order, and k shots are the first
k of it, so that draws of more shots hold those of fewer. Features are standardised by the shots
alone. Nothing can be chosen from one picture a class, so the strength of regularisation is fixed,
the same for all models and shots.

Asked are the classes of the test part. Where one of them has fewer than k training pictures, the
score of k shots does not exist.

Legend of array names: N test pictures, S numbers of shots, R draws.
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import Label
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.probes.linear import LinearConfig, fit_linear
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.tasks.asked import asked, labels_of, spec_beside

Wholes = npt.NDArray[np.int64]

NONE = -1
"""Told where a class cannot give so many shots."""


class FewShotSpec(TaskSpec):
    """What few-shot recognition measures.

    Attributes:
        shots: Training pictures a class, ascending; one metric each.
        draws: Of training pictures, for each seed.
        strength: Of regularisation, λ of `LinearConfig`.
    """

    shots: tuple[int, ...]
    draws: int = Field(ge=1)
    strength: float = Field(gt=0.0)


class FewShotTask(Task):
    """Predictions are classes (S, R, N), or `NONE` where shots don't exist."""

    spec: ClassVar[FewShotSpec] = spec_beside(__file__, FewShotSpec)

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> Wholes:
        """Train on each draw of shots and tell the classes of test."""
        train = asked(data, self.spec.name, "train", Label)
        test = asked(data, self.spec.name, "test", Label)
        embedded = Embedded(adapter, asking)
        x_train = embedded.features(train.examples, source=source_of(data, "train"))
        x_test = embedded.features(test.examples, source=source_of(data, "test"))
        labels, classes = labels_of(data, train), np.unique(labels_of(data, test))
        own = [np.flatnonzero(labels == label) for label in classes]
        config = LinearConfig(strengths=(self.spec.strength,))
        told = np.full((len(self.spec.shots), self.spec.draws, len(x_test)), NONE, dtype=np.int64)
        for draw in range(self.spec.draws):
            generator = np.random.default_rng([asking.seed, draw])
            order = [generator.permutation(places) for places in own]
            for row, shots in enumerate(self.spec.shots):
                if min(map(len, own)) < shots:
                    break
                places = np.concatenate([some[:shots] for some in order])
                groups = [train.groups[place] for place in places]
                head = fit_linear(
                    x_train[places], labels[places], groups, classes=len(data.classes),
                    config=config,
                )  # fmt: skip
                told[row, draw] = head.classes(x_test)
        return told

    def measure(self, data: DataSet, predictions: Wholes) -> Measure:
        """Return the accuracy of each number of shots, the mean over draws."""
        test = asked(data, self.spec.name, "test", Label)
        truth = labels_of(data, test)
        expected = (len(self.spec.shots), self.spec.draws, len(truth))
        if predictions.shape != expected:
            raise BenchError(f"classes of shape {predictions.shape}, not {expected}", "give all")
        values_SN = (predictions == truth).mean(axis=1)
        values_SN[(predictions == NONE).any(axis=(1, 2))] = np.nan
        return Measure.of_means(self.spec.metrics, test.groups, values_SN.T)

    def perfect(self, data: DataSet) -> Wholes:
        """Return the true classes, for all shots and draws."""
        truth = labels_of(data, asked(data, self.spec.name, "test", Label))
        return np.tile(truth, (len(self.spec.shots), self.spec.draws, 1))

    def random(self, data: DataSet, seed: int) -> Wholes:
        """Return classes drawn of those asked, all alike."""
        truth = labels_of(data, asked(data, self.spec.name, "test", Label))
        generator = np.random.Generator(np.random.PCG64(seed))
        size = (len(self.spec.shots), self.spec.draws, len(truth))
        return generator.choice(np.unique(truth), size=size)

    def chance(self, data: DataSet) -> Floats:
        """Return one over the number of classes asked."""
        truth = labels_of(data, asked(data, self.spec.name, "test", Label))
        return np.full(len(self.spec.shots), 1.0 / len(np.unique(truth)))

    def item_scores(self, data: DataSet, predictions: Wholes) -> Floats:
        """Return the share of draws that are right, with the shots of the main score."""
        truth_N = labels_of(data, asked(data, self.spec.name, "test", Label))
        main_RN = predictions[self.spec.metrics.index(self.spec.main)]
        share_N = (main_RN == truth_N).mean(axis=0)
        return np.where((main_RN == NONE).any(), np.nan, share_N)

    def told(self, data: DataSet, predictions: Wholes, row: int) -> str:
        """Return the classes of the draws, with the shots of the main score."""
        main_R = predictions[self.spec.metrics.index(self.spec.main), :, row]
        times = Counter(main_R.tolist()).most_common()
        return ", ".join(f"{data.classes[label]} × {count}" for label, count in times)
