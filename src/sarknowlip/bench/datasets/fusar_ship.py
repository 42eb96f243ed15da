"""FUSAR-Ship: Gaofen-3 chips of ships matched with AIS reports.

Classes are the folders of categories that hold enough pictures and name a type. Where `meta.csv` is
there, all chips of a ship (its MMSI) are one group.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import ClassVar, Self

from sarknowlip.bench.datasets.grouped import dealt
from sarknowlip.bench.datasets.pictures import PICTURES, picture
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example, Label
from sarknowlip.bench.fingerprint import ALIKE_STRICT
from sarknowlip.bench.metrics import BenchError


class FusarSheet(Sheet):
    """Card of FUSAR-Ship.

    Attributes:
        unnamed: Categories that name no type, in small letters.
        fewest: Pictures that a category needs to become a class.
    """

    unnamed: tuple[str, ...]
    fewest: int


class FusarShip(Published):
    """FUSAR-Ship."""

    card: ClassVar[FusarSheet] = FusarSheet.beside(__file__)
    tasks = ("classification", "few-shot")
    alike = ALIKE_STRICT

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder, without reading pictures.

        Raises:
            BenchError: The set is not there or lacks files.
        """
        root = cls.found(data)
        files = {
            folder.name: sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES)
            for folder in sorted(root.iterdir())
            if folder.is_dir() and folder.name.lower() not in cls.card.unnamed
        }
        classes = tuple(name for name, found in files.items() if len(found) >= cls.card.fewest)
        if len(classes) < 2:
            raise cls.absent(data, f"two categories with {cls.card.fewest} pictures")
        ships = _ships(root / "meta.csv")
        examples = [
            Example(
                path.stem,
                f"ship-{ships[path.stem]}" if path.stem in ships else path.stem,
                picture(cls.card, path.stem, path),
                Label(index),
            )
            for index, name in enumerate(classes)
            for path in files[name]
        ]
        told = [name for name in classes for _ in files[name]]
        held_out = dealt([e.group for e in examples], told, salt=cls.card.name)
        left = [name for name in files if name not in classes]
        notes = [f"categories of fewer pictures left out: {', '.join(left)}"] * bool(left)
        if not ships:
            notes.append("no meta.csv: chips of one ship may be in both parts")
        return cls(dict.fromkeys(cls.tasks, examples), held_out, notes, classes)


def _ships(path: Path) -> dict[str, str]:
    """Return the MMSI of each chip; empty without the file.

    Raises:
        BenchError: The file is not the expected table.
    """
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
        separator = "\t" if "\t" in handle.readline() else ","
        handle.seek(0)
        rows = list(csv.DictReader(handle, delimiter=separator))
    try:
        return {Path(row["id"]).stem: row["mmsi"].strip() for row in rows if row["mmsi"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"{path}: no column {error}", "fetch the set again") from error
