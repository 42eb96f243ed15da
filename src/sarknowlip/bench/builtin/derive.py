"""The rows of all built-in sets, from tiles, exact truth and texts."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sarknowlip.bench.builtin.aims import chip_rows, detection_rows
from sarknowlip.bench.builtin.cities import CityFiles
from sarknowlip.bench.builtin.covers import Codes, Raster
from sarknowlip.bench.builtin.ground import change_rows, cover_rows, grid_of, mask_rows
from sarknowlip.bench.builtin.language import language_rows
from sarknowlip.bench.builtin.pictures import Tiles, corpus_folder
from sarknowlip.bench.builtin.plan import PARTS, CityPlan, Most
from sarknowlip.bench.builtin.rows import Row, write_masks, write_rows
from sarknowlip.bench.builtin.sets import CARDS
from sarknowlip.bench.dataset import Part
from sarknowlip.corpus.record import TileRecord

KINDS = {"first": (64, 10.0), "later": (64, 10.0), "targets": (256, 2.5), "polsar": (64, 8.0)}
"""Kinds of corpora: edge of a tile in pixels, and metres between them."""

Found = dict[str, list[Row]]
"""Rows of one part by set and task: "builtin-cover/classification"."""


@dataclass(frozen=True)
class Made:
    """Cities of one part with what was made of them."""

    plans: tuple[CityPlan, ...]
    files: tuple[CityFiles, ...]
    folders: tuple[Path, ...]

    def products(self, kind: str) -> list[Path]:
        """Return the products of a kind of image, all cities."""
        found = []
        for files, folder in zip(self.files, self.folders, strict=True):
            names = getattr(files, kind)
            names = names if isinstance(names, tuple) else (names,)
            found += [folder / name for name in names if name is not None]
        return found

    def truths(self, name: str) -> tuple[Path, ...]:
        """Return a file of the truth of all cities."""
        pairs = zip(self.files, self.folders, strict=True)
        return tuple(folder / files.truth / name for files, folder in pairs)

    def rasters(self, name: str) -> tuple[Path, ...]:
        """Return a raster of all cities."""
        return tuple(folder / name for folder in self.folders)

    def classes_at(self, paths: Sequence[Path], record: TileRecord) -> Codes:
        """Return the classes of a tile's pixels from the raster of the city that is nearest."""
        west, south, east, north = record.projection.bbox
        places = [plan.world.place for plan in self.plans]
        away = [abs(p.lon - (west + east) / 2) + abs(p.lat - (south + north) / 2) for p in places]
        return _raster(paths[away.index(min(away))]).over(grid_of(record))


def write_sets(out: Path, made: Mapping[Part, Made], most: Most) -> dict[str, int]:
    """Write all sets.

    Args:
        out: Folder of the built-in sets, whose corpora are there.
        made: Cities of each part.
        most: How much is kept.

    Returns:
        Number of examples by set, task and part: "builtin-cover/classification/test".

    Raises:
        BenchError: The cities hold too little of a class.
        SarKnowlipError: A file cannot be read or written.
    """
    found = {part: _part(out, part, made[part], most) for part in PARTS}
    counts: dict[str, int] = {}
    for name, card in CARDS.items():
        rows = {
            task: {part: found[part][f"{name}/{task}"] for part in PARTS} for task in card.tasks
        }
        write_rows(out, name, card.kind, rows)
        counts |= {
            f"{name}/{task}/{part}": len(rows[task][part]) for task in rows for part in PARTS
        }
    _raster.cache_clear()
    return counts


def _part(out: Path, part: Part, made: Made, most: Most) -> Found:
    tiles = {kind: Tiles(corpus_folder(out, kind, part)) for kind in KINDS}
    found = _of_targets(part, made, tiles["targets"], most)
    cover = functools.partial(made.classes_at, made.truths("landcover.tif"))
    codes = CARDS["builtin-cover"].codes
    rows = cover_rows(tiles["first"], cover, codes, most=most.cover, least=most.least)
    found |= {f"builtin-cover/{task}": rows for task in CARDS["builtin-cover"].tasks}
    seen = functools.partial(made.classes_at, made.rasters("polsar-cover.tif"))
    changed = functools.partial(made.classes_at, made.rasters("changed.tif"))
    masked = {
        "builtin-segmentation": mask_rows(tiles["first"], cover, _indices("builtin-segmentation")),
        "builtin-polsar": mask_rows(tiles["polsar"], seen, _indices("builtin-polsar")),
        "builtin-change": change_rows(tiles["first"], tiles["later"], changed),
    }
    for name, (rows, masks) in masked.items():
        found[f"{name}/{CARDS[name].tasks[0]}"] = rows
        write_masks(out, name, part, masks)
    told = language_rows(corpus_folder(out, "first", part), tiles["first"], most)
    return found | {f"builtin-language/{task}": rows for task, rows in told.items()}


def _of_targets(part: Part, made: Made, tiles: Tiles, most: Most) -> Found:
    products = made.products("targets")
    boxes, counts = detection_rows(tiles, products, CARDS["builtin-detection"].classes)
    chips = chip_rows(
        tiles,
        products,
        CARDS["builtin-recognition"].classes,
        most=most.recognition,
        least=most.least if part == "test" else None,
    )
    return {
        "builtin-detection/detection": boxes,
        "builtin-detection/counting": counts,
        "builtin-recognition/few-shot": chips,
    }


def _indices(name: str) -> dict[int, int]:
    """Return the index of the class of each code."""
    return {code: index for index, code in enumerate(CARDS[name].codes)}


@functools.lru_cache(maxsize=32)
def _raster(path: Path) -> Raster:
    return Raster(path)
