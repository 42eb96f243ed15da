"""The pixels of a thing in a tile: where their middle and their edges are, what they surround.

What the tile does not show of a thing has no part in this.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label
from scipy.spatial import KDTree

from sarknowlip.annotate.geometry import Mask, Point
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.knowledge.evidence import Box
from sarknowlip.knowledge.masks import decode_mask, mask_box

Points = npt.NDArray[np.float64]
"""Columns and rows of pixel centres (the first pixel's is 0.5), shape (n, 2)."""

FEW = 64
"""Up to so many points are compared one by one, more by a tree."""
SAMPLED = 400
"""About how many pixels stand for all where shares are estimated."""


@dataclass(frozen=True, eq=False)
class Extent:
    """Pixels of one thing; at least one.

    Attributes:
        mask: The thing's bounding box; True where the thing is.
        column: Of the box's left edge in the tile.
        row: Of its upper edge.
        shape: Rows and columns of the tile.
        gsd_m: Width and height of a pixel, metres.
        beside_unseen: Whether it lies beside pixels without a value.
    """

    mask: Mask
    column: int
    row: int
    shape: tuple[int, int]
    gsd_m: tuple[float, float]
    beside_unseen: bool = False

    @classmethod
    def of_mask(cls, whole: Mask, gsd_m: tuple[float, float]) -> Extent | None:
        """Return the extent of a mask of the whole tile; None if it is empty."""
        box = mask_box(whole)
        if box is None:
            return None
        x0, y0, x1, y1 = box
        shape = whole.shape[0], whole.shape[1]
        return cls(whole[y0:y1, x0:x1], x0, y0, shape, gsd_m)

    @classmethod
    def of_box(cls, box: Box, shape: tuple[int, int], gsd_m: tuple[float, float]) -> Extent | None:
        """Return the extent of a box, ends exclusive; None if none of it is in the tile."""
        x0, y0, x1, y1 = box
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(shape[1], x1), min(shape[0], y1)
        if x0 >= x1 or y0 >= y1:
            return None
        return cls(np.ones((y1 - y0, x1 - x0), dtype=bool), x0, y0, shape, gsd_m)

    def seen(self, shown: Mask) -> Extent | None:
        """Return what lies on the valid pixels of the tile; None if nothing does."""
        x0, y0, x1, y1 = self.box
        mask = self.mask & shown[y0:y1, x0:x1]
        box = mask_box(mask)
        if box is None:
            return None
        around = self.widened()
        u0, v0, u1, v1 = around.box
        unseen = bool((around.mask & ~shown[v0:v1, u0:u1]).any())
        x0, y0, x1, y1 = box
        return Extent(
            mask[y0:y1, x0:x1], self.column + x0, self.row + y0, self.shape, self.gsd_m, unseen
        )

    @property
    def box(self) -> Box:
        """Bounding box, ends exclusive."""
        rows, columns = self.mask.shape
        return self.column, self.row, self.column + columns, self.row + rows

    @functools.cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    @functools.cached_property
    def centre(self) -> Point:
        """Centroid, column and row."""
        columns, rows = self.mask.sum(axis=0), self.mask.sum(axis=1)
        return (
            self.column + 0.5 + float(columns @ np.arange(columns.size)) / self.area,
            self.row + 0.5 + float(rows @ np.arange(rows.size)) / self.area,
        )

    @functools.cached_property
    def cut(self) -> bool:
        """Whether it touches the edge of what is seen, so that there may be more of it beyond."""
        x0, y0, x1, y1 = self.box
        return (
            self.beside_unseen or x0 == 0 or y0 == 0 or x1 == self.shape[1] or y1 == self.shape[0]
        )

    @functools.cached_property
    def edge(self) -> Points:
        """Pixels with a neighbour, left, right, above or below, that is not of the thing."""
        padded = np.pad(self.mask, 1)
        core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        return self._points(self.mask & ~core)

    @functools.cached_property
    def tree(self) -> KDTree:
        """Index of `edge`, in metres."""
        return KDTree(self.edge * self.gsd_m)

    @functools.cached_property
    def sample(self) -> Points:
        """All pixels, or at least `SAMPLED` of them, evenly drawn."""
        points = self._points(self.mask)
        return points[:: max(1, len(points) // SAMPLED)]

    @functools.cached_property
    def filled(self) -> Mask:
        """The box; True where the thing is or what it surrounds on all sides."""
        outside, _ = label(np.pad(~self.mask, 1, constant_values=True))
        filled: Mask = (outside != outside[0, 0])[1:-1, 1:-1]
        return filled

    def share_within(self, other: Extent, *, filled: bool = False) -> float:
        """Return the share of its pixels that are the other's too, or within its outline."""
        x0, y0, x1, y1 = self.box
        u0, v0, u1, v1 = other.box
        x0, y0, x1, y1 = max(x0, u0), max(y0, v0), min(x1, u1), min(y1, v1)
        if x0 >= x1 or y0 >= y1:
            return 0.0
        theirs = (other.filled if filled else other.mask)[y0 - v0 : y1 - v0, x0 - u0 : x1 - u0]
        own = self.mask[y0 - self.row : y1 - self.row, x0 - self.column : x1 - self.column]
        return int(np.count_nonzero(own & theirs)) / self.area

    def least_gap(self, other: Extent) -> float:
        """Return the distance between the bounding boxes, metres: `gap` is at least that."""
        x0, y0, x1, y1 = self.box
        u0, v0, u1, v1 = other.box
        across, down = max(0, u0 - x1, x0 - u1), max(0, v0 - y1, y0 - v1)
        return math.hypot(across * self.gsd_m[0], down * self.gsd_m[1])

    def gap(self, other: Extent) -> float:
        """Return the distance between the nearest sides of two things that don't overlap, metres.

        The nearest pixels are those whose centres are nearest; 0 for neighbours.
        """
        few, many = sorted((self, other), key=lambda extent: len(extent.edge))
        points = few.edge * self.gsd_m
        if len(points) > FEW:  # leave out what is farther from the other's box than is possible
            bound = float(many.tree.query(points[:: len(points) // 16])[0].min())
            low, high = many.tree.mins, many.tree.maxes
            off = np.maximum(np.maximum(low - points, points - high), 0.0)
            points = points[np.hypot(*off.T) <= bound * (1.0 + 1e-9)]  # both are rounded
        if len(points) * len(many.edge) <= FEW**2:
            offsets = np.abs(points[:, None] - many.edge * self.gsd_m).reshape(-1, 2)
            nearest = offsets[np.argmin((offsets**2).sum(axis=1))]
        else:
            distance, index = many.tree.query(points)
            first = int(np.argmin(distance))
            nearest = np.abs(points[first] - many.tree.data[index[first]])
        steps = nearest - self.gsd_m
        return float(np.hypot(*np.maximum(steps, 0.0)))

    @functools.cached_property
    def ninths(self) -> npt.NDArray[np.int64]:
        """Number of its pixels in each ninth of the tile, shape (3, 3): rows, columns."""
        rows = 3 * (self.row + np.arange(self.mask.shape[0])) // self.shape[0]
        columns = 3 * (self.column + np.arange(self.mask.shape[1])) // self.shape[1]
        down = np.stack([self.mask[rows == third].sum(axis=0) for third in range(3)])
        return np.stack([down[:, columns == third].sum(axis=1) for third in range(3)], axis=1)

    def widened(self) -> Extent:
        """Return it with all pixels within one of it, as far as the tile goes."""
        x0, y0, x1, y1 = self.box
        wide = np.pad(self.mask, 2)
        rows = wide[:-2] | wide[1:-1] | wide[2:]
        grown = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
        left, up = max(0, 1 - x0), max(0, 1 - y0)
        right = grown.shape[1] - max(0, x1 + 1 - self.shape[1])
        down = grown.shape[0] - max(0, y1 + 1 - self.shape[0])
        return Extent(
            grown[up:down, left:right], x0 - 1 + left, y0 - 1 + up, self.shape, self.gsd_m
        )

    def _points(self, mask: Mask) -> Points:
        rows, columns = np.nonzero(mask)
        return np.stack([columns + (self.column + 0.5), rows + (self.row + 0.5)], axis=1)


@functools.lru_cache(maxsize=128)
def whole_mask(mask_rle: str, shape: tuple[int, int]) -> Mask:
    """Return the mask of a fact; it is shared: don't write to it.

    Raises:
        SarKnowlipError: It is not a mask of that shape.
    """
    try:
        return decode_mask(mask_rle, shape)
    except ValueError as error:
        raise SarKnowlipError(f"damaged evidence: {error}", "annotate the corpus again") from error
