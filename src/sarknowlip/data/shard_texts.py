"""Texts of shards, read as far as they are wanted.

Of a hundred texts about a tile a caption takes a few. Levels, dimensions and weights of all are
kept as small arrays, 2 to 10 bytes a text, once a record batch was looked at; the words and scopes
of a text are turned into Python where it is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sarknowlip.data.captions import DIMENSIONS, DRAWN, QUESTION, Captions, Heads, Said
from sarknowlip.data.scope import Scope

WANTED = (
    "level", "dimension", "text", "question", "weight",
    "whole", "box", "turns", "speckles", "polarizations",
)  # fmt: skip
"""Columns that make a `Said`; of captions, which have no question, the others."""


class ToldBatch:
    """What is said of the tiles of a record batch.

    Args:
        batch: Of `shards.TEXT_SCHEMA`.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._rows = len(batch)
        self._captions, self._tasks = _Column(batch["captions"]), _Column(batch["tasks"])

    def __len__(self) -> int:
        return self._rows

    def captions(self, row: int, *, asked: bool) -> Captions:
        """Return the captions of a tile, and its questions if `asked`."""
        first = self._captions.row(row)
        if not asked:
            return Captions(ToldTexts((first,)), first.heads)
        second = self._tasks.row(row).at_level(QUESTION)
        return Captions(ToldTexts((first, second)), _joined(first.heads, second.heads))


@dataclass(frozen=True)
class _Part:
    """Some texts of a column, by their place in it."""

    texts: pa.StructArray
    places: npt.NDArray[np.int64]
    heads: Heads

    def at_level(self, level: str) -> _Part:
        kept = self.heads.levels == DRAWN.index(level)
        levels, dimensions, weights = self.heads
        chosen = None if weights is None else weights[kept]
        return _Part(self.texts, self.places[kept], Heads(levels[kept], dimensions[kept], chosen))


class ToldTexts(Sequence[Said]):
    """Texts of a tile, each made when it is asked for; equal to any sequence of the same texts.

    Args:
        parts: Where they lie, one after the other.
    """

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(part.places) for part in self._parts)

    @overload
    def __getitem__(self, place: int) -> Said: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Said, ...]: ...

    def __getitem__(self, place: int | slice) -> Said | tuple[Said, ...]:
        if isinstance(place, slice):
            return tuple(self)[place]
        left = place if place >= 0 else place + len(self)
        for part in self._parts:
            if 0 <= left < len(part.places):
                return _said(part.texts[int(part.places[left])].as_py())
            left -= len(part.places)
        raise IndexError(place)

    def __iter__(self) -> Iterator[Said]:
        for part in self._parts:
            yield from map(_said, part.texts.take(pa.array(part.places)).to_pylist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


class _Column:
    """A column of lists of texts."""

    def __init__(self, column: pa.ListArray) -> None:
        texts: pa.StructArray = column.values
        names = [name for name in WANTED if texts.type.get_field_index(name) >= 0]
        self._texts = pa.StructArray.from_arrays([texts.field(name) for name in names], names)
        self._ends: list[int] = column.offsets.to_pylist()
        self._levels = _places(texts.field("level"), DRAWN)
        self._dimensions = _places(texts.field("dimension"), DIMENSIONS)
        weights = texts.field("weight").to_numpy(zero_copy_only=False)
        self._weights = None if (weights == 1.0).all() else weights

    def row(self, row: int) -> _Part:
        start, stop = self._ends[row], self._ends[row + 1]
        weights = None if self._weights is None else self._weights[start:stop]
        if weights is not None and (weights == 1.0).all():
            weights = None
        heads = Heads(self._levels[start:stop], self._dimensions[start:stop], weights)
        return _Part(self._texts, np.arange(start, stop), heads)


def _places(values: pa.Array, table: Sequence[str]) -> npt.NDArray[np.int8]:
    """Return the places of strings in a table, −1 for others."""
    found = pa.compute.index_in(values, value_set=pa.array(table))
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), np.int8)


def _joined(first: Heads, second: Heads) -> Heads:
    weights = None
    if first.weights is not None or second.weights is not None:
        weights = np.concatenate(
            [np.ones(len(h.levels)) if h.weights is None else h.weights for h in (first, second)]
        )
    return Heads(
        np.concatenate([first.levels, second.levels]),
        np.concatenate([first.dimensions, second.dimensions]),
        weights,
    )


def _said(text: dict[str, Any]) -> Said:
    box = text["box"]
    scope = Scope(
        whole=text["whole"],
        box=None if box is None else (box[0], box[1], box[2], box[3]),
        turns=text["turns"],
        speckles=text["speckles"],
        polarizations=tuple(text["polarizations"]),
    )
    question = text.get("question") or ""
    return Said(text["level"], text["dimension"], text["text"], scope, question, text["weight"])
