"""Zero-shot classification: pictures beside texts that tell the classes.

A class is the mean of the unit rows of its prompts, brought to unit length again (Radford et al.
2021, §3.1.4). A picture has the class of largest inner product; where two are equal within
`infer.ranking.TIE` the model cannot tell, which counts as wrong.

Legend of array names: N test pictures, K classes, D width of the shared space.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import Label, Truth
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.tasks.asked import asked, labels_of, spec_beside
from sarknowlip.bench.tasks.classification import class_scores
from sarknowlip.infer.ranking import TIE

Wholes = npt.NDArray[np.int64]

CANNOT_TELL = -1


class ZeroShotTask(Task):
    """Predictions are classes (N,), or `CANNOT_TELL`."""

    spec: ClassVar[TaskSpec] = spec_beside(__file__, TaskSpec)

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> Wholes:
        """Compare pictures of test with the prompts of all classes.

        Raises:
            BenchError: The set has no prompts, or the model returns what cannot be used.
        """
        test = asked(data, self.spec.name, "test", Label)
        if len(data.prompts) != len(data.classes) or not all(data.prompts):
            raise BenchError(
                f"{data.card.title} has no prompts for its {len(data.classes)} classes",
                "use another set, or add them to its card",
            )
        embedded = Embedded(adapter, asking)
        rows = embedded.texts([text for texts in data.prompts for text in texts]).astype(np.float64)
        ends = np.cumsum([len(texts) for texts in data.prompts])[:-1]
        means_KD = np.stack([some.mean(axis=0) for some in np.split(rows, ends)])
        means_KD /= np.maximum(np.linalg.norm(means_KD, axis=1, keepdims=True), TIE)
        images_ND = embedded.images(test.examples, source=source_of(data, "test"))
        if images_ND.shape[1] != means_KD.shape[1]:
            raise BenchError(
                f"{adapter.name}: pictures have {images_ND.shape[1]} numbers, texts "
                f"{means_KD.shape[1]}",
                "both must be embedded into one space",
            )
        scores_NK = images_ND.astype(np.float64) @ means_KD.T
        best_N = scores_NK.max(axis=1, keepdims=True)
        alone_N = (scores_NK >= best_N - TIE).sum(axis=1) == 1
        return np.where(alone_N, scores_NK.argmax(axis=1), CANNOT_TELL)

    def measure(self, data: DataSet, predictions: Wholes) -> Measure:
        """Return accuracy and mean F1."""
        test = asked(data, self.spec.name, "test", Label)
        values = class_scores(labels_of(data, test), predictions, len(data.classes))
        return Measure(self.spec.metrics, test.groups, values)

    def perfect(self, data: DataSet) -> Wholes:
        """Return the true classes."""
        return labels_of(data, asked(data, self.spec.name, "test", Label))

    def random(self, data: DataSet, seed: int) -> Wholes:
        """Return classes drawn for each picture, all alike."""
        count = len(asked(data, self.spec.name, "test", Label).examples)
        return np.random.Generator(np.random.PCG64(seed)).integers(len(data.classes), size=count)

    def chance(self, data: DataSet) -> Floats:
        """Return 1 / K for accuracy; mean F1 has no closed form."""
        return np.array([1.0 / len(data.classes), np.nan])

    def item_scores(self, data: DataSet, predictions: Wholes) -> Floats:
        """Return 1 where the class is right."""
        truth_N = labels_of(data, asked(data, self.spec.name, "test", Label))
        return np.asarray(predictions == truth_N, dtype=np.float64)

    def told(self, data: DataSet, predictions: Wholes, row: int) -> Truth:
        """Return the class, or `CANNOT_TELL`."""
        del data
        return Label(int(predictions[row]))
