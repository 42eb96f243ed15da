"""Rung 3: simulated SAFE folders through our reader, xarray-sentinel, sarsen, GDAL, a schema."""

from __future__ import annotations

import binascii
import hashlib
import logging
import os
import resource
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import sarsen
import xarray_sentinel
import xmlschema

from data.elevation.make import make_dem
from data.sicd.targets import grid_at, offset_px
from data.world.make import HandWorld, local_bounds
from sarknowlip.core.errors import ConfigError, GeometryError, StorageError
from sarknowlip.core.files import remove_partials
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.safe import read_annotation
from sarknowlip.sar.sensors import open_product
from sarknowlip.sar.sensors.sentinel1 import Sentinel1Safe
from sarknowlip.simulate.formats.safe import write_safe
from sarknowlip.simulate.formats.safe_annotation import OrbitNumbers, constants
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.image.radar_grid import GroundRangeGrid
from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.sensors import find_profile
from sarknowlip.simulate.sensors.profile import View

S1 = find_profile("sentinel1-iw-grd")
NOISE = 10.0 ** (S1.nesz_db / 10.0)
GSD_M = 10.0
SCHEMAS = Path(xarray_sentinel.__file__).parent / "resources" / "sentinel1"
GENUINE = "sentinel1-safe/S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE"


def hills(x, y):
    """Return heights from −130 to 170 m: hills 1.5 km wide."""
    return 20.0 + 150.0 * np.sin(2 * np.pi * (x - 380_000.0) / 3000.0) * np.cos(
        2 * np.pi * (y - 6_670_000.0) / 3600.0
    )


def scene(state: str = "ascending", size: float = 2000.0, relief=20.0, start: str | None = None):
    """Return a world without content and the Sentinel-1 geometry of its image."""
    world = HandWorld(Layers.empty(), local_bounds(size, size), relief)
    view = View(orbit_state=state, incidence_deg=38.3, start=start or View().start)
    orbit = Orbit.past(world.frame, (*world.bounds.centre, 20.0), S1, view)
    return world, GroundRangeGrid.over(world.frame, world.bounds, 20.0, orbit, S1)


def write(raster, folder: Path, world, geometry, **others) -> Path:
    given = {"profile": S1, "world_name": "hills <& dales>"} | others
    return write_safe(raster, folder, geometry=geometry, world=world, **given)


def even(geometry, *levels: float):
    """Return images of one σ⁰ each."""
    return np.stack([np.full(geometry.shape, level, np.float32) for level in levels])


@pytest.fixture(scope="module")
def flat(tmp_path_factory) -> tuple[Path, GroundRangeGrid]:
    """Return a product over even ground: σ⁰ of 1 in VV and of 0.05 in VH, noise included."""
    world, geometry = scene("descending")
    folder = tmp_path_factory.mktemp("flat")
    return write(even(geometry, 1.0, 0.05), folder, world, geometry), geometry


@pytest.mark.parametrize("state", ["ascending", "descending"])
def test_point_scatterers_come_back_where_they_are(state: str, tmp_path: Path) -> None:
    """Within half a pixel of 10 m, by tie points and by terrain correction, over ±150 m."""
    world, geometry = scene(state, 4000.0, hills)
    random = np.random.default_rng(5)
    steps = np.arange(5) * 800.0 + 400.0 + random.uniform(-250.0, 250.0, (2, 5, 5))
    x, y = (steps[0] + world.bounds.west).ravel(), (steps[1].T + world.bounds.south).ravel()
    z = hills(x, y)
    assert np.ptp(z) > 250.0
    raster = even(geometry, 1e-3)
    rows, columns = np.mgrid[-6:7, -6:7]
    for row, column in zip(*geometry.positions(x, y, z), strict=True):
        i, j = round(row), round(column)
        spot = (rows + i - row) ** 2 + (columns + j - column) ** 2
        raster[:, i - 6 : i + 7, j - 6 : j + 7] += 30.0 * np.exp(-spot / 2.5).astype(np.float32)
    path = write(raster, tmp_path, world, geometry, polarizations=("VV",))
    lon, lat = world.frame.lonlat(x, y)
    middle = (float(v) for v in world.frame.lonlat(*world.bounds.centre))
    grid = grid_at(*middle, 4000.0, GSD_M)
    dem = make_dem(tmp_path / "dem.tif", grid, hills, step=10.0, margin=1500.0)
    by_ties = Sentinel1Safe.open(path)
    by_orbit = Sentinel1Safe.open(path, ReadOptions(dem=dem, dem_geoid_m=0.0))
    for product, most in ((by_ties, 0.5), (by_orbit, 0.1)):
        offsets = [
            offset_px(band, near, float(a), float(b))
            for a, b in zip(lon, lat, strict=True)
            for near in [grid_at(float(a), float(b), 360.0, GSD_M)]
            for band in product.power(near)
        ]
        assert len(offsets) == 25
        assert max(offsets) < most


def test_a_point_off_the_terrain_is_found_by_its_own_height_only(tmp_path: Path) -> None:
    """The tie points hold terrain: a mast's top appears h / tan θ nearer to the radar."""
    world, geometry = scene("descending")
    x, y = (np.array([v]) for v in world.bounds.centre)
    raster = even(geometry, 1e-3, 1e-3)
    (row,), (column,) = geometry.positions(x, y, np.array([140.0]))
    raster[:, round(row), round(column)] = 100.0
    product = Sentinel1Safe.open(write(raster, tmp_path, world, geometry))
    look = np.deg2rad(geometry.look_deg)
    shift = 120.0 / np.tan(np.deg2rad(38.3))
    foot = world.frame.lonlat(x - shift * np.sin(look), y - shift * np.cos(look))
    lon, lat = (float(v[0]) for v in foot)
    grid = grid_at(lon, lat, 360.0, GSD_M)
    assert offset_px(product.power(grid)[0], grid, lon, lat) < 1.0


def test_metadata_are_complete(flat: tuple[Path, GroundRangeGrid]) -> None:
    path, geometry = flat
    product = open_product(path)
    assert isinstance(product, Sentinel1Safe)
    acquisition = product.acquisition
    assert acquisition.platform == "sentinel-1a"
    assert acquisition.orbit_state == "descending"
    assert acquisition.polarizations == ("VV", "VH")
    assert acquisition.observation_direction == "right"
    assert (acquisition.looks_range, acquisition.looks_azimuth) == (5, 1)
    assert acquisition.looks_equivalent_number == S1.enl
    assert acquisition.incidence_angle == pytest.approx(38.3, abs=0.05)
    assert acquisition.incidence_near < 38.3 < acquisition.incidence_far
    assert acquisition.heading == pytest.approx(geometry.orbit.heading_deg)
    assert acquisition.start_datetime.isoformat().startswith("2024-06-01T05:59:59.")
    assert acquisition.end_datetime.isoformat().startswith("2024-06-01T06:00:00.")
    assert 1 <= acquisition.relative_orbit <= 175
    assert (acquisition.absolute_orbit - 73) % 175 + 1 == acquisition.relative_orbit
    unset = [k for k, v in acquisition.model_dump().items() if v is None]
    assert unset == []
    assert not read_annotation(next((path / "annotation").glob("*vv*.xml"))).noise_removed
    assert product.radiometry.noise_removed


def test_the_product_says_that_it_is_simulated(flat: tuple[Path, GroundRangeGrid]) -> None:
    path, _ = flat
    assert "No satellite acquired it" in (path / "SIMULATED.txt").read_text()
    root = ElementTree.parse(path / "manifest.safe").getroot()
    facility = next(root.iter("{http://www.esa.int/safe/sentinel-1.0}facility"))
    assert "no satellite acquired this" in facility.attrib["name"]
    resource = next(root.iter("{http://www.esa.int/safe/sentinel-1.0}resource"))
    assert resource.attrib["name"] == "hills <& dales>"
    with rasterio.open(next(path.glob("measurement/*vv*"))) as raster:
        assert "simulated" in raster.tags()["TIFFTAG_IMAGEDESCRIPTION"]


def test_files_obey_the_schemas_of_the_format(flat: tuple[Path, GroundRangeGrid]) -> None:
    path, _ = flat
    for kind, pattern in (
        ("product", "annotation/*.xml"),
        ("calibration", "annotation/calibration/calibration-*.xml"),
        ("noise", "annotation/calibration/noise-*.xml"),
    ):
        schema = xmlschema.XMLSchema(SCHEMAS / f"s1-level-1-{kind}.xsd")
        files = list(path.glob(pattern))
        assert len(files) == 2
        for file in files:
            schema.validate(file)
            for element in ElementTree.parse(file).iter():
                if "count" in element.attrib and not len(element):
                    words = len((element.text or "").split())
                    complex_pairs = 2 if element.tag == "elevationPattern" else 1
                    assert words == complex_pairs * int(element.attrib["count"])


def test_manifest_names_every_file_with_its_checksum(flat: tuple[Path, GroundRangeGrid]) -> None:
    path, _ = flat
    content = (path / "manifest.safe").read_bytes()
    assert path.name.endswith(f"_{binascii.crc_hqx(content, 0xFFFF):04X}.SAFE")
    listed = set()
    for entry in ElementTree.fromstring(content).iter("dataObject"):
        file = path / entry.find(".//fileLocation").attrib["href"]
        listed.add(file.resolve())
        assert hashlib.md5(file.read_bytes()).hexdigest() == entry.findtext(".//checksum")
        assert file.stat().st_size == int(entry.find("byteStream").attrib["size"])
    present = {file.resolve() for file in path.rglob("*") if file.is_file()}
    assert present - listed == {
        (path / name).resolve() for name in ("manifest.safe", "SIMULATED.txt")
    }


def test_xarray_sentinel_sarsen_and_gdal_open_it(flat: tuple[Path, GroundRangeGrid]) -> None:
    path, geometry = flat
    image = xarray_sentinel.open_sentinel1_dataset(str(path), group="IW/VV")
    assert (image.sizes["azimuth_time"], image.sizes["ground_range"]) == geometry.shape
    groups = {
        name: xarray_sentinel.open_sentinel1_dataset(str(path), group=f"IW/VV/{name}")
        for name in ("orbit", "gcp", "coordinate_conversion", "calibration", "noise_range")
    }
    steps = np.diff(groups["orbit"].azimuth_time.values) / np.timedelta64(1, "s")
    np.testing.assert_array_equal(steps, 10.0)
    seconds = (groups["orbit"].azimuth_time.values - geometry.orbit.start) / np.timedelta64(1, "s")
    np.testing.assert_allclose(
        groups["orbit"].position.transpose("axis", "azimuth_time"),
        geometry.orbit.position(seconds),
        atol=1e-6,
    )
    beta = sarsen.Sentinel1SarProduct(str(path), measurement_group="IW/VV").beta_nought()
    np.testing.assert_allclose(beta.mean(), 1.0 / np.sin(np.deg2rad(38.3)), rtol=0.01)
    with rasterio.open(path / "manifest.safe") as source:
        assert (source.driver, source.count, source.shape) == ("SAFE", 2, geometry.shape)
    with warnings.catch_warnings(), rasterio.open(next(path.glob("measurement/*vv*"))) as source:
        warnings.simplefilter("ignore")
        points, crs = source.gcps
        assert crs.to_epsg() == 4326
        x, y = geometry.frame.xy([p.x for p in points], [p.y for p in points])
        row, column = geometry.positions(x, y, np.array([p.z for p in points]))
        np.testing.assert_allclose(row, [p.row for p in points], atol=0.01)
        np.testing.assert_allclose(column, [p.col for p in points], atol=0.01)


def test_tie_points_lie_on_the_terrain_at_their_pixels(tmp_path: Path) -> None:
    world, geometry = scene("ascending", 3000.0, hills)
    path = write(even(geometry, 0.1, 0.1), tmp_path, world, geometry)
    ties = read_annotation(next((path / "annotation").glob("*vv*.xml"))).ties
    x, y = world.frame.xy(ties.lon, ties.lat)
    np.testing.assert_allclose(ties.height, hills(x, y), atol=1e-3)
    row, column = geometry.positions(x, y, ties.height)
    np.testing.assert_allclose(row, np.broadcast_to(ties.line[:, None], row.shape), atol=1e-3)
    np.testing.assert_allclose(column, np.broadcast_to(ties.pixel, row.shape), atol=1e-3)


@pytest.mark.parametrize("levels", [(1e-3, 1e-2), (1.0, 316.0)])
def test_calibration_gives_back_what_was_written(levels, tmp_path: Path) -> None:
    """Within 0.01 dB from digital numbers of 500 on; below that, within their rounding."""
    world, geometry = scene()
    path = write(even(geometry, *levels), tmp_path, world, geometry)
    lon, lat = (float(v) for v in world.frame.lonlat(*world.bounds.centre))
    power = Sentinel1Safe.open(path, ReadOptions(remove_noise=False)).power(
        grid_at(lon, lat, 1000.0, GSD_M)
    )
    for band, level in zip(power, levels, strict=True):
        error = np.abs(10 * np.log10(band / level)).max()
        number = np.sqrt(level / np.sin(np.deg2rad(38.5))) * constants()["beta_nought"]
        assert error < 20 * np.log10(1 + 0.5 / number) + 1e-4
        assert number < 500 or error < 0.01


def test_coefficients_differ_by_incidence(flat: tuple[Path, GroundRangeGrid]) -> None:
    path, geometry = flat
    lon, lat = (float(v) for v in geometry.frame.lonlat(*geometry.centre[:2]))
    grid = grid_at(lon, lat, 200.0, GSD_M)
    sigma, beta, gamma = (
        Sentinel1Safe.open(path, ReadOptions(remove_noise=False, quantity=name)).power(grid)
        for name in ("sigma0", "beta0", "gamma0")
    )
    angle = np.deg2rad(38.3)
    np.testing.assert_allclose(beta / sigma, 1 / np.sin(angle), rtol=1e-3)
    np.testing.assert_allclose(gamma / sigma, 1 / np.cos(angle), rtol=1e-3)


def test_noise_removal_gives_back_the_mean_without_noise(tmp_path: Path) -> None:
    world, geometry = scene()
    signal = np.array([0.02, 0.004])[:, None, None]
    random = np.random.default_rng(11)
    speckle = random.gamma(S1.enl, 1 / S1.enl, (2, *geometry.shape))
    path = write(((signal + NOISE) * speckle).astype(np.float32), tmp_path, world, geometry)
    lon, lat = (float(v) for v in world.frame.lonlat(*world.bounds.centre))
    grid = grid_at(lon, lat, 1600.0, GSD_M)
    kept = Sentinel1Safe.open(path, ReadOptions(remove_noise=False)).power(grid)
    # 25,600 pixels of 4.4 looks: the mean is known to 0.3 per cent of signal and noise together.
    tolerance = 4 * (signal.ravel() + NOISE) / np.sqrt(S1.enl * grid.shape[0] * grid.shape[1])
    assert (np.abs(kept.mean(axis=(1, 2)) - signal.ravel() - NOISE) < tolerance).all()
    # Not `power`, which cuts negative values off and so raises the mean of dark pixels.
    tables = Sentinel1Safe.open(path)._swaths[0].tables("VV", "sigma0", True)
    with rasterio.open(next(path.glob("measurement/*vv*"))) as source:
        number = source.read(1).astype(float)
    window = tuple(slice(0, n) for n in geometry.shape)
    removed = (number**2 - tables[1].window(*window)) / tables[0].window(*window) ** 2
    assert removed.mean() == pytest.approx(0.02, abs=tolerance[0])
    np.testing.assert_allclose(
        tables[1].window(*window) / tables[0].window(*window) ** 2, NOISE, rtol=1e-4
    )


def test_nothing_is_zero_and_too_bright_is_cut(tmp_path: Path, caplog) -> None:
    world, geometry = scene()
    raster = even(geometry, 0.1, 0.1)
    raster[0, :10] = np.nan
    raster[0, 10:20] = 0.0
    raster[0, 20:22] = 1e5
    with caplog.at_level(logging.WARNING):
        path = write(raster, tmp_path, world, geometry)
    assert f"{2 * geometry.shape[1]} pixels are brighter" in caplog.text
    with rasterio.open(next(path.glob("measurement/*vv*"))) as source:
        number = source.read(1)
    assert (number[:10] == 0).all()
    assert (number[10:20] == 1).all()
    assert (number[20:22] == 65_535).all()
    information = ElementTree.parse(next(path.glob("annotation/*vv*"))).getroot()
    mean = float(information.findtext(".//imageInformation//outputDataMean/re"))
    deviation = float(information.findtext(".//imageInformation//outputDataStdDev/re"))
    assert mean == pytest.approx(number[10:].mean(), rel=1e-5)
    assert deviation == pytest.approx(number[10:].std(), rel=1e-5)


def test_equal_images_give_equal_bytes_and_touch_nothing(tmp_path: Path) -> None:
    world, geometry = scene()
    first, again = (
        write(even(geometry, 0.2, 0.1), tmp_path / name, world, geometry) for name in "ab"
    )
    assert first.name == again.name
    files = [file.relative_to(first) for file in first.rglob("*") if file.is_file()]
    assert len(files) == 10
    assert all((first / file).read_bytes() == (again / file).read_bytes() for file in files)
    before = {file: (first / file).stat().st_mtime_ns for file in files}
    assert write(even(geometry, 0.2, 0.1), tmp_path / "a", world, geometry) == first
    assert {file: (first / file).stat().st_mtime_ns for file in files} == before
    (first / "SIMULATED.txt").write_text("damaged")
    write(even(geometry, 0.2, 0.1), tmp_path / "a", world, geometry)
    assert (first / "SIMULATED.txt").read_bytes() == (again / "SIMULATED.txt").read_bytes()
    other = write(even(geometry, 0.2, 0.11), tmp_path / "a", world, geometry)
    assert other != first
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted([first.name, other.name])


def test_what_sentinel1_is_not_is_refused(tmp_path: Path) -> None:
    world, geometry = scene()
    raster = even(geometry, 0.1, 0.1)
    both = S1.model_copy(update={"look_sides": ("right", "left")})
    orbit = Orbit.past(world.frame, geometry.centre, both, View(look="left", incidence_deg=38.3))
    left = GroundRangeGrid.over(world.frame, world.bounds, 20.0, orbit, S1)
    with pytest.raises(GeometryError, match="does not look left"):
        write(even(left, 0.1, 0.1), tmp_path, world, left)
    with pytest.raises(GeometryError, match="render it with the same geometry"):
        write(raster[:, 1:], tmp_path, world, geometry)
    with pytest.raises(ConfigError, match="no products of VV and HH"):
        write(raster, tmp_path, world, geometry, polarizations=("VV", "HH"))
    other = S1.model_copy(update={"platform": "sentinel-1c"})
    with pytest.raises(ConfigError, match="choose sentinel-1a or sentinel-1b"):
        write(raster, tmp_path, world, geometry, profile=other)
    other = S1.model_copy(update={"constellation": "umbra", "output": "sicd"})
    with pytest.raises(ConfigError, match="has no SAFE products; write it as sicd"):
        write(raster, tmp_path, world, geometry, profile=other)
    assert list(tmp_path.iterdir()) == []


def test_one_polarisation(tmp_path: Path) -> None:
    world, geometry = scene()
    path = write(even(geometry, 0.1), tmp_path, world, geometry, polarizations=("HH",))
    assert "_1SSH_" in path.name
    assert open_product(path).acquisition.polarizations == ("HH",)


def test_orbit_numbers_are_those_of_genuine_tracks(shared_data) -> None:
    """A circle through a state vector of a product has the product's orbit number."""
    path = next((shared_data(GENUINE) / "annotation").glob("s1b*vv*.xml"))
    root = ElementTree.parse(path).getroot()
    state = root.findall(".//orbit")[8]
    place, flight = (
        np.array([float(state.findtext(f"{name}/{axis}")) for axis in "xyz"])
        for name in ("position", "velocity")
    )
    flight = flight + np.cross([0.0, 0.0, 7.292115e-5], place)
    ahead = flight - place * (flight @ place) / (place @ place)
    orbit = Orbit(
        radius_m=float(np.linalg.norm(place)),
        abeam=place / np.linalg.norm(place),
        ahead=ahead / np.linalg.norm(ahead),
        start=np.datetime64(state.findtext("time"), "ns"),
        ascending=False,
        right=True,
    )
    assert OrbitNumbers.nearest(orbit, "sentinel-1b") == OrbitNumbers(30148, 22, 173)


@contextmanager
def small_files(limit: int):
    """Make every write beyond so many bytes of a file fail, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("share", [0.004, 0.3, 0.99, 1.002])
def test_a_full_disk_leaves_nothing(share: float, tmp_path: Path) -> None:
    """A file ends early: at its start, in the middle, in the last block, after the pixels."""
    world, geometry = scene()
    limit = round(share * 2 * geometry.shape[0] * geometry.shape[1])
    with small_files(limit), pytest.raises(StorageError, match="cannot write a SAFE product"):
        write(even(geometry, 0.1, 0.1), tmp_path, world, geometry)
    assert list(tmp_path.iterdir()) == []
    write(even(geometry, 0.1, 0.1), tmp_path, world, geometry)


class Killing:
    """A raster whose second band kills the process that reads it."""

    def __init__(self, raster) -> None:
        self.raster, self.shape = raster, raster.shape

    def __getitem__(self, index):
        if index == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.raster[index]


def test_a_killed_writer_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from test_30_simulate_safe import Killing, even, scene, write; world, geometry = scene();"
        "write(Killing(even(geometry, 0.1, 0.1)), Path(sys.argv[2]), world, geometry)"
    )
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    assert subprocess.run(arguments, check=False, timeout=120).returncode == -signal.SIGKILL
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 1
    assert left[0].startswith(".partial-")
    assert list((tmp_path / left[0]).glob("measurement/*vv*.tiff"))
    assert remove_partials(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_a_storage_error(tmp_path: Path) -> None:
    world, geometry = scene()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write a SAFE product"):
        write(even(geometry, 0.1, 0.1), tmp_path / "file", world, geometry)
