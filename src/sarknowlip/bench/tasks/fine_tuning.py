"""Classification by an image encoder that is fine-tuned on the set (`probes.tuned`).

All other tasks ask frozen models; this one asks what a model is worth as a beginning. It trains a
copy of the encoder, on the examples of `classification`, and takes long: it is asked where it is
named only.

Legend of array names: N test pictures.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import Label
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.probes.tuned import Rows, TuneConfig, fine_tuned
from sarknowlip.bench.task import Asking, TaskSpec
from sarknowlip.bench.tasks.asked import asked, labels_of, spec_beside
from sarknowlip.bench.tasks.one_class import OneClassTask

Wholes = npt.NDArray[np.int64]


class FineTuningSpec(TaskSpec):
    """What fine-tuning measures.

    Attributes:
        tuning: How encoders are trained.
    """

    tuning: TuneConfig


class FineTuningTask(OneClassTask):
    """Class of a picture; predictions are classes (N,)."""

    spec: ClassVar[FineTuningSpec] = spec_beside(__file__, FineTuningSpec)

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> Wholes:
        """Train a copy of the encoder on train and tell the classes of test."""
        train = asked(data, self.spec.asks, "train", Label)
        test = asked(data, self.spec.asks, "test", Label)
        labels = labels_of(data, train)
        frozen = Embedded(adapter, asking).features(train.examples, source=source_of(data, "train"))
        rows = Rows(lambda row: train.examples[row].image(), frozen, labels, train.groups)
        total, done = self.spec.tuning.all_steps(train.groups), 0

        def step(item: str) -> None:
            nonlocal done
            done += 1
            if asking.progress is not None:
                asking.progress(min(done, total), total, item)

        try:
            tuned = fine_tuned(
                adapter.trainable,
                rows,
                classes=len(data.classes),
                seed=asking.seed,
                config=self.spec.tuning,
                step=step,
            )
        except torch.OutOfMemoryError as error:
            raise BenchError(
                f"fine-tuning {adapter.name} with {self.spec.tuning.batch} pictures a step does "
                "not fit into the device's memory",
                "take a device with more memory, or leave the task out for this model",
            ) from error
        size = asking.batch_size
        return np.concatenate(
            [
                tuned.classes([one.image() for one in test.examples[start : start + size]])
                for start in range(0, len(test.examples), size)
            ]
        )
