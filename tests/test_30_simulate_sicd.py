"""Rung 3: simulated SICD files hold to the standard, and our reader finds everything in them."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sarkit.sicd as sicd
from odc.geo.geobox import GeoBox
from sarkit.verification import SicdConsistency

from data.elevation.make import make_dem
from data.sicd.targets import GSD_M, grid_at, offset_px
from data.world.make import HELSINKI, local_bounds
from sarknowlip.core.errors import ConfigError, GeometryError
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors import open_product
from sarknowlip.simulate.formats import sicd as writer
from sarknowlip.simulate.formats.sicd import write_sicd
from sarknowlip.simulate.frame import Bounds, Frame
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.image.response import ImpulseResponse, response
from sarknowlip.simulate.image.slant_grid import SlantRangeGrid
from sarknowlip.simulate.sensors import PROFILES
from sarknowlip.simulate.sensors.profile import View

SICD = [name for name, profile in PROFILES.items() if profile.output == "sicd"]
BOUNDS = local_bounds(130.0, 110.0)
REFERENCE_M = 20.0
SIGMA0 = 0.1
SHIFTS = np.array([(0.0, 0.0), (21.3, 12.2), (-18.7, 9.4), (13.1, -23.8), (-15.2, -17.9)])


def grid_of(
    name: str, bounds: Bounds = BOUNDS, frame: Frame = HELSINKI, **options: Any
) -> SlantRangeGrid:
    profile = PROFILES[name]
    view = View(**{"incidence_deg": profile.incidence_deg[1]} | options)
    orbit = Orbit.past(frame, (*bounds.centre, REFERENCE_M), profile, view)
    heights = (REFERENCE_M, REFERENCE_M + 40.0)
    return SlantRangeGrid.over(frame, bounds, REFERENCE_M, orbit, profile, heights=heights)


def clutter(name: str, grid: SlantRangeGrid, sigma0: float = SIGMA0) -> npt.NDArray[np.complex64]:
    """Return white circular noise of σ⁰ plus the sensor's noise."""
    power = sigma0 + 10 ** (PROFILES[name].nesz_db / 10)
    parts = np.random.default_rng(1).standard_normal((*grid.shape, 2), dtype=np.float32)
    return (parts.view(np.complex64)[..., 0] * np.float32(np.sqrt(power / 2)))[None]


def targets(grid: SlantRangeGrid, height: float) -> tuple[Any, Any, Any]:
    x, y = np.array(grid.bounds.centre)[:, None] + SHIFTS.T
    return x, y, np.full(len(SHIFTS), height)


def add_points(image: npt.NDArray[np.complex64], name: str, grid: SlantRangeGrid, xyz: Any) -> None:
    """Add responses of bright points where the exact orbit puts them."""
    profile = PROFILES[name]
    rows, columns = grid.exact_positions(*xyz)
    for row, column in zip(rows, columns, strict=True):
        r = (np.arange(grid.shape[0]) - row) * grid.row_spacing_m / profile.resolution_range_m
        c = (np.arange(grid.shape[1]) - column) * grid.column_spacing_m
        c /= profile.resolution_azimuth_m
        image[0] += 100.0 * np.outer(response(r, profile.hamming), response(c, profile.hamming))


def written(folder: Path, name: str, grid: SlantRangeGrid, image: Any) -> Path:
    path = folder / f"{name}.nitf"
    return write_sicd(
        image, path, geometry=grid, profile=PROFILES[name], world_name="Helsinki test"
    )


PASSES = list(itertools.product(("ascending", "descending"), ("right", "left")))
CASES = [
    *(("umbra-spotlight", state, side) for state, side in PASSES),
    ("iceye-spotlight", "ascending", "right"),
    ("capella-spotlight", "descending", "left"),
]


@pytest.mark.parametrize(("name", "state", "side"), CASES)
def test_files_hold_to_the_standard(tmp_path: Path, name: str, state: str, side: str) -> None:
    grid = grid_of(name, look=side, orbit_state=state)
    path = written(tmp_path, name, grid, clutter(name, grid))
    with path.open("rb") as handle:
        checks = SicdConsistency.from_file(handle)
    checks.check()
    assert not checks.failures()
    assert len(checks.passes()) > 45


def test_sarkits_command_finds_no_error(tmp_path: Path) -> None:
    grid = grid_of("umbra-spotlight")
    path = written(tmp_path, "umbra-spotlight", grid, clutter("umbra-spotlight", grid))
    command = Path(sys.executable).parent / "sicdcheck"
    done = subprocess.run([command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # It does fail on what is wrong.
    damaged = path.read_bytes().replace(b"<FreqZero>9", b"<FreqZero>x")
    path.write_bytes(damaged)
    assert subprocess.run([command, str(path)], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("name", SICD)
def test_acquisition_is_said_honestly(tmp_path: Path, name: str) -> None:
    grid, profile = grid_of(name), PROFILES[name]
    said = open_product(written(tmp_path, name, grid, clutter(name, grid))).acquisition
    assert said.platform is not None
    assert said.platform.startswith("SIMULATED")
    assert said.polarizations == profile.polarizations
    assert said.center_frequency == pytest.approx(profile.frequency_ghz)
    assert said.incidence_angle == pytest.approx(profile.incidence_deg[1], abs=0.02)
    assert said.resolution_range == profile.resolution_range_m
    assert said.resolution_azimuth == profile.resolution_azimuth_m
    assert said.heading == pytest.approx(grid.orbit.heading_deg, abs=0.01)
    assert said.start_datetime < datetime(2024, 6, 1, 6, tzinfo=UTC) < said.end_datetime
    assert 1.0 < (said.end_datetime - said.start_datetime).total_seconds() < 8.0
    not_in_sicd = {"constellation", "instruments", "sar:looks_equivalent_number"}
    assert set(said.missing) == {*not_in_sicd, "sat:relative_orbit", "sat:absolute_orbit"}


@pytest.mark.parametrize(("name", "state", "side"), CASES)
@pytest.mark.parametrize("rise", [0.0, 25.0])
def test_points_come_back_where_they_are(
    tmp_path: Path, name: str, state: str, side: str, rise: float
) -> None:
    """Constant height at the reference, an elevation model for what lies higher."""
    grid = grid_of(name, orbit_state=state, look=side)
    image = clutter(name, grid)
    x, y, z = targets(grid, REFERENCE_M + rise)
    add_points(image, name, grid, (x, y, z))
    path = written(tmp_path, name, grid, image)
    lon, lat = HELSINKI.lonlat(x, y)
    target = grid_at(lon[0], lat[0], 80.0)
    options = ReadOptions()
    if rise:
        dem = make_dem(tmp_path / "dem.tif", grid_at(lon[0], lat[0], 400.0), REFERENCE_M + rise)
        options = ReadOptions(dem=dem, dem_geoid_m=0.0)
    product = open_product(path, options)
    assert product.acquisition.observation_direction == side
    assert product.acquisition.orbit_state == state
    power = product.power(target)[0]
    offsets = [offset_px(power, target, *place) for place in zip(lon, lat, strict=True)]
    assert GSD_M == 0.5
    assert max(offsets) < 0.5
    assert np.median(offsets) < 0.2


def test_points_come_back_on_the_southern_hemisphere(tmp_path: Path) -> None:
    bounds = Bounds(334_000.0, 6_250_000.0, 334_130.0, 6_250_110.0)
    grid = grid_of("umbra-spotlight", bounds, Frame(32756), look="left")
    image = clutter("umbra-spotlight", grid)
    x, y, z = targets(grid, REFERENCE_M)
    add_points(image, "umbra-spotlight", grid, (x, y, z))
    product = open_product(written(tmp_path, "umbra-spotlight", grid, image))
    lon, lat = Frame(32756).lonlat(x, y)
    target = grid_at(lon[0], lat[0], 80.0)
    power = product.power(target)[0]
    assert max(offset_px(power, target, *p) for p in zip(lon, lat, strict=True)) < 0.5


def world_grid(bounds: Bounds, metres: float) -> GeoBox:
    return GeoBox.from_bbox(
        (bounds.west, bounds.south, bounds.east, bounds.north), "EPSG:32635", resolution=metres
    )


@pytest.mark.parametrize("name", SICD)
def test_mean_backscatter_comes_back(tmp_path: Path, name: str) -> None:
    bounds = local_bounds(180.0, 160.0)
    grid = grid_of(name, bounds)
    path = written(tmp_path, name, grid, clutter(name, grid))
    inner = world_grid(bounds.padded(-12.0), 1.0)
    product = open_product(path)
    assert product.radiometry.quantity == "sigma0"
    assert product.radiometry.noise_removed
    mean = float(np.nanmean(product.power(inner)))
    assert 10 * np.log10(mean / SIGMA0) == pytest.approx(0.0, abs=0.05)
    noisy = open_product(path, ReadOptions(remove_noise=False)).power(inner)
    noise = 10 ** (PROFILES[name].nesz_db / 10)
    assert 10 * np.log10(np.nanmean(noisy) / (SIGMA0 + noise)) == pytest.approx(0.0, abs=0.05)
    angle = np.deg2rad(PROFILES[name].incidence_deg[1])
    for quantity, factor in (("gamma0", np.cos(angle)), ("beta0", np.sin(angle))):
        other = open_product(path, ReadOptions(quantity=quantity)).power(inner)  # type: ignore[arg-type]
        decibels = 10 * np.log10(np.nanmean(other) * factor / SIGMA0)
        assert decibels == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("name", SICD)
def test_a_points_cross_section_comes_back(tmp_path: Path, name: str) -> None:
    """By the renderer's rule: a point adds its cross-section over a pixel's ground area."""
    grid, profile = grid_of(name), PROFILES[name]
    shape = ImpulseResponse(
        profile.hamming,
        (profile.resolution_range_m, profile.resolution_azimuth_m),
        grid.axes(0, 0),
    )
    angle = np.deg2rad(profile.incidence_deg[1])
    pixel_m2 = grid.row_spacing_m / np.sin(angle) * grid.column_spacing_m
    peak = 250.0 / pixel_m2 * shape.peak
    path = written(tmp_path, name, grid, clutter(name, grid))
    with path.open("rb") as handle:
        tree = sicd.NitfReader(handle).metadata.xmltree
    factor = sicd.XmlHelper(tree).load("{*}Radiometric/{*}RCSSFPoly")[0, 0]
    assert peak * factor == pytest.approx(250.0, rel=0.01)


def test_beyond_the_world_is_no_data(tmp_path: Path) -> None:
    grid = grid_of("umbra-spotlight")
    product = open_product(
        written(tmp_path, "umbra-spotlight", grid, clutter("umbra-spotlight", grid))
    )
    power = product.power(world_grid(BOUNDS.padded(30.0), 1.0))[0]
    assert np.isfinite(power[35:-35, 35:-35]).all()
    assert np.isnan(power[:24]).all()
    assert np.isnan(power[:, -24:]).all()


def test_equal_input_gives_equal_bytes_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, grid = "iceye-spotlight", grid_of("iceye-spotlight", local_bounds(480.0, 480.0))
    image = clutter(name, grid)
    image[0, 3, 5:9] = np.nan
    assert image.nbytes > 20e6
    whole = written(tmp_path / "a", name, grid, image).read_bytes()
    monkeypatch.setattr(writer, "BLOCK_BYTES", 2**20)
    tracemalloc.start()
    path = written(tmp_path / "b", name, grid, image)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6
    assert path.read_bytes() == whole
    assert b"20240601055957" in whole[:400], "the file's date is the acquisition's"
    with path.open("rb") as handle:
        stored = sicd.NitfReader(handle).read_image()
    assert (stored[3, 5:9] == 0).all()
    assert np.array_equal(stored, np.nan_to_num(image[0]))


def test_an_image_of_several_segments_is_one_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NITF cuts at 10 GB; here at 1 MB. And a name that ASCII lacks is no obstacle."""
    name, grid = "umbra-spotlight", grid_of("umbra-spotlight")
    image = clutter(name, grid)
    whole = open_product(written(tmp_path, name, grid, image)).power(world_grid(BOUNDS, 1.0))
    monkeypatch.setattr("sarkit.sicd._constants.IS_SIZE_MAX", 10**6)
    monkeypatch.setattr(writer, "BLOCK_BYTES", 300_000)
    path = tmp_path / "cut.nitf"
    write_sicd(image, path, geometry=grid, profile=PROFILES[name], world_name="Åbo 東京")
    with path.open("rb") as handle:
        reader = sicd.NitfReader(handle)
        assert len(reader.jbp["ImageSegments"]) == -(-image.nbytes // 10**6) >= 2
        assert reader.metadata.xmltree.findtext(".//{*}CoreName").endswith("Åbo 東京")
    assert np.array_equal(open_product(path).power(world_grid(BOUNDS, 1.0)), whole, equal_nan=True)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    grid = grid_of("umbra-spotlight")
    image = clutter("umbra-spotlight", grid)
    with pytest.raises(GeometryError, match="the image has shape"):
        written(tmp_path, "umbra-spotlight", grid, image[:, 1:])
    with pytest.raises(GeometryError, match="each polarisation"):
        written(tmp_path, "umbra-spotlight", grid, np.concatenate([image, image]))
    with pytest.raises(ConfigError, match="terrasarx-stripmap has no SICD"):
        written(tmp_path, "terrasarx-stripmap", grid, image)
    assert list(tmp_path.iterdir()) == []


FULL_DISK = (
    "import resource, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
    "from test_30_simulate_sicd import clutter, grid_of, written;"
    "from sarknowlip.core.errors import StorageError;"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000));"
    "name = 'umbra-spotlight'; grid = grid_of(name)\n"
    "try:\n    written(Path(sys.argv[1]), name, grid, clutter(name, grid))\n"
    "except StorageError as error:\n    print(error)"
)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    tests = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), tests],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("cannot write"), done.stdout + done.stderr
    assert "File too large" in done.stdout
    assert "free space" in done.stdout
    assert list(tmp_path.iterdir()) == []
