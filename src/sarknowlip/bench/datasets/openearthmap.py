"""OpenEarthMap-SAR: eight classes of land cover at half a metre, Umbra."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.grouped import dealt, kept_apart
from sarknowlip.bench.datasets.pictures import indices, listed, size, windowed
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.datasets.windows import Labels, Window, cut
from sarknowlip.bench.example import Example, Mask

FOLDERS: tuple[tuple[Part, str], ...] = (("train", "train"), ("test", "val"), ("test", "test"))


class OpenEarthMapSar(Published):
    """OpenEarthMap-SAR; groups are pictures."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("segmentation",)

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder; headers of pictures are read.

        Raises:
            BenchError: The set is not there or lacks files.
            ProductError: A picture is damaged.
        """
        root = cls.found(data)
        examples: list[Example] = []
        parts: list[Part] = []
        for part, folder in FOLDERS:
            for path in listed(root / folder / "sar_images"):
                truth = root / folder / "labels" / path.name
                if not truth.is_file():
                    continue
                name = f"{folder}-{path.stem}"
                for window in cut(Window(0, 0, *size(path)), cls.card.window):
                    chip_id = f"{name}-{window.name}"
                    read = windowed(cls.card, chip_id, window, path)
                    mask = Mask(partial(_labels, truth, window))
                    examples.append(Example(chip_id, name, read, mask))
                    parts.append(part)
        groups = [example.group for example in examples]
        if len(set(groups)) < 2:
            raise cls.absent(data, "train/sar_images with two pictures that have train/labels")
        if "test" in parts:
            return cls({"segmentation": examples}, kept_apart(groups, parts)[1])
        notes = ["only the train part has labels here: its pictures are dealt"]
        return cls({"segmentation": examples}, dealt(groups, salt=cls.card.name), notes)


def _labels(path: Path, window: Window) -> Labels:
    return window.labels(indices(path).astype(np.int64) - 1)
