"""From SAR products to a report: corpus, evidence and text, a tiny model, its retrieval score.

Each stage is the package's own, with settings for small data. Run again on the same folder,
finished stages are kept and an interrupted one goes on.
"""

from __future__ import annotations

import importlib.metadata
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import rasterio
import torch

from sarknowlip import __version__
from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.store import TEXTS, annotation_folder
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.annotate.verify import VerifyReport, verify
from sarknowlip.bench.report import BenchReport
from sarknowlip.bench.runner import run as run_task
from sarknowlip.core.config import Config
from sarknowlip.core.errors import CorpusError
from sarknowlip.core.files import read_json_lines
from sarknowlip.core.hashing import digest, file_sha256
from sarknowlip.core.progress import Bar, Progress
from sarknowlip.corpus.build import BuildConfig, BuildReport, build
from sarknowlip.corpus.catalog import CATALOG
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.corpus.stats import corpus_stats
from sarknowlip.corpus.validate import validate
from sarknowlip.geo.grid import GridConfig, circular_centre
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.pipeline.report import Findings, Step, write_report
from sarknowlip.sar.product import SarProduct
from sarknowlip.sar.sensors import find_products, open_product
from sarknowlip.simulate.acquire import AcquireConfig
from sarknowlip.simulate.city import SimulationConfig, simulate
from sarknowlip.simulate.scatter.conditions import Conditions
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.train.config import MIN_BATCH, TrainConfig
from sarknowlip.train.folder import LOG, TrainReport
from sarknowlip.train.loop import train
from sarknowlip.train.recipes import RECIPES

_LOG = logging.getLogger(__name__)

Say = Callable[[str], None]

CITIES = ("Venice", "Rotterdam", "Lagos", "Mumbai", "Shanghai", "Buenos Aires")
"""Where simulated scenes lie if there is no input."""
SIMULATED_KM = 6.0
"""Edge of their worlds."""
SIMULATED, CORPUS = "simulated", "corpus"
TILE_PX = (256, 128, 64)
WANTED_TILES = 96
"""The largest tile that is expected to give so many is taken, else the smallest."""
BLOCK_TILES = 2.0
"""Edge of a split block, in tiles."""


class QuickstartReport(Config):
    """What the run left.

    Attributes:
        report: HTML file.
        tiles: Tiles in the corpus.
        texts: Texts about them.
        claim_precision: Share of claims that hold; None if there is none.
        problems: What corpus validation found.
        seconds: Wall-clock time of all stages.
    """

    report: Path
    tiles: int
    texts: int
    claim_precision: float | None
    problems: int
    seconds: float


class _Clock:
    """Runs stages, keeps their times and outcomes, and says them."""

    def __init__(self, say: Say) -> None:
        self.steps: list[Step] = []
        self._say = say
        self._start = time.perf_counter()
        self._last = self._start

    def done(self, name: str, outcome: str) -> None:
        now = time.perf_counter()
        self.steps.append(Step(name, now - self._last, outcome))
        self._say(f"{name}: {outcome} ({now - self._last:.1f} s)")
        self._last = now

    @property
    def total(self) -> float:
        return time.perf_counter() - self._start


def quickstart(
    source: Path | None, out: Path, *, bar: Bar, say: Say, training: TrainConfig | None = None
) -> QuickstartReport:
    """Run the whole pipeline.

    Args:
        source: Folder of products, or one product; None simulates Sentinel-1 images of `CITIES`.
        out: Folder for everything that is made.
        bar: Makes a progress bar for a stage of the given name.
        say: Prints a line.
        training: Configuration of the training; recipe "tiny" by default.

    Raises:
        SarKnowlipError: A stage failed; what was finished before stays and is used next time.
    """
    if source is None:
        say(
            f"No --input: simulating Sentinel-1 products of {len(CITIES)} cities. Places, orbits "
            "and scattering are real or modelled, the cities invented; see docs/simulate.md."
        )
    else:
        say(f"Input: {source}")
    clock = _Clock(say)
    products = _products(source, out, clock, bar)
    corpus, built = _build(products, out, clock, bar)
    with bar("validate") as progress:
        checked = validate(corpus, progress)
    clock.done("validate", f"{checked.tiles} tiles, {len(checked.problems)} problems")
    recipe = AnnotateConfig(options=_knowledge(source, out))
    with bar("annotate") as progress:
        said = annotate(corpus, recipe, workers=_workers(), progress=progress)
    annotations = annotation_folder(corpus, said.version)
    outcome = f"{said.evidence} facts, {sum(said.claims.values())} claims, {said.texts} texts"
    clock.done("annotate", f"{outcome}, {said.distinct_texts} of them distinct")
    with bar("verify") as progress:
        verdict = verify(corpus, said.version, progress, workers=_workers())
    clock.done("verify", _verdict(verdict))
    run = _train(training or RECIPES["tiny"](), corpus, built, annotations, clock=clock, bar=bar)
    bench, note = _bench(built, run, out, clock, bar)
    report = out / "report.html"
    findings = Findings(
        source=_origin(source, products),
        knowledge=_rests_on(source),
        corpus=corpus,
        annotations=annotations,
        stats=corpus_stats(corpus),
        rejected=[(rejection.input, rejection.reason) for rejection in built.rejected],
        problems=[str(problem) for problem in checked.problems],
        verification=_verification(verdict),
        log=[] if run is None else read_json_lines(run / LOG),
        retrieval=[] if bench is None else bench.as_table(),
        retrieval_note=note,
        steps=clock.steps,
        versions=_versions(),
    )
    write_report(report, findings)
    return QuickstartReport(
        report=report,
        tiles=built.tiles,
        texts=said.texts,
        claim_precision=verdict.claim_precision,
        problems=len(checked.problems),
        seconds=clock.total,
    )


def _products(source: Path | None, out: Path, clock: _Clock, bar: Bar) -> list[Path]:
    if source is None:
        with bar("simulate") as progress:
            paths = _simulated(out / SIMULATED, progress)
        area = len(paths) * SIMULATED_KM**2
        clock.done("simulate", f"{len(paths)} Sentinel-1 products of {area:.0f} km² in all")
        return paths
    if not source.exists():
        raise CorpusError(f"no such input: {source}", "give a folder of SAR products")
    paths = find_products(source)
    if not paths:
        raise CorpusError(
            f"no SAR product in {source}", "give a folder with SAFE, GeoTIFF or NITF products"
        )
    return paths


def _simulated(out: Path, progress: Progress) -> list[Path]:
    """Return the products of `CITIES`, each simulated in a folder of its own; progress by city."""
    paths: list[Path] = []
    for number, city in enumerate(CITIES):
        progress(number, len(CITIES), city)
        view = AcquireConfig(
            orbit_state="descending" if number % 2 else "ascending",
            conditions=Conditions(wind_speed=3.0 + number, wind_from_deg=60.0 * number),
        )
        world = WorldConfig(city=city, seed=number, size_km=SIMULATED_KM)
        config = SimulationConfig(world=world, views=(view,))
        made = simulate(config, out / world.place.slug, workers=_workers())
        paths.extend(made.products)
    progress(len(CITIES), len(CITIES), "")
    return paths


def _knowledge(source: Path | None, out: Path) -> SourceOptions:
    """Return what is known beside the pixels: of simulated cities their maps and rasters."""
    if source is not None:
        return SourceOptions()
    folders = [
        out / SIMULATED / WorldConfig(city=city, seed=number).place.slug / "truth" / "1"
        for number, city in enumerate(CITIES)
    ]
    return SourceOptions(
        osm=tuple(folder / "map.parquet" for folder in folders),
        landcover=tuple(folder / "landcover.tif" for folder in folders),
        dem=tuple(folder / "dem.tif" for folder in folders),
    )


def _build(
    products: Sequence[Path], out: Path, clock: _Clock, bar: Bar
) -> tuple[Path, BuildReport]:
    corpus = out / CORPUS
    tile_px, tile_km = _tile_size(products)
    config = BuildConfig(
        grid=GridConfig(tile_px=tile_px),
        split=SplitConfig(block_km=max(0.05, round(BLOCK_TILES * tile_km, 2))),
    )
    with bar("build") as progress:
        report = build(products, corpus, config, workers=_workers(), progress=progress)
    splits = ", ".join(f"{count} {name}" for name, count in report.splits.items())
    rejected = f"; {len(report.rejected)} products rejected" if report.rejected else ""
    clock.done("build", f"{report.tiles} tiles of {tile_px}² pixels ({splits}){rejected}")
    return corpus, report


def _tile_size(products: Sequence[Path]) -> tuple[int, float]:
    """Return tile edge in pixels and kilometres; `build` lists products that don't open."""
    pixels, metres = 0.0, []
    for path in products:
        try:
            product = open_product(path)
        except Exception:  # noqa: BLE001 - `build` lists it with its reason
            _LOG.debug("%s does not open", path, exc_info=True)
            continue
        if product.footprint.is_empty:
            continue
        gsd = max(product.gsd_m)
        metres.append(gsd)
        pixels += _area_m2(product) / gsd**2
    size = next((px for px in TILE_PX if pixels / px**2 >= WANTED_TILES), TILE_PX[-1])
    gsd = sorted(metres)[len(metres) // 2] if metres else 10.0
    return size, size * gsd / 1000


def _area_m2(product: SarProduct) -> float:
    """Return a footprint's area on a sphere, by the cosine of its latitude."""
    _, lat = circular_centre(product.footprint)
    metres = 111_195.0
    return float(product.footprint.area * metres**2 * math.cos(math.radians(lat)))


def _train(
    config: TrainConfig,
    corpus: Path,
    built: BuildReport,
    annotations: Path,
    *,
    clock: _Clock,
    bar: Bar,
) -> Path | None:
    """Return the run folder, one for each corpus and text version; None if there is too little."""
    tiles = built.splits.get("train", 0)
    if tiles < MIN_BATCH:
        clock.done(
            "train", f"{tiles} training tiles are too few: the input covers too little ground"
        )
        return None
    data = digest([file_sha256(corpus / CATALOG), file_sha256(annotations / TEXTS)])[:8]
    run = corpus.parent / f"run-{data}"
    with bar("train") as progress:
        trained = train(config, corpus, run, resume=True, progress=progress)
    clock.done("train", _training(trained))
    return run


def _bench(
    built: BuildReport, run: Path | None, out: Path, clock: _Clock, bar: Bar
) -> tuple[BenchReport | None, str]:
    """Return the retrieval report and a line about it; None if no tile was held out."""
    if run is None or not built.splits.get("test"):
        note = "No geographic block was left for testing: the input covers too little ground."
        clock.done("retrieval", note)
        return None, note
    with bar("retrieval") as progress:
        bench = run_task("retrieval", out / CORPUS, run, out / "bench", progress=progress)
    clock.done("retrieval", bench.note)
    return bench, bench.note


def _training(trained: TrainReport) -> str:
    held_out = "" if trained.val_loss is None else f", {trained.val_loss:.2f} on validation ground"
    return (
        f"{trained.steps} steps over {trained.pairs} tiles, loss {trained.loss:.2f}{held_out}, "
        f"{trained.images_per_s:.0f} images/s on {trained.device}"
    )


def _verdict(verdict: VerifyReport) -> str:
    precision = verdict.claim_precision
    if precision is None:
        return "no claims"
    return f"{precision:.1%} of claims and {verdict.texts.held} of {verdict.texts.total} texts hold"


def _verification(verdict: VerifyReport) -> dict[str, str]:
    values = {
        "facts": f"{verdict.evidence.total:,}",
        "claims": f"{sum(part.total for part in verdict.claims.values()):,}",
        "texts": f"{verdict.texts.total:,}",
    }
    if verdict.claim_precision is not None:
        values["of claims derived again"] = f"{verdict.claim_precision:.1%}"
    return values


def _origin(source: Path | None, products: Sequence[Path]) -> str:
    if source is None:
        return (
            f"Simulated Sentinel-1 products of {', '.join(CITIES)}: true places and geometry, "
            "modelled scattering, invented cities. No real radar image."
        )
    return f"{len(products)} product{'' if len(products) == 1 else 's'} in {source}."


def _rests_on(source: Path | None) -> str:
    if source is None:
        return (
            "the image, a gazetteer, and the maps, land cover and heights of the invented cities, "
            "given as if they had been mapped"
        )
    return "the image and a gazetteer; `sarknowlip annotate` takes maps, land cover and heights"


def _workers() -> int:
    return min(8, os.cpu_count() or 1)


def _versions() -> dict[str, str]:
    names = ("torch", "transformers", "odc-geo", "sarsen", "sarkit", "xarray-sentinel")
    return {
        "sarknowlip": __version__,
        "Python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "GDAL": rasterio.__gdal_version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        **{name: importlib.metadata.version(name) for name in names},
    }
