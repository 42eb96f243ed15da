"""Measure how right annotations of simulated cities are, as CSV.

    python benchmarks/measure_annotations.py OUT [--workers N] > annotations.csv

Three cities with seeds used nowhere else, two sensors, tiles judged against the truth, twice:
with the world's map, land cover and heights as knowledge sources, and with the image alone. OUT
keeps products, corpora and annotations; run again, it goes on.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.annotate.verify import VerifyReport, verify
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.simulate.acquire import AcquireConfig
from sarknowlip.simulate.city import SimulationConfig, simulate
from sarknowlip.simulate.world.config import WorldConfig

CITIES = (("Hamburg", 4101), ("Singapore", 4102), ("Valencia", 4103))
SENSORS = {"sentinel1-iw-grd": ("ascending", 128), "terrasarx-stripmap": ("descending", 512)}
"""Orbit and tile edge in pixels, by sensor."""
SIZE_KM = 6.0
COLUMNS = (
    "sources", "city", "sensor", "tiles", "dimension", "predicate", "true", "false", "undecided",
    "precision", "recall",
)  # fmt: skip


def corpora(out: Path, workers: int) -> Iterator[tuple[str, str, Path, Path]]:
    """Yield city, sensor, corpus and simulation folder."""
    for city, seed in CITIES:
        world = WorldConfig(city=city, seed=seed, size_km=SIZE_KM)
        views = tuple(
            AcquireConfig(sensor=name, orbit_state=orbit) for name, (orbit, _) in SENSORS.items()
        )
        folder = out / world.place.slug
        made = simulate(SimulationConfig(world=world, views=views), folder, workers=workers)
        for product, (name, (_, tile_px)) in zip(made.products, SENSORS.items(), strict=True):
            corpus = out / f"{world.place.slug}-{name}"
            config = BuildConfig(grid=GridConfig(tile_px=tile_px), split=SplitConfig(block_km=2.0))
            build([product], corpus, config, workers=workers)
            yield city, name, corpus, folder


def recipes(truth: Path) -> dict[str, AnnotateConfig]:
    """Return the two recipes, by name."""
    known = SourceOptions(
        osm=(truth / "map.parquet",),
        landcover=(truth / "landcover.tif",),
        dem=truth / "dem.tif",
    )
    return {
        "all": AnnotateConfig(options=known),
        "image": AnnotateConfig(sources=("image",)),
    }


def rows(report: VerifyReport) -> Iterator[list[str]]:
    """Yield dimension, predicate and counts of a verification against truth."""
    found = report.truth
    assert found is not None
    parts = [("", "", found.overall)]
    parts += [(name, "", part) for name, part in sorted(found.dimensions.items())]
    parts += [("", name, part) for name, part in sorted(found.predicates.items())]
    water = found.open_water
    parts += [
        (f"ships in open water, {water.tiles} tiles", name, getattr(water, name))
        for name in ("presence", "absence", "count", "count_within_1", "ships")
    ]
    for dimension, predicate, part in parts:
        counts = [str(count) for count in (part.true, part.false, part.undecided)]
        shares = ["" if x is None else f"{x:.4f}" for x in (part.precision, part.recall)]
        yield [dimension, predicate, *counts, *shares]


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for city, sensor, corpus, folder in corpora(asked.out, asked.workers):
        for name, config in recipes(folder / "truth" / "1").items():
            annotate(corpus, config, workers=asked.workers)
            report = verify(corpus, truth=folder, workers=asked.workers)
            for row in rows(report):
                table.writerow([name, city, sensor, report.tiles, *row])
            sys.stdout.flush()


if __name__ == "__main__":
    main()
