"""RSDD-SAR: ships with rotated boxes, Gaofen-3 and TerraSAR-X."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.boxes import Corners, counted, numbers, turned, voc
from sarknowlip.bench.datasets.grouped import kept_apart
from sarknowlip.bench.datasets.pictures import picture
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example

PARTS: tuple[Part, ...] = ("train", "test")


class RsddSar(Published):
    """RSDD-SAR."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("detection", "counting")

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder, without reading pictures.

        Raises:
            BenchError: The set is not there or lacks files, or an annotation is damaged.
        """
        root = cls.found(data)
        names: list[str] = []
        parts: list[Part] = []
        for part in PARTS:
            path = root / "ImageSets" / f"{part}.txt"
            if not path.is_file():
                raise cls.absent(data, f"ImageSets/{part}.txt")
            listed = sorted(path.read_text(encoding="utf-8").split())
            names += listed
            parts += [part] * len(listed)
        groups, held_out, shared = kept_apart([name.split("_", 1)[0] for name in names], parts)
        examples = []
        for name, group in zip(names, groups, strict=True):
            path = root / "JPEGImages" / f"{name}.jpg"
            if not path.is_file():
                raise cls.absent(data, f"JPEGImages/{name}.jpg")
            boxes = voc(root / "Annotations" / f"{name}.xml", cls.card.classes, _corners)
            examples.append(Example(name, group, picture(cls.card, name, path), boxes))
        notes = [f"{shared} scenes were cut on both sides of the published split"] * bool(shared)
        return cls({"detection": examples, "counting": counted(examples)}, held_out, notes)


def _corners(entry: Any) -> Corners:
    x, y, width, height, angle = numbers(entry.find("robndbox"), "cx", "cy", "w", "h", "angle")
    return turned((x, y), height, width, angle)
