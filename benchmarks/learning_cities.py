"""Simulated corpora of cities for the scripts that measure learning.

    python benchmarks/learning_cities.py OUT [--workers N] [--more]

Nine cities to learn from, each seen twice, and five others, each seen once, that no choice may look
at: no place or seed is shared. Sentinel-1 IW, tiles of 64 pixels of 10 m; map, land cover, heights
and city names are known. OUT keeps everything; run again, it goes on.

- OUT/train: ground in blocks of 2 km, a few of them for validation, for choices.
- OUT/more: the same and four more cities, for what needs 3,000 tiles.
- OUT/held-out: what is measured on, split test (a few tiles fall into others and are not used).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.data.shards import build_shards
from sarknowlip.geo.grid import GridConfig
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.simulate.acquire import AcquireConfig
from sarknowlip.simulate.city import SimulationConfig, simulate
from sarknowlip.simulate.scatter.conditions import Conditions
from sarknowlip.simulate.world.config import WorldConfig

TRAIN_CITIES = {
    "Hamburg": 7101, "Lisbon": 7102, "Osaka": 7103, "Chicago": 7104, "Lagos": 7105,
    "Mumbai": 7106, "Sydney": 7107, "Cairo": 7108, "Stockholm": 7109,
}  # fmt: skip
HELD_OUT_CITIES = {
    "Marseille": 7201, "Busan": 7202, "Vancouver": 7203, "Casablanca": 7204, "Hanoi": 7205,
}  # fmt: skip
MORE_CITIES = {"Warsaw": 7110, "Jakarta": 7111, "Denver": 7112, "Nairobi": 7113}
SIZE_KM, TILE_PX = 7.0, 64
TRAIN, HELD_OUT, MORE = "train", "held-out", "more"
CORPORA = {
    HELD_OUT: (HELD_OUT_CITIES, SplitConfig(block_km=2.0, val=0.0, test=0.99)),
    TRAIN: (TRAIN_CITIES, SplitConfig(block_km=2.0, val=0.06, test=0.0)),
    MORE: (TRAIN_CITIES | MORE_CITIES, SplitConfig(block_km=2.0, val=0.06, test=0.0)),
}
"""Cities of each corpus, and how its ground is split."""


def views(city: str, seed: int) -> tuple[AcquireConfig, ...]:
    """Return how a city is seen: season, weather and angle follow from the seed."""
    turn = seed % 10
    first = AcquireConfig(
        orbit_state="ascending" if turn % 2 else "descending",
        incidence_deg=32.0 + turn,
        start=f"2024-{1 + turn:02d}-11T06:00:00Z",
        conditions=Conditions(wind_speed=3.0 + turn, soil_moisture=0.1 + 0.02 * turn),
    )
    if city in HELD_OUT_CITIES:
        return (first,)
    second = AcquireConfig(
        orbit_state="descending" if turn % 2 else "ascending",
        incidence_deg=42.0 - turn,
        start=f"2023-{12 - turn:02d}-23T18:00:00Z",
        conditions=Conditions(wind_speed=12.0 - turn, soil_moisture=0.35 - 0.02 * turn),
    )
    return first, second


def simulated(out: Path, cities: dict[str, int], workers: int) -> tuple[list[Path], SourceOptions]:
    """Return the products of some cities, and where to read what is known of them."""
    products: list[Path] = []
    truths: list[Path] = []
    for city, seed in cities.items():
        world = WorldConfig(city=city, seed=seed, size_km=SIZE_KM)
        config = SimulationConfig(world=world, views=views(city, seed))
        report = simulate(config, out / "cities" / world.place.slug, workers=workers)
        products += report.products
        truths += report.truth
        tell(f"{city}: {len(report.products)} products")
    known = SourceOptions(
        osm=tuple(truth / "map.parquet" for truth in truths),
        landcover=tuple(truth / "landcover.tif" for truth in truths),
        dem=tuple(truth / "dem.tif" for truth in truths),
    )
    return products, known


def corpora(
    out: Path, workers: int = 1, names: Sequence[str] = (HELD_OUT, TRAIN)
) -> Iterator[Path]:
    """Yield corpora by name, whole with texts and shards."""
    for name in names:
        cities, split = CORPORA[name]
        corpus = out / name
        if (corpus / "ready").is_file():
            yield corpus
            continue
        products, known = simulated(out, cities, workers)
        config = BuildConfig(grid=GridConfig(tile_px=TILE_PX), split=split)
        built = build(products, corpus, config, workers=workers)
        tell(f"{corpus}: {built.splits}")
        told = annotate(corpus, AnnotateConfig(options=known), workers=workers)
        tell(f"{corpus}: {told.texts} texts, {told.distinct_texts} distinct")
        build_shards(corpus, workers=workers)
        (corpus / "ready").touch()
        yield corpus


def tell(what: str) -> None:
    """Say how far the work is."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Make the corpora."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--more", action="store_true", help="with the four further cities")
    asked = parser.parse_args()
    names = (HELD_OUT, MORE) if asked.more else (HELD_OUT, TRAIN)
    for corpus in corpora(asked.out, asked.workers, names):
        tell(f"{corpus} is ready")


if __name__ == "__main__":
    main()
