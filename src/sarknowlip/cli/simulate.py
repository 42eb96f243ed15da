"""`sarknowlip simulate`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any

import typer

from sarknowlip.cli.output import bar, emit
from sarknowlip.core.errors import ConfigError


def simulate(
    out: Annotated[Path, typer.Option(help="Folder for products and truth.")],
    city: Annotated[str | None, typer.Option(help="City of the gazetteer.")] = None,
    osm: Annotated[
        Path | None, typer.Option(help="OpenStreetMap extract (.osm.pbf) to build it from.")
    ] = None,
    sensor: Annotated[
        list[str] | None, typer.Option(help="Sensor, repeatable; sentinel1-iw-grd by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another world.")] = 0,
    size_km: Annotated[
        float | None, typer.Option(help="Edge of the world; 10, or the whole extract.")
    ] = None,
    orbit_state: Annotated[str, typer.Option(help="ascending or descending.")] = "ascending",
    look: Annotated[str | None, typer.Option(help="left or right.")] = None,
    incidence: Annotated[float | None, typer.Option(help="Degrees, at the centre.")] = None,
    polarizations: Annotated[str | None, typer.Option(help="For example VV,VH.")] = None,
    covariance: Annotated[
        bool, typer.Option("--covariance", help="Covariance matrices beside the powers.")
    ] = False,
    change: Annotated[
        list[str] | None,
        typer.Option(help="A second date with flood_m=1.5, harvest=0.4, … ; repeatable."),
    ] = None,
    relations: Annotated[
        bool, typer.Option("--relations", help="Write the relations between things, too.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="More: world.relief_m=30, view.conditions.wind_speed=9, …"),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Simulate SAR products of a city with exact truth; see docs/simulate.md."""
    from sarknowlip.core.settings import changed, checked, parsed
    from sarknowlip.simulate.acquire import AcquireConfig
    from sarknowlip.simulate.city import SimulationConfig
    from sarknowlip.simulate.city import simulate as run
    from sarknowlip.simulate.world.changes import Changes
    from sarknowlip.simulate.world.config import WorldConfig
    from sarknowlip.simulate.world.osm import OsmWorldConfig

    if city is None and osm is None:
        raise ConfigError("nothing to simulate", "name a --city or an --osm extract")
    place: dict[str, Any] = {"city": city, "seed": seed}
    if size_km is not None:
        place["size_km"] = size_km
    kind: type[WorldConfig | OsmWorldConfig] = WorldConfig if osm is None else OsmWorldConfig
    world = checked(kind, place if osm is None else place | {"path": osm}, "option", "see --help")
    view: dict[str, Any] = {
        "orbit_state": orbit_state,
        "look": look,
        "incidence_deg": incidence,
        "polarizations": polarizations.upper().split(",") if polarizations else None,
        "covariance": covariance,
    }
    values = changed(
        {"world": world.model_dump(mode="json"), "view": checked(AcquireConfig, view, "option", "")
         .model_dump(mode="json"), "later_days": 12.0, "truth_gsd_m": 10.0,
         "truth_format": "parquet"},
        settings or [],
    )  # fmt: skip
    view = values.pop("view")
    sensors = sensor or ["sentinel1-iw-grd"]
    page = "see docs/simulate.md"
    values |= {
        "world": checked(kind, values["world"], "setting", page),
        "views": [checked(AcquireConfig, view | {"sensor": s}, "setting", page) for s in sensors],
        "relations": relations,
    }
    if change:
        values["changes"] = checked(Changes, dict(map(parsed, change)), "change", page)
    config = checked(SimulationConfig, values, "setting", page)
    report = run(config, out, bar=functools.partial(bar, quiet=as_json), workers=workers)
    emit(report.model_dump(mode="json"), as_json, f"simulation {out}")
