"""Rung 2: generic GeoTIFF products."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from data.geotiff.make import make_geotiff
from sarknowlip.core.errors import ConfigError, GeometryError, ProductError, SarKnowlipError
from sarknowlip.sar.naming import RasterFacts, facts_from_name
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.scaling import power_to_db
from sarknowlip.sar.sensors import open_product


@pytest.mark.parametrize("units", ["db", "power", "amplitude"])
def test_units_lead_to_the_same_power(tmp_path: Path, units: str) -> None:
    path = make_geotiff(tmp_path / "a.tif", units=units)
    product = open_product(path, ReadOptions(units=units))
    power = product.power(product.grid)
    scale = 1e6 if units == "amplitude" else 1.0
    reference = open_product(make_geotiff(tmp_path / "b.tif"))
    assert np.allclose(power / scale, reference.power(reference.grid), rtol=1e-4)
    assert product.radiometry.calibrated == (units == "db")
    assert product.acquisition.polarizations == ("VV", "VH")


def test_window_equals_crop_of_whole(tmp_path: Path) -> None:
    product = open_product(make_geotiff(tmp_path / "a.tif"))
    whole = product.power(product.grid)
    part = product.power(product.grid[30:90, 10:200])
    assert np.array_equal(part, whole[:, 30:90, 10:200])


def test_reading_beyond_the_raster_gives_no_data(tmp_path: Path) -> None:
    product = open_product(make_geotiff(tmp_path / "a.tif"))
    wide = GeoBox(
        (240, 260),
        product.grid.affine * product.grid.affine.translation(-20, -20),
        product.grid.crs,
    )
    power = product.power(wide)
    assert np.isnan(power[:, :20]).all()
    assert np.isnan(power[:, :, :20]).all()
    assert np.array_equal(power[:, 20:220, 20:240], product.power(product.grid))


def test_warped_window_equals_crop_of_warped_whole(tmp_path: Path) -> None:
    product = open_product(make_geotiff(tmp_path / "a.tif"))
    target = product.grid.to_crs("EPSG:3857", resolution=14.0)
    whole = product.power(target)
    part = product.power(target[40:90, 30:100])
    both = np.isfinite(part) & np.isfinite(whole[:, 40:90, 30:100])
    assert both.mean() > 0.9
    assert np.allclose(part[both], whole[:, 40:90, 30:100][both], atol=0.01)


def test_coarser_grids_average_power_not_decibels(tmp_path: Path) -> None:
    product = open_product(make_geotiff(tmp_path / "a.tif"))
    fine = product.power(product.grid)[0, 100:200, :200]
    coarse = product.power(product.grid[100:200, :200].zoom_out(10))[0]
    assert np.allclose(coarse, fine.reshape(10, 10, 20, 10).mean(axis=(1, 3)), rtol=1e-4)


def test_scene_carries_crs_transform_and_records(tmp_path: Path) -> None:
    product = open_product(make_geotiff(tmp_path / "a.tif"))
    scene = product.scene(product.grid)
    assert scene.dims == ("pol", "y", "x")
    assert scene.rio.crs.to_epsg() == 32633
    assert scene.rio.transform() == product.grid.affine
    assert json.loads(scene.attrs["radiometry"])["calibrated"] is True
    assert float(scene.y[0]) == 4_700_000 - 5


def test_nodata_value_and_scale_are_honoured(tmp_path: Path) -> None:
    path = make_geotiff(tmp_path / "a.tif", nodata=-99.0, nodata_columns=7)
    with rasterio.open(path, "r+") as source:
        source.scales, source.offsets = (1.0, 1.0), (3.0, 3.0)
    product = open_product(path)
    power = product.power(product.grid)
    assert np.isnan(power[:, :, :7]).all()
    assert np.isfinite(power[:, :, 7:]).all()
    plain = open_product(make_geotiff(tmp_path / "b.tif"))
    shift = power_to_db(power) - power_to_db(plain.power(plain.grid))
    assert np.nanmedian(shift) == pytest.approx(3.0, abs=1e-3)


def test_sidecar_speaks_for_a_mute_file(tmp_path: Path) -> None:
    path = make_geotiff(
        tmp_path / "mute.tif",
        units="power",
        crs=None,
        transform=None,
        describe=False,
        bands=("HH",),
    )
    with pytest.raises(ProductError, match="names no polarisation"):
        open_product(path)
    sidecar = {
        "units": "power",
        "quantity": "gamma0",
        "calibrated": True,
        "polarizations": ["HH"],
        "crs": "EPSG:32633",
        "transform": [5, 0, 500000, 0, -5, 4700000],
        "acquisition": {"platform": "alos-2", "sar:frequency_band": "L"},
    }
    path.with_suffix(".sar.json").write_text(json.dumps(sidecar))
    product = open_product(path)
    assert product.radiometry.quantity == "gamma0"
    assert product.acquisition.platform == "alos-2"
    assert product.gsd_m[0] == pytest.approx(5, rel=1e-2)
    assert product.files() == [path, path.with_suffix(".sar.json")]


def test_options_outrank_the_sidecar(tmp_path: Path) -> None:
    path = make_geotiff(tmp_path / "a.tif", units="power")
    path.with_suffix(".sar.json").write_text(json.dumps({"units": "amplitude"}))
    product = open_product(path, ReadOptions(units="power"))
    assert np.nanmax(product.power(product.grid)) == pytest.approx(rasterio.open(path).read().max())


def test_published_names_tell_what_the_file_does_not() -> None:
    pyrosar = facts_from_name("S1A__IW___A_20150309T173017_VV_grd_mli_geo_norm_db")
    assert pyrosar.polarizations == ("VV",)
    assert pyrosar.acquisition["sat:orbit_state"] == "ascending"
    assert pyrosar.acquisition["platform"] == "sentinel-1a"
    assert pyrosar.acquisition["start_datetime"] == "2015-03-09T17:30:17+00:00"
    assert facts_from_name("Ghana_53713_S1Hand").quantity == "sigma0"
    assert facts_from_name("holiday_photo").acquisition == {}


def test_ungeoreferenced_raster_opens_but_has_no_place(tmp_path: Path) -> None:
    product = open_product(make_geotiff(tmp_path / "a.tif", crs=None, transform=None))
    assert product.grid is None
    with pytest.raises(GeometryError, match=r"a\.tif has no coordinate reference system; give"):
        product.power(GeoBox.from_bbox((0, 0, 1, 1), "EPSG:4326", resolution=0.1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bands": ("VV", "VV")}, "twice"),
        ({"units": "power"}, "does not say whether"),
        (
            {"bands": ("red", "green", "blue"), "dtype": "uint8", "units": "amplitude"},
            "no polarisation",
        ),
        ({"bands": ("VV", "VH", "HH", "HV", "VV")}, "5 bands"),
        ({"fill": float("nan")}, "no valid pixel"),
        ({"transform": None}, "no transform"),
    ],
)
def test_ambiguous_files_are_refused_in_one_line(tmp_path: Path, change, message: str) -> None:
    path = make_geotiff(tmp_path / "odd.tif", **change)
    with pytest.raises(SarKnowlipError, match=message) as caught:
        open_product(path)
    assert "odd.tif" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = make_geotiff(tmp_path / "cut.tif")
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(ProductError, match=r"cannot read .*cut\.tif"):
        open_product(path).power(open_product(path).grid)
    (tmp_path / "empty.tif").write_bytes(b"")
    with pytest.raises(ProductError, match=r"empty\.tif is empty"):
        open_product(tmp_path / "empty.tif")
    (tmp_path / "text.tif").write_text("hello")
    with pytest.raises(ProductError, match=r"cannot read .*text\.tif"):
        open_product(tmp_path / "text.tif")
    with pytest.raises(ProductError, match="no such file"):
        open_product(tmp_path / "absent.tif")
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(ProductError, match="is no SAR product"):
        open_product(tmp_path / "note.txt")


def test_documented_sidecar_works(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "geotiff.md").read_text("utf-8")
    example = text.split("```json")[1].split("```")[0]
    path = make_geotiff(
        tmp_path / "a.tif", units="amplitude", crs=None, transform=None, describe=False
    )
    path.with_suffix(".sar.json").write_text(example)
    product = open_product(path)
    assert product.acquisition.polarizations == ("HH", "HV")
    assert product.radiometry.quantity == "gamma0"
    assert product.geocoding.error_m == 5.0
    assert product.acquisition.center_frequency == 1.2575
    assert product.grid.crs.to_epsg() == 32633
    stored = json.loads(example)
    assert set(stored) == set(RasterFacts.model_fields)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"units": "furlongs"}', "units: "),
        ('{"units": ', "Invalid JSON"),
        ("[1]", "should be an object"),
        ('{"unit": "db"}', "unit: Extra inputs"),
        ('{"polarizations": ["LL", "VV"]}', "polarizations.0: "),
        ('{"acquisition": {"sar:frequency_band": 3}}', "sar:frequency_band: "),
        ('{"acquisition": {"colour": "red"}}', "colour: Extra inputs"),
    ],
)
def test_broken_sidecar_is_named(tmp_path: Path, content: str, reason: str) -> None:
    path = make_geotiff(tmp_path / "a.tif")
    path.with_suffix(".sar.json").write_text(content)
    with pytest.raises(ProductError, match=r"cannot use .*a\.sar\.json") as caught:
        open_product(path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_crs_and_transform_of_the_file_win_over_the_sidecar(tmp_path: Path) -> None:
    path = make_geotiff(tmp_path / "a.tif")
    sidecar = {"crs": "EPSG:32634", "transform": [5, 0, 1000, 0, -5, 2000]}
    path.with_suffix(".sar.json").write_text(json.dumps(sidecar))
    product = open_product(path, ReadOptions(crs="EPSG:32635"))
    assert product.grid == open_product(make_geotiff(tmp_path / "b.tif")).grid


@pytest.mark.parametrize("crs", ["EPSG:999999", "nonsense"])
def test_unusable_crs_is_named(tmp_path: Path, crs: str) -> None:
    path = make_geotiff(tmp_path / "a.tif", crs=None)
    with pytest.raises(ConfigError, match=r"unusable CRS for .*a\.tif.*; give another with --crs"):
        open_product(path, ReadOptions(crs=crs))
    assert open_product(path, ReadOptions(crs="EPSG:32633")).grid is not None


@pytest.mark.parametrize(
    "place",
    [
        {"transform": Affine(0, 0, 5e5, 0, 0, 4.7e6)},
        {"transform": Affine(10, 0, 5e9, 0, -10, 4.7e9)},
        {"crs": "EPSG:4326"},
        {"crs": 'LOCAL_CS["site",UNIT["metre",1]]'},
    ],
    ids=["no-area", "beyond", "metres-as-degrees", "local"],
)
def test_grid_without_a_place_on_earth_is_refused(tmp_path: Path, place) -> None:
    path = make_geotiff(tmp_path / "lost.tif", **place)
    with pytest.raises(GeometryError, match=r"lost\.tif has a CRS .* without a place on Earth; "):
        open_product(path)


def test_crs_without_authority_is_used_as_it_is(tmp_path: Path) -> None:
    custom = "+proj=laea +lat_0=41.9 +lon_0=12.5 +datum=WGS84 +units=m"
    path = make_geotiff(tmp_path / "a.tif", crs=custom, transform=Affine(10, 0, 0, 0, -10, 0))
    product = open_product(path)
    assert product.grid.crs.to_epsg() is None
    assert product.gsd_m == pytest.approx((10, 10), rel=1e-3)
    west, _, _, north = product.footprint.bounds
    assert (west, north) == pytest.approx((12.5, 41.9), abs=1e-4)
    assert np.isfinite(product.power(product.grid)).all()


def test_a_quantity_is_never_relabelled(tmp_path: Path) -> None:
    path = make_geotiff(tmp_path / "Ghana_1_S1Hand.tif")
    assert open_product(path, ReadOptions(quantity="sigma0")).radiometry.quantity == "sigma0"
    with pytest.raises(ProductError, match=r"S1Hand\.tif holds sigma0, not gamma0; leave option"):
        open_product(path, ReadOptions(quantity="gamma0"))
    path = make_geotiff(tmp_path / "a.tif")
    with pytest.raises(ProductError, match=r"a\.tif holds an unknown quantity, not sigma0"):
        open_product(path, ReadOptions(quantity="sigma0"))


@pytest.mark.parametrize("options", [{"polarizations": ("VV",)}, {"polarizations": ("VV", "VV")}])
def test_polarisations_must_fit_the_bands(tmp_path: Path, options) -> None:
    path = make_geotiff(tmp_path / "a.tif")
    with pytest.raises(ProductError, match=r"a\.tif (has 2 bands but|names a polarisation twice)"):
        open_product(path, ReadOptions(**options))


def test_options_with_unknown_facts_are_refused() -> None:
    with pytest.raises(ValueError, match="colour: Extra inputs are not permitted"):
        ReadOptions(acquisition={"colour": "red"})


def test_all_nan_window_has_no_data(tmp_path: Path) -> None:
    product = open_product(make_geotiff(tmp_path / "a.tif", nodata_columns=100))
    assert np.isnan(product.power(product.grid[:, :100])).all()
    assert np.isfinite(product.power(product.grid[:, 100:])).all()


@pytest.mark.parametrize("units", ["power", "amplitude"])
def test_zero_is_no_data_in_linear_rasters(tmp_path: Path, units: str) -> None:
    path = make_geotiff(tmp_path / "a.tif", units=units, fill=0.0)
    product = open_product(path, ReadOptions(units=units))
    assert np.isnan(product.power(product.grid)).all()


def test_complex_pixels_are_amplitudes(tmp_path: Path) -> None:
    path = make_geotiff(tmp_path / "c_VV.tif", bands=("VV",), dtype="complex64", units="amplitude")
    product = open_product(path)
    assert product.radiometry.quantity == "amplitude"
    stored = rasterio.open(path).read()
    assert np.allclose(product.power(product.grid), np.abs(stored) ** 2, rtol=1e-5)


def test_other_rasters_named_tif_are_refused(tmp_path: Path) -> None:
    profile = {"driver": "PNG", "height": 9, "width": 9, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "p.png", "w", **profile) as target:
        target.write(np.full((1, 9, 9), 7, np.uint8))
    path = (tmp_path / "p.png").rename(tmp_path / "holiday.tif")
    with pytest.raises(
        ProductError, match=r"holiday\.tif names no polarisation: not recognised as"
    ):
        open_product(path)


def test_real_scene(shared_data) -> None:
    folder = shared_data("sentinel1-geotiff")
    product = open_product(next(folder.glob("*.tif")))
    power = product.power(product.grid)
    assert product.acquisition.platform == "sentinel-1a"
    assert power.shape == (1, 217, 268)
    assert np.isfinite(power).all()
    assert -25 < np.nanmedian(power_to_db(power)) < 0
