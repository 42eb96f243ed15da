"""What a data set hands to a task: a picture, and what is true of it.

Pictures are `TileImage`s, read when asked for, so that a set of any size costs no memory; pictures
without a map come from `sar.chip`. Pixel coordinates are (x, y) = (column, row) from the upper left
corner of the picture; the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sarknowlip.sar.tile import TileImage

Reader = Callable[[], TileImage]
UNLABELLED = -1
"""Of a mask: a pixel that nobody labelled, which counts nowhere."""


@dataclass(frozen=True)
class Label:
    """Class of a picture, an index into `DataSet.classes`."""

    index: int


@dataclass(frozen=True)
class Boxes:
    """Objects in a picture.

    Attributes:
        corners: Corners in order around each box, pixels, float64 (N, 4, 2); of a horizontal box
            the upper left first, clockwise.
        classes: Index into `DataSet.classes` of each (N,).
    """

    corners: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mask:
    """Class of each pixel.

    Attributes:
        read: Returns (rows, columns) int64, index into `DataSet.classes` or `UNLABELLED`; the size
            is the picture's.
    """

    read: Callable[[], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Count:
    """Number of objects in a picture, by class of `DataSet.classes`."""

    number: int


@dataclass(frozen=True)
class Captions:
    """Sentences that are true of a picture, at least one."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A question about a picture and its answer.

    Attributes:
        question: As a person asks it.
        text: The answer, one of few words or a number.
        kind: Of question ("presence", "count"): scores are told for each.
    """

    question: str
    text: str
    kind: str


@dataclass(frozen=True)
class Region:
    """What an expression refers to.

    Attributes:
        expression: "the larger ship in the north".
        box: Left, top, right, bottom, pixels, float64 (4,).
        read: Returns (rows, columns) bool, True inside; None where only the box is known.
    """

    expression: str
    box: npt.NDArray[np.float64]
    read: Callable[[], npt.NDArray[np.bool_]] | None = None


Truth = Label | Boxes | Mask | Count | Captions | Answer | Region


@dataclass(frozen=True)
class Example:
    """One question of a task, with its answer.

    Attributes:
        id: Unique in its data set and split.
        group: What belongs together: a scene, a geographic block, near-duplicates. No group is in
            two splits, and intervals resample groups.
        image: Reads the picture.
        truth: What is true of it.
        before: Reads the earlier picture, of two dates.
    """

    id: str
    group: str
    image: Reader
    truth: Truth
    before: Reader | None = None
