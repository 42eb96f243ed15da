"""WHU-OPT-SAR: seven classes of land use in Gaofen-3 pictures of 100 map sheets, 5 m."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from sarknowlip.bench.datasets.grouped import dealt
from sarknowlip.bench.datasets.pictures import kept, listed, size, windowed
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.datasets.windows import Labels, Window, cut
from sarknowlip.bench.example import Example, Mask
from sarknowlip.bench.metrics import BenchError


class WhuSheet(Sheet):
    """Card of WHU-OPT-SAR.

    Attributes:
        step: Between the numbers of classes in maps; the first class is one step, 0 is background.
        asked: Map sheets of the test part.
    """

    step: int
    asked: tuple[str, ...]


class WhuOptSar(Published):
    """WHU-OPT-SAR; groups are map sheets."""

    card: ClassVar[WhuSheet] = WhuSheet.beside(__file__)
    tasks = ("segmentation",)

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder; headers of pictures are read.

        Raises:
            BenchError: The set is not there or lacks files.
            ProductError: A picture is damaged.
        """
        root = cls.found(data)
        examples = []
        for path in listed(root / "sar"):
            truth = root / "lbl" / path.name
            if not truth.is_file():
                raise cls.absent(data, f"lbl/{path.name}")
            for window in cut(Window(0, 0, *size(path)), cls.card.window):
                chip_id = f"{path.stem}-{window.name}"
                mask = Mask(partial(_labels, cls.card, truth, window))
                read = windowed(cls.card, chip_id, window, path)
                examples.append(Example(chip_id, path.stem, read, mask))
        groups = [example.group for example in examples]
        if len(set(groups)) < 2:
            raise cls.absent(data, "sar with two pictures that have maps in lbl")
        held_out = set(groups) & set(cls.card.asked)
        if held_out and held_out != set(groups):
            return cls({"segmentation": examples}, held_out)
        notes = ["sheets of one published part only are here: they are dealt"]
        return cls({"segmentation": examples}, dealt(groups, salt=cls.card.name), notes)


def _labels(card: WhuSheet, path: Path, window: Window) -> Labels:
    number = window.of(kept(path)).astype(np.int64)
    index, rest = np.divmod(number, card.step)
    odd = (rest != 0) | (index > len(card.classes))
    if odd.any():
        raise BenchError(
            f"{path}: {number[odd][0]} is no class of {card.title}",
            f"take the published maps, of 0, {card.step} … {card.step * len(card.classes)}",
        )
    return replace(window, top=0, left=0).labels(index - 1)
