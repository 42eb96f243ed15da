"""Classic pairs of two dates with a map of changes: Bern, Ottawa, San Francisco and their like.

Each pair is one picture, so it is parted into two halves (`halves`): heads learn changes on the one
side and are asked about the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from sarknowlip.bench.datasets.halved import halved_windows
from sarknowlip.bench.datasets.pictures import PICTURES, kept, windowed
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.datasets.windows import Labels, Window
from sarknowlip.bench.example import Example, Mask
from sarknowlip.bench.metrics import BenchError


class ChangePairs(Published):
    """Pairs of two dates; windows of a block are a group."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("change",)

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find pairs below a data folder; their maps of changes are read.

        Raises:
            BenchError: No pair is there, or one is too small.
            ProductError: A map is damaged.
        """
        examples: list[Example] = []
        held_out: list[str] = []
        names: list[str] = []
        for name, before, after, truth in _pairs(cls.found(data)):
            names.append(name)
            for part, block, window in halved_windows(cls.card, _changes(truth)):
                chip_id, group = f"{name}-{part}-{window.name}", f"{name}-{block}"
                examples.append(
                    Example(
                        chip_id,
                        group,
                        windowed(cls.card, chip_id, window, after),
                        Mask(partial(_labels, truth, window)),
                        windowed(cls.card, f"{chip_id}-before", window, before),
                    )
                )
                held_out += [group] * (part == "test")
        if not examples:
            raise cls.absent(data, "a pair with its map of changes")
        return cls({"change": examples}, held_out, [f"pairs found: {', '.join(names)}"])


def _pairs(root: Path) -> Iterator[tuple[str, Path, Path, Path]]:
    """Yield name, first picture, second picture and map of each pair, by name."""
    files = {p.stem: p for p in sorted(root.rglob("*")) if p.suffix.lower() in PICTURES}
    for stem, before in sorted(files.items()):
        name = stem.removesuffix("_1")
        if name != stem and f"{name}_2" in files:
            if f"{name}_gt" not in files:
                raise BenchError(f"{before.parent}: no {name}_gt", "fetch the pair again")
            yield name, before, files[f"{name}_2"], files[f"{name}_gt"]


def _changes(path: Path) -> Labels:
    return (kept(path) > 127).astype(np.int64)


def _labels(path: Path, window: Window) -> Labels:
    return window.labels(_changes(path))
