"""Rung 2: SIDD products, against point targets whose place is known without the sensor model."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sarkit.sidd as sidd
from pyproj import Transformer
from sarkit.verification import SiddConsistency

from data.elevation.make import make_dem
from data.sicd.make import CENTER_HZ, ROME, collect, make_sicd
from data.sicd.targets import find_all, grid_at, offset_px, targets_around
from data.sidd.make import SPACING_ARCSEC, SPACING_M, make_sidd
from sarknowlip.core.errors import ProductError, SarKnowlipError
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors import open_product, recognise
from sarknowlip.sar.sensors.sicd import SicdProduct
from sarknowlip.sar.sensors.sidd import SiddProduct

SQUARES = np.rint(np.linspace(0, 1, 256) ** 2 * 255).astype(np.uint8)

VARIETIES = {
    "mono8": {},
    "mono16": {"pixel_type": "MONO16I"},
    "table": {"pixel_type": "MONO8LU", "lookup": SQUARES},
    "colour": {"pixel_type": "RGB24I"},
    "geographic": {"projection": "geographic"},
    "with-sicd": {"with_sicd": True},
    "left": {"passing": collect(side="L", ascending=False)},
    "valid-data": {"valid_data": [(0, 60), (0, 190), (150, 199), (159, 90)]},
}


@pytest.mark.parametrize("variety", VARIETIES)
def test_fixtures_are_consistent_with_the_standard(tmp_path: Path, variety: str) -> None:
    path = make_sidd(tmp_path / "a.ntf", **VARIETIES[variety])
    assert path.stat().st_size < 250_000
    with path.open("rb") as handle:
        checks = SiddConsistency.from_file(handle)
    checks.check()
    assert not checks.failures()
    assert len(checks.passes()) > 15


def test_acquisition(tmp_path: Path) -> None:
    passing = collect(incidence_deg=35.0)
    product = open_product(make_sidd(tmp_path / "a.ntf", passing=passing))
    assert isinstance(product, SiddProduct)
    said = product.acquisition
    assert said.platform == "SARKNOWLIP-X1"
    assert said.instrument_mode == "SPOTLIGHT"
    assert said.product_type == "SIDD"
    assert said.polarizations == ("VV",)
    assert said.start_datetime == datetime(2024, 5, 17, 9, 41, 12, 250000, tzinfo=UTC)
    assert said.end_datetime == datetime(2024, 5, 17, 9, 41, 14, 650000, tzinfo=UTC)
    assert said.resolution_range == 0.55
    assert said.resolution_azimuth == 0.56
    assert said.incidence_angle == pytest.approx(35.0, abs=0.01)
    assert said.incidence_near < said.incidence_angle < said.incidence_far
    assert said.observation_direction == "right"
    assert said.orbit_state == "ascending"
    assert "sar:center_frequency" in said.missing
    assert "sar:looks_range" in said.missing
    assert product.gsd_m == pytest.approx((SPACING_M, SPACING_M), rel=0.01)
    assert product.geocoding.method == "sensor-model"
    assert product.geocoding.vertical_datum == "ellipsoid"
    assert product.geocoding.error_m is None
    assert product.grid is None


def test_frequency_comes_from_the_enclosed_sicd(tmp_path: Path) -> None:
    path = make_sidd(tmp_path / "a.ntf", with_sicd=True)
    assert recognise(path) == "sidd"
    said = open_product(path).acquisition
    assert said.center_frequency == pytest.approx(CENTER_HZ / 1e9)
    assert said.frequency_band == "X"


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("projection", ["plane", "geographic"])
def test_point_targets_are_where_they_are(
    tmp_path: Path, side: str, ascending: bool, projection: str
) -> None:
    passing = collect(side=side, ascending=ascending)
    targets = targets_around(ROME)
    path = make_sidd(tmp_path / "a.ntf", passing=passing, projection=projection, points=targets)
    product = open_product(path)
    assert product.acquisition.observation_direction == {"L": "left", "R": "right"}[side]
    assert product.acquisition.orbit_state == ("ascending" if ascending else "descending")
    assert max(find_all(product, targets)) < 0.5


@pytest.mark.parametrize("place", [(-33.86, 151.21, 40.0), (78.2, 15.6, 30.0), (-16.5, 180.0, 9.0)])
@pytest.mark.parametrize("projection", ["plane", "geographic"])
def test_point_targets_elsewhere_on_earth(tmp_path: Path, place, projection: str) -> None:
    passing = collect(scp_llh=place, incidence_deg=28.0)
    targets = targets_around(place)
    path = make_sidd(
        tmp_path / "a.ntf",
        passing=passing,
        projection=projection,
        points=targets,
        shape=(240, 400),
    )
    assert max(find_all(open_product(path), targets)) < 0.5


def test_sloping_terrain_is_corrected_on_a_plane(tmp_path: Path) -> None:
    grid = grid_at(ROME[1], ROME[0], 140.0)
    x0, y0 = grid.affine * (140.0, 140.0)

    def hillside(x, y):
        return ROME[2] + 0.25 * (x - x0) - 0.15 * (y - y0)

    to_map = Transformer.from_crs(4326, str(grid.crs), always_xy=True)
    targets = [
        (lon, lat, float(hillside(*to_map.transform(lon, lat))), amplitude)
        for lon, lat, _, amplitude in targets_around(ROME)
    ]
    path = make_sidd(tmp_path / "a.ntf", points=targets)
    dem = make_dem(tmp_path / "dem.tif", grid, hillside, step=4.0)
    assert max(find_all(open_product(path, ReadOptions(dem=dem, dem_geoid_m=0.0)), targets)) < 0.5
    assert max(find_all(open_product(path), targets)) > 2.0


def test_provider_rectified_product_keeps_its_grid_and_needs_no_dem(tmp_path: Path, caplog) -> None:
    path = make_sidd(tmp_path / "a.ntf", projection="geographic", points=targets_around(ROME))
    area = grid_at(ROME[1], ROME[0], 300.0)
    dem = make_dem(tmp_path / "dem.tif", area, 500.0)
    with caplog.at_level(logging.WARNING):
        product = open_product(path, ReadOptions(dem=dem))
    assert "rectified already: option dem is not used" in caplog.text
    assert product.geocoding.method == "provider"
    assert product.geocoding.vertical_datum is None
    assert product.grid is not None
    assert product.grid.shape == (240, 300)
    assert str(product.grid.crs) == "EPSG:4326"
    assert product.grid.affine.a == pytest.approx(SPACING_ARCSEC[1] / 3600)
    assert product.grid.affine.e == pytest.approx(-SPACING_ARCSEC[0] / 3600)
    power = product.power(product.grid)[0]
    lon, lat = ROME[1], ROME[0]
    assert offset_px(power, product.grid, lon, lat) < 0.05
    with sidd_reader(path) as reader:
        stored = reader.read_image(0).astype(np.float32)
    inner = slice(1, -1), slice(1, -1)
    assert np.allclose(power[inner], stored[inner] ** 2, rtol=0.02, atol=2.0)


def sidd_reader(path: Path) -> sidd.NitfReader:
    """Return sarkit's own reader."""
    return sidd.NitfReader(path.open("rb"))


@pytest.mark.parametrize(
    ("variety", "expected"),
    [
        ({"background": 40}, 40.0),
        ({"background": 4000, "pixel_type": "MONO16I"}, 4000.0),
        ({"background": 100, "pixel_type": "MONO8LU", "lookup": SQUARES}, float(SQUARES[100])),
    ],
    ids=["mono8", "mono16", "table"],
)
def test_pixels_are_uncalibrated_amplitude(tmp_path: Path, variety, expected: float) -> None:
    product = open_product(make_sidd(tmp_path / "a.ntf", **variety))
    assert product.radiometry.quantity == "amplitude"
    assert product.radiometry.calibrated is False
    assert product.radiometry.noise_removed is None
    power = product.power(grid_at(ROME[1], ROME[0], 40.0))
    assert np.allclose(np.sqrt(power), expected, rtol=1e-5)


def test_asking_for_backscatter_warns(tmp_path: Path, caplog) -> None:
    path = make_sidd(tmp_path / "a.ntf")
    with caplog.at_level(logging.WARNING):
        product = open_product(path, ReadOptions(quantity="sigma0"))
    assert "mapped for display: sigma0 cannot be had" in caplog.text
    assert product.radiometry.quantity == "amplitude"


def test_window_equals_crop_of_whole(tmp_path: Path) -> None:
    product = open_product(make_sidd(tmp_path / "a.ntf", points=targets_around(ROME)))
    grid = grid_at(ROME[1], ROME[0], 160.0)
    whole = product.power(grid)
    assert np.isfinite(whole).mean() > 0.5
    part = product.power(grid[70:191, 90:302])
    assert np.array_equal(part, whole[:, 70:191, 90:302], equal_nan=True)


def test_valid_data_bounds_pixels_and_footprint(tmp_path: Path) -> None:
    whole = open_product(make_sidd(tmp_path / "whole.ntf"))
    path = make_sidd(tmp_path / "a.ntf", valid_data=[(0, 0), (0, 80), (80, 0)])
    product = open_product(path)
    ratio = product.footprint.area / whole.footprint.area
    assert ratio == pytest.approx(80 * 80 / 2 / (239 * 299), rel=1e-3)
    grid = grid_at(ROME[1], ROME[0], 300.0)
    share = np.isfinite(product.power(grid)).sum() / np.isfinite(whole.power(grid)).sum()
    assert share == pytest.approx(ratio, rel=0.05)


def test_footprint_is_the_image_on_the_ground(tmp_path: Path) -> None:
    product = open_product(make_sidd(tmp_path / "a.ntf"))
    area = Transformer.from_crs(4326, 32633, always_xy=True)
    x, y = area.transform(*product.footprint.geoms[0].exterior.xy)
    size = 0.5 * abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))
    assert size == pytest.approx(239 * 299 * SPACING_M**2, rel=0.005)
    crossing = make_sidd(tmp_path / "b.ntf", passing=collect(scp_llh=(-16.5, 180.0, 9.0)))
    assert len(open_product(crossing).footprint.geoms) == 2


def test_several_segments_read_as_one_image(tmp_path: Path, monkeypatch) -> None:
    """A limit lowered from 10 GB makes sarkit cut the image into segments, as the standard says."""
    one = make_sidd(tmp_path / "one.ntf", points=targets_around(ROME))
    monkeypatch.setattr(sidd._io.siddconst, "LI_MAX", 30_000)
    several = make_sidd(tmp_path / "several.ntf", points=targets_around(ROME))
    with several.open("rb") as handle:
        assert len(sidd.NitfReader(handle).jbp["ImageSegments"]) == 3
    grid = grid_at(ROME[1], ROME[0], 120.0)
    expected = open_product(one).power(grid)
    assert np.isfinite(expected).mean() > 0.5
    assert np.array_equal(open_product(several).power(grid), expected, equal_nan=True)


def test_the_first_of_several_images_is_read_and_the_file_says_so(tmp_path: Path, caplog) -> None:
    path = make_sidd(tmp_path / "a.ntf", images=2)
    with caplog.at_level(logging.WARNING):
        product = open_product(path)
    assert "holds 2 images; the first is read" in caplog.text
    power = product.power(grid_at(ROME[1], ROME[0], 40.0))
    assert np.allclose(np.sqrt(power), 10.0)


def test_recognition_is_exclusive(tmp_path: Path) -> None:
    path = make_sidd(tmp_path / "a.ntf")
    assert recognise(path) == "sidd"
    assert not SicdProduct.recognises(path)
    source = make_sicd(tmp_path / "b.ntf")
    with pytest.raises(ProductError, match=r"b\.ntf is a NITF file without SIDD metadata"):
        SiddProduct.open(source)
    with pytest.raises(ProductError, match=r"a\.ntf is a NITF file without SICD metadata"):
        SicdProduct.open(path)


def test_colour_images_are_refused(tmp_path: Path) -> None:
    path = make_sidd(tmp_path / "rgb.ntf", pixel_type="RGB24I")
    with pytest.raises(ProductError, match=r"rgb\.ntf is a colour image \(RGB24I\); give a mono"):
        open_product(path)


def test_cylindrical_grids_are_refused(tmp_path: Path) -> None:
    path = make_sidd(tmp_path / "strip.ntf", projection="cylindrical")
    with pytest.raises(ProductError, match=r"strip\.ntf lies neither on a plane nor on a geograph"):
        open_product(path)


@pytest.mark.parametrize("keep", [1, 200, 5_000, 50_000, -1])
def test_truncated_file(tmp_path: Path, keep: int) -> None:
    path = make_sidd(tmp_path / "cut.ntf")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ProductError, match=r"cut\.ntf") as caught:
        open_product(path)
    assert "\n" not in str(caught.value)
    if keep in {5_000, 50_000, -1}:
        assert "is truncated" in str(caught.value)


def test_absent_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "empty.ntf").write_bytes(b"")
    with pytest.raises(ProductError, match=r"empty\.ntf is empty \(0 bytes\)"):
        SiddProduct.open(tmp_path / "empty.ntf")
    with pytest.raises(ProductError, match=r"no such file.*absent\.ntf"):
        SiddProduct.open(tmp_path / "absent.ntf")


@pytest.mark.filterwarnings("ignore:.*SCHEMAV_ELEMENT_CONTENT")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<ARPPoly>", b"<ArpPoly>"),
        (b"PlaneProjection>", b"Planeprojection>"),
        (b"<TimeCOAPoly ", b"<TimeCoaPoly "),
        (b"<PixelFootprint>", b"<PixelFootprint<"),
        (b"<Row>240<", b"<Row>241<"),
    ],
    ids=["no-orbit", "no-projection", "no-time", "no-xml", "other-size"],
)
def test_broken_metadata_is_named(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = make_sidd(tmp_path / "odd.ntf")
    content = path.read_bytes()
    old, new = (_prefixed(content, tag) for tag in (old, new))
    assert old in content
    closing = [tag.replace(b"<", b"</", 1).strip() for tag in (old, new)]
    swapped = content.replace(old, new).replace(*closing)
    path.write_bytes(swapped[: len(content)].ljust(len(content), b" "))
    with pytest.raises(SarKnowlipError, match=r"odd\.ntf") as caught:
        open_product(path)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)


def _prefixed(content: bytes, tag: bytes) -> bytes:
    """Return a tag as the file writes it, with the namespace prefix of SICommon if it has one."""
    common = tag.replace(b"<", b"<sicommon:", 1)
    return common if re.split(b"[ >]", common)[0].lower() in content.lower() else tag


def test_polarisation_without_a_name_needs_an_option(tmp_path: Path) -> None:
    path = make_sidd(tmp_path / "a.ntf", polarization=("RHC", "H"))
    with pytest.raises(ProductError, match=r"polarisation RHC:H, not one of VV, VH, HH, HV"):
        open_product(path)
    product = open_product(path, ReadOptions(polarizations=("HH",)))
    assert product.acquisition.polarizations == ("HH",)
