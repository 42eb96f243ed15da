"""MSTAR: ten military vehicles under the standard operating condition.

Two layouts are read. As AFRL publishes it: chips in the Phoenix format (ASCII header, then 32-bit
big-endian floats: magnitude, then phase) in folders named by vehicle and serial number, whose
headers tell depression and target azimuth. As a much-copied form: `train` and `val` (or `test`)
with one folder a class, 0…9, of 8-bit pictures.

Chips of one vehicle a few degrees of azimuth apart look alike, so groups are sectors of ten
degrees, or, where no azimuth is told, runs of ten files: these are numbered by azimuth (the
correlation of neighbours in the file order is 0.57–0.72, of chips 20 apart that of any two).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.grouped import kept_apart
from sarknowlip.bench.datasets.pictures import listed, picture
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example, Label, Reader
from sarknowlip.bench.fingerprint import ALIKE_STRICT
from sarknowlip.core.errors import ProductError
from sarknowlip.sar.tile import TileImage

CHIP = re.compile(r"HB\d+\.\d+", re.IGNORECASE)
SECTOR_DEG = 10.0
RUN = 10


class MstarSheet(Sheet):
    """Card of MSTAR.

    Attributes:
        serials: Serial numbers of the standard operating condition, of vehicles with several.
        depressions: Depression angle, degrees, of train and test.
    """

    serials: Mapping[str, str]
    depressions: Mapping[Part, int]


class Mstar(Published):
    """MSTAR, ten classes."""

    card: ClassVar[MstarSheet] = MstarSheet.beside(__file__)
    tasks = ("classification", "few-shot", "zero-shot")
    alike = ALIKE_STRICT

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder; of chips in the Phoenix format, headers are read.

        Raises:
            BenchError: The set is not there or lacks files.
            ProductError: A chip's header is damaged.
        """
        root = cls.found(data)
        found = list(_pictures(cls.card, root)) or list(_phoenix(cls.card, root))
        if {part for part, _ in found} != {"train", "test"}:
            raise cls.absent(data, "a chip of each part")
        parts, examples = zip(*sorted(found, key=lambda item: item[1].id), strict=True)
        _, held_out, _ = kept_apart([example.group for example in examples], parts)
        return cls(dict.fromkeys(cls.tasks, examples), held_out)


def _pictures(card: MstarSheet, root: Path) -> Iterator[tuple[Part, Example]]:
    folders: list[tuple[Part, str]] = [("train", "train"), ("test", "val"), ("test", "test")]
    for part, name in folders:
        for index in range(len(card.classes)):
            for place, path in enumerate(listed(root / name / str(index))):
                chip_id = f"{part}-{card.classes[index]}-{path.stem}"
                group = f"{part}-{card.classes[index]}-run{place // RUN:03}"
                yield part, Example(chip_id, group, picture(card, chip_id, path), Label(index))


def _phoenix(card: MstarSheet, root: Path) -> Iterator[tuple[Part, Example]]:
    part_of = {angle: part for part, angle in card.depressions.items()}
    for path in sorted(path for path in root.rglob("*") if CHIP.fullmatch(path.name)):
        kind, serial = _vehicle(card, path.relative_to(root))
        if kind is None or serial != card.serials.get(kind, serial):
            continue
        header = _header(path)
        part = part_of.get(round(_number(path, header, "DesiredDepression")))
        if part is None:
            continue
        sector = int(_number(path, header, "TargetAz") % 360 // SECTOR_DEG)
        chip_id = f"{part}-{kind}-{path.name}"
        read: Reader = partial(_read, card, chip_id, path)
        group = f"{part}-{kind}-az{sector:02}"
        yield part, Example(chip_id, group, read, Label(card.classes.index(kind)))


def _vehicle(card: MstarSheet, path: Path) -> tuple[str | None, str | None]:
    """Return class and serial number from the folders of a chip."""
    plain = [re.sub(r"[^A-Z0-9]", "", part.upper()) for part in path.parts[:-1]]
    kind = next((part for part in plain if part in card.classes), None)
    serial = next((part[2:] for part in plain if part.startswith("SN")), None)
    return kind, serial


def _header(path: Path) -> dict[str, str]:
    """Return the fields of a Phoenix header.

    Raises:
        ProductError: The file has none.
    """
    with path.open("rb") as handle:
        text = handle.read(4096).decode("latin-1")
    if "PhoenixHeader" not in text:
        raise ProductError(f"{path} has no Phoenix header", "fetch the chip again")
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _number(path: Path, header: Mapping[str, str], name: str) -> float:
    """Return a number of a header.

    Raises:
        ProductError: It is not there.
    """
    try:
        return float(header[name])
    except (KeyError, ValueError) as error:
        raise ProductError(f"{path}: no {name} in its header", "fetch the chip again") from error


def _read(card: MstarSheet, chip_id: str, path: Path) -> TileImage:
    header = _header(path)
    names = ("NumberOfRows", "NumberOfColumns", "PhoenixHeaderLength")
    rows, columns, length = (int(_number(path, header, name)) for name in names)
    content = path.read_bytes()
    start = len(content) - 2 * 4 * rows * columns
    if start < length:
        raise ProductError(f"{path} is cut short", "fetch the chip again")
    magnitude = np.frombuffer(content, ">f4", rows * columns, start).reshape(1, rows, columns)
    held = np.maximum(magnitude.astype(np.float32), np.float32(1e-6))
    return card.chip(chip_id, np.asarray(20.0 * np.log10(held), dtype=np.float32))
