"""AIR-PolSAR-Seg: six classes of ground in pictures of Gaofen-3's four polarisations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.grouped import kept_apart
from sarknowlip.bench.datasets.pictures import PICTURES, colours, size, windowed
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.datasets.windows import Labels, Window, cut
from sarknowlip.bench.example import UNLABELLED, Example, Mask

PARTS: tuple[Part, ...] = ("train", "test")


class AirPolSarSegSheet(Sheet):
    """Card of AIR-PolSAR-Seg.

    Attributes:
        colours: Red, green and blue of each class; any other colour is unlabelled.
    """

    colours: Mapping[str, tuple[int, int, int]]


class AirPolSarSeg(Published):
    """AIR-PolSAR-Seg; groups are pictures."""

    card: ClassVar[AirPolSarSegSheet] = AirPolSarSegSheet.beside(__file__)
    tasks = ("segmentation", "polsar")

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
        for part in PARTS:
            files = {
                path.stem: path
                for path in sorted((root / f"{part}_set").rglob("*"))
                if path.suffix.lower() in PICTURES
            }
            for name in [stem.removesuffix("_HH") for stem in files if stem.endswith("_HH")]:
                wanted = [f"{name}_{p}" for p in cls.card.polarizations] + [f"{name}_gt"]
                missing = [stem for stem in wanted if stem not in files]
                if missing:
                    raise cls.absent(data, f"{part}_set with {missing[0]}")
                *paths, truth = (files[stem] for stem in wanted)
                for window in cut(Window(0, 0, *size(truth)), cls.card.window):
                    chip_id = f"{name}-{window.name}"
                    read = windowed(cls.card, chip_id, window, *paths)
                    mask = Mask(partial(_labels, cls.card, truth, window))
                    examples.append(Example(chip_id, name, read, mask))
                    parts.append(part)
        if set(parts) != set(PARTS):
            raise cls.absent(data, "train_set and test_set with pictures *_HH")
        _, held_out, _ = kept_apart([example.group for example in examples], parts)
        return cls(dict.fromkeys(cls.tasks, examples), held_out)


def _labels(card: AirPolSarSegSheet, path: Path, window: Window) -> Labels:
    code = colours(path).astype(np.int64) @ (65536, 256, 1)
    found = np.full(code.shape, UNLABELLED, dtype=np.int64)
    for index, name in enumerate(card.classes):
        red, green, blue = card.colours[name]
        found[code == 65536 * red + 256 * green + blue] = index
    return window.labels(found)
