"""`sarknowlip corpus build|validate|stats|export|shards`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sarknowlip.cli.output import bar, emit, warn
from sarknowlip.core.errors import ConfigError

app = typer.Typer(help="Build, check, summarise and export a corpus.", no_args_is_help=True)

Corpus = Annotated[Path, typer.Argument(help="Corpus folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def build(
    inputs: Annotated[list[Path], typer.Argument(help="Products, or folders with products.")],
    out: Annotated[Path, typer.Option(help="Corpus folder.")],
    tile_px: Annotated[int, typer.Option(help="Tile edge, pixels.")] = 256,
    gsd: Annotated[float | None, typer.Option(help="Pixel size, metres.")] = None,
    placement: Annotated[str, typer.Option(help="utm (world grid) or native pixels.")] = "utm",
    block_km: Annotated[float, typer.Option(help="Edge of a split block, km.")] = 10.0,
    max_nodata: Annotated[float, typer.Option(help="Largest no-data share of a tile.")] = 0.5,
    quantity: Annotated[str | None, typer.Option(help="sigma0, gamma0 or beta0.")] = None,
    units: Annotated[str | None, typer.Option(help="db, power or amplitude.")] = None,
    polarizations: Annotated[str | None, typer.Option(help="For example VV,VH.")] = None,
    crs: Annotated[str | None, typer.Option(help="For rasters that have none.")] = None,
    dem: Annotated[Path | None, typer.Option(help="Elevation raster.")] = None,
    dem_geoid_m: Annotated[float | None, typer.Option(help="Geoid undulation, metres.")] = None,
    keep_noise: Annotated[bool, typer.Option(help="Leave thermal noise in.")] = False,
    speckle: Annotated[str | None, typer.Option(help="lee, refined-lee or gamma-map.")] = None,
    looks: Annotated[float | None, typer.Option(help="Looks, if the product is silent.")] = None,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Cut SAR products into georeferenced tiles with a catalog."""
    from sarknowlip.core.settings import checked
    from sarknowlip.corpus.build import BuildConfig
    from sarknowlip.corpus.build import build as build_corpus

    if looks is not None and speckle is None:
        raise ConfigError("--looks is for speckle filters only", "add --speckle or leave it out")
    values: dict[str, Any] = {
        "grid": {"tile_px": tile_px, "gsd_m": gsd, "placement": placement},
        "split": {"block_km": block_km},
        "max_nodata": max_nodata,
        "speckle": {"method": speckle, "looks": looks} if speckle else None,
        "read": {
            "quantity": quantity,
            "units": units,
            "polarizations": polarizations.upper().split(",") if polarizations else None,
            "crs": crs,
            "dem": dem,
            "dem_geoid_m": dem_geoid_m,
            "remove_noise": not keep_noise,
        },
    }
    config = checked(BuildConfig, values, "option", "see --help")
    with bar("scenes", quiet=as_json) as progress:
        report = build_corpus(inputs, out, config, workers=workers, progress=progress)
    for rejection in report.rejected:
        warn(f"rejected {rejection.input}: {rejection.reason}")
    values = report.model_dump(mode="json")
    if not as_json:
        values["rejected"] = len(report.rejected)
    emit(values, as_json, f"corpus {out}")


@app.command()
def validate(corpus: Corpus, as_json: Json = False) -> None:
    """Check every property of every tile; exit code 1 if anything is wrong."""
    from sarknowlip.corpus.validate import validate as validate_corpus

    with bar("tiles", quiet=as_json) as progress:
        result = validate_corpus(corpus, progress)
    if as_json:
        problems = [vars(problem) for problem in result.problems]
        emit({"tiles": result.tiles, "problems": problems}, True, "")
    else:
        for problem in result.problems:
            typer.echo(str(problem), err=True)
        typer.echo(f"{result.tiles} tiles, {len(result.problems)} problems")
    if result.problems:
        raise typer.Exit(1)


@app.command()
def stats(
    corpus: Corpus,
    texts: Annotated[bool, typer.Option("--texts", help="Of the annotations instead.")] = False,
    version: Annotated[str | None, typer.Option(help="Of --texts; default newest.")] = None,
    as_json: Json = False,
) -> None:
    """Count tiles by split, sensor, place and more; or texts, and how varied they are."""
    from sarknowlip.annotate.store import annotation_folder
    from sarknowlip.annotate.text_stats import annotation_stats
    from sarknowlip.corpus.stats import corpus_stats

    if texts:
        folder = annotation_folder(corpus, version)
        found = annotation_stats(folder).model_dump(mode="json")
        emit(found, as_json, f"annotations {folder.name} of {corpus}")
        return
    if version is not None:
        raise ConfigError("--version is of --texts", "add --texts or leave it out")
    emit(corpus_stats(corpus).model_dump(mode="json"), as_json, f"corpus {corpus}")


@app.command()
def export(
    corpus: Corpus,
    out: Annotated[Path, typer.Option(help="Folder (stac) or file (geojson).")],
    form: Annotated[str, typer.Option("--format", help="stac or geojson.")] = "stac",
    as_json: Json = False,
) -> None:
    """Write the catalog as a static STAC collection or as GeoJSON."""
    from sarknowlip.corpus.export import export as export_corpus

    if form not in {"stac", "geojson"}:
        raise ConfigError(f"unknown format {form!r}", "choose stac or geojson")
    count = export_corpus(corpus, out, "stac" if form == "stac" else "geojson")
    emit({"items": count, "out": str(out)}, as_json, "export")


@app.command()
def shards(
    corpus: Corpus,
    version: Annotated[str | None, typer.Option(help="Of the annotations; default newest.")] = None,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Write tiles and texts in the form that training reads fast; again, repairs it."""
    from sarknowlip.data.shards import build_shards

    with bar("files", quiet=as_json) as progress:
        report = build_shards(corpus, version, workers=workers, progress=progress)
    emit(report.model_dump(mode="json"), as_json, f"shards of {corpus}")
