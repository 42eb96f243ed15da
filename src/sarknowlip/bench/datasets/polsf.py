"""PolSF, the AIRSAR picture of San Francisco: five classes of ground from full polarisation.

What is published is a picture of the Pauli decomposition: red |HH − VV|, green |HV|, blue
|HH + VV|, each stretched on its own. Neither HH nor VV can be had from it, as phase is lost.

A tile's channels have names of polarisations, so stand-ins are used: HH is the blue channel (odd
bounces), HV the green one, VV the red one (even bounces). What is bright in which channel is kept;
absolute levels and the ratio of HH to VV are not what the names say.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.datasets.halved import halved_windows
from sarknowlip.bench.datasets.pictures import colours, decibels, indices
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.datasets.windows import Labels, Window
from sarknowlip.bench.example import Example, Mask
from sarknowlip.bench.metrics import BenchError
from sarknowlip.sar.tile import TileImage

PICTURE, TRUTH = "SF-AIRSAR-Pauli.bmp", "SF-AIRSAR-label2d.png"
ODD_CROSS_EVEN = (2, 1, 0)
"""Colours that stand for HH, HV and VV."""


class PolSf(Published):
    """PolSF, AIRSAR; windows of a block of 128 pixels are a group."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("polsar",)

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder; the map of classes is read.

        Raises:
            BenchError: The set is not there, lacks files, or has other classes.
            ProductError: The map is damaged.
        """
        root = cls.found(data)
        folder = next((p for p in (root / "SF-AIRSAR", root) if (p / PICTURE).is_file()), root)
        picture, truth = folder / PICTURE, folder / TRUTH
        for path in (picture, truth):
            if not path.is_file():
                raise cls.absent(data, path.name)
        labels = _classes(truth)
        if labels.max() >= len(cls.card.classes):
            raise BenchError(f"{truth} has {labels.max() + 1} classes", "fetch the set again")
        examples, held_out = [], []
        for part, block, window in halved_windows(cls.card, labels):
            chip_id = f"{part}-{window.name}"
            read = partial(_read, cls.card, chip_id, picture, window)
            mask = Mask(partial(_labels, truth, window))
            examples.append(Example(chip_id, block, read, mask))
            held_out += [block] * (part == "test")
        return cls({"polsar": examples}, held_out)


@lru_cache(maxsize=2)
def _whole(path: Path) -> npt.NDArray[Any]:
    return colours(path)[:, :, ODD_CROSS_EVEN].transpose(2, 0, 1)


def _read(sheet: Sheet, chip_id: str, path: Path, window: Window) -> TileImage:
    return sheet.chip(chip_id, decibels(window.of(_whole(path))))


@lru_cache(maxsize=2)
def _classes(path: Path) -> Labels:
    return indices(path).astype(np.int64) - 1


def _labels(path: Path, window: Window) -> Labels:
    return window.labels(_classes(path))
