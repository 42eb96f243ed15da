"""Rung 3: simulated GeoTIFFs say everything about themselves and lie exactly where they should."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from affine import Affine

from data.world.make import HELSINKI, local_bounds
from sarknowlip.core.errors import ConfigError, GeometryError, ProductError
from sarknowlip.sar.sensors import find_products, open_product
from sarknowlip.simulate.formats import geotiff as writer
from sarknowlip.simulate.formats.geotiff import write_geotiff
from sarknowlip.simulate.image.map_grid import MapGrid
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.sensors import PROFILES
from sarknowlip.simulate.sensors.profile import View

MAPS = [name for name, profile in PROFILES.items() if profile.output == "geotiff"]
BOUNDS = local_bounds(1203.0, 909.0)
REFERENCE_M = 20.0
COVARIANCE = tuple(
    name
    for i in range(1, 5)
    for name in (f"C{i}{i}", *(f"C{i}{j}_{p}" for j in range(i + 1, 5) for p in ("real", "imag")))
)


def grid_of(name: str, **options: Any) -> MapGrid:
    profile = PROFILES[name]
    view = View(**{"incidence_deg": profile.incidence_deg[1]} | options)
    orbit = Orbit.past(HELSINKI, (*BOUNDS.centre, REFERENCE_M), profile, view)
    heights = (REFERENCE_M - 10.0, REFERENCE_M + 50.0)
    return MapGrid.over(HELSINKI, BOUNDS, REFERENCE_M, orbit, profile, heights=heights)


def speckle(bands: int, grid: MapGrid) -> npt.NDArray[np.float32]:
    noise = np.random.default_rng(2).exponential(0.1, (bands, *grid.shape))
    return noise.astype(np.float32)


def written(folder: Path, name: str, grid: MapGrid, image: Any, **options: Any) -> Path:
    return write_geotiff(
        image,
        folder / f"{name}.tif",
        geometry=grid,
        profile=PROFILES[name],
        world_name="Helsinki",
        **options,
    )


@pytest.mark.parametrize("name", MAPS)
def test_our_reader_misses_nothing_that_a_simulation_has(tmp_path: Path, name: str) -> None:
    profile, grid = PROFILES[name], grid_of(name)
    image = speckle(len(profile.polarizations), grid)
    product = open_product(written(tmp_path, name, grid, image))
    said = product.acquisition
    assert said.missing == ("sat:absolute_orbit", "sat:relative_orbit")
    assert said.platform == f"simulated-{profile.platform}"
    assert said.polarizations == profile.polarizations
    assert said.frequency_band == profile.band
    assert said.looks_equivalent_number == profile.enl
    assert said.incidence_angle == pytest.approx(profile.incidence_deg[1], abs=0.05)
    assert said.incidence_near < said.incidence_angle < said.incidence_far
    assert said.incidence_far - said.incidence_near < 0.5
    assert (said.orbit_state, said.observation_direction) == ("ascending", "right")
    assert said.heading == pytest.approx(grid.orbit.heading_deg)
    # 0.9 to 1.5 km of flight at 7 km/s
    assert timedelta(seconds=0.1) < said.end_datetime - said.start_datetime < timedelta(seconds=0.3)
    assert said.start_datetime.isoformat() < "2024-06-01T06:00:00" < said.end_datetime.isoformat()
    assert product.radiometry.quantity == "sigma0"
    assert product.radiometry.calibrated
    assert product.radiometry.noise_removed is False
    spread = 60.0 / np.sqrt(12.0) / np.tan(np.deg2rad(profile.incidence_deg[1]))
    assert product.geocoding.error_m == pytest.approx(spread, rel=0.01)
    assert np.array_equal(product.power(product.grid), image)


@pytest.mark.parametrize("state", ["ascending", "descending"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_pass_and_side_are_said(tmp_path: Path, state: str, side: str) -> None:
    grid = grid_of("alos2-fine", orbit_state=state, look=side)
    said = open_product(written(tmp_path, "alos2-fine", grid, speckle(2, grid))).acquisition
    assert (said.orbit_state, said.observation_direction) == (state, side)
    assert (said.heading > 270 or said.heading < 90) == (state == "ascending")


@pytest.mark.parametrize("name", ["terrasarx-stripmap", "gaofen3-fsii"])
def test_the_map_is_exact(tmp_path: Path, name: str) -> None:
    """A point at the reference height lies in the file at its own UTM coordinates."""
    grid, profile = grid_of(name), PROFILES[name]
    image = speckle(len(profile.polarizations), grid)
    path = written(tmp_path, name, grid, image)
    with rasterio.open(path) as source:
        assert source.crs.to_epsg() == HELSINKI.epsg
        metres = profile.spacing_range_m
        assert source.transform == Affine(metres, 0, grid.west, 0, -metres, grid.north)
        assert grid.west % metres == 0
        left, bottom, right, top = source.bounds
        assert left <= BOUNDS.west < left + metres
        assert bottom <= BOUNDS.south < bottom + metres
        assert right - metres < BOUNDS.east <= right
        assert top - metres < BOUNDS.north <= top
        x, y = BOUNDS.west + np.array([3.3, 511.7]), BOUNDS.south + np.array([4.4, 808.1])
        rows, columns = grid.positions(x, y, np.full(2, REFERENCE_M))
        for i in range(2):
            column, row = ~source.transform * (x[i], y[i])
            assert rows[i] == pytest.approx(row - 0.5, abs=2e-3)
            assert columns[i] == pytest.approx(column - 0.5, abs=2e-3)
            at = round(float(rows[i])), round(float(columns[i]))
            assert next(source.sample([(x[i], y[i])]))[0] == image[0][at]


def test_tiles_descriptions_and_origin_are_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "STRIP_PX", writer.TILE_PX)
    grid = grid_of("terrasarx-stripmap")
    path = written(tmp_path, "terrasarx-stripmap", grid, speckle(1, grid))
    with rasterio.open(path) as source:
        assert source.block_shapes == [(512, 512)]
        assert source.shape == grid.shape
        assert min(source.shape) > 512
        assert source.dtypes == ("float32",)
        assert np.isnan(source.nodata)
        assert source.descriptions == ("HH",)
        tags = source.tags()
    assert tags["TIFFTAG_SOFTWARE"] == "sarknowlip simulator"
    assert tags["TIFFTAG_IMAGEDESCRIPTION"].startswith("simulated TerraSAR-X")
    assert float(tags["NESZ_DB"]) == PROFILES["terrasarx-stripmap"].nesz_db
    assert float(tags["REFERENCE_HEIGHT_M"]) == REFERENCE_M
    assert tags["TIFFTAG_DATETIME"] == "2024:06:01 06:00:00"


def test_covariance_goes_to_a_file_that_is_no_product(tmp_path: Path) -> None:
    """Its diagonal is the product's power."""
    name, grid = "gaofen3-qpsi", grid_of("gaofen3-qpsi")
    profile = PROFILES[name]
    assert profile.polarizations == ("HH", "HV", "VH", "VV")
    image = speckle(len(COVARIANCE), grid)
    crossed = [i for i, channel in enumerate(COVARIANCE) if "_" in channel]
    image[crossed] -= np.float32(0.1)
    path = written(tmp_path, name, grid, image, channels=COVARIANCE)
    product = open_product(path)
    assert product.acquisition.polarizations == profile.polarizations
    diagonal = [i for i, channel in enumerate(COVARIANCE) if "_" not in channel]
    assert np.array_equal(product.power(product.grid), image[diagonal])
    beside = tmp_path / f"{name}{writer.COVARIANCE}"
    with rasterio.open(beside) as source:
        assert source.descriptions == COVARIANCE
        assert np.array_equal(source.read(), image)
        assert source.read(2).min() < 0
    with pytest.raises(ProductError, match="is no SAR product"):
        open_product(beside)
    assert find_products(tmp_path) == [path]


def test_other_polarisations_than_the_usual_ones(tmp_path: Path) -> None:
    grid = grid_of("gaofen3-fsii")
    image = speckle(2, grid)
    path = written(tmp_path, "gaofen3-fsii", grid, image, polarizations=("VV", "VH"))
    assert open_product(path).acquisition.polarizations == ("VV", "VH")


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    grid = grid_of("alos2-stripmap")
    image = speckle(1, grid)
    image[0, :7, :9] = np.nan
    first, second = (
        written(tmp_path / folder, "alos2-stripmap", grid, image) for folder in ("a", "b")
    )
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".sar.json").read_bytes() == (
        second.with_suffix(".sar.json").read_bytes()
    )
    product = open_product(first)
    assert np.array_equal(product.power(product.grid), image, equal_nan=True)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    grid = grid_of("gaofen3-fsii")
    image = speckle(2, grid)
    with pytest.raises(GeometryError, match="the image has shape"):
        written(tmp_path, "gaofen3-fsii", grid, image[:, :-1])
    with pytest.raises(GeometryError, match="the image has shape"):
        written(tmp_path, "gaofen3-fsii", grid, image, channels=("HH",))
    with pytest.raises(ConfigError, match="no power of HH among the channels C12_real, C22"):
        written(tmp_path, "gaofen3-fsii", grid, image, channels=("C12_real", "C22"))
    with pytest.raises(ConfigError, match="umbra-spotlight has no GeoTIFF"):
        written(tmp_path, "umbra-spotlight", grid, image)
    assert list(tmp_path.iterdir()) == []


FULL_DISK = (
    "import resource, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
    "from test_30_simulate_geotiff import grid_of, speckle, written\n"
    "from sarknowlip.core.errors import StorageError\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "name = 'terrasarx-stripmap'; grid = grid_of(name); image = speckle(1, grid)\n"
    "for limit in map(int, sys.argv[3:]):\n"
    "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
    "    try:\n        written(Path(sys.argv[1]) / str(limit), name, grid, image)\n"
    "    except StorageError as error:\n        print(error)\n"
)


def test_a_full_disk_is_one_line_and_leaves_no_raster(tmp_path: Path) -> None:
    """At the start, in the middle, and when GDAL closes the file."""
    grid = grid_of("terrasarx-stripmap")
    whole = written(tmp_path / "whole", "terrasarx-stripmap", grid, speckle(1, grid))
    size = whole.stat().st_size
    limits = [str(n) for n in (3_000, size // 2, size - 10)]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), str(Path(__file__).parent), *limits],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout + done.stderr
    for line, limit in zip(lines, limits, strict=True):
        assert line.startswith(f"cannot write {tmp_path}")
        assert "free space" in line
        assert {file.suffix for file in (tmp_path / limit).iterdir()} <= {".json"}
