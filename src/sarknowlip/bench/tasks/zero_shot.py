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
from sarknowlip.bench.example import Label
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.task import Asking, TaskSpec
from sarknowlip.bench.tasks.asked import asked, spec_beside
from sarknowlip.bench.tasks.one_class import OneClassTask
from sarknowlip.infer.ranking import TIE

Wholes = npt.NDArray[np.int64]

CANNOT_TELL = -1


class ZeroShotTask(OneClassTask):
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
