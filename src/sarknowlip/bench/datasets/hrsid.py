"""HRSID: ships in pictures of 800 × 800 pixels cut from 136 scenes.

Two layouts are read: as published, COCO files beside the pictures; or a sample with one binary mask
a picture, where each connected region is one ship.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.boxes import Annotated, coco, counted, mask_boxes
from sarknowlip.bench.datasets.grouped import dealt, kept_apart
from sarknowlip.bench.datasets.pictures import levels, listed, picture
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example

LISTS: tuple[tuple[Part, str], ...] = (("train", "train2017.json"), ("test", "test2017.json"))


class Hrsid(Published):
    """HRSID."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("detection", "counting")

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder; of the sample with masks, masks are read.

        Raises:
            BenchError: The set is not there or lacks files, or a COCO file is damaged.
            ProductError: A mask is damaged.
        """
        root = cls.found(data)
        lists = [(part, root / "annotations" / name) for part, name in LISTS]
        if all(path.is_file() for _, path in lists):
            return cls._published(data, root / "JPEGImages", lists)
        masks = listed(root / "masks")
        if not masks:
            raise cls.absent(data, "annotations/train2017.json or masks/")
        found = [Annotated(f"{path.stem}.jpg", mask_boxes(levels(path) > 127)) for path in masks]
        scenes = [_scene(item.file) for item in found]
        examples = cls._examples(data, root / "images", found, scenes)
        notes = ["a sample with masks: ships that touch count as one, and scenes are dealt"]
        return cls(examples, dealt(scenes, salt=cls.card.name), notes)

    @classmethod
    def _published(cls, data: Path, images: Path, lists: list[tuple[Part, Path]]) -> Self:
        found: list[Annotated] = []
        parts: list[Part] = []
        for part, path in lists:
            entries = coco(path, cls.card.classes)
            found += entries
            parts += [part] * len(entries)
        groups, held_out, shared = kept_apart([_scene(item.file) for item in found], parts)
        notes = [f"{shared} scenes were cut on both sides of the published split"] * bool(shared)
        return cls(cls._examples(data, images, found, groups), held_out, notes)

    @classmethod
    def _examples(
        cls, data: Path, images: Path, found: list[Annotated], groups: tuple[str, ...] | list[str]
    ) -> dict[str, tuple[Example, ...]]:
        examples = []
        for item, group in zip(found, groups, strict=True):
            path = images / item.file
            if not path.is_file():
                raise cls.absent(data, f"{images.name}/{item.file}")
            read = picture(cls.card, path.stem, path)
            examples.append(Example(path.stem, group, read, item.boxes))
        return {"detection": tuple(examples), "counting": counted(examples)}


def _scene(file: str) -> str:
    """Return the scene of a picture named scene_top_bottom_left_right."""
    return file.split("_", 1)[0]
