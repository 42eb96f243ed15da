"""Cutting large pictures into windows, and one picture into two halves with a gap between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.example import UNLABELLED
from sarknowlip.bench.metrics import BenchError

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels.

    Attributes:
        top: First row.
        left: First column.
        rows: Height.
        columns: Width.
        fresh_top: First row that no window before covers, counted from `top`.
        fresh_left: First column that no window before covers, counted from `left`.
    """

    top: int
    left: int
    rows: int
    columns: int
    fresh_top: int = 0
    fresh_left: int = 0

    @property
    def name(self) -> str:
        """Place in the picture, for identifiers."""
        return f"r{self.top}-c{self.left}"

    def of(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the window of an array whose last two axes are rows and columns."""
        return pixels[..., self.top : self.top + self.rows, self.left : self.left + self.columns]

    def labels(self, pixels: npt.NDArray[Any]) -> Labels:
        """Return labels of the window; pixels that a window before has are `UNLABELLED`.

        So each pixel of a picture counts once.
        """
        found = self.of(pixels).astype(np.int64)
        found[: self.fresh_top] = UNLABELLED
        found[:, : self.fresh_left] = UNLABELLED
        return found


def cut(area: Window, edge: int) -> list[Window]:
    """Return square windows that cover an area, row by row.

    The last of a row or column is pushed back inside and overlaps the one before; an area lower or
    narrower than a window gives windows of its own height or width.
    """
    tops = _starts(area.top, area.rows, edge)
    lefts = _starts(area.left, area.columns, edge)
    rows, columns = min(edge, area.rows), min(edge, area.columns)
    return [
        Window(top, left, rows, columns, fresh_top, fresh_left)
        for top, fresh_top in tops
        for left, fresh_left in lefts
    ]


def _starts(first: int, length: int, edge: int) -> list[tuple[int, int]]:
    """Return starts, and how much of each is covered already."""
    if length <= edge:
        return [(first, 0)]
    whole = [(first + place, 0) for place in range(0, length - edge + 1, edge)]
    rest = length % edge
    return [*whole, (first + length - edge, edge - rest)] if rest else whole


def halves(labels: Labels, classes: int, gap: int) -> tuple[Window, Window]:
    """Return a train and a test area of one labelled picture, with a gap between them.

    The picture is cut once, straight across. Of all rows and columns between a quarter and three
    quarters, the cut is where the class that is scarcest on its scarcer side has the largest share
    of its pixels there, so that no class is missing on a side if that can be had. The side with
    fewer labelled pixels is the test area.

    Args:
        labels: Class of each pixel, or `UNLABELLED`.
        classes: Number of classes.
        gap: Rows or columns left out, half on either side of the cut.

    Raises:
        BenchError: The picture is too small for the gap, or nothing is labelled.
    """
    best = max(_cuts(labels, classes), default=None)
    if best is None or min(labels.shape) < 4 * max(gap, 1):
        raise BenchError(
            f"a picture of {labels.shape} cannot be halved", "give a larger labelled picture"
        )
    _, axis, place = best[0], best[1], -best[2]
    rows, columns = labels.shape
    before, after = place - gap // 2, place + gap - gap // 2
    if axis == 0:
        sides = Window(0, 0, before, columns), Window(after, 0, rows - after, columns)
    else:
        sides = Window(0, 0, rows, before), Window(0, after, rows, columns - after)
    counts = [int((side.of(labels) != UNLABELLED).sum()) for side in sides]
    return sides if counts[0] >= counts[1] else (sides[1], sides[0])


def _cuts(labels: Labels, classes: int) -> list[tuple[float, int, int]]:
    """Return share of the scarcest class, axis and minus the place of each possible cut."""
    found = []
    for axis in (0, 1):
        lines = labels if axis == 0 else labels.T
        length = len(lines)
        counts = np.stack(
            [np.bincount(line[line >= 0], minlength=classes)[:classes] for line in lines]
        )
        total = counts.sum(axis=0)
        present = total > 0
        if not present.any():
            return []
        below = counts.cumsum(axis=0)[:, present] / total[present]
        scarcest = np.minimum(below, 1.0 - below).min(axis=1)
        found += [
            (float(scarcest[place - 1]), axis, -place)
            for place in range(max(1, length // 4), 3 * length // 4 + 1)
        ]
    return found
