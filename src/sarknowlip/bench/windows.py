"""Pictures cut into square windows that overlap, so that a model's cell covers few pixels.

Windows are as wide as stated, or as the picture's longer side where that is less; where the picture
ends before its window, there is no data. Each pixel of a picture is owned by exactly one of its
windows: borders run through the middle of the overlaps, so that what is owned has its surroundings
in view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.example import Example, Reader
from sarknowlip.sar.tile import TileImage

Kind = TypeVar("Kind", bound=np.generic)

CHUNK = 256
"""Windows whose features are in memory at a time."""


@dataclass(frozen=True)
class Window:
    """A square part of a picture.

    Attributes:
        example: The window as an example of its own; its truth is still the whole picture's.
        picture: Index of the picture it was cut from.
        left: Of its first column in the picture, pixels.
        top: Of its first row.
        side: Pixels along an edge.
        owned: Left, top, right, bottom of what it owns, in the picture's pixels.
    """

    example: Example
    picture: int
    left: int
    top: int
    side: int
    owned: tuple[int, int, int, int]

    def cut(self, values_HW: npt.NDArray[Kind], fill: Any) -> npt.NDArray[Kind]:
        """Return the window's part (side, side) of an array over the picture."""
        return _cut(values_HW, (self.left, self.top, self.side), fill)

    def cut_owned(self, values_HW: npt.NDArray[Kind], fill: Any) -> npt.NDArray[Kind]:
        """Return the window's part of an array over the picture, `fill` where it owns nothing."""
        left, top, right, bottom = self.owned
        mine = np.full_like(values_HW, fill)
        mine[top:bottom, left:right] = values_HW[top:bottom, left:right]
        return self.cut(mine, fill)

    def paste(self, values_SS: npt.NDArray[Any], onto_HW: npt.NDArray[Any]) -> None:
        """Write what the window owns, of values over it, onto an array over the picture."""
        left, top, right, bottom = self.owned
        rows = slice(top - self.top, bottom - self.top)
        onto_HW[top:bottom, left:right] = values_SS[rows, left - self.left : right - self.left]

    def owns(
        self, xy_N2: npt.NDArray[np.float64], size: tuple[int, int], slack: float = 0.0
    ) -> npt.NDArray[np.bool_]:
        """Tell which points of the picture lie in what the window owns.

        Args:
            xy_N2: Columns and rows, pixels of the picture; beyond its edges counts as at them.
            size: Rows and columns of the picture.
            slack: Pixels by which the owned part is widened.
        """
        left, top, right, bottom = self.owned
        rows, columns = size
        low = np.array([left if left > 0 else -np.inf, top if top > 0 else -np.inf])
        high = np.array([right if right < columns else np.inf, bottom if bottom < rows else np.inf])
        return np.asarray(((xy_N2 >= low - slack) & (xy_N2 < high + slack)).all(axis=1))


def windows(
    examples: Sequence[Example], sizes: Sequence[tuple[int, int]], *, side: int, overlap: int = 0
) -> list[Window]:
    """Cut pictures into windows, row by row, in the order of the pictures.

    Args:
        examples: Pictures, with an earlier one or without.
        sizes: Rows and columns of each.
        side: Greatest side of a window, pixels.
        overlap: Least overlap of neighbours, pixels, below `side`.
    """
    image, before = _Shelf(), _Shelf()
    found = []
    for picture, (example, (rows, columns)) in enumerate(zip(examples, sizes, strict=True)):
        edge = min(side, max(rows, columns))
        across = _spans(columns, edge, overlap)
        for top, first, last in _spans(rows, edge, overlap):
            for left, start, stop in across:
                place = (left, top, edge)
                part = replace(
                    example,
                    id=f"{example.id}@{top},{left},{edge}",
                    image=_part(image, example.image, place),
                    before=example.before and _part(before, example.before, place),
                )
                found.append(Window(part, picture, left, top, edge, (start, first, stop, last)))
    return found


def sizes_of(examples: Sequence[Example]) -> list[tuple[int, int]]:
    """Return rows and columns of each picture; reads them one after the other."""
    return [example.image().db.shape[1:] for example in examples]


def streamed(
    encode: Callable[[Sequence[Example], str], tuple[Floats32, ...]],
    examples: Sequence[Example],
    source: str,
    *,
    kept: bool,
) -> Iterator[tuple[slice, tuple[Floats32, ...]]]:
    """Yield what a model gives for examples, some at a time and in order, in flat memory.

    Args:
        encode: Gives arrays of one row an example; its second argument is the name under which the
            cache keeps them, empty for not at all (`Embedded`).
        examples: At least one.
        source: That name.
        kept: Whether there is a cache: then all are encoded at once and mapped from disk.
    """
    parts = [slice(start, start + CHUNK) for start in range(0, len(examples), CHUNK)]
    if kept:
        whole = encode(examples, source)
        yield from ((part, tuple(rows[part] for rows in whole)) for part in parts)
    else:
        yield from ((part, encode(examples[part], "")) for part in parts)


def _spans(length: int, side: int, overlap: int) -> list[tuple[int, int, int]]:
    """Return the start of each window along an edge, with the start and stop of what it owns."""
    stride = max(1, side - min(overlap, side - 1))
    last = max(0, length - side)
    starts = [*range(0, last, stride), last]
    borders = [(one + side + other) // 2 for one, other in pairwise(starts)]
    return list(zip(starts, [0, *borders], [*borders, length], strict=True))


def _part(shelf: _Shelf, read: Reader, place: tuple[int, int, int]) -> Reader:
    left, top, side = place

    def window() -> TileImage:
        tile = shelf.read(read)
        grid = GeoBox(
            (side, side), tile.geobox.affine * Affine.translation(left, top), tile.geobox.crs
        )
        db = np.stack([_cut(band, place, np.nan) for band in tile.db])
        return replace(tile, id=f"{tile.id}@{top},{left},{side}", db=db, geobox=grid)

    return window


def _cut(values_HW: npt.NDArray[Kind], place: tuple[int, int, int], fill: Any) -> npt.NDArray[Kind]:
    left, top, side = place
    part = values_HW[top : top + side, left : left + side]
    missing = [(0, side - have) for have in part.shape]
    return np.pad(part, missing, constant_values=fill) if np.any(missing) else part


class _Shelf:
    """Keeps the picture read last: its windows are read one after the other."""

    def __init__(self) -> None:
        self._last: tuple[Callable[[], TileImage], TileImage] | None = None

    def read(self, read: Reader) -> TileImage:
        if self._last is None or self._last[0] is not read:
            self._last = (read, read())
        return self._last[1]
