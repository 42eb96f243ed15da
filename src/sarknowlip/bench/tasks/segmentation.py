"""Tasks that tell the class of each pixel, with a linear head on patch features; segmentation.

Pictures are cut into windows of the stated size that overlap, so that a cell of a model's grid
covers few pixels and each pixel is told from a window that shows its surroundings.

Legend of array names: N pictures, K classes, H rows, W columns.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.adapter import Adapter, Floats32
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import UNLABELLED, Example, Mask, Truth
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.pixels import confusion, segmentation
from sarknowlip.bench.probes.dense import PIXELS, DenseHead, drawn_pixels
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.windows import Window, streamed, windows
from sarknowlip.core.files import read_json

Wholes = npt.NDArray[np.int64]
Told = npt.NDArray[np.uint8]


class PixelSpec(TaskSpec):
    """What a task of pixels measures.

    Attributes:
        window: Side of a window, pixels; smaller pictures are taken whole.
        overlap: Of neighbouring windows, pixels.
    """

    window: int
    overlap: int


def read_pixel_spec(module: str) -> PixelSpec:
    """Return the specification beside a task's module (`__file__`)."""
    return PixelSpec.model_validate(
        read_json(Path(module).with_suffix(".json"), "install the package again")
    )


class PixelTask(Task):
    """Class of each pixel; predictions are a map (H, W) of bytes of each test picture.

    Args:
        pixels: Labelled ones that the head learns from; another number makes scores of its own.
    """

    spec: ClassVar[PixelSpec]

    def __init__(self, pixels: int = PIXELS) -> None:
        self.pixels = pixels

    @abstractmethod
    def scores(self, matrix_KK: Floats) -> Floats:
        """Return the scores of pixels counted by truth (rows) and answer (columns)."""

    def encoded(
        self, embedded: Embedded, examples: Sequence[Example], source: str
    ) -> tuple[Floats32, ...]:
        """Return what `joined` makes features of: patches of each example."""
        return (embedded.patches(examples, source=source),)

    def joined(self, *patches: Floats32) -> Floats32:
        """Return the features of cells that the head sees."""
        return patches[0]

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> list[Told]:
        """Train the head on labelled pixels of train and tell those of test."""
        embedded = Embedded(adapter, asking)
        head = self._trained(embedded, data)
        test = data.examples(self.spec.name, "test")
        sizes = [_truth(example, data).shape for example in test]
        cut = self._windows(test, sizes)
        told = [np.zeros(size, dtype=np.uint8) for size in sizes]
        for place, patches in self._stream(embedded, cut, data, "test"):
            for window, own in zip(cut[place], patches, strict=True):
                window.paste(head(own, window.side), told[window.picture])
        return told

    def measure(self, data: DataSet, predictions: Sequence[Told]) -> Measure:
        """Count pixels of each picture by truth and answer; draws sum the counts."""
        test = data.examples(self.spec.name, "test")
        matrices_NKK = self._counted(data, predictions)

        def values(weights_N: Floats) -> Floats:
            return self.scores(np.tensordot(weights_N, matrices_NKK, axes=1))

        return Measure(self.spec.metrics, tuple(example.group for example in test), values)

    def perfect(self, data: DataSet) -> list[Told]:
        """Return the true maps; where nobody labelled, class 0."""
        truths = (_truth(example, data) for example in data.examples(self.spec.name, "test"))
        return [np.maximum(truth, 0).astype(np.uint8) for truth in truths]

    def random(self, data: DataSet, seed: int) -> list[Told]:
        """Return a class drawn for each pixel, all alike."""
        generator = np.random.Generator(np.random.PCG64(seed))
        return [
            generator.integers(len(data.classes), size=_truth(example, data).shape, dtype=np.uint8)
            for example in data.examples(self.spec.name, "test")
        ]

    def chance(self, data: DataSet) -> Floats:
        """Return the scores of expected counts, near those of random maps of many pixels."""
        classes = len(data.classes)
        counts_K = sum(
            (
                np.bincount(truth[truth >= 0], minlength=classes)
                for truth in (_truth(one, data) for one in data.examples(self.spec.name, "test"))
            ),
            np.zeros(classes),
        )
        return self.scores(np.repeat(counts_K[:, None] / classes, classes, axis=1))

    def item_scores(self, data: DataSet, predictions: Sequence[Told]) -> Floats:
        """Return the main score of each picture by itself."""
        main = self.spec.metrics.index(self.spec.main)
        return np.array([self.scores(one)[main] for one in self._counted(data, predictions)])

    def told(self, data: DataSet, predictions: Sequence[Told], row: int) -> Truth:
        """Return the map."""
        del data
        return Mask(lambda: predictions[row].astype(np.int64))

    def _counted(self, data: DataSet, predictions: Sequence[Told]) -> Floats:
        """Return the pixels of each picture by truth and answer, (N, K, K)."""
        test = data.examples(self.spec.name, "test")
        if len(predictions) != len(test):
            raise BenchError(f"maps of {len(predictions)} pictures for {len(test)}", "one each")
        matrices = [
            confusion(_truth(example, data), told, len(data.classes), ignored=UNLABELLED)
            for example, told in zip(test, predictions, strict=True)
        ]
        return np.stack(matrices).astype(np.float64)

    def _trained(self, embedded: Embedded, data: DataSet) -> DenseHead:
        train = data.examples(self.spec.name, "train")
        all_cut = self._windows(train, [_truth(example, data).shape for example in train])
        full = [bool((labels >= 0).any()) for labels in _labels(all_cut, train, data)]
        cut = [window for window, any_label in zip(all_cut, full, strict=True) if any_label]
        if not cut:
            raise BenchError(
                f"{data.card.title}: no pixel of train has a label", "choose another data set"
            )
        pixels = drawn_pixels(
            lambda: _labels(cut, train, data),
            len(data.classes),
            seed=embedded.asking.seed,
            most=self.pixels,
        )
        return DenseHead.fit(
            self._stream(embedded, cut, data, "train"),
            pixels,
            [window.example.group for window in cut],
            sides=[window.side for window in cut],
            classes=len(data.classes),
        )

    def _windows(
        self, examples: Sequence[Example], sizes: Sequence[tuple[int, ...]]
    ) -> list[Window]:
        spec = self.spec
        flat = [(rows, columns) for rows, columns in sizes]
        return windows(examples, flat, side=spec.window, overlap=spec.overlap)

    def _stream(
        self, embedded: Embedded, cut: Sequence[Window], data: DataSet, part: Part
    ) -> Iterator[tuple[slice, Floats32]]:
        parts = streamed(
            lambda some, source: self.encoded(embedded, some, source),
            [window.example for window in cut],
            f"{source_of(data, part)}-{self.spec.name}-windows{self.spec.window}",
            kept=embedded.asking.cache is not None,
        )
        for place, patches in parts:
            yield place, self.joined(*patches)


class SegmentationTask(PixelTask):
    """Semantic segmentation: mean IoU over the classes that occur, and share of pixels right."""

    spec: ClassVar[PixelSpec] = read_pixel_spec(__file__)

    def scores(self, matrix_KK: Floats) -> Floats:
        """Return mean IoU and accuracy."""
        accuracy, mean_iou, _, _ = segmentation(matrix_KK)
        return np.array([mean_iou, accuracy])


def _truth(example: Example, data: DataSet) -> Wholes:
    if not isinstance(example.truth, Mask):
        raise BenchError(f"{example.id} tells no classes of pixels", "choose another data set")
    truth = example.truth.read()
    if truth.ndim != 2 or truth.min() < UNLABELLED or truth.max() >= len(data.classes):
        raise BenchError(
            f"{example.id}: a map of shape {truth.shape} with classes {truth.min()} to "
            f"{truth.max()}, of {len(data.classes)}",
            "mend the reader of the data set",
        )
    return truth


def _labels(cut: Sequence[Window], examples: Sequence[Example], data: DataSet) -> Iterator[Wholes]:
    """Yield the labels that each window owns; a picture's map is read once for all its windows."""
    picture, truth = -1, np.empty((0, 0), dtype=np.int64)
    for window in cut:
        if window.picture != picture:
            picture, truth = window.picture, _truth(examples[window.picture], data)
        yield window.cut_owned(truth, UNLABELLED)
