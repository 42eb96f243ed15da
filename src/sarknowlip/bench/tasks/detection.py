"""Object detection with horizontal and oriented boxes, by a small head on patch features.

Pictures are cut into windows of the stated size that overlap, so that a cell of a model's grid
covers few pixels; objects larger than a window are not found as a whole by any model. Horizontal
boxes are scored as in COCO, AP and AP at an overlap of one half; oriented ones at one half, where
the set has any.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sarknowlip.bench import detections as scoring
from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import Boxes, Example, Truth
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.probes.boxes import BoxHead, BoxSettings, Detections, Objects, suppressed
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.windows import Window, sizes_of, streamed, windows
from sarknowlip.core.files import read_json

Bools = npt.NDArray[np.bool_]

OBLIQUE = 1e-3
"""Pixels by which a corner may leave its horizontal box before the box counts as oriented."""

SLACK = 16
"""A window may tell what a neighbour owns as far as the overlap by this: places are not exact."""

RANDOM_BOXES = 10
"""Boxes that a random detector finds in every picture."""


class DetectionSpec(TaskSpec):
    """What detection measures.

    Attributes:
        window: Side of a window, pixels; smaller pictures are taken whole.
        overlap: Of neighbouring windows, pixels.
        windows: Windows that the detector learns from, at most.
    """

    window: int
    overlap: int
    windows: int


class DetectionTask(Task):
    """Detection; predictions are `Detections` of each test picture, corners in pixels.

    Args:
        settings: Budget of the detector; another than the default makes scores of its own.
    """

    spec: ClassVar[DetectionSpec] = DetectionSpec.model_validate(
        read_json(Path(__file__).with_suffix(".json"), "install the package again")
    )

    def __init__(self, settings: BoxSettings | None = None) -> None:
        self.settings = settings or BoxSettings()

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> list[Detections]:
        """Train the detector on windows of train and run it over those of test."""
        embedded = Embedded(adapter, asking)
        train = data.examples(self.spec.name, "train")
        cut = self._windows(train, sizes_of(train))
        objects = [_objects_in(window, train[window.picture]) for window in cut]
        rows = self._drawn([len(one.classes) > 0 for one in objects])
        patches = embedded.patches(
            [cut[row].example for row in rows], source=self._source(data, "train")
        )
        head = BoxHead.fit(
            patches,
            [objects[row] for row in rows],
            _classes(data),
            seed=asking.seed,
            settings=self.settings,
        )
        oriented = _slanted([_truth(example) for example in train])
        return self._found(head, embedded, data, oriented)

    def measure(self, data: DataSet, predictions: list[Detections]) -> Measure:
        """Match once; draws of pictures only weigh matches."""
        test = data.examples(self.spec.name, "test")
        if len(predictions) != len(test):
            raise BenchError(
                f"detections of {len(predictions)} pictures for {len(test)}", "give one a picture"
            )
        truths = [_truth(example) for example in test]
        labels = [truth.classes for truth in truths]
        found = [one.classes for one in predictions]
        scores = np.concatenate([one.scores for one in predictions])
        size = {"images": len(test), "classes": _classes(data)}
        horizontal = scoring.match(
            _gathered([_around(truth.corners) for truth in truths], labels),
            _gathered([one.horizontal for one in predictions], found),
            scores,
            **size,
        )
        oriented = None
        if _slanted(truths):
            oriented = scoring.match(
                _gathered([truth.corners for truth in truths], labels),
                _gathered([one.oriented for one in predictions], found),
                scores,
                thresholds=(0.5,),
                **size,
            )

        def values(weights_N: Floats) -> Floats:
            ap, ap50, _ = scoring.figures(scoring.ap(horizontal, weights_N))
            if oriented is None:
                return np.array([ap50, ap, np.nan])
            along = scoring.figures(scoring.ap(oriented, weights_N), (0.5,))
            return np.array([ap50, ap, along[1]])

        return Measure(self.spec.metrics, tuple(example.group for example in test), values)

    def perfect(self, data: DataSet) -> list[Detections]:
        """Return the true boxes, each as certain as the others."""
        truths = [_truth(example) for example in data.examples(self.spec.name, "test")]
        return [
            Detections(_around(one.corners), one.corners, np.ones(len(one.classes)), one.classes)
            for one in truths
        ]

    def random(self, data: DataSet, seed: int) -> list[Detections]:
        """Return boxes between two points drawn anywhere, of any class and certainty."""
        generator = np.random.Generator(np.random.PCG64(seed))
        found = []
        for rows, columns in sizes_of(data.examples(self.spec.name, "test")):
            points = generator.random((RANDOM_BOXES, 2, 2)) * (columns, rows)
            corners = scoring.corners_of(
                np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
            )
            label = generator.integers(_classes(data), size=RANDOM_BOXES)
            found.append(Detections(corners, corners, generator.random(RANDOM_BOXES), label))
        return found

    def chance(self, data: DataSet) -> Floats:
        """Return NaN: what random boxes score depends on sizes of objects and pictures."""
        return np.full(len(self.spec.metrics), np.nan)

    def item_scores(self, data: DataSet, predictions: list[Detections]) -> Floats:
        """Return, of a picture's surest boxes, as many as it has objects, what share hits one."""
        truths = [_truth(example) for example in data.examples(self.spec.name, "test")]
        slanted = _slanted(truths)
        some = [_surest(*pair, slanted) for pair in zip(predictions, truths, strict=True)]
        matches = scoring.match(
            _gathered(
                [one.corners if slanted else _around(one.corners) for one in truths],
                [one.classes for one in truths],
            ),
            _gathered([one.corners for one in some], [one.classes for one in some]),
            np.concatenate([-np.arange(len(one.classes), dtype=np.float64) for one in some]),
            images=len(truths),
            classes=_classes(data),
            thresholds=(0.5,),
        )
        hits_N = np.bincount(matches.image, matches.hit[0], minlength=len(truths))
        share_N, count_N = np.full(len(truths), np.nan), matches.truths.sum(axis=1)
        np.divide(hits_N, count_N, out=share_N, where=count_N > 0)
        return share_N

    def told(self, data: DataSet, predictions: list[Detections], row: int) -> Truth:
        """Return a picture's surest boxes, as many as it has objects."""
        truths = [_truth(example) for example in data.examples(self.spec.name, "test")]
        return _surest(predictions[row], truths[row], _slanted(truths))

    def _windows(
        self, examples: Sequence[Example], sizes: Sequence[tuple[int, int]]
    ) -> list[Window]:
        return windows(examples, sizes, side=self.spec.window, overlap=self.spec.overlap)

    def _source(self, data: DataSet, part: Part) -> str:
        return f"{source_of(data, part)}-windows{self.spec.window}"

    def _drawn(self, full: Sequence[bool]) -> npt.NDArray[np.int64]:
        """Return windows to learn from, at most as many without objects as with; always the same.

        They do not depend on the seed, so that cached features serve all seeds.
        """
        generator = np.random.Generator(np.random.PCG64(0))
        holds = np.asarray(full)
        some = generator.permutation(np.flatnonzero(holds))
        none = generator.permutation(np.flatnonzero(~holds))
        half = self.spec.windows // 2
        none = none[: min(max(len(some), 1), half)]
        return np.sort(np.concatenate([some[: self.spec.windows - len(none)], none]))

    def _found(
        self, head: BoxHead, embedded: Embedded, data: DataSet, oriented: bool
    ) -> list[Detections]:
        test = data.examples(self.spec.name, "test")
        sizes = sizes_of(test)
        cut = self._windows(test, sizes)
        parts: list[list[Detections]] = [[] for _ in test]
        stream = streamed(
            lambda some, source: (embedded.patches(some, source=source),),
            [window.example for window in cut],
            self._source(data, "test"),
            kept=embedded.asking.cache is not None,
        )
        for place, (patches,) in stream:
            for start in range(0, len(patches), embedded.asking.batch_size):
                batch = slice(start, start + embedded.asking.batch_size)
                for window, found in zip(cut[place][batch], head(patches[batch]), strict=True):
                    size = sizes[window.picture]
                    parts[window.picture].append(
                        _in_picture(found, window, size, self.spec.overlap)
                    )
        return [_merged(Detections.joined(some), oriented) for some in parts]


def _classes(data: DataSet) -> int:
    return max(1, len(data.classes))


def _truth(example: Example) -> Boxes:
    if not isinstance(example.truth, Boxes):
        raise BenchError(f"{example.id} tells no boxes", "choose another data set")
    return example.truth


def _around(corners_N42: Floats) -> Floats:
    """Return horizontal boxes around boxes."""
    if not len(corners_N42):
        return np.empty((0, 4, 2))
    return scoring.corners_of(
        np.concatenate([corners_N42.min(axis=1), corners_N42.max(axis=1)], axis=1)
    )


def _oblique(corners_N42: Floats) -> Bools:
    """Tell which boxes are not horizontal."""
    if not len(corners_N42):
        return np.zeros(0, dtype=np.bool_)
    low, high = corners_N42.min(axis=1, keepdims=True), corners_N42.max(axis=1, keepdims=True)
    away = np.minimum(np.abs(corners_N42 - low), np.abs(corners_N42 - high))
    return np.asarray((away > OBLIQUE).any(axis=(1, 2)))


def _slanted(truths: Sequence[Boxes]) -> bool:
    """Tell whether any box is not horizontal."""
    return any(_oblique(truth.corners).any() for truth in truths)


def _surest(found: Detections, truth: Boxes, slanted: bool) -> Boxes:
    """Return as many detections as there are objects."""
    count = len(truth.classes)
    corners = found.oriented if slanted else found.horizontal
    return Boxes(corners[:count], found.classes[:count])


def _objects_in(window: Window, example: Example) -> Objects:
    """Return the objects whose centres lie in a window, in fractions of its side."""
    truth = _truth(example)
    corners = (truth.corners.reshape(-1, 4, 2) - (window.left, window.top)) / window.side
    middle = (corners.min(axis=1) + corners.max(axis=1)) / 2.0
    inside = ((middle >= 0.0) & (middle < 1.0)).all(axis=1)
    return Objects(corners[inside], truth.classes[inside])


def _in_picture(
    found: Detections, window: Window, size: tuple[int, int], overlap: int
) -> Detections:
    """Return what a window owns, or nearly, in pixels of its picture and cut at its edges."""
    corner = np.array([window.left, window.top])
    horizontal = found.horizontal * window.side + corner
    owned = window.owns(horizontal.mean(axis=1), size, slack=overlap / SLACK)
    edges = np.array(size[::-1], dtype=np.float64)
    moved = Detections(
        np.clip(horizontal, 0.0, edges),
        found.oriented * window.side + corner,
        found.scores,
        found.classes,
    )
    flat = np.ptp(moved.horizontal, axis=1).min(axis=1) <= 0.0
    return moved.rows(np.flatnonzero(owned & ~flat))


def _merged(found: Detections, oriented: bool) -> Detections:
    """Return detections of a picture without those that overlap a better one.

    Oriented boxes of things side by side hardly overlap, horizontal ones may by much.
    """
    corners, most = (found.oriented, 0.2) if oriented else (found.horizontal, 0.5)
    return found.rows(suppressed(corners, found.classes, most))


def _gathered(corners: Sequence[Floats], labels: Sequence[npt.NDArray[np.int64]]) -> scoring.Boxes:
    image = np.repeat(np.arange(len(labels)), [len(one) for one in labels])
    return scoring.Boxes(
        image.astype(np.int64),
        np.concatenate([np.asarray(one, dtype=np.int64) for one in labels]),
        np.concatenate([np.asarray(one, dtype=np.float64).reshape(-1, 4, 2) for one in corners]),
    )
