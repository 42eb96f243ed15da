"""Rung 2: SICD products, against point targets whose place is known without the sensor model."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import sarkit.sicd as sicd
from numpy.polynomial import polynomial
from pyproj import Transformer
from sarkit.verification import SicdConsistency
from shapely.geometry import Point

from data.elevation.make import make_dem
from data.sicd.make import (
    CENTER_HZ,
    RADIOMETRIC,
    ROME,
    SPACING_M,
    Collect,
    collect,
    image_coordinates,
    make_sicd,
)
from data.sicd.targets import GSD_M, find_all, grid_at, offset_px, targets_around
from sarknowlip.core.errors import ProductError, SarKnowlipError
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors import open_product, recognise
from sarknowlip.sar.sensors.sicd import SicdProduct
from sarknowlip.sar.sensors.sidd import SiddProduct

VARIETIES = {
    "spotlight": {},
    "stripmap": {"grid": "INCA"},
    "int16": {"pixel_type": "RE16I_IM16I", "clutter": 1e4},
    "amplitude-phase": {"pixel_type": "AMP8I_PHS8I", "clutter": 100.0},
    "left": {"passing": collect(side="L", ascending=False)},
    "valid-data": {"valid_data": [(0, 60), (0, 190), (150, 199), (159, 90)]},
    "offsets": {"offsets": True},
    "uncalibrated": {"radiometric": {}},
}


@pytest.mark.parametrize("variety", VARIETIES)
def test_fixtures_are_consistent_with_the_standard(tmp_path: Path, variety: str) -> None:
    path = make_sicd(tmp_path / "a.ntf", **VARIETIES[variety])
    assert path.stat().st_size < 300_000
    with path.open("rb") as handle:
        checks = SicdConsistency.from_file(handle)
    checks.check()
    assert not checks.failures()
    assert len(checks.passes()) > 40


def test_acquisition(tmp_path: Path) -> None:
    passing = collect(incidence_deg=35.0)
    product = open_product(make_sicd(tmp_path / "a.ntf", passing=passing))
    assert isinstance(product, SicdProduct)
    said = product.acquisition
    assert said.platform == "SARKNOWLIP-X1"
    assert said.instrument_mode == "SPOTLIGHT"
    assert said.product_type == "SICD"
    assert said.frequency_band == "X"
    assert said.center_frequency == pytest.approx(CENTER_HZ / 1e9)
    assert said.polarizations == ("VV",)
    assert said.start_datetime == datetime(2024, 5, 17, 9, 41, 12, 250000, tzinfo=UTC)
    assert said.end_datetime == datetime(2024, 5, 17, 9, 41, 14, 650000, tzinfo=UTC)
    assert (said.looks_range, said.looks_azimuth) == (1, 1)
    assert said.resolution_range == pytest.approx(0.8859 / 1.6)
    assert said.resolution_azimuth == pytest.approx(0.8859 / 1.6)
    assert said.incidence_angle == pytest.approx(35.0, abs=0.01)
    assert said.incidence_near < said.incidence_angle < said.incidence_far
    assert said.incidence_far - said.incidence_near < 0.05
    expected = {"constellation", "instruments", "sat:relative_orbit", "sat:absolute_orbit"}
    assert set(said.missing) == {*expected, "sar:looks_equivalent_number"}
    slant_to_ground = 1 / np.sin(np.deg2rad(35.0))
    assert product.gsd_m[0] == pytest.approx(SPACING_M * slant_to_ground, rel=0.01)
    assert product.gsd_m[1] == pytest.approx(SPACING_M, rel=0.05)
    assert product.geocoding.method == "sensor-model"
    assert product.geocoding.vertical_datum == "ellipsoid"
    assert product.files() == [product.path]


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("ascending", [True, False])
def test_side_and_direction(tmp_path: Path, side: str, ascending: bool) -> None:
    passing = collect(side=side, ascending=ascending)
    targets = targets_around(ROME)
    product = open_product(make_sicd(tmp_path / "a.ntf", passing=passing, points=targets))
    assert product.acquisition.observation_direction == {"L": "left", "R": "right"}[side]
    assert product.acquisition.orbit_state == ("ascending" if ascending else "descending")
    lat, lon = _track(passing)
    northward, eastward = np.diff(lat)[0], np.diff(lon)[0] * np.cos(np.deg2rad(lat[0]))
    heading = np.rad2deg(np.arctan2(eastward, northward)) % 360
    assert product.acquisition.heading == pytest.approx(heading, abs=0.1)
    assert (heading > 270 or heading < 90) == ascending
    assert max(find_all(product, targets)) < 0.5


def _track(passing: Collect) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    move = Transformer.from_crs(4978, 4979, always_xy=True)
    where = passing.position(passing.t_coa + np.array([-0.1, 0.1]))
    lon, lat, _ = move.transform(where[:, 0], where[:, 1], where[:, 2])
    return np.asarray(lat), np.asarray(lon)


@pytest.mark.parametrize(
    "variety",
    [
        {"grid": "INCA"},
        {"offsets": True},
        {"grid": "INCA", "offsets": True},
        {"pixel_type": "RE16I_IM16I"},
        {"pixel_type": "AMP8I_PHS8I"},
        {"first": (3000, 5000)},
        {"passing": collect(scp_llh=(-33.86, 151.21, 40.0), incidence_deg=22.0)},
        {"passing": collect(scp_llh=(78.22, 15.65, 30.0), side="L", incidence_deg=50.0)},
        {"passing": collect(scp_llh=(-16.5, 179.99995, 60.0), ascending=False)},
    ],
    ids=[
        "stripmap",
        "offsets",
        "stripmap-offsets",
        "int16",
        "amplitude-phase",
        "chip",
        "south",
        "svalbard",
        "antimeridian",
    ],
)
def test_point_targets_are_where_they_are(tmp_path: Path, variety) -> None:
    place = variety["passing"].scp_llh if "passing" in variety else ROME
    targets = targets_around(place)
    product = open_product(make_sicd(tmp_path / "a.ntf", points=targets, **variety))
    assert max(find_all(product, targets)) < 0.5


def test_positions_agree_to_a_hundredth_of_a_pixel(tmp_path: Path) -> None:
    """The target's image position, from measured distances, is that of the interpolated model."""
    for grid in ("PFA", "INCA"):
        passing = collect(squint_deg=4.0 if grid == "PFA" else 0.0)
        product = open_product(make_sicd(tmp_path / "a.ntf", passing=passing, grid=grid))
        assert isinstance(product, SicdProduct)
        for lon, lat, height, _ in targets_around(ROME):
            row, column = image_coordinates(passing, grid, (lon, lat, height))
            expected = row / SPACING_M + 80, column / SPACING_M + 100
            tiny = grid_at(lon, lat, 4.0)
            lattice = product._lattice(tiny.crs.proj)
            rows, columns = lattice.positions(tiny, height)
            x, y = Transformer.from_crs(4326, str(tiny.crs), always_xy=True).transform(lon, lat)
            column_at, row_at = (v - 0.5 for v in ~tiny.affine * (x, y))
            found = [_bilinear(values, row_at, column_at) for values in (rows, columns)]
            assert found == pytest.approx(expected, abs=0.03)


def _bilinear(values: npt.NDArray[np.float64], row: float, column: float) -> float:
    r, c = int(row), int(column)
    top, bottom = (values[r + i, c] * (1 - column + c) + values[r + i, c + 1] * (column - c)
                   for i in (0, 1))  # fmt: skip
    return float(top * (1 - row + r) + bottom * (row - r))


def test_targets_off_the_reference_height_need_an_elevation_model(tmp_path: Path) -> None:
    """30 m up and no elevation model: displaced towards the radar by 30 m / tan(incidence)."""
    lon, lat, height, amplitude = targets_around(ROME)[0]
    high = [(lon, lat, height + 30.0, amplitude)]
    passing = collect(incidence_deg=40.0, squint_deg=0.0)
    path = make_sicd(tmp_path / "a.ntf", passing=passing, points=high)
    plain = open_product(path)
    expected_px = 30.0 / np.tan(np.deg2rad(40.0)) / GSD_M
    grid = grid_at(lon, lat, 110.0)
    row, column = np.unravel_index(np.nanargmax(plain.power(grid)[0]), grid.shape)
    x, y = Transformer.from_crs(4326, str(grid.crs), always_xy=True).transform(lon, lat)
    true_column, true_row = ~grid.affine * (x, y)
    away = row + 0.5 - true_row, column + 0.5 - true_column
    assert np.hypot(*away) == pytest.approx(expected_px, abs=1.5)
    assert away[1] < 0, "an ascending, right-looking radar is in the west"
    for geoid_m in (0.0, 48.0):
        dem = make_dem(tmp_path / "dem.tif", grid, height + 30.0 - geoid_m)
        product = open_product(path, ReadOptions(dem=dem, dem_geoid_m=geoid_m))
        assert offset_px(product.power(grid)[0], grid, lon, lat) < 0.5
        assert product.geocoding.vertical_datum == "ellipsoid"


def test_sloping_terrain(tmp_path: Path) -> None:
    """Targets on a hillside, each at its own height, all fall into place with the hillside."""
    grid = grid_at(ROME[1], ROME[0], 140.0)
    middle = ~(~grid.affine) * (140.0, 140.0)

    def hillside(x, y):
        return ROME[2] + 0.25 * (x - middle[0]) - 0.15 * (y - middle[1])

    to_map = Transformer.from_crs(4326, str(grid.crs), always_xy=True)
    targets = [
        (lon, lat, float(hillside(*to_map.transform(lon, lat))), amplitude)
        for lon, lat, _, amplitude in targets_around(ROME)
    ]
    path = make_sicd(tmp_path / "a.ntf", points=targets, shape=(200, 200))
    dem = make_dem(tmp_path / "dem.tif", grid, hillside, step=4.0)
    product = open_product(path, ReadOptions(dem=dem, dem_geoid_m=0.0))
    assert max(find_all(product, targets)) < 0.5
    without = open_product(path)
    assert max(find_all(without, targets)) > 2.0


@pytest.mark.parametrize("quantity", ["sigma0", "gamma0", "beta0"])
@pytest.mark.parametrize("remove_noise", [True, False])
def test_calibration(tmp_path: Path, quantity, remove_noise: bool) -> None:
    """|pixel|² times the polynomial of the file, less the stated noise, at each place."""
    path = make_sicd(tmp_path / "a.ntf", constant=3.0)
    product = open_product(path, ReadOptions(quantity=quantity, remove_noise=remove_noise))
    assert product.radiometry.quantity == quantity
    assert product.radiometry.calibrated
    assert product.radiometry.noise_removed is remove_noise
    for lon, lat, height, _ in targets_around(ROME):
        x, y = image_coordinates(collect(), "PFA", (lon, lat, height))
        name = {"sigma0": "Sigma", "gamma0": "Gamma", "beta0": "Beta"}[quantity]
        scale = polynomial.polyval2d(x, y, RADIOMETRIC[f"{name}ZeroSFPoly"])
        noise_db = polynomial.polyval2d(x, y, RADIOMETRIC["NoiseLevel"]["NoisePoly"])
        power = 9.0 - (10 ** (noise_db / 10) if remove_noise else 0.0)
        grid = grid_at(lon, lat, 1.0, gsd=0.05)
        assert np.median(product.power(grid)) == pytest.approx(scale * power, rel=1e-4)


def test_sigma_nought_is_the_default(tmp_path: Path) -> None:
    path = make_sicd(tmp_path / "a.ntf")
    assert open_product(path).radiometry.quantity == "sigma0"


@pytest.mark.parametrize("quantity", ["sigma0", "gamma0"])
def test_quantity_is_derived_from_another_polynomial(tmp_path: Path, quantity) -> None:
    """β⁰ only: σ⁰ = β⁰·sin θ and γ⁰ = β⁰·tan θ for flat ground in the slant plane's direction."""
    radiometric = {"BetaZeroSFPoly": np.array([[0.05]])}
    passing = collect(squint_deg=0.0, incidence_deg=35.0)
    path = make_sicd(tmp_path / "a.ntf", passing=passing, constant=2.0, radiometric=radiometric)
    product = open_product(path, ReadOptions(quantity=quantity))
    assert product.radiometry.quantity == quantity
    assert product.radiometry.calibrated
    assert product.radiometry.noise_removed is False
    angle = np.deg2rad(35.0)
    expected = 0.05 * 4.0 * (np.sin(angle) if quantity == "sigma0" else np.tan(angle))
    power = product.power(grid_at(ROME[1], ROME[0], 10.0))
    assert np.allclose(power, expected, rtol=2e-3)


def test_without_polynomials_power_is_uncalibrated_and_says_so(tmp_path: Path, caplog) -> None:
    path = make_sicd(tmp_path / "a.ntf", constant=3.0, radiometric={})
    with caplog.at_level(logging.WARNING):
        product = open_product(path, ReadOptions(quantity="gamma0"))
    assert "not calibrated: gamma0 cannot be had" in caplog.text
    assert product.radiometry.quantity == "amplitude"
    assert not product.radiometry.calibrated
    assert np.allclose(product.power(grid_at(ROME[1], ROME[0], 10.0)), 9.0, rtol=1e-5)


@pytest.mark.parametrize("pixel_type", ["RE32F_IM32F", "RE16I_IM16I", "AMP8I_PHS8I"])
def test_pixel_types_give_the_same_power(tmp_path: Path, pixel_type: str) -> None:
    path = make_sicd(tmp_path / "a.ntf", pixel_type=pixel_type, constant=100.0, radiometric={})
    power = open_product(path).power(grid_at(ROME[1], ROME[0], 20.0))
    assert np.isfinite(power).all()
    assert np.sqrt(power.mean()) == pytest.approx(100.0, rel=0.005)


def test_multilooking_averages_power(tmp_path: Path) -> None:
    path = make_sicd(tmp_path / "a.ntf", clutter=4.0, radiometric={}, shape=(240, 240))
    product = open_product(path)
    single = product.power(grid_at(ROME[1], ROME[0], 60.0, gsd=0.5))
    looked = product.power(grid_at(ROME[1], ROME[0], 60.0, gsd=5.0))
    assert single.mean() == pytest.approx(4.0, rel=0.05)
    assert looked.mean() == pytest.approx(4.0, rel=0.05)
    assert looked.std() < single.std() / 5


def test_window_equals_crop_of_whole(tmp_path: Path) -> None:
    product = open_product(make_sicd(tmp_path / "a.ntf", points=targets_around(ROME)))
    grid = grid_at(ROME[1], ROME[0], 120.0)
    whole = product.power(grid)
    part = product.power(grid[50:131, 90:222])
    assert np.isfinite(part).mean() > 0.5
    assert np.array_equal(part, whole[:, 50:131, 90:222], equal_nan=True)


def test_outside_the_image_is_no_data(tmp_path: Path) -> None:
    product = open_product(make_sicd(tmp_path / "a.ntf"))
    far = product.power(grid_at(ROME[1] + 0.1, ROME[0], 20.0))
    assert np.isnan(far).all()
    wide = grid_at(ROME[1], ROME[0], 300.0)
    power = product.power(wide)[0]
    to_lonlat = Transformer.from_crs(str(wide.crs), 4326, always_xy=True)
    inside, outside = product.footprint.buffer(-2e-5), product.footprint.buffer(2e-5)
    for row, column in np.random.default_rng(3).integers(0, wide.shape[0], (300, 2)):
        place = Point(to_lonlat.transform(*(wide.affine * (column + 0.5, row + 0.5))))
        if inside.contains(place):
            assert np.isfinite(power[row, column])
        elif not outside.contains(place):
            assert np.isnan(power[row, column])
    assert 0.1 < np.isfinite(power).mean() < 0.9


def test_valid_data_bounds_pixels_and_footprint(tmp_path: Path) -> None:
    whole = open_product(make_sicd(tmp_path / "whole.ntf"))
    corner = [(0, 0), (0, 60), (60, 0)]
    path = make_sicd(tmp_path / "a.ntf", valid_data=corner, constant=1.0, pixel_type="RE16I_IM16I")
    product = open_product(path)
    ratio = product.footprint.area / whole.footprint.area
    assert ratio == pytest.approx(60 * 60 / 2 / (159 * 199), rel=1e-3)
    assert whole.footprint.buffer(1e-7).contains(product.footprint)
    said = product.acquisition
    assert said.incidence_near < said.incidence_angle < said.incidence_far
    grid = grid_at(ROME[1], ROME[0], 300.0)
    share = np.isfinite(product.power(grid)).sum() / np.isfinite(whole.power(grid)).sum()
    assert share == pytest.approx(ratio, rel=0.05)


def test_zero_padding_is_no_data(tmp_path: Path) -> None:
    path = make_sicd(tmp_path / "a.ntf", constant=0.0)
    assert np.isnan(open_product(path).power(grid_at(ROME[1], ROME[0], 20.0))).all()


def test_footprint_crosses_the_antimeridian_in_two_parts(tmp_path: Path) -> None:
    passing = collect(scp_llh=(-16.5, 179.99995, 60.0))
    product = open_product(make_sicd(tmp_path / "a.ntf", passing=passing))
    assert len(product.footprint.geoms) == 2
    assert product.footprint.bounds[0] == -180
    assert product.footprint.bounds[2] == 180
    assert all(part.bounds[2] - part.bounds[0] < 0.01 for part in product.footprint.geoms)


def test_stated_error_becomes_geolocation_error(tmp_path: Path) -> None:
    """Range error 0.8 m at 35° incidence and azimuth error 0.5 m, on the ground."""
    passing = collect(squint_deg=0.0, incidence_deg=35.0)
    product = open_product(make_sicd(tmp_path / "a.ntf", passing=passing))
    expected = np.hypot(0.8 / np.sin(np.deg2rad(35.0)), 0.5)
    assert product.geocoding.error_m == pytest.approx(expected, rel=0.02)
    silent = open_product(make_sicd(tmp_path / "b.ntf", errors=False))
    assert silent.geocoding.error_m is None


def test_several_segments_read_as_one_image(tmp_path: Path, monkeypatch) -> None:
    """A limit lowered from 10 GB makes sarkit cut the image into segments, as the standard says."""
    one = make_sicd(tmp_path / "one.ntf")
    monkeypatch.setattr(sicd._io.sicdconst, "IS_SIZE_MAX", 100_000)
    several = make_sicd(tmp_path / "several.ntf")
    with several.open("rb") as handle:
        assert len(sicd.NitfReader(handle).jbp["ImageSegments"]) == 3
        handle.seek(0)
        checks = SicdConsistency.from_file(handle)
    checks.check()
    # These two have the limit of 10 GB built in, and therefore expect one segment.
    assert set(checks.failures()) <= {"check_nitf_igeolo", "check_nitf_imseg_size"}
    grid = grid_at(ROME[1], ROME[0], 120.0)
    expected = open_product(one).power(grid)
    assert np.isfinite(expected).mean() > 0.5
    assert np.array_equal(open_product(several).power(grid), expected, equal_nan=True)


def test_recognition_is_exclusive_and_reads_no_pixels(tmp_path: Path) -> None:
    path = make_sicd(tmp_path / "a.ntf")
    assert recognise(path) == "sicd"
    assert not SiddProduct.recognises(path)
    blank = path.read_bytes()
    with path.open("r+b") as handle:
        handle.seek(2000)
        handle.write(bytes(200_000))
    assert path.read_bytes() != blank
    assert recognise(path) == "sicd"
    assert recognise(tmp_path) is None


def test_other_nitf_is_not_taken_for_sicd(tmp_path: Path) -> None:
    path = tmp_path / "photo.ntf"
    with rasterio.open(
        path, "w", driver="NITF", height=64, width=64, count=1, dtype="uint8"
    ) as target:
        target.write(np.full((1, 64, 64), 7, np.uint8))
    assert recognise(path) is None
    with pytest.raises(ProductError, match=r"photo\.ntf is no SAR product"):
        open_product(path)
    with pytest.raises(ProductError, match=r"photo\.ntf is a NITF file without SICD metadata; "):
        SicdProduct.open(path)


@pytest.mark.parametrize("keep", [1, 3, 200, 400, 5_000, 200_000, -1])
def test_truncated_file(tmp_path: Path, keep: int) -> None:
    path = make_sicd(tmp_path / "cut.ntf")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ProductError, match=r"cut\.ntf") as caught:
        open_product(path)
    assert "\n" not in str(caught.value)
    if keep in {5_000, 200_000, -1}:
        assert "is truncated" in str(caught.value)
        assert "fetch it again" in str(caught.value)


def test_absent_and_empty_files(tmp_path: Path) -> None:
    empty = tmp_path / "empty.ntf"
    empty.write_bytes(b"")
    for opened in (open_product, SicdProduct.open):
        with pytest.raises(ProductError, match=r"empty\.ntf is empty \(0 bytes\); fetch it again"):
            opened(empty)
        with pytest.raises(ProductError, match=r"no such file.*absent\.ntf"):
            opened(tmp_path / "absent.ntf")


def test_file_that_vanishes_or_shrinks_after_opening(tmp_path: Path) -> None:
    path = make_sicd(tmp_path / "a.ntf")
    product = open_product(path)
    content = path.read_bytes()
    path.write_bytes(content[:50_000])
    with pytest.raises(ProductError, match=r"cannot read pixels of .*a\.ntf"):
        product.power(grid_at(ROME[1], ROME[0], 20.0))
    path.unlink()
    with pytest.raises(ProductError, match=r"cannot read pixels of .*a\.ntf"):
        product.power(grid_at(ROME[1], ROME[0], 20.0))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<ARPPoly>", b"<ArpPoly>"),
        (b"<SCPPixel>", b"<scpPixel>"),
        (b">MONOSTATIC<", b">BISTATIC<"),
        (b">RGAZIM<", b">WRONG<"),
        (b"<NumRows>160", b"<NumRows>161"),
        (b"<SideOfTrack>", b"<SideOfTrack<"),
        (b"<SlopeAng>", b"<SlopeAng>x"),
    ],
    ids=["no-orbit", "no-scene-pixel", "bistatic", "no-grid", "other-size", "no-xml", "no-number"],
)
def test_broken_metadata_is_named(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = make_sicd(tmp_path / "odd.ntf")
    content = path.read_bytes()
    assert old in content
    swapped = content.replace(old, new).replace(old.replace(b"<", b"</"), new.replace(b"<", b"</"))
    path.write_bytes(swapped[: len(content)].ljust(len(content), b" "))
    with pytest.raises(SarKnowlipError, match=r"odd\.ntf") as caught:
        open_product(path)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)


def test_polarisation_without_a_name_needs_an_option(tmp_path: Path) -> None:
    path = make_sicd(tmp_path / "a.ntf", polarization="RHC:H")
    with pytest.raises(ProductError, match=r"polarisation RHC:H, not one of VV, VH, HH, HV"):
        open_product(path)
    product = open_product(path, ReadOptions(polarizations=("HH",)))
    assert product.acquisition.polarizations == ("HH",)


def test_options_fill_gaps_but_do_not_overrule_the_file(tmp_path: Path) -> None:
    told = {"constellation": "example", "platform": "other"}
    product = open_product(make_sicd(tmp_path / "a.ntf"), ReadOptions(acquisition=told))
    assert product.acquisition.constellation == "example"
    assert product.acquisition.platform == "SARKNOWLIP-X1"
