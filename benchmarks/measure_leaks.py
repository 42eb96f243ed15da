"""Plant leaks in the test part, audit, and tell which were found and what else was named.

    python benchmarks/measure_leaks.py WORK [--series FOLDER] >> benchmarks/results/leaks.csv

Simulated cities are seen twice by Sentinel-1, with the same ground, angles and weather and another
drawing of speckle, and cut into tiles of 64 pixels (WORK keeps them). Each city in turn is the
train part; the test part is the next city, clean, and copies of train tiles:

| kind | what is planted |
|---|---|
| row | a tile of other pixels and another day whose ground begins at the last row of a train tile |
| scene | a tile of the train tile's acquisition, of ground elsewhere |
| turned | each of the seven turned or mirrored copies, without a map |
| speckle, mapped | the second look |
| speckle | the second look, without a map: pixels alone can tell |

FOLDER holds co-registered images of one place at several dates (GeoTIFF, intensity); all pairs of
dates are the last row, with what changed in the weeks between. "structured" counts copies whose 8
by 8 blocks scatter by at least 1.5 dB. Cities of `DEVELOPMENT` and the series were looked at when
octaves were chosen, the others not; all were when the threshold was. "others" are pairs of train
and test pictures that are no copies, "false" those of them that the audit names (a moved copy lies
on the next train tile too: that is no false name).
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from conftest import hardware
from sarknowlip.bench.builtin.plan import GROUND, plan_of
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.example import Example, Label
from sarknowlip.bench.fingerprint import multilooked
from sarknowlip.bench.leaks import audit
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import CATALOG, Catalog
from sarknowlip.geo.grid import GridConfig
from sarknowlip.sar.chip import chip
from sarknowlip.sar.product import Acquisition
from sarknowlip.sar.tile import TileImage
from sarknowlip.simulate.acquire import acquire
from sarknowlip.simulate.city import make_world

DEVELOPMENT, HELD_OUT = ("Gdynia", "Recife", "Karachi"), ("Seattle", "Haifa", "Manila")
EDGE, SIZE_KM, DAYS, STRUCTURED_DB = 64, 4.8, 12, 1.5
SYMMETRIES: tuple[Callable[[Any], Any], ...] = tuple(
    lambda a, n=n, t=t: np.rot90(np.transpose(a) if t else a, n)
    for n, t in itertools.product(range(4), (False, True))
    if n or t
)


class Planted(DataSet):
    """Two parts of given tiles, each a group."""

    def __init__(self, train: Sequence[TileImage], test: Sequence[TileImage]) -> None:
        self._parts = {"train": train, "test": test}

    @classmethod
    def open(cls, data: Path) -> Any:
        raise NotImplementedError

    @property
    def card(self) -> Any:  # type: ignore[override]
        return type("Card", (), {"name": "planted"})

    def examples(self, task: str, part: Part) -> Sequence[Example]:
        return [Example(t.id, t.id, lambda t=t: t, Label(0)) for t in self._parts[part]]


def looks(city: str, work: Path) -> tuple[list[TileImage], list[TileImage]]:
    """Return the tiles of a city that both looks have, look by look."""
    plan = next(plan for plan in plan_of("full").cities() if plan.world.city == city)
    world = make_world(plan.world.model_copy(update={"size_km": SIZE_KM}))
    found: list[dict[tuple[float, ...], TileImage]] = []
    for days in (0, DAYS):
        folder = work / f"{city}-{days}"
        if not (folder / "corpus" / CATALOG).is_file():
            product = acquire(world, plan.view(GROUND, days), folder, "product")
            grid = GridConfig(tile_px=EDGE, gsd_m=10.0)
            build([product], folder / "corpus", BuildConfig(grid=grid, max_nodata=0.05))
        catalog, tiles = Catalog(folder / "corpus"), {}
        for one in catalog.records():
            path = catalog.tile_path(one)
            tile = TileImage.read(one.id, path, one.acquisition, one.radiometry)
            tiles[tuple(tile.geobox.affine)] = replace(tile, id=f"{city}-{days}-{len(tiles)}")
        found.append(tiles)
    both = [place for place in found[0] if place in found[1]]
    return [found[0][place] for place in both], [found[1][place] for place in both]


def bare(tile: TileImage, name: str, db: Any = None) -> TileImage:
    """Return the pixels alone: no map, no date."""
    db = tile.db if db is None else np.ascontiguousarray(db)
    return chip(name, db, polarizations=tile.acquisition.polarizations, gsd_m=10.0)


def moved(tile: TileImage, other: TileImage, rows: int, name: str) -> TileImage:
    """Return another tile's pixels on ground so many rows south of a tile's."""
    corner = tile.geobox.affine * Affine.translation(0, rows)
    return replace(other, id=name, geobox=GeoBox((EDGE, EDGE), corner, tile.geobox.crs))


def planted(
    kind: str, first: list[TileImage], second: list[TileImage], clean: list[TileImage]
) -> list[tuple[TileImage, list[TileImage]]]:
    """Return what is learned from and its copies, one by one."""
    made = []
    for n, (tile, again) in enumerate(zip(first, second, strict=True)):
        if kind == "row":
            copies = [moved(tile, clean[n % len(clean)], EDGE - 1, f"copy-{n}")]
        elif kind == "scene":
            far = moved(tile, clean[n % len(clean)], 5000, f"copy-{n}")
            copies = [replace(far, acquisition=tile.acquisition)]
        elif kind == "turned":
            copies = [
                bare(tile, f"copy-{n}-{k}", np.stack([turn(channel) for channel in tile.db]))
                for k, turn in enumerate(SYMMETRIES)
            ]
        elif kind == "speckle, mapped":
            copies = [replace(again, id=f"copy-{n}")]
        else:
            copies = [bare(again, f"copy-{n}")]
        made.append((tile, copies))
    return made


def structured(tile: TileImage) -> bool:
    """Return whether a picture shows more than speckle and sea."""
    return float(np.nanstd(10 * np.log10(multilooked(tile.power[0], 8)))) >= STRUCTURED_DB


def told(pairs: list[tuple[TileImage, list[TileImage]]], clean: list[TileImage]) -> dict[str, int]:
    """Audit and count."""
    train = [tile for tile, _ in pairs]
    copies = {copy.id: (tile.id, copy) for tile, many in pairs for copy in many}
    found = audit(Planted(train, [*clean, *(copy for _, copy in copies.values())]), "any")
    named = {(leak.train, leak.test) for leak in found.leaks}
    # Of a scene in both parts the first tiles of either stand for all.
    scenes = {leak.test for leak in found.leaks if leak.kind == "scene"}
    hits = {c for c, (tile, _) in copies.items() if (tile, c) in named}
    if scenes:
        days = {copies[c][1].acquisition.digest() for c in scenes if c in copies}
        hits |= {c for c, (_, copy) in copies.items() if copy.acquisition.digest() in days}
    real = {(tile, c) for c, (tile, _) in copies.items()}
    false = {
        (leak.train, leak.test)
        for leak in found.leaks
        if leak.kind != "scene" and not (leak.kind == "ground" and leak.test in copies)
    } - real
    clear = {c for c, (_, copy) in copies.items() if structured(copy)}
    return {
        "planted": len(copies), "found": len(hits),
        "structured": len(clear), "structured_found": len(clear & hits),
        "others": len(train) * (len(clean) + len(copies)) - len(real), "false": len(false),
    }  # fmt: skip


def series(folder: Path) -> list[list[TileImage]]:
    """Return the tiles of each date of one place."""
    dates = []
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as source:
            db = 10 * np.log10(np.maximum(source.read(1), 1e-6))
        corners = itertools.product(*(range(0, n - EDGE + 1, EDGE) for n in db.shape))
        dates.append(
            [
                chip(f"{path.stem}-{r}-{c}", db[None, r : r + EDGE, c : c + EDGE],
                     polarizations=("VV",), gsd_m=10.0)
                for r, c in corners
            ]
        )  # fmt: skip
    return dates


def summed(counts: list[dict[str, int]]) -> dict[str, int]:
    """Return sums by name."""
    return {name: sum(one[name] for one in counts) for name in counts[0]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--series", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for part, cities in (("development", DEVELOPMENT), ("held out", HELD_OUT)):
        seen = [looks(city, given.work) for city in cities]
        for kind in ("row", "scene", "turned", "speckle, mapped", "speckle"):
            counts = []
            for n, (first, second) in enumerate(seen):
                clean = seen[(n + 1) % len(seen)][0]
                if kind in {"row", "scene"}:
                    # Pixels of another day: only ground or acquisition can tell.
                    days = Acquisition(polarizations=clean[0].acquisition.polarizations)
                    clean = [replace(tile, acquisition=days) for tile in clean]
                counts.append(told(planted(kind, first, second, clean), clean))
            rows.append({"data": "simulated", "part": part, "kind": kind, **summed(counts)})
    if given.series is not None:
        pairs = itertools.combinations(series(given.series), 2)
        counts = [told([(a, [b]) for a, b in zip(*both, strict=True)], []) for both in pairs]
        rows.append({"data": "series", "part": "development", "kind": "speckle", **summed(counts)})
    table = csv.DictWriter(sys.stdout, fieldnames=[*rows[0], *hardware()])
    table.writeheader()
    table.writerows([{**row, **hardware()} for row in rows])


if __name__ == "__main__":
    main()
