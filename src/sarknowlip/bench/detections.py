"""Average precision of horizontal and oriented boxes, and accuracy of grounding.

Horizontal boxes are scored by faster-coco-eval (`coco_ap`), oriented ones by the matching here
(`match`, `ap`), which gives the same table on horizontal boxes. Matches are kept, so that a draw of
images is scored without matching again.

A box is the convex hull of its four corners, in any order. **Matching** is that of COCO (Lin et
al., ECCV 2014, and its evaluation code): per image and class, detections take turns by falling
score, and each takes the free truth that it overlaps most, if by at least the threshold; of equal
overlaps the later truth. At most `limit` detections of an image and class count, the best ones.
There are neither crowds nor difficult truths, and no ranges of area.

Two rules make a number of precision and recall, both over the precision that is reached at a recall
or beyond it: "coco" is the mean at recalls 0, 0.01, …, 1; "voc" the whole area (Everingham et al.,
IJCV 111, 2015; there a detection that overlaps a taken truth most is wrong even if another
is near).

Legend of array names: N boxes, M detections that count, I images, K classes, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.bench.metrics import BenchError

Floats = npt.NDArray[np.float64]
Wholes = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Shapes = npt.NDArray[np.object_]

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""Overlaps of COCO's AP."""

FIGURES = ("AP", "AP50", "AP75")
"""What `figures` returns, in order."""

LIMIT = 100
"""Detections of an image and class that count, as in COCO."""

RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Boxes:
    """Boxes of a data set.

    Attributes:
        image: Image of each, 0…I−1, shape (N,).
        label: Class of each, 0…K−1, shape (N,).
        corners: x and y of its corners in pixels, shape (N, 4, 2).
    """

    image: Wholes
    label: Wholes
    corners: Floats

    def __post_init__(self) -> None:
        count = len(self.corners)
        if self.corners.shape != (count, 4, 2) or not (
            self.image.shape == self.label.shape == (count,)
        ):
            raise BenchError(
                f"corners {self.corners.shape}, images {self.image.shape} and labels "
                f"{self.label.shape} of boxes do not fit",
                "give (N, 4, 2), (N,) and (N,)",
            )
        if not np.isfinite(self.corners).all():
            bad = int(np.argmin(np.isfinite(self.corners).all(axis=(1, 2))))
            raise BenchError(f"corners of box {bad} are not finite", "the model is broken")


@dataclass(frozen=True)
class Matches:
    """Which detections hit, all images together, by falling score.

    Attributes:
        image: Image of each detection, shape (M,).
        label: Class of each, shape (M,).
        score: Score of each, shape (M,).
        hit: Whether it has a truth at each threshold, shape (T, M).
        truths: Number of truths, shape (I, K).
        thresholds: Least overlaps, shape (T,).
    """

    image: Wholes
    label: Wholes
    score: Floats
    hit: Bools
    truths: Wholes
    thresholds: Floats


def corners_of(xyxy_N4: npt.ArrayLike) -> Floats:
    """Return the corners (N, 4, 2) of horizontal boxes given as left, top, right, bottom."""
    left, top, right, bottom = np.asarray(xyxy_N4, dtype=np.float64).reshape(-1, 4).T
    xs = np.stack([left, right, right, left], axis=1)
    ys = np.stack([top, top, bottom, bottom], axis=1)
    return np.stack([xs, ys], axis=2)


def match(
    truth: Boxes,
    found: Boxes,
    score: npt.ArrayLike,
    *,
    images: int,
    classes: int,
    thresholds: npt.ArrayLike = THRESHOLDS,
    limit: int = LIMIT,
) -> Matches:
    """Match detections with truths; see the module's docstring.

    Args:
        truth: What is there.
        found: What a model found.
        score: Its certainty of each, shape (N,); only their order counts.
        images: Number of images, also of those with nothing in them.
        classes: Number of classes.
        thresholds: Least overlaps (intersection over union), each in (0, 1].
        limit: Detections of an image and class that count.

    Raises:
        BenchError: An image or class is out of range, a score is missing or not finite.
    """
    scores = _scores(found, score)
    bars_T = np.asarray(thresholds, dtype=np.float64)
    truths = _by_cell(truth, images, classes)
    counts = np.zeros((images, classes), dtype=np.int64)
    for (image, label), own in truths.items():
        counts[image, label] = len(own)
    hit_TN = np.zeros((len(bars_T), len(scores)), dtype=np.bool_)
    kept = []
    for cell, all_own in sorted(_by_cell(found, images, classes).items()):
        own = all_own[np.argsort(-scores[all_own], kind="stable")][:limit]
        kept.append(own)
        if cell in truths:
            there = truth.corners[truths[cell]]
            hit_TN[:, own] = _hits(there, found.corners[own], bars_T)
    rows = np.concatenate(kept) if kept else np.empty(0, dtype=np.int64)
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    return Matches(
        found.image[rows], found.label[rows], scores[rows], hit_TN[:, rows], counts, bars_T
    )


def ap(
    matches: Matches, draw: npt.ArrayLike | None = None, *, rule: Literal["coco", "voc"] = "coco"
) -> Floats:
    """Return the average precision of every class at every threshold, shape (K, T).

    NaN for a class without a truth among the images drawn.

    Args:
        matches: From `match`.
        draw: How often each image is drawn, shape (I,); None takes each once.
        rule: How a number is made of precision and recall; see the module's docstring.
    """
    images, classes = matches.truths.shape
    times_I = np.ones(images) if draw is None else np.asarray(draw, dtype=np.float64)
    truths_K = times_I @ matches.truths
    weight_M = times_I[matches.image]
    table_KT = np.full((classes, len(matches.thresholds)), np.nan)
    area = _area_at_recalls if rule == "coco" else _whole_area
    for label in np.flatnonzero(truths_K):
        own = np.flatnonzero((matches.label == label) & (weight_M > 0))
        right_TM = np.cumsum(matches.hit[:, own] * weight_M[own], axis=1)
        precision_TM = right_TM / np.cumsum(weight_M[own])
        best_TM = np.maximum.accumulate(precision_TM[:, ::-1], axis=1)[:, ::-1]
        recall_TM = right_TM / truths_K[label]
        table_KT[label] = [area(*pair) for pair in zip(recall_TM, best_TM, strict=True)]
    return table_KT


def figures(table_KT: Floats, thresholds: npt.ArrayLike = THRESHOLDS) -> Floats:
    """Return AP, AP50 and AP75: means over classes that have truths, shape (3,).

    AP is also the mean over thresholds. NaN where no class has a truth, or a threshold is missing.
    """
    bars_T = np.asarray(thresholds, dtype=np.float64)
    known = table_KT[~np.isnan(table_KT).any(axis=1)]
    if not len(known):
        return np.full(len(FIGURES), np.nan)
    mean_T = known.mean(axis=0)
    at = [mean_T[np.isclose(bars_T, bar)] for bar in (0.5, 0.75)]
    return np.array([mean_T.mean(), *(float(one[0]) if len(one) else np.nan for one in at)])


def coco_ap(
    truth: Boxes,
    found: Boxes,
    score: npt.ArrayLike,
    *,
    images: int,
    classes: int,
    limit: int = LIMIT,
) -> Floats:
    """Return COCO's average precision of horizontal boxes by faster-coco-eval, shape (K, T).

    Arguments, errors and result as in `match` and `ap`, at `THRESHOLDS`.

    Raises:
        BenchError: A box is not horizontal.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    scores = _scores(found, score)
    for boxes in (truth, found):
        _by_cell(boxes, images, classes)
    there = _records(truth)
    for number, record in enumerate(there, 1):  # number 0 would read as "unmatched"
        record |= {"id": number, "area": record["bbox"][2] * record["bbox"][3], "iscrowd": 0}
    truths = COCO(
        {
            "images": [{"id": image} for image in range(images)],
            "categories": [{"id": label, "name": str(label)} for label in range(classes)],
            "annotations": there,
        }
    )
    detections = _records(found)
    for record, certainty in zip(detections, scores.tolist(), strict=True):
        record["score"] = certainty
    evaluation = COCOeval_faster(truths, truths.loadRes(detections), "bbox")
    evaluation.params.maxDets = [limit]
    evaluation.evaluate()
    evaluation.accumulate()
    precision_TRK = np.asarray(evaluation.eval["precision"])[:, :, :, 0, 0]
    table_KT = precision_TRK.mean(axis=1).T
    return np.where(table_KT < 0, np.nan, table_KT)  # −1: no truth of this class


def overlap(one_N42: npt.ArrayLike, other_N42: npt.ArrayLike) -> Floats:
    """Return the intersection over union of boxes pair by pair, 0…1, shape (N,)."""
    return _overlap(_hulls(np.asarray(one_N42)), _hulls(np.asarray(other_N42)))


def grounded(found_N42: npt.ArrayLike, truth_N42: npt.ArrayLike, *, least: float = 0.5) -> Floats:
    """Return 1 where the box found for an expression overlaps its truth by `least`, else 0; (N,).

    The mean is the accuracy of visual grounding (Yu et al., "Modeling Context in Referring
    Expressions", ECCV 2016, count overlaps above one half).
    """
    return np.asarray(overlap(found_N42, truth_N42) >= least, dtype=np.float64)


def _hits(truth_N42: Floats, found_M42: Floats, bars_T: Floats) -> Bools:
    """Match the detections of one image and class, best first; shape (T, M)."""
    there, here = _hulls(truth_N42), _hulls(found_M42)
    own, other = shapely.STRtree(there).query(here)
    worth = _most(here[own], there[other]) > bars_T.min() - 1e-6  # exact overlaps are costly
    own, other = own[worth], other[worth]
    order = np.lexsort((other, own))
    own, other = own[order], other[order]
    shared = _overlap(here[own], there[other])
    bars = np.minimum(bars_T, 1.0 - 1e-10)[:, None]
    taken_TN = np.zeros((len(bars_T), len(truth_N42)), dtype=np.bool_)
    hit_TM = np.zeros((len(bars_T), len(found_M42)), dtype=np.bool_)
    every = np.arange(len(bars_T))
    starts = np.searchsorted(own, np.arange(len(found_M42) + 1))
    for row in np.unique(own):
        near = other[starts[row] : starts[row + 1]][::-1]  # argmax takes the first: the later truth
        value = shared[starts[row] : starts[row + 1]][::-1]
        value_TN = np.where(taken_TN[:, near] | (value < bars), -1.0, value)
        best = value_TN.argmax(axis=1)
        hit = value_TN[every, best] >= 0
        hit_TM[:, row] = hit
        taken_TN[every[hit], near[best[hit]]] = True
    return hit_TM


def _overlap(one_N: Shapes, other_N: Shapes) -> Floats:
    shared_N = shapely.area(shapely.intersection(one_N, other_N))
    union_N = shapely.area(one_N) + shapely.area(other_N) - shared_N
    return np.asarray(np.divide(shared_N, union_N, out=np.zeros_like(union_N), where=union_N > 0))


def _most(one_N: Shapes, other_N: Shapes) -> Floats:
    """Return a bound of the overlap: shapes share no more than their bounds, and than either."""
    one_N4, other_N4 = shapely.bounds(one_N), shapely.bounds(other_N)
    low, high = np.maximum(one_N4, other_N4)[:, :2], np.minimum(one_N4, other_N4)[:, 2:]
    sizes_2N = shapely.area([one_N, other_N])
    shared_N = np.minimum(np.maximum(high - low, 0.0).prod(axis=1), sizes_2N.min(axis=0))
    union_N = sizes_2N.sum(axis=0) - shared_N
    return np.asarray(np.divide(shared_N, union_N, out=np.zeros_like(union_N), where=union_N > 0))


def _hulls(corners_N42: npt.NDArray[Any]) -> Shapes:
    return np.asarray(shapely.convex_hull(shapely.multipoints(corners_N42)))


def _area_at_recalls(recall_M: Floats, best_M: Floats) -> float:
    padded = np.append(best_M, 0.0)
    return float(padded[np.searchsorted(recall_M, RECALLS, side="left")].mean())


def _whole_area(recall_M: Floats, best_M: Floats) -> float:
    return float(np.diff(recall_M, prepend=0.0) @ best_M)


def _by_cell(boxes: Boxes, images: int, classes: int) -> dict[tuple[int, int], Wholes]:
    """Return the rows of boxes of every image and class that has any, in their order."""
    for what, values, size in (("image", boxes.image, images), ("class", boxes.label, classes)):
        outside = (values < 0) | (values >= size)
        if outside.any():
            row = int(np.argmax(outside))
            raise BenchError(f"box {row} is of {what} {values[row]}", f"there are {size}")
    cell = boxes.image * classes + boxes.label
    order = np.argsort(cell, kind="stable")
    names, starts = np.unique(cell[order], return_index=True)
    parts = np.split(order, starts[1:]) if len(names) else []
    return {divmod(int(name), classes): part for name, part in zip(names, parts, strict=True)}


def _scores(found: Boxes, score: npt.ArrayLike) -> Floats:
    scores = np.asarray(score, dtype=np.float64)
    if scores.shape != (len(found.corners),) or not np.isfinite(scores).all():
        raise BenchError(
            f"scores of shape {scores.shape} for {len(found.corners)} boxes, or not all finite",
            "give one finite score a box",
        )
    return scores


def _records(boxes: Boxes) -> list[dict[str, Any]]:
    """Return boxes as COCO writes them: left, top, width, height."""
    low, high = boxes.corners.min(axis=1), boxes.corners.max(axis=1)
    straight = ((boxes.corners == low[:, None]) | (boxes.corners == high[:, None])).all(axis=(1, 2))
    if not straight.all():
        raise BenchError(
            f"box {int(np.argmin(straight))} is not horizontal", "oriented boxes: match, then ap"
        )
    return [
        {"image_id": image, "category_id": label, "bbox": [*corner, *size]}
        for image, label, corner, size in zip(
            boxes.image.tolist(),
            boxes.label.tolist(),
            low.tolist(),
            (high - low).tolist(),
            strict=True,
        )
    ]
