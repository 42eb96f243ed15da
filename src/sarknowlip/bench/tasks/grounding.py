"""Visual grounding and referring segmentation: where, and which pixels, an expression means.

A bilinear form of patch features and text features gives heat, and the part around its peak is the
answer (`probes.referring`). Texts are the model's own if it has a text encoder, hashed words
otherwise. Pictures are seen whole: expressions speak of places in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.adapter import Adapter, Floats32
from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.detections import corners_of, overlap
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import Example, Region, Truth
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.probes.folds import splits
from sarknowlip.bench.probes.referring import (
    PointingHead,
    PointingSettings,
    bounds,
    covered,
    hashed_words,
    region,
)
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.windows import sizes_of, streamed
from sarknowlip.core.files import read_json

Bools = npt.NDArray[np.bool_]
Wholes = npt.NDArray[np.int64]
Size = tuple[int, int]

FOLDS = 5
"""One part of so many, by whole groups, chooses decay and level."""

HIT = 0.5
"""Overlap from which a box counts as right."""


class GroundingSpec(TaskSpec):
    """What grounding measures.

    Attributes:
        expressions: That the head learns from, at most.
    """

    expressions: int


@dataclass(frozen=True)
class Answered:
    """Where an expression is thought to point.

    Attributes:
        box: Left, top, right, bottom, pixels, float64 (4,).
        part: Column and row of the upper left corner of `mask` in the picture.
        mask: True inside, cut to its own bounds; None where the truth knows only a box.
    """

    box: Floats
    part: tuple[int, int] = (0, 0)
    mask: Bools | None = None

    @classmethod
    def of(cls, box: Floats, mask_HW: Bools | None) -> Answered:
        """Return an answer with its mask cut to its bounds."""
        if mask_HW is None:
            return cls(box)
        left, top, right, bottom = bounds(mask_HW).astype(int).tolist()
        return cls(box, (left, top), mask_HW[top:bottom, left:right].copy())

    def overlap(self, truth_HW: Bools) -> float:
        """Return intersection over union with a true mask; NaN if both are empty."""
        assert self.mask is not None
        (left, top), (rows, columns) = self.part, self.mask.shape
        shared = (self.mask & truth_HW[top : top + rows, left : left + columns]).sum()
        union = self.mask.sum() + truth_HW.sum() - shared
        return float(shared / union) if union else float("nan")


class GroundingTask(Task):
    """Grounding; predictions are an `Answered` of each test expression.

    Args:
        settings: Budget of the head; another than the default makes scores of its own.
    """

    spec: ClassVar[GroundingSpec] = GroundingSpec.model_validate(
        read_json(Path(__file__).with_suffix(".json"), "install the package again")
    )

    def __init__(self, settings: PointingSettings | None = None) -> None:
        self.settings = settings or PointingSettings()

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> list[Answered]:
        """Train the form on expressions of train, choose by whole groups, point in test."""
        embedded = Embedded(adapter, asking)
        head, level = self._trained(embedded, data)
        test = data.examples(self.spec.name, "test")
        texts_ND = _texts(embedded, test)
        stream = streamed(
            lambda some, source: (embedded.patches(some, source=source),),
            test,
            f"{source_of(data, 'test')}-grounding",
            kept=asking.cache is not None,
        )
        answers: list[Answered] = []
        for place, (patches,) in stream:
            heat = head(patches, texts_ND[place])
            for example, own in zip(test[place], heat, strict=True):
                [size] = sizes_of([example])
                found = region(own, size, level)
                answers.append(
                    Answered.of(found.box, found.mask if _region(example).read else None)
                )
        return answers

    def measure(self, data: DataSet, predictions: Sequence[Answered]) -> Measure:
        """Compare boxes, and masks where there are true ones."""
        test = data.examples(self.spec.name, "test")
        if len(predictions) != len(test):
            raise BenchError(f"{len(predictions)} answers to {len(test)} expressions", "one each")
        box_N = self.item_scores(data, predictions)
        mask_N = np.full(len(test), np.nan)
        for row, (example, answer) in enumerate(zip(test, predictions, strict=True)):
            read = _region(example).read
            if read is not None:
                mask_N[row] = answer.overlap(read())
        known_N = np.isfinite(mask_N)
        values_N3 = np.stack([box_N >= HIT, box_N, np.where(known_N, mask_N, 0.0)], axis=1)
        counts_N3 = np.stack([np.ones_like(box_N), np.ones_like(box_N), known_N], axis=1)

        def values(weights_N: Floats) -> Floats:
            total = weights_N @ counts_N3
            empty = np.full(len(total), np.nan)
            return np.asarray(np.divide(weights_N @ values_N3, total, out=empty, where=total > 0))

        return Measure(self.spec.metrics, tuple(example.group for example in test), values)

    def perfect(self, data: DataSet) -> list[Answered]:
        """Return the true boxes and masks."""
        truths = [_region(example) for example in data.examples(self.spec.name, "test")]
        return [Answered.of(one.box, one.read() if one.read else None) for one in truths]

    def random(self, data: DataSet, seed: int) -> list[Answered]:
        """Return boxes between two points drawn anywhere; all inside is meant."""
        generator = np.random.Generator(np.random.PCG64(seed))
        answers = []
        test = data.examples(self.spec.name, "test")
        for example, (rows, columns) in zip(test, sizes_of(test), strict=True):
            points = generator.random((2, 2)) * (columns, rows)
            box = np.concatenate([points.min(axis=0), points.max(axis=0)])
            mask = _filled(box, (rows, columns)) if _region(example).read else None
            answers.append(Answered.of(box, mask))
        return answers

    def chance(self, data: DataSet) -> Floats:
        """Return NaN: what random boxes score depends on sizes of regions and pictures."""
        return np.full(len(self.spec.metrics), np.nan)

    def item_scores(self, data: DataSet, predictions: Sequence[Answered]) -> Floats:
        """Return the overlap of each box with the true one."""
        truth_N4 = np.stack(
            [_region(example).box for example in data.examples(self.spec.name, "test")]
        )
        return overlap(corners_of(np.stack([one.box for one in predictions])), corners_of(truth_N4))

    def told(self, data: DataSet, predictions: Sequence[Answered], row: int) -> Truth:
        """Return the box, and the mask where there is a true one."""
        example, answer = data.examples(self.spec.name, "test")[row], predictions[row]
        part, (left, top) = answer.mask, answer.part
        if part is None:
            return Region("", answer.box)

        def read() -> Bools:
            [size] = sizes_of([example])
            whole = np.zeros(size, dtype=np.bool_)
            whole[top : top + part.shape[0], left : left + part.shape[1]] = part
            return whole

        return Region("", answer.box, read)

    def _trained(self, embedded: Embedded, data: DataSet) -> tuple[PointingHead, float]:
        """Return the head and the level, chosen by mean overlap of boxes on groups left out."""
        whole = data.examples(self.spec.name, "train")
        draw = np.random.Generator(np.random.PCG64(0)).permutation(len(whole))
        train = [whole[row] for row in np.sort(draw[: self.spec.expressions])]
        patches = embedded.patches(train, source=f"{source_of(data, 'train')}-grounding")
        texts, sizes = _texts(embedded, train), sizes_of(train)
        shares = np.stack(
            [
                covered(_inside(_region(example), size), patches.shape[1])
                for example, size in zip(train, sizes, strict=True)
            ]
        )
        groups = [example.group for example in train]
        boxes_N4 = np.stack([_region(example).box for example in train])

        def fitted(rows: Wholes | slice, decay: float) -> PointingHead:
            own = (patches[rows], texts[rows], shares[rows])
            seed = embedded.asking.seed
            return PointingHead.fit(*own, decay=decay, seed=seed, settings=self.settings)

        decay, level = self.settings.alone
        for learn, look in splits(groups, np.zeros(len(train), dtype=np.int64), FOLDS):
            best = -1.0
            for own in self.settings.decays:
                heat = fitted(learn, own)(patches[look], texts[look])
                for bar in self.settings.levels:
                    pairs = zip(heat, look, strict=True)
                    found = np.stack([region(one, sizes[row], bar).box for one, row in pairs])
                    score = float(overlap(corners_of(found), corners_of(boxes_N4[look])).mean())
                    if score > best:
                        best, decay, level = score, own, bar
            break  # one look is enough for two numbers
        return fitted(slice(None), decay), level


def _region(example: Example) -> Region:
    if not isinstance(example.truth, Region):
        raise BenchError(f"{example.id} tells no expression", "choose another data set")
    return example.truth


def _texts(embedded: Embedded, examples: Sequence[Example]) -> Floats32:
    expressions = [_region(example).expression for example in examples]
    if "texts" in embedded.adapter.card.abilities:
        return embedded.texts(expressions)
    return hashed_words(expressions)


def _inside(truth: Region, size: Size) -> Bools:
    """Return the mask of a region, or of its box where only that is known."""
    return truth.read() if truth.read is not None else _filled(truth.box, size)


def _filled(box: Floats, size: Size) -> Bools:
    """Return the pixels of a picture whose middles lie in a box."""
    left, top, right, bottom = box
    rows, columns = (np.arange(length) + 0.5 for length in size)
    across = (columns >= left) & (columns < right)
    return np.asarray(((rows >= top) & (rows < bottom))[:, None] & across)
