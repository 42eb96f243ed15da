"""SAMPLE: measured MSTAR chips, each with a synthetic twin of the same pose.

Chips are read from the complex Matlab files where these are there, otherwise from the
quarter-power pictures, whose levels are taken as the square root of magnitude.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.grouped import kept_apart
from sarknowlip.bench.datasets.pictures import levels, listed
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example, Label, Reader
from sarknowlip.bench.fingerprint import ALIKE_STRICT
from sarknowlip.core.errors import ProductError
from sarknowlip.sar.chip import amplitude_db
from sarknowlip.sar.tile import TileImage

NAME = re.compile(r".+_(real|synth)_A_elevDeg_(\d+)_azCenter_(\d+)_(\d+)_serial_(\w+)")
TEST_ELEVATION = 17
SECTOR_DEG = 10
Origin = Literal["real", "synth"]


class Sample(Published):
    """SAMPLE; learned from measured chips, asked about measured ones."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("classification", "few-shot", "zero-shot")
    alike = ALIKE_STRICT
    learned: ClassVar[Origin] = "real"

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder, without reading pictures.

        Raises:
            BenchError: The set is not there or lacks files.
        """
        root = cls.found(data)
        wanted: tuple[tuple[Part, Origin], ...] = (("train", cls.learned), ("test", "real"))
        parts: list[Part] = []
        examples: list[Example] = []
        for part, origin in wanted:
            for index, name in enumerate(cls.card.classes):
                for path in _chips(root, origin, name):
                    example, elevation = _example(cls.card, part, index, path)
                    if (elevation == TEST_ELEVATION) == (part == "test"):
                        parts.append(part)
                        examples.append(example)
        if set(parts) != {"train", "test"}:
            raise cls.absent(data, "a chip of each part")
        _, held_out, _ = kept_apart([example.group for example in examples], parts)
        return cls(dict.fromkeys(cls.tasks, examples), held_out)


class SampleSynthetic(Sample):
    """SAMPLE; learned from synthetic chips, asked about measured ones: the set's own question."""

    card: ClassVar[Sheet] = Sample.card.model_copy(
        update={
            "name": "sample-synthetic",
            "title": "SAMPLE (learned from synthetic chips)",
            "split": "as published: synthetic chips at 14–16° elevation to learn from, measured "
            "ones at 17° to ask",
        }
    )
    learned = "synth"


def _chips(root: Path, origin: Origin, name: str) -> list[Path]:
    return listed(root / "mat_files" / origin / name, (".mat",)) or listed(
        root / "png_images" / "qpm" / origin / name
    )


def _example(card: Sheet, part: Part, index: int, path: Path) -> tuple[Example, int]:
    match = NAME.match(path.stem)
    if match is None:
        raise ProductError(f"{path}: a name without elevation and azimuth", "fetch it again")
    elevation, azimuth, serial = int(match[2]), int(match[3]), match[5]
    chip_id = f"{part}-{path.stem}"
    read: Reader = partial(_read, card, chip_id, path)
    group = f"{part}-{card.classes[index]}-{serial}-az{azimuth // SECTOR_DEG:02}"
    return Example(chip_id, group, read, Label(index)), elevation


def _read(card: Sheet, chip_id: str, path: Path) -> TileImage:
    if path.suffix == ".mat":
        return card.chip(chip_id, _complex_db(path)[None])
    return card.chip(chip_id, 2.0 * amplitude_db(levels(path))[None])


def _complex_db(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    from scipy.io import loadmat

    try:
        magnitude = np.abs(loadmat(path, variable_names=["complex_img"])["complex_img"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ProductError(f"{path}: no complex_img: {error}", "fetch it again") from error
    held = np.maximum(magnitude, np.finfo(np.float32).tiny)
    return np.asarray(20.0 * np.log10(held), dtype=np.float32)
