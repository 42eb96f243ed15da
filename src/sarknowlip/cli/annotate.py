"""`sarknowlip annotate`, `verify` and `describe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sarknowlip.cli.output import bar, emit
from sarknowlip.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from sarknowlip.annotate.truth.report import Judged, TruthReport

Corpus = Annotated[Path, typer.Argument(help="Corpus folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Version = Annotated[str | None, typer.Option(help="Such as v0001; default newest.")]
Osm = Annotated[
    list[Path] | None,
    typer.Option(help="OpenStreetMap: .osm.pbf, GeoParquet or a folder of them; repeatable."),
]
Landcover = Annotated[
    list[Path] | None,
    typer.Option(help="Raster of ESA WorldCover codes, or a folder of them; repeatable."),
]
Dem = Annotated[
    list[Path] | None, typer.Option(help="Elevation raster, or a folder of them; repeatable.")
]
Geoid = Annotated[float | None, typer.Option(help="Geoid undulation, metres.")]
Water = Annotated[
    Path | None,
    typer.Option(help="Polygons of seas and large waters: GeoPackage, Shapefile, GeoJSON, …"),
]
Workers = Annotated[int, typer.Option(help="Processes.", min=1)]

CACHE = ".cache"
LEDGER = ".vlm/ledger.sqlite"
"""Below the folder of annotations: evidence that was found, and answers of models paid for."""


def annotate(
    corpus: Corpus,
    writer: Annotated[str, typer.Option(help="grounded or vlm.")] = "grounded",
    osm: Osm = None,
    landcover: Landcover = None,
    dem: Dem = None,
    dem_geoid_m: Geoid = None,
    water: Water = None,
    endpoint: Annotated[str | None, typer.Option(help="Base URL of a vlm, OpenAI's API.")] = None,
    model: Annotated[str | None, typer.Option(help="Its name there.")] = None,
    language: Annotated[str, typer.Option(help="Language of the texts.")] = "en",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Further settings, key=value.")
    ] = None,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Write evidence, claims and texts about every tile, as a new version.

    Settings are those of `AnnotateConfig`: --set writer.most=3, --set texts.questions=4.
    """
    from sarknowlip.annotate.pipeline import annotate as annotate_corpus
    from sarknowlip.annotate.tile import AnnotateConfig
    from sarknowlip.core.settings import changed, checked
    from sarknowlip.corpus.catalog import ANNOTATIONS

    if writer != "vlm" and (endpoint or model):
        raise ConfigError("--endpoint and --model are for --writer vlm", "add it or leave them out")
    chosen: dict[str, Any] = {"kind": writer}
    if writer == "vlm":
        if not endpoint or not model:
            raise ConfigError("--writer vlm needs --endpoint and --model", "see docs/vlm.md")
        ledger = corpus / ANNOTATIONS / LEDGER
        chosen |= {"endpoint": endpoint, "model": model, "ledger": ledger}
    values = {
        "options": _options(osm, landcover, dem, dem_geoid_m, water)
        | {"cache": corpus / ANNOTATIONS / CACHE},
        "writer": chosen,
        "texts": {"language": language},
    }
    first = checked(AnnotateConfig, values, "option", "see --help")
    every = first.model_dump(mode="json") | {"writer": dict(first.writer)}
    given = changed(every, settings or ())
    config = checked(AnnotateConfig, given, "setting", "see docs/evidence.md and docs/vlm.md")
    with bar("tiles", quiet=as_json) as progress:
        report = annotate_corpus(corpus, config, workers=workers, progress=progress)
    emit(report.model_dump(mode="json"), as_json, f"annotations of {corpus}")


def verify(
    corpus: Corpus,
    version: Version = None,
    truth: Annotated[
        Path | None, typer.Option(help="Folder below which simulated worlds' truth lies.")
    ] = None,
    osm: Osm = None,
    landcover: Landcover = None,
    dem: Dem = None,
    dem_geoid_m: Geoid = None,
    water: Water = None,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Derive every stored fact, claim and text again; exit code 1 if any does not hold.

    Files of knowledge sources need be given only where they are no longer where they were; of the
    others the paths are remembered.
    """
    from rich.console import Console

    from sarknowlip.annotate.verify import verify as verify_corpus
    from sarknowlip.knowledge.sources import SourceOptions

    given = _options(osm, landcover, dem, dem_geoid_m, water)
    options = SourceOptions(**given) if given else None
    with bar("tiles", quiet=as_json) as progress:
        report = verify_corpus(
            corpus, version, truth=truth, options=options, workers=workers, progress=progress
        )
    values = report.model_dump(mode="json") | {"claim_precision": report.claim_precision}
    problems = values.pop("problems")
    if as_json:
        emit(values | {"problems": problems}, True, "")
    else:
        for problem in problems:
            typer.echo(problem, err=True)
        emit({k: v for k, v in values.items() if k != "truth"}, False, f"annotations of {corpus}")
        if report.truth is not None:
            Console().print(_truth_table(report.truth))
    if not report.sound:
        raise typer.Exit(1)


def describe(
    tile: Annotated[
        str, typer.Argument(help="Tile: its identifier, the start of it, or its file.")
    ],
    corpus: Annotated[
        Path | None, typer.Option(help="Corpus folder; default: that of the file, or here.")
    ] = None,
    version: Version = None,
    trace: Annotated[bool, typer.Option(help="Tell what each claim rests on.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is said about a tile, and why."""
    from rich.console import Console

    from sarknowlip.annotate.trace import describe as describe_tile
    from sarknowlip.annotate.trace import render
    from sarknowlip.corpus.catalog import CATALOG

    path = Path(tile)
    if corpus is None and path.is_file():
        corpus = next(
            (folder for folder in path.resolve().parents if (folder / CATALOG).is_file()), None
        )
        if corpus is None:
            raise ConfigError(f"{tile} lies in no corpus", "name its tile and --corpus")
        tile = path.stem
    described = describe_tile(corpus or Path(), tile, version)
    if as_json:
        emit(described.as_json(trace), True, "")
    else:
        Console().print(render(described, trace))


def _truth_table(truth: TruthReport) -> Table:
    """Return how right and how complete claims are, by dimension, then by predicate."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"truth of {truth.tiles} tiles; {truth.unknown_tiles} lie in no known world",
        caption="false and unsaid ones: --json",
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 0, 0, 1),
    )
    table.add_column("claims", overflow="fold")
    for name in ("true", "false", "undecided", "precision", "exist", "said", "recall"):
        table.add_column(name, justify="right", no_wrap=True)

    def add(name: str, judged: Judged) -> None:
        shares = ("–" if n is None else f"{n:.3f}" for n in (judged.precision, judged.recall))
        precision, recall = shares
        counts = [str(n) for n in (judged.true, judged.false, judged.undecided)]
        table.add_row(name, *counts, precision, str(judged.exist), str(judged.said), recall)

    add("all", truth.overall)
    for group in (truth.dimensions, truth.predicates):
        table.add_section()
        for name, judged in group.items():
            add(name, judged)
    return table


def _options(
    osm: list[Path] | None,
    landcover: list[Path] | None,
    dem: list[Path] | None,
    dem_geoid_m: float | None,
    water: Path | None,
) -> dict[str, Any]:
    """Return the options that were given."""
    values = {
        "osm": osm,
        "landcover": landcover,
        "dem": dem,
        "dem_geoid_m": dem_geoid_m,
        "water": water,
    }
    return {name: value for name, value in values.items() if value not in (None, [])}
