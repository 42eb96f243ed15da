"""Rung 2: genuine Sentinel-1 SAFE folders (blank pixels), read, and given point targets."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

from data.elevation.make import make_dem
from data.safe.targets import copy_with_targets
from data.sicd.targets import grid_at, offset_px
from sarknowlip.core.errors import ProductError
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.validate import validate
from sarknowlip.geo.grid import GridConfig
from sarknowlip.sar.elevation import Elevation
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.safe import read_annotation, read_manifest
from sarknowlip.sar.sensors import open_product
from sarknowlip.sar.swath import Swath

SAMPLES = "sentinel1-safe"
GRD = "S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE"
SLC = "S1A_IW_SLC__1SDV_20220104T170557_20220104T170624_041314_04E951_F1F1.SAFE"
ALPS_GRD = "S1B_IW_GRDH_1SDV_20210401T052623_20210401T052648_026269_032297_ECC8.SAFE"
ALPS_SLC = "S1B_IW_SLC__1SDV_20210401T052622_20210401T052650_026269_032297_EFA4.SAFE"
DEM = "Rome-30m-DEM.tif"
GEOID_M = 48.0
GSD_M = 10.0


@pytest.fixture
def samples(shared_data) -> Path:
    return shared_data(SAMPLES)


@pytest.mark.parametrize(
    ("name", "swaths", "polarizations", "shape"),
    [
        (GRD, ["IW"], ("VV",), (16_705, 26_102)),
        (ALPS_GRD, ["IW"], ("VV",), (16_685, 25_788)),
        (SLC, ["IW1"], ("VV",), (13_509, 22_694)),
        (ALPS_SLC, ["IW1", "IW2"], ("VV", "VH"), (13_509, 21_632)),
    ],
)
def test_manifests_and_annotations(name, swaths, polarizations, shape, samples, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        manifest = read_manifest(samples / name)
    assert "is left out" in caplog.text  # the samples hold a part of their measurements
    assert list(dict.fromkeys(image.swath for image in manifest.images)) == swaths
    assert tuple(dict.fromkeys(i.polarization for i in manifest.images)) == polarizations
    annotation = read_annotation(manifest.images[0].annotation)
    assert annotation.shape == shape
    assert (annotation.bursts is None) == ("GRD" in name)
    if annotation.bursts is not None:
        assert annotation.bursts.start_s.size == 9
        assert annotation.bursts.first_valid.size == shape[0]


@pytest.mark.parametrize("name", [GRD, ALPS_GRD, SLC, ALPS_SLC])
def test_orbit_and_geolocation_grid_agree(name, samples) -> None:
    """Tie points, solved from state vectors, fall on their own lines and slant ranges."""
    images = {i.swath: i for i in read_manifest(samples / name).images}
    for image in images.values():
        annotation = read_annotation(image.annotation)
        swath = Swath(annotation, {image.polarization: image}, terrain=True)
        ties = annotation.ties
        line, sample = swath.model(ties.lon, ties.lat, ties.height)
        azimuth_s = swath.radar.azimuth_s(line, sample)
        slant_m = (sample / annotation.sampling_hz + annotation.range_start_s) * 299_792_458.0 / 2
        assert np.abs(azimuth_s - ties.azimuth_s).max() < 0.05 * annotation.line_interval_s
        assert np.abs(slant_m - ties.range_s * 299_792_458.0 / 2).max() < 0.01
        by_ties = swath.grid.locate(ties.lon, ties.lat)
        np.testing.assert_allclose(by_ties[0], line, atol=0.05)
        np.testing.assert_allclose(by_ties[1], sample, atol=0.05)


def test_real_records(samples) -> None:
    product = open_product(samples / GRD)
    facts = product.acquisition.stac_properties()
    assert product.acquisition.missing == ()
    assert facts["platform"] == "sentinel-1b"
    assert facts["start_datetime"] == "2021-12-23T05:11:22.594441Z"
    assert (facts["sat:orbit_state"], facts["sat:relative_orbit"]) == ("descending", 22)
    assert facts["sat:absolute_orbit"] == 30148
    assert facts["sarknowlip:heading"] == pytest.approx(193.687, abs=1e-3)
    assert facts["view:incidence_angle"] == pytest.approx(38.918, abs=1e-3)
    assert facts["sarknowlip:incidence_near"] == pytest.approx(30.31, abs=0.01)
    assert facts["sarknowlip:incidence_far"] == pytest.approx(46.10, abs=0.02)
    # The manifest's own outline of the frame, to 0.1°: corners of terrain may lie off it.
    assert product.footprint.bounds == pytest.approx((11.87, 40.88, 15.32, 42.78), abs=0.1)
    assert product.radiometry.noise_removed is True
    both = open_product(samples / ALPS_SLC)
    assert both.acquisition.polarizations == ("VV", "VH")
    assert both.acquisition.relative_orbit == 168


def test_what_the_samples_lack_is_said(samples) -> None:
    with pytest.raises(ProductError, match=r"missing .*calibration-s1b-iw-grd-vv-20210401"):
        open_product(samples / ALPS_GRD)
    with pytest.raises(ProductError, match=r"missing .*noise-s1a-iw1-slc-vv-20220104"):
        open_product(samples / SLC)


def offsets(product, targets) -> list[float]:
    found = []
    for lon, lat, _ in targets:
        grid = grid_at(lon, lat, 400.0, GSD_M)
        found.append(offset_px(product.power(grid)[0], grid, lon, lat))
    return found


def test_targets_on_romes_terrain_grd(samples, tmp_path: Path) -> None:
    places = np.array(
        [(12.4703, 41.9701), (12.4911, 42.0133), (12.5008, 42.0302), (12.5213, 41.9853),
         (12.5302, 42.0151), (12.4652, 42.0413)]
    )  # fmt: skip
    lon, lat = places.T
    options = ReadOptions(dem=samples / DEM, dem_geoid_m=GEOID_M)
    product = open_product(samples / GRD, options)
    height = Elevation.open(samples / DEM, GEOID_M, product.footprint).at(lon, lat)
    assert np.ptp(height) > 20
    targets = list(zip(lon, lat, height, strict=True))
    copy = copy_with_targets(samples / GRD, tmp_path, targets)
    assert max(offsets(open_product(copy, options), targets)) < 0.12
    flattened = open_product(copy, options.model_copy(update={"quantity": "gamma0"}))
    assert max(offsets(flattened, targets[:2])) < 0.5


def test_targets_on_a_made_mountain_slc(samples, tmp_path: Path) -> None:
    """The Rome DEM lies outside the one swath of this sample, so that terrain is made."""
    lon0, lat0 = 11.45, 41.80
    grid = grid_at(lon0, lat0, 24_000.0, 100.0)
    move = Transformer.from_crs(4326, str(grid.crs), always_xy=True)
    x0, y0 = move.transform(lon0, lat0)

    def height(x, y):
        return 300.0 + 250.0 * np.sin((x - x0) / 2000.0) * np.cos((y - y0) / 3000.0)

    dem = make_dem(tmp_path / "dem.tif", grid, height, step=20.0)
    rng = np.random.default_rng(3)
    places = [(lon0 + dx, lat0 + dy) for dx, dy in rng.uniform(-0.09, 0.09, (8, 2))]
    targets = [(*p, float(height(*move.transform(*p)))) for p in places]
    copy = copy_with_targets(samples / SLC, tmp_path, targets)
    options = ReadOptions(dem=dem, dem_geoid_m=0.0, remove_noise=False)
    assert max(offsets(open_product(copy, options), targets)) < 0.2


@pytest.mark.parametrize("name", [GRD, SLC])
def test_targets_at_tie_points_without_elevation_model(name, samples, tmp_path: Path) -> None:
    ties = read_annotation(read_manifest(samples / name).images[0].annotation).ties
    chosen = [(2, 3), (4, 8), (5, 12), (7, 15)]
    targets = [(ties.lon[i], ties.lat[i], ties.height[i]) for i in chosen]
    copy = copy_with_targets(samples / name, tmp_path, targets)
    product = open_product(copy, ReadOptions(remove_noise=False))
    assert product.geocoding.method == "gcp"
    assert max(offsets(product, targets)) < 0.2


def test_a_corpus_of_rome(samples, tmp_path: Path) -> None:
    lon, lat = np.meshgrid(np.linspace(12.46, 12.54, 7), np.linspace(41.96, 42.04, 7))
    targets = [(x, y, 90.0) for x, y in zip(lon.ravel(), lat.ravel(), strict=True)]
    copy = copy_with_targets(samples / GRD, tmp_path, targets)
    read = ReadOptions(dem=samples / DEM, dem_geoid_m=GEOID_M)
    config = BuildConfig(grid=GridConfig(gsd_m=200.0, tile_px=64), read=read, max_nodata=0.995)
    report = build([copy], tmp_path / "corpus", config)
    assert report.rejected == ()
    assert report.tiles >= 1
    result = validate(tmp_path / "corpus")
    assert result.tiles == report.tiles
    assert result.problems == ()
