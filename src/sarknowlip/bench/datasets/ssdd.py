"""SSDD: ships of three satellites, in the official release with rotated boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.boxes import Corners, counted, numbers, voc
from sarknowlip.bench.datasets.grouped import kept_apart
from sarknowlip.bench.datasets.pictures import listed, picture
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example

PARTS: tuple[Part, ...] = ("train", "test")
STYLE = ("RBox_SSDD", "voc_style")


class Ssdd(Published):
    """SSDD."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("detection", "counting")

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder, without reading pictures.

        Raises:
            BenchError: The set is not there or lacks files, or an annotation is damaged.
        """
        root = cls.found(data).joinpath(*STYLE)
        examples: list[Example] = []
        parts: list[Part] = []
        for part in PARTS:
            for path in listed(root / f"JPEGImages_{part}"):
                boxes = voc(
                    root / f"Annotations_{part}" / f"{path.stem}.xml", cls.card.classes, _corners
                )
                read = picture(cls.card, path.stem, path)
                examples.append(Example(path.stem, path.stem, read, boxes))
                parts.append(part)
        if set(parts) != set(PARTS):
            raise cls.absent(data, f"{'/'.join(STYLE)} with pictures of each part")
        _, held_out, _ = kept_apart([example.group for example in examples], parts)
        return cls({"detection": examples, "counting": counted(examples)}, held_out)


def _corners(entry: Any) -> Corners:
    box = entry.find("rotated_bndbox")
    names = [f"{axis}{place}" for place in range(1, 5) for axis in "xy"]
    return np.array(numbers(box, *names)).reshape(4, 2)
