"""So2Sat LCZ42: seventeen local climate zones in Sentinel-1 patches of 32 × 32 pixels.

Of the eight Sentinel-1 channels, the two filtered intensities are read (refined Lee filter): number
5 is VV and number 4 is VH, counted from 0.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example, Label, Reader
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.errors import ProductError
from sarknowlip.geo.raster import guarded
from sarknowlip.sar.product import Radiometry
from sarknowlip.sar.scaling import power_to_db
from sarknowlip.sar.tile import TileImage

FILES: tuple[tuple[Part, str], ...] = (("train", "training.h5"), ("test", "testing.h5"))
VV, VH = 5, 4
RUN = 256
"""Patches in file order that make a group: the files do not tell cities."""
MOST = 24576
"""Patches of a part, taken evenly from its file."""
CHUNK = 65536
SIGMA0 = Radiometry(quantity="sigma0", calibrated=True)


class So2Sat(Published):
    """So2Sat LCZ42."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("classification", "few-shot", "zero-shot")

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder; labels are read.

        Raises:
            BenchError: The set is not there, lacks files or labels, or h5py is not installed.
            ProductError: A file is damaged.
        """
        root = cls.found(data)
        examples: list[Example] = []
        held_out: set[str] = set()
        for part, name in FILES:
            path = root / name
            if not path.is_file():
                raise cls.absent(data, name)
            found = list(_patches(cls.card, part, path))
            examples += found
            held_out |= {example.group for example in found if part == "test"}
        return cls(dict.fromkeys(cls.tasks, examples), held_out)


def _patches(card: Sheet, part: Part, path: Path) -> Iterator[Example]:
    label_N = _labels(path, len(card.classes))
    step = -(-len(label_N) // MOST)
    for place in range(0, len(label_N), step):
        chip_id = f"{part}-{place:06}"
        read: Reader = partial(_read, card, chip_id, path, place)
        group = f"{part}-run{place // RUN:04}"
        yield Example(chip_id, group, read, Label(int(label_N[place])))


def _labels(path: Path, classes: int) -> npt.NDArray[np.int64]:
    with guarded(path), _opened(path) as content:
        if "label" not in content or content["label"].shape[1:] != (classes,):
            raise BenchError(
                f"{path}: no labels of {classes} classes", "fetch version 2 or 3 of the set"
            )
        stored = content["label"]
        return np.concatenate(
            [
                np.argmax(stored[start : start + CHUNK], axis=1)
                for start in range(0, len(stored), CHUNK)
            ]
        ).astype(np.int64)


def _read(sheet: Sheet, chip_id: str, path: Path, place: int) -> TileImage:
    with guarded(path), _opened(path) as content:
        if "sen1" not in content:
            raise ProductError(f"{path} has no sen1", "fetch the file again")
        patch = np.asarray(content["sen1"][place], dtype=np.float32)
    power = np.stack([patch[:, :, VV], patch[:, :, VH]])
    return sheet.chip(chip_id, power_to_db(np.where(power > 0.0, power, np.nan)), SIGMA0)


def _opened(path: Path) -> Any:
    try:
        h5py = importlib.import_module("h5py")
    except ModuleNotFoundError as error:
        raise BenchError(
            f"{path} cannot be read without h5py", "pip install 'sarknowlip[hdf5]'"
        ) from error
    return h5py.File(path, "r")
