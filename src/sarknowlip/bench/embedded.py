"""What a frozen model gives for examples: in batches, checked, and kept on disk if wished.

Pictures are read batch by batch and forgotten. Examples that show the same picture, as questions
about one do, are encoded once. What a model returns is refused if it cannot be used: another number
of rows, other shapes from batch to batch, numbers that are not finite, rows that are not of unit
length where they must be.

Kept features lie in `<cache>/<adapter>/<source>-<kind>-<digest>.npy`, a JSON file of what they are
beside each. They are taken only if the file is as it was written and if the first, middle and last
example, encoded again, give their rows; otherwise they are made again.

Legend of array names: N examples, F width of features, G cells along an edge, D width of the space
shared with texts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sarknowlip.bench.adapter import Adapter, Floats32
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.example import Answer, Example
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.task import Asking
from sarknowlip.core.files import replacing, write_json
from sarknowlip.core.hashing import bytes_sha256, digest, file_sha256
from sarknowlip.sar.tile import TileImage

Kind = Literal["features", "patches", "images"]

UNIT = 1e-3
"""How far the length of a unit row may be from 1."""

SAME = 1e-2
"""How far a kept row may be from the row made again, as a share of its length."""


def source_of(data: DataSet, part: Part) -> str:
    """Return the name under which features of one part of a set are kept."""
    return f"{data.card.name}-{part}"


class Embedded:
    """What one adapter gives.

    Args:
        adapter: Frozen model.
        asking: Batch size, cache, progress; the seed only names the cache of a seeded adapter.
    """

    def __init__(self, adapter: Adapter, asking: Asking) -> None:
        self.adapter, self.asking = adapter, asking

    def features(self, examples: Sequence[Example], *, source: str = "") -> Floats32:
        """Return features of examples' pictures, (N, F).

        Args:
            examples: At least one.
            source: What the examples are (`source_of`), for the cache; nothing is kept without.

        Raises:
            BenchError: The model returns what cannot be used.
            SarKnowlipError: A picture cannot be read, or the cache not be written.
        """
        return self._rows("features", examples, source)

    def patches(self, examples: Sequence[Example], *, source: str = "") -> Floats32:
        """Return features of equal cells of examples' pictures, (N, G, G, F); as `features`.

        They may be large: with a cache they are mapped from disk, otherwise they are in memory.
        """
        return self._rows("patches", examples, source)

    def images(self, examples: Sequence[Example], *, source: str = "") -> Floats32:
        """Return unit rows (N, D) in the space shared with texts; otherwise as `features`."""
        return self._rows("images", examples, source)

    def pairs(
        self, examples: Sequence[Example], kind: Kind = "features", *, source: str = ""
    ) -> tuple[Floats32, Floats32]:
        """Return rows of the earlier and of the later pictures; otherwise as `features`.

        Raises:
            BenchError: An example has no earlier picture.
        """
        earlier = [_earlier(example) for example in examples]
        before = self._rows(kind, earlier, f"{source}-before" if source else "")
        return before, self._rows(kind, examples, source)

    def texts(self, texts: Sequence[str]) -> Floats32:
        """Return unit rows (N, D) of texts, each distinct text encoded once.

        Raises:
            BenchError: The model returns what cannot be used.
        """
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            raise BenchError(f"no texts to encode for {self.adapter.name}", "ask for some")
        batches = []
        for start in range(0, len(distinct), self.asking.batch_size):
            some = distinct[start : start + self.asking.batch_size]
            batches.append(self._checked("texts", self.adapter.texts(some), len(some)))
        if len({rows.shape[1] for rows in batches}) > 1:
            raise self._broken("texts of several widths")
        place = {text: row for row, text in enumerate(distinct)}
        rows = np.concatenate(batches)
        return np.asarray(rows[[place[text] for text in texts]], dtype=np.float32)

    def captions(self, examples: Sequence[Example]) -> list[str]:
        """Return what the model's own decoder says of each picture.

        Raises:
            BenchError: The model has none, or returns another number of captions.
        """
        return self._said(examples, lambda tiles, _some: self.adapter.captions(tiles))

    def answers(self, examples: Sequence[Example]) -> list[str]:
        """Return what the model's own decoder answers to each example's question.

        Raises:
            BenchError: The model has none, or returns another number of answers.
        """
        return self._said(
            examples,
            lambda tiles, some: self.adapter.answers(
                tiles, [one.truth.question for one in some if isinstance(one.truth, Answer)]
            ),
        )

    def _said(
        self,
        examples: Sequence[Example],
        say: Callable[[Sequence[TileImage], Sequence[Example]], list[str]],
    ) -> list[str]:
        said: list[str] = []
        for start in range(0, len(examples), self.asking.batch_size):
            some = examples[start : start + self.asking.batch_size]
            texts = say([one.image() for one in some], some)
            if len(texts) != len(some):
                raise self._broken(f"{len(texts)} texts for {len(some)} pictures")
            said.extend(texts)
            self._tell(len(said), len(examples), some[-1].id)
        return said

    def _rows(self, kind: Kind, examples: Sequence[Example], source: str) -> Floats32:
        if not examples:
            raise BenchError(f"no pictures to encode for {self.adapter.name}", "ask for some")
        if self.asking.cache is None or not source:
            return self._fill(kind, examples, lambda shape: np.empty(shape, dtype=np.float32))
        about = self._about(kind, examples, source)
        name = f"{_safe(source)}-{kind}-{digest(about)}.npy"
        path = self.asking.cache / _safe(self.adapter.name) / name
        kept = _whole(path, about, len(examples))
        if kept is not None and self._agrees(kind, examples, kept):
            return kept
        with replacing(path) as partial:

            def mapped(shape: tuple[int, ...]) -> Floats32:
                return np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)

            self._fill(kind, examples, mapped).flush()  # type: ignore[attr-defined]
        write_json(path.with_suffix(".json"), {"about": about, "sha256": file_sha256(path)})
        return _mapped(path)

    def _fill(
        self, kind: Kind, examples: Sequence[Example], make: Callable[[tuple[int, ...]], Floats32]
    ) -> Floats32:
        """Encode each distinct picture once, and give each example its row."""
        first: dict[bytes, int] = {}
        waiting: list[tuple[int, TileImage]] = []
        again: list[tuple[int, int]] = []
        out: Floats32 | None = None
        for number, example in enumerate(examples):
            tile = example.image()
            place = first.setdefault(_mark(tile), number)
            if place == number:
                waiting.append((number, tile))
            else:
                again.append((number, place))
            if len(waiting) == self.asking.batch_size or number + 1 == len(examples):
                out = self._flush(kind, waiting, out, lambda row: make((len(examples), *row)))
                self._tell(number + 1, len(examples), example.id)
        assert out is not None
        for number, place in again:
            out[number] = out[place]
        return out

    def _flush(
        self,
        kind: Kind,
        waiting: list[tuple[int, TileImage]],
        out: Floats32 | None,
        make: Callable[[tuple[int, ...]], Floats32],
    ) -> Floats32 | None:
        if not waiting:
            return out
        numbers, tiles = zip(*waiting, strict=True)
        rows = self._checked(kind, getattr(self.adapter, kind)(list(tiles)), len(tiles))
        if out is None:
            out = make(rows.shape[1:])
        if rows.shape[1:] != out.shape[1:]:
            raise self._broken(f"{kind} of shape {out.shape[1:]}, then of {rows.shape[1:]}")
        out[list(numbers)] = rows
        waiting.clear()
        return out

    def _about(self, kind: Kind, examples: Sequence[Example], source: str) -> dict[str, Any]:
        card = self.adapter.card
        ids = "\x1f".join(example.id for example in examples)
        return {
            "adapter": card.model_dump(mode="json") | {"abilities": sorted(card.abilities)},
            "seed": self.asking.seed if card.seeded else None,
            "source": source,
            "kind": kind,
            "examples": bytes_sha256(ids.encode()),
        }

    def _agrees(self, kind: Kind, examples: Sequence[Example], kept: Floats32) -> bool:
        """Return whether a few rows, made again, are those that were kept."""
        places = sorted({0, len(examples) // 2, len(examples) - 1})
        tiles = [examples[place].image() for place in places]
        fresh = self._checked(kind, getattr(self.adapter, kind)(tiles), len(tiles))
        if fresh.shape[1:] != kept.shape[1:]:
            return False
        away = np.linalg.norm((kept[places] - fresh).reshape(len(places), -1), axis=1)
        length = np.linalg.norm(fresh.reshape(len(places), -1), axis=1)
        return bool((away <= SAME * length + 1e-6).all())

    def _checked(self, kind: str, rows: Any, count: int) -> Floats32:
        array = np.asarray(rows)
        dimensions = 4 if kind == "patches" else 2
        if array.ndim != dimensions or len(array) != count or 0 in array.shape:
            raise self._broken(f"{kind} of shape {array.shape} for {count} inputs")
        if kind == "patches" and array.shape[1] != array.shape[2]:
            raise self._broken(f"patches of shape {array.shape}: not a square grid")
        if not np.isfinite(array).all():
            raise self._broken(f"{kind} that are not finite")
        if kind in ("images", "texts"):
            length = np.linalg.norm(array.astype(np.float64), axis=1)
            if np.abs(length - 1.0).max() > UNIT:
                raise self._broken(f"{kind} whose rows are not of unit length")
        return array.astype(np.float32, copy=False)

    def _broken(self, what: str) -> BenchError:
        return BenchError(f"{self.adapter.name} returns {what}", "the adapter is broken: mend it")

    def _tell(self, done: int, total: int, item: str) -> None:
        if self.asking.progress is not None:
            self.asking.progress(done, total, item)


def _earlier(example: Example) -> Example:
    if example.before is None:
        raise BenchError(f"{example.id} has no earlier picture", "use a set of two dates")
    return replace(example, image=example.before)


def _mark(tile: TileImage) -> bytes:
    """Return what is equal for equal pictures only: all that an adapter can see."""
    mark = hashlib.blake2b(np.ascontiguousarray(tile.db).tobytes(), digest_size=16)
    mark.update(repr((tile.id, tile.db.shape, tile.geobox, tile.acquisition)).encode())
    mark.update(repr(tile.radiometry).encode())
    return mark.digest()


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)


def _mapped(path: Path) -> Floats32:
    rows: Floats32 = np.load(path, mmap_mode="r")
    return rows


def _whole(path: Path, about: dict[str, Any], count: int) -> Floats32 | None:
    """Return kept rows, mapped from disk, or None if they are absent, damaged or others."""
    try:
        told = json.loads(path.with_suffix(".json").read_text("utf-8"))
        if told["about"] != about or told["sha256"] != file_sha256(path):
            return None
        rows = _mapped(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rows if len(rows) == count and rows.dtype == np.float32 else None
