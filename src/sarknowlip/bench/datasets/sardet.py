"""SARDet-100K: six kinds of objects from ten detection sets, in COCO files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.boxes import coco, counted
from sarknowlip.bench.datasets.grouped import kept_apart
from sarknowlip.bench.datasets.pictures import picture
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example

PARTS: tuple[Part, ...] = ("train", "test")


class SarDet(Published):
    """SARDet-100K."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("detection", "counting")

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder, without reading pictures.

        Raises:
            BenchError: The set is not there or lacks files, or a COCO file is damaged.
        """
        root = cls.found(data)
        examples: list[Example] = []
        parts: list[Part] = []
        for part in PARTS:
            path = root / "Annotations" / f"{part}.json"
            folder = root / "JPEGImages" / part
            if not path.is_file() or not folder.is_dir():
                raise cls.absent(data, f"Annotations/{part}.json with JPEGImages/{part}")
            for item in coco(path, cls.card.classes):
                chip_id = f"{part}-{Path(item.file).stem}"
                read = picture(cls.card, chip_id, folder / item.file)
                examples.append(Example(chip_id, chip_id, read, item.boxes))
                parts.append(part)
        _, held_out, _ = kept_apart([example.group for example in examples], parts)
        return cls({"detection": examples, "counting": counted(examples)}, held_out)
