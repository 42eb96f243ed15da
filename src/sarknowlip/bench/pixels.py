"""Segmentation and change, from confusion matrices that may be summed over any draw of groups.

A matrix counts pixels, truth in rows and answer in columns. Everything here is a function of sums
of such matrices, so that one matrix a group (tile, scene, block) is all a bootstrap needs. All
functions take matrices of shape (..., K, K) and return one value, or K, for each.

A class that is in neither truth nor answer has no IoU and no F1 (NaN) and is left out of means.

Legend of array names: G groups, K classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.metrics import BenchError

Floats = npt.NDArray[np.float64]
Wholes = npt.NDArray[np.int64]

IGNORED = -1
"""Truth of pixels that don't count."""

SEGMENTATION = ("OA", "mIoU", "mF1", "kappa")
"""What `segmentation` returns, in order."""

CHANGE = ("F1", "IoU", "kappa")
"""What `change` returns, in order."""

CHUNK_PIXELS = 2**20
"""Pixels counted at a time: 8 MiB an array."""


def confusion(
    truth: npt.ArrayLike, found: npt.ArrayLike, classes: int, *, ignored: int = IGNORED
) -> Wholes:
    """Return the confusion matrix of two maps, shape (K, K).

    Args:
        truth: True class of each pixel, 0…K−1 or `ignored`; any shape.
        found: Class answered, same shape; not looked at where truth is ignored.
        classes: Number of classes K.
        ignored: Truth of pixels that don't count.

    Raises:
        BenchError: Shapes differ, or a class is out of range.
    """
    truths, answers = np.asarray(truth), np.asarray(found)
    if truths.shape != answers.shape:
        raise BenchError(
            f"a map of shape {answers.shape} answers one of shape {truths.shape}",
            "bring the answer to the truth's grid",
        )
    matrix = np.zeros(classes * classes, dtype=np.int64)
    truths, answers = truths.ravel(), answers.ravel()
    for start in range(0, truths.size, CHUNK_PIXELS):
        part = slice(start, start + CHUNK_PIXELS)
        counted = truths[part] != ignored
        row, column = truths[part][counted], answers[part][counted]
        for what, values in (("truth", row), ("answer", column)):
            outside = (values < 0) | (values >= classes)
            if outside.any():
                raise BenchError(
                    f"a pixel's {what} is {values[outside][0]}",
                    f"there are classes 0 to {classes - 1}, and {ignored} for truth unknown",
                )
        cell = row.astype(np.int64) * classes + column.astype(np.int64)
        matrix += np.bincount(cell, minlength=classes * classes)
    return matrix.reshape(classes, classes)


def drawn(matrices_GKK: npt.ArrayLike, draw: npt.ArrayLike | None = None) -> Floats:
    """Return the sum of groups' matrices, shape (K, K) or (..., K, K).

    Args:
        matrices_GKK: One matrix a group.
        draw: How often each group is drawn, shape (G,) or (..., G); None takes each once.
    """
    matrices = np.asarray(matrices_GKK, dtype=np.float64)
    times = np.ones(len(matrices)) if draw is None else np.asarray(draw, dtype=np.float64)
    return np.asarray(np.tensordot(times, matrices, axes=(-1, 0)))


def segmentation(matrix: npt.ArrayLike) -> Floats:
    """Return overall accuracy, mean IoU, mean F1 and kappa, shape (..., 4)."""
    figures = [
        overall_accuracy(matrix),
        _known_mean(iou(matrix)),
        _known_mean(f1(matrix)),
        kappa(matrix),
    ]
    return np.stack(figures, axis=-1)


def change(matrix: npt.ArrayLike) -> Floats:
    """Return F1 and IoU of class 1 (changed), and kappa, shape (..., 3).

    Raises:
        BenchError: There are not two classes.
    """
    if np.shape(matrix)[-2:] != (2, 2):
        raise BenchError(
            f"a matrix of shape {np.shape(matrix)} for change",
            "there are two classes: same, changed",
        )
    return np.stack([f1(matrix)[..., 1], iou(matrix)[..., 1], kappa(matrix)], axis=-1)


def overall_accuracy(matrix: npt.ArrayLike) -> Floats:
    """Return the share of pixels answered rightly, 0…1."""
    right, truths, _ = _marginals(matrix)
    return _ratio(right.sum(axis=-1), truths.sum(axis=-1))


def iou(matrix: npt.ArrayLike) -> Floats:
    """Return intersection over union of every class, 0…1, shape (..., K); Jaccard's index."""
    right, truths, answers = _marginals(matrix)
    return _ratio(right, truths + answers - right)


def f1(matrix: npt.ArrayLike) -> Floats:
    """Return the harmonic mean of precision and recall of every class, 0…1, shape (..., K)."""
    right, truths, answers = _marginals(matrix)
    return _ratio(2 * right, truths + answers)


def kappa(matrix: npt.ArrayLike) -> Floats:
    """Return agreement beyond chance, at most 1 (Cohen, Educ. Psychol. Meas. 20, 1960).

    NaN where truth and answer are all of one same class: nothing is left beyond chance.
    """
    right, truths, answers = _marginals(matrix)
    total = truths.sum(axis=-1)
    observed = _ratio(right.sum(axis=-1), total)
    expected = _ratio((truths * answers).sum(axis=-1), total**2)
    return _ratio(observed - expected, 1.0 - expected)


def _marginals(matrix: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return diagonal, sums of rows and sums of columns."""
    counts = np.asarray(matrix, dtype=np.float64)
    return np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2)


def _ratio(part: Floats, whole: Floats) -> Floats:
    empty = np.full(np.broadcast_shapes(np.shape(part), np.shape(whole)), np.nan)
    return np.asarray(np.divide(part, whole, out=empty, where=np.asarray(whole) > 0))


def _known_mean(values: Floats) -> Floats:
    """Return means over the last axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(np.float64))
