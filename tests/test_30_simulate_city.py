"""Rung 3: whole simulations: products our own readers open, truth, resumption, determinism."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas
import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from data.osm.make import town
from data.world.make import HandWorld, ground, layers, local_bounds, target
from sarknowlip.core.errors import ConfigError, GeometryError, SarKnowlipError
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors import open_product
from sarknowlip.simulate.acquire import AcquireConfig, acquire
from sarknowlip.simulate.city import SimulationConfig, SimulationReport, simulate
from sarknowlip.simulate.scatter.conditions import Conditions
from sarknowlip.simulate.sensors import PROFILES
from sarknowlip.simulate.world.changes import Changes
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.osm import OsmWorldConfig


def run(config: SimulationConfig, out: Path) -> SimulationReport:
    return simulate(config, out)


def content(folder: Path) -> dict[str, str]:
    """Return digests of all files but locks, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


CITY = SimulationConfig(
    world=WorldConfig(city="Helsinki", seed=3, size_km=1.5),
    views=(AcquireConfig(), AcquireConfig(sensor="gaofen3-qpsi", covariance=True)),
    changes=Changes(flood_m=1.0, harvest=0.5, ships_left=0.5),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, SimulationReport]:
    out = tmp_path_factory.mktemp("city")
    return out, run(CITY, out)


def test_products_of_both_dates_open(made: tuple[Path, SimulationReport]) -> None:
    out, report = made
    assert [path.suffix for path in report.products] == [".SAFE", ".tif"] * 2
    for path in report.products:
        product = open_product(path)
        assert not product.footprint.is_empty
    times = [open_product(path).acquisition.start_datetime for path in report.products]
    assert 11.9 < (times[2] - times[0]).total_seconds() / 86400 < 12.1
    assert not list(out.rglob(".*/raster.npy")), "rendered tiles are left"


def test_truth_of_both_dates_is_there(made: tuple[Path, SimulationReport]) -> None:
    _, report = made
    first, second = report.truth
    objects = geopandas.read_parquet(first / "objects.parquet")
    assert len(objects) == report.objects > 50
    changes = geopandas.read_parquet(second / "changes.parquet")
    assert len(changes) == report.changes > 0
    assert not (first / "changes.parquet").exists()


def test_dates_differ_where_the_list_says(made: tuple[Path, SimulationReport]) -> None:
    """Flooded open ground darkens: median of the change in VV within "flood" and elsewhere."""
    _, report = made
    truth = json.loads((report.truth[0] / "truth.json").read_text())
    west, _, _, north = truth["bounds"]
    grid = GeoBox((75, 75), Affine(20, 0, west, 0, -20, north), truth["crs"])
    options = ReadOptions(quantity="sigma0", dem=report.truth[0] / "dem.tif")
    first, second = (
        10 * np.log10(open_product(report.products[i], options).power(grid)[0]) for i in (0, 2)
    )
    from rasterio.features import geometry_mask

    changes = geopandas.read_parquet(report.truth[1] / "changes.parquet").to_crs(truth["crs"])
    flood = changes[(changes.kind == "flood") & (changes.after == "inland_water")]
    assert flood.area.sum() > 4e4, "the chosen world has no flooded open ground"
    wet = ~geometry_mask(flood.buffer(-15), grid.shape, grid.affine)
    other = geometry_mask(changes.buffer(15), grid.shape, grid.affine)
    assert np.nanmedian((second - first)[wet]) < -3.0
    assert abs(np.nanmedian((second - first)[other])) < 1.0


def test_repeating_changes_nothing(made: tuple[Path, SimulationReport]) -> None:
    out, report = made
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert run(CITY, out) == report
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    del before[out / ".lock"], after[out / ".lock"]
    assert before == after


def test_what_was_deleted_is_made_again(made: tuple[Path, SimulationReport]) -> None:
    out, report = made
    victims = [report.products[1], report.truth[1] / "truth.json"]
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in victims]
    for path in victims:
        path.unlink()
    assert run(CITY, out) == report
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in victims] == before


def test_views_that_differ_a_little_have_products_of_their_own(tmp_path: Path) -> None:
    views = [AcquireConfig(sensor="gaofen3-fsii", incidence_deg=angle) for angle in (36.0, 36.4)]
    windy = Conditions(wind_speed=15.0)
    views.append(views[0].model_copy(update={"conditions": windy}))
    config = SimulationConfig(world=WorldConfig(city="Lagos", size_km=1.0), views=tuple(views))
    report = run(config, tmp_path)
    assert len(set(report.products)) == 3
    assert len({hashlib.sha256(p.read_bytes()).hexdigest() for p in report.products}) == 3
    twice = config.model_copy(update={"views": (views[0], views[0])})
    with pytest.raises(ConfigError, match="to see the same twice"):
        run(twice, tmp_path / "twice")


def test_truth_as_geojson(tmp_path: Path) -> None:
    config = SimulationConfig(
        world=WorldConfig(city="Lagos", size_km=1.0),
        views=(AcquireConfig(sensor="gaofen3-fsii"),),
        truth_format="geojson",
    )
    report = run(config, tmp_path)
    objects = geopandas.read_file(report.truth[0] / "objects.geojson")
    assert len(objects) == report.objects > 0
    with pytest.raises(ConfigError, match="relations are made from parquet only"):
        SimulationConfig(world=config.world, truth_format="geojson", relations=True)


def test_another_simulation_is_refused(made: tuple[Path, SimulationReport]) -> None:
    out, _ = made
    other = CITY.model_copy(update={"later_days": 6.0})
    with pytest.raises(SarKnowlipError, match=r"other settings \(later_days\); choose another"):
        run(other, out)


COMMAND = (
    "simulate", "--city", "Helsinki", "--size-km", "1", "--seed", "5",
    "--sensor", "sentinel1-iw-grd", "--sensor", "terrasarx-stripmap", "--set", "view.tile_px=128",
)  # fmt: skip


def start(out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sarknowlip", *COMMAND, "--out", str(out)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


@pytest.mark.slow
def test_kills_lose_nothing_and_leave_nothing_that_looks_whole(tmp_path: Path) -> None:
    """Another process, killed three times at work, ends with the bytes of an undisturbed one."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = start(whole)
    for wait in ("truth/*/*", "products/.*/tiles.jsonl", "products/.*terrasarx*/tiles.jsonl"):
        process = start(killed)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if list(killed.glob(wait)):
                break
            time.sleep(0.02)
        assert process.poll() is None, "it was over before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done = json.loads((killed / "simulation.json").read_text())["done"]
        shown = {path.name for path in killed.glob("products/*") if not path.name.startswith(".")}
        assert shown <= {str(value) for value in done.values()}
    assert start(killed).wait(timeout=300) == 0
    assert undisturbed.wait(timeout=300) == 0
    assert content(whole) == content(killed)


def test_a_town_of_a_map_is_seen(tmp_path: Path) -> None:
    town().write(tmp_path / "town.osm.pbf")
    config = SimulationConfig(
        world=OsmWorldConfig(path=tmp_path / "town.osm.pbf"),
        views=(AcquireConfig(sensor="alos2-fine", orbit_state="descending"),),
        relations=True,
    )
    report = run(config, tmp_path / "out")
    product = open_product(report.products[0])
    power = product.power(product.grid)
    assert np.isfinite(power).mean() > 0.9
    assert (report.truth[0] / "relations.parquet").is_file()


@pytest.mark.parametrize("sensor", sorted(PROFILES))
def test_every_sensor_sees_a_bright_ship_on_dark_water(sensor: str, tmp_path: Path) -> None:
    """Products of all sensors, read by our own readers, show the ship where it lies."""
    bounds = local_bounds(600, 600)
    ship = target(9, "ship", 300, 300, length=120, width=18, height=12, heading=20)
    world = HandWorld(layers(ground(bounds, "sea"), ship), bounds)
    path = acquire(world, AcquireConfig(sensor=sensor), tmp_path, "scene")
    product = open_product(path)
    step = max(4.0, PROFILES[sensor].spacing_range_m)
    size = int(400 / step)
    x, y = bounds.centre
    grid = GeoBox(
        (size, size), Affine(step, 0, x - 200, 0, -step, y + 200), f"EPSG:{world.frame.epsg}"
    )
    power = product.power(grid)
    assert power.shape[0] == len(PROFILES[sensor].polarizations)
    bright = power[0] > 10 * np.nanmedian(power[0])
    rows, columns = np.nonzero(bright)
    assert len(rows) > 0
    offset = np.hypot((columns.mean() + 0.5) * step - 200, (rows.mean() + 0.5) * step - 200)
    assert offset < max(30.0, 2 * step), f"the ship appears {offset:.0f} m off"


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"sensor": "nothing"}, ConfigError, "no simulated sensor 'nothing'; choose one of: sent"),
        ({"polarizations": ("HV",)}, ConfigError, "sentinel1-iw-grd has no product of HV"),
        ({"covariance": True}, ConfigError, "has no covariance product"),
        ({"look": "left"}, GeometryError, "left"),
        ({"incidence_deg": 80.0}, GeometryError, "80"),
        ({"start": "yesterday"}, ConfigError, "'yesterday' is no time"),
        ({"start": "1600-01-01"}, ConfigError, "'1600-01-01' is out of time; choose a year of"),
    ],
)
def test_what_cannot_be_seen_is_one_line(values, error, message: str, tmp_path: Path) -> None:
    bounds = local_bounds(300, 300)
    world = HandWorld(layers(ground(bounds)), bounds)
    with pytest.raises(error, match=message) as caught:
        acquire(world, AcquireConfig(**values), tmp_path / "out", "scene")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
