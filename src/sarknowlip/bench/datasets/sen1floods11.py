"""Sen1Floods11: water in hand-labelled Sentinel-1 chips of eleven floods, cut into windows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.grd import grd_reader
from sarknowlip.bench.datasets.grouped import dealt, kept_apart
from sarknowlip.bench.datasets.pictures import kept, levels, listed
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.datasets.windows import Window, cut
from sarknowlip.bench.example import UNLABELLED, Example, Mask

PLACES = ("v1.1/data/flood_events/HandLabeled", "data/flood_events/HandLabeled", ".")
LISTS: tuple[tuple[Part, str], ...] = (
    ("train", "flood_train_data.csv"),
    ("train", "flood_valid_data.csv"),
    ("test", "flood_test_data.csv"),
    ("test", "flood_bolivia_data.csv"),
)


class Sen1Floods11(Published):
    """Sen1Floods11; groups are chips: `leaving_out` a chip asks about it alone."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("segmentation",)

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder; labels are read, pictures are not.

        Raises:
            BenchError: The set is not there or lacks files.
            ProductError: A label picture is damaged.
        """
        root = cls.found(data)
        folder = next((root / p for p in PLACES if (root / p / "S1Hand").is_dir()), root)
        chips = {path.name.removesuffix("_S1Hand.tif"): path for path in listed(folder / "S1Hand")}
        parts = _published(root)
        if parts:
            chips = {name: path for name, path in chips.items() if name in parts}
        if len(chips) < 2:
            raise cls.absent(data, "S1Hand with two chips")
        examples = []
        for name, path in chips.items():
            truth = folder / "LabelHand" / f"{name}_LabelHand.tif"
            if not truth.is_file():
                raise cls.absent(data, f"LabelHand/{truth.name}")
            for window in _labelled(cls.card, truth):
                chip_id = f"{name}-{window.name}"
                read = grd_reader(cls.card, chip_id, path, window)
                examples.append(Example(chip_id, name, read, Mask(partial(_labels, truth, window))))
        names = sorted({example.group for example in examples})
        bare = sorted(set(chips) - set(names))
        notes = [f"chips without a labelled pixel left out: {', '.join(bare)}"] * bool(bare)
        if parts:
            _, held_out, _ = kept_apart(names, [parts[name] for name in names])
            return cls({"segmentation": examples}, held_out, notes)
        notes.append("no split files: chips are dealt")
        return cls({"segmentation": examples}, dealt(names, salt=cls.card.name), notes)


def _labelled(card: Sheet, path: Path) -> list[Window]:
    """Return the windows of a chip that hold a labelled pixel."""
    labels = levels(path)
    return [
        window
        for window in cut(Window(0, 0, labels.shape[0], labels.shape[1]), card.window)
        if (window.labels(labels) != UNLABELLED).any()
    ]


def _published(root: Path) -> dict[str, Part]:
    """Return the part of each chip from the split files, empty where there are none."""
    found: dict[str, Part] = {}
    for part, name in LISTS:
        for path in sorted(root.rglob(name))[:1]:
            for line in path.read_text(encoding="utf-8").splitlines():
                chip = line.split(",")[0].strip().removesuffix("_S1Hand.tif")
                if chip:
                    found[chip] = part
    return found


def _labels(path: Path, window: Window) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return window.labels(kept(path))
