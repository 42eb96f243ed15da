"""OpenSARShip: Sentinel-1 chips of ships matched with AIS reports, one archive a scene.

Chips are those of `Patch_Cal`, backscatter σ⁰ in linear power (checked: a constant times the square
of `Patch`'s digital numbers within a chip). The type is the AIS code in `Ship.xml`, whose ships are
found by the pixel that names a chip. Some archives close the last element with a backslash, so the
file is read forgivingly.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from lxml import etree
from rasterio.io import MemoryFile

from sarknowlip.bench.datasets.grouped import dealt
from sarknowlip.bench.datasets.pictures import unplaced
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example, Label, Reader
from sarknowlip.bench.fingerprint import ALIKE_STRICT
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.errors import ProductError
from sarknowlip.geo.raster import guarded
from sarknowlip.sar.product import Polarization, Radiometry
from sarknowlip.sar.scaling import power_to_db
from sarknowlip.sar.tile import TileImage

SCENE = re.compile(r"(S1[A-D]_\w\w_(?:GRD\w|SLC)_+1S([SD])([VH])_[\w]+)", re.ASCII)
CHIP = re.compile(r"(?:^|.*/)Patch_Cal/[^/]*_x(\d+)_y(\d+)\.tif")
SIGMA0 = Radiometry(quantity="sigma0", calibrated=True, noise_removed=False)
LOOK: Mapping[str, tuple[Polarization, ...]] = {
    "SV": ("VV",),
    "SH": ("HH",),
    "DV": ("VH", "VV"),
    "DH": ("HV", "HH"),
}
"""Order of bands, by what the product's name says of polarisations."""


class OpenSarShipSheet(Sheet):
    """Card of OpenSARShip.

    Attributes:
        types: First and last AIS code of each class.
        slc_gsd_m: Nominal spacing of chips from single-look complex products.
    """

    types: Mapping[str, tuple[tuple[int, int], ...]]
    slc_gsd_m: float


class OpenSarShip(Published):
    """OpenSARShip; groups are scenes: `leaving_out` a scene asks about it alone."""

    card: ClassVar[OpenSarShipSheet] = OpenSarShipSheet.beside(__file__)
    tasks = ("classification", "few-shot")
    alike = ALIKE_STRICT

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder, without reading pictures.

        Raises:
            BenchError: The set is not there, lacks files, or has fewer than two scenes.
            ProductError: An archive is damaged.
        """
        root = cls.found(data)
        examples: list[Example] = []
        seen: set[str] = set()
        unknown = 0
        for path in sorted(root.iterdir()):
            scene = SCENE.match(path.name)
            if scene is None or not (path.is_dir() or path.suffix == ".zip") or scene[1] in seen:
                continue
            seen.add(scene[1])
            look = LOOK[scene[2] + scene[3]]
            for member, code in _chips(path):
                index = _type(cls.card, code)
                unknown += index is None
                if index is not None:
                    chip_id = f"{scene[1]}-{Path(member).stem}"
                    sheet = _sheet(cls.card, scene[1], look)
                    read: Reader = partial(_read, sheet, chip_id, path, member)
                    examples.append(Example(chip_id, scene[1], read, Label(index)))
        groups = [example.group for example in examples]
        if len(set(groups)) < 2:
            raise cls.absent(data, "two scenes with ships of known type")
        notes = [f"{unknown} chips of ships whose AIS type is not given left out"] * bool(unknown)
        held_out = dealt(groups, salt=cls.card.name)
        return cls(dict.fromkeys(cls.tasks, examples), held_out, notes)


def _sheet(card: OpenSarShipSheet, scene: str, look: tuple[Polarization, ...]) -> Sheet:
    gsd_m = card.slc_gsd_m if "_SLC_" in scene else card.gsd_m
    return card.model_copy(update={"polarizations": look, "gsd_m": gsd_m})


def _type(card: OpenSarShipSheet, code: int) -> int | None:
    for index, name in enumerate(card.classes):
        if any(first <= code <= last for first, last in card.types[name]):
            return index
    return None


def _chips(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the chips of a scene, as the archive names them, and the AIS code of each."""
    names = _names(path)
    lists = [name for name in names if name.endswith("Ship.xml")]
    if len(lists) != 1:
        raise BenchError(f"{path}: {len(lists)} files Ship.xml", "fetch the scene again")
    codes = _codes(path, lists[0])
    seen: Counter[tuple[int, int]] = Counter()
    for name in names:
        chip = CHIP.fullmatch(name)
        if chip is not None:
            centre = int(chip[1]), int(chip[2])
            seen[centre] += 1
            if centre in codes and seen[centre] == 1:
                yield name, codes[centre]


def _codes(path: Path, name: str) -> dict[tuple[int, int], int]:
    """Return the AIS code of each ship by the pixel of its centre."""
    tree = etree.fromstring(_content(path, name), etree.XMLParser(recover=True))
    try:
        return {
            (
                int(float(ship.findtext(".//Center_x"))),
                int(float(ship.findtext(".//Center_y"))),
            ): int(float(ship.findtext(".//Ship_Type") or 0))
            for ship in tree.findall("ship")
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise BenchError(f"{path}: Ship.xml lacks {error}", "fetch the scene again") from error


def _names(path: Path) -> list[str]:
    if path.is_dir():
        return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    with _archive(path) as archive:
        return sorted(archive.namelist())


def _content(path: Path, name: str) -> bytes:
    if path.is_dir():
        return (path / name).read_bytes()
    with _archive(path) as archive:
        try:
            return archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ProductError(f"cannot read {path}: {error}", "fetch the scene again") from error


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ProductError(f"cannot read {path}: {error}", "fetch the scene again") from error


def _read(sheet: Sheet, chip_id: str, path: Path, member: str) -> TileImage:
    content = _content(path, member)
    with guarded(path), unplaced(), MemoryFile(content) as memory, memory.open() as source:
        power = source.read().astype(np.float32)
    return sheet.chip(chip_id, power_to_db(np.where(power > 0.0, power, np.nan)), SIGMA0)
