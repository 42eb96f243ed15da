"""Speed and memory of `annotate` and `verify`, in seconds of one core a tile.

    python benchmarks/measure_annotate_speed.py MAP LANDCOVER DEM WORK CORPUS… --tiles 50 200 1000

Each corpus is repeated until it has 50, 200 and 1,000 tiles (its tiles under other names), and
annotated in a fresh process, for the peak of resident memory. Of 200 tiles it is verified, too, and
both are done again with the sources that need no file (gazetteer, image, zones). Nothing is cached
but the index of the map. Seconds are of processor time. Rows are added to
results/annotate_speed.csv.

Hours for 120,000 tiles on 2 and 64 cores are seconds × tiles / cores: linear in cores, by
assumption.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from sarknowlip.annotate import pipeline
from sarknowlip.annotate.tile import AnnotateConfig, TileAnnotator
from sarknowlip.annotate.verify import verify
from sarknowlip.corpus.catalog import CATALOG, Catalog, write_catalog
from sarknowlip.knowledge.sources import SourceOptions

RESULTS = Path(__file__).parent / "results" / "annotate_speed.csv"
TIMED, GOAL = 200, 120_000


@dataclasses.dataclass(frozen=True)
class Run:
    """One row of the results."""

    corpus: str
    tile_px: int
    sources: str
    job: str
    tiles: int
    facts_a_tile: float
    claims_a_tile: float
    texts_a_tile: float
    seconds_a_tile: float
    tiles_a_second: float
    records_a_second: float
    hours_120k_2_cores: float
    hours_120k_64_cores: float
    peak_mib: float


def repeated(corpus: Path, target: Path, tiles: int) -> Path:
    """Return a corpus of so many tiles: those of another, again and again."""
    shutil.rmtree(target, ignore_errors=True)
    catalog = Catalog(corpus)
    known, records = list(catalog.records()), []
    for number in range(tiles):
        record = known[number % len(known)]
        name = f"{record.id}-{number:06d}"
        path = target / "tiles" / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(catalog.tile_path(record))
        storage = record.storage.model_copy(update={"href": str(path.relative_to(target))})
        records.append(record.model_copy(update={"id": name, "storage": storage}))
    write_catalog(target / CATALOG, records)
    return target


def measure(job: str, root: Path, options: SourceOptions) -> dict[str, float]:
    """Do a job in this process; return seconds, counts and the peak of memory."""
    config = AnnotateConfig(options=options)
    start, cpu = time.perf_counter(), time.process_time()
    if job == "annotate":
        pipeline.TileAnnotator = functools.partial(TileAnnotator, cached=False)
        report = pipeline.annotate(root, config)
        facts, claims, texts = report.evidence, sum(report.claims.values()), report.texts
    else:
        checked = verify(root)
        assert checked.sound, checked.problems[:1]
        facts, texts = checked.evidence.total, checked.texts.total
        claims = sum(count.total for count in checked.claims.values())
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "counts": (facts, claims, texts),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_process(job: str, root: Path, options: SourceOptions) -> dict[str, float]:
    """Do a job in a process of its own."""
    command = [sys.executable, __file__, job, str(root), options.model_dump_json()]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def row(name: str, px: int, sources: str, job: str, tiles: int, found: dict[str, float]) -> Run:
    facts, claims, texts = (n / tiles for n in found["counts"])
    cost = found["cpu"] / tiles
    hours = cost * GOAL / 3600
    numbers = [facts, claims, texts, cost, 1 / cost, (facts + claims + texts) / cost]
    rounded = [float(f"{n:.3g}") for n in [*numbers, hours / 2, hours / 64, found["peak_mib"]]]
    return Run(name, px, sources, job, tiles, *rounded)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("osm", "landcover", "dem", "work"):
        parser.add_argument(name, type=Path)
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--tiles", type=int, nargs="+", default=[50, 200, 1000])
    given = parser.parse_args()
    every = SourceOptions(
        osm=(given.osm,), landcover=(given.landcover,), dem=given.dem, cache=given.work / "cache"
    )
    for corpus in given.corpora:
        px = next(Catalog(corpus).records()).projection.shape[0]
        for tiles in given.tiles:
            root = repeated(corpus, given.work / "corpus", tiles)
            chosen = {"all": every}
            if tiles == TIMED:
                chosen["image"] = SourceOptions()
            for sources, options in chosen.items():
                shutil.rmtree(root / "annotations", ignore_errors=True)
                for job in ("annotate", "verify")[: 1 + (tiles == TIMED)]:
                    found = in_process(job, root, options)
                    report(row(corpus.name, px, sources, job, tiles, found))
    shutil.rmtree(given.work / "corpus")


def report(run: Run) -> None:
    """Print a row and add it to the results."""
    print(run, flush=True)
    fresh = not RESULTS.exists()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow([field.name for field in dataclasses.fields(Run)])
        writer.writerow(dataclasses.astuple(run))


if __name__ == "__main__":
    if sys.argv[1] in ("annotate", "verify"):
        options = SourceOptions.model_validate_json(sys.argv[3])
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), options)))
    else:
        main()
