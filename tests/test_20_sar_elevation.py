"""Rung 2: elevation models and their vertical datum."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.geometry import box

from data.elevation.make import make_dem
from data.sicd.make import ROME, make_sicd
from sarknowlip.core.errors import GeometryError, ProductError
from sarknowlip.sar.elevation import GEOID_SPREAD_M, Elevation
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors.sicd import SicdProduct

ROME_BOX = box(12.45, 41.85, 12.5, 41.9)
LON, LAT = np.array([12.47]), np.array([41.87])
DEGREES = GeoBox((100, 100), Affine(1e-3, 0, 12.42, 0, -1e-3, 41.92), "EPSG:4326")
METRES = GeoBox((100, 100), Affine(100, 0, 285_000, 0, -100, 4_645_000), "EPSG:32633")


def degrees_dem(path: Path, crs: str = "EPSG:4326", height: float = 50.0) -> Path:
    return make_dem(path, DEGREES, height, step=1e-3, margin=0.02, crs=crs)


def test_three_dimensional_crs_is_ellipsoidal(tmp_path: Path, caplog) -> None:
    dem = Elevation.open(degrees_dem(tmp_path / "a.tif", "EPSG:4979"), 48.0, ROME_BOX)
    assert dem.vertical_datum == "ellipsoid"
    assert dem.error_m == 0
    assert dem.at(LON, LAT) == pytest.approx([50.0])
    assert not caplog.text


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4326+5773", "EPSG:9518"])
def test_given_undulation_is_added(tmp_path: Path, crs: str, caplog) -> None:
    dem = Elevation.open(degrees_dem(tmp_path / "a.tif", crs), 48.0, ROME_BOX)
    assert dem.vertical_datum == "ellipsoid"
    assert dem.error_m == 0
    assert dem.at(LON, LAT) == pytest.approx([98.0])
    assert not caplog.text


@pytest.mark.parametrize(
    ("crs", "datum"), [("EPSG:4326", None), ("EPSG:4326+5773", "EGM96"), ("EPSG:9518", "EGM2008")]
)
def test_unknown_undulation_is_said_and_enters_the_error(
    tmp_path: Path, crs: str, datum: str | None, caplog
) -> None:
    path = degrees_dem(tmp_path / "a.tif", crs)
    with caplog.at_level(logging.WARNING):
        dem = Elevation.open(path, None, ROME_BOX)
    assert "heights are taken as ellipsoidal" in caplog.text
    assert "dem_geoid_m" in caplog.text
    assert dem.vertical_datum == datum
    assert dem.error_m == GEOID_SPREAD_M
    assert dem.at(LON, LAT) == pytest.approx([50.0])


def test_unknown_undulation_enters_the_geolocation_error(tmp_path: Path) -> None:
    """30 m of height are 30 m / tan(incidence) on the ground, beside the stated error."""
    path = make_sicd(tmp_path / "a.ntf")
    plain = SicdProduct.open(path)
    product = SicdProduct.open(path, ReadOptions(dem=degrees_dem(tmp_path / "dem.tif")))
    assert product.geocoding.vertical_datum is None
    assert product.geocoding.error_m == pytest.approx(
        np.hypot(plain.geocoding.error_m, 30.0 / np.tan(np.deg2rad(35.0))), rel=1e-3
    )


def test_proj_grid_of_a_compound_crs_is_used(tmp_path: Path, caplog) -> None:
    """A vertical CRS with a geoid grid that PROJ finds; its undulation grows by 10 m a degree."""
    grid = tmp_path / "geoid.gtx"
    undulation = np.tile(47.0 + np.arange(20), (20, 1)).astype(np.float32)
    with rasterio.open(
        grid, "w", driver="GTX", height=20, width=20, count=1, dtype="float32",
        transform=Affine(0.1, 0, 11.95, 0, -0.1, 43.05),
    ) as target:  # fmt: skip
        target.write(undulation, 1)
    with rasterio.open(degrees_dem(tmp_path / "base.tif")) as base:
        horizontal, (rows, columns), move = base.crs.to_wkt(), base.shape, base.transform.to_gdal()
    vertical = (
        f'VERT_CS["local height",VERT_DATUM["local",2005,EXTENSION["PROJ4_GRIDS","{grid}"]],'
        'UNIT["metre",1],AXIS["Up",UP]]'
    )
    crs = f'COMPD_CS["local",{horizontal},{vertical}]'.replace('"', "&quot;")
    path = tmp_path / "dem.vrt"
    path.write_text(
        f'<VRTDataset rasterXSize="{columns}" rasterYSize="{rows}"><SRS>{crs}</SRS>'
        f"<GeoTransform>{','.join(map(str, move))}</GeoTransform>"
        '<VRTRasterBand dataType="Float32" band="1"><SimpleSource><SourceFilename '
        'relativeToVRT="1">base.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    dem = Elevation.open(path, 1000.0, ROME_BOX)
    assert dem.vertical_datum == "ellipsoid"
    assert dem.error_m == 0
    expected = 50.0 + 47.0 + (LON - 12.0) / 0.1
    assert dem.at(LON, LAT) == pytest.approx(expected, abs=1e-3)
    target_grid = DEGREES[40:60, 40:60]
    heights = dem.on(target_grid)
    lon = target_grid.affine.c + (np.arange(20) + 0.5) * 1e-3
    assert np.allclose(heights, 50.0 + 47.0 + (lon - 12.0) / 0.1, atol=0.01)
    assert not caplog.text


def test_heights_on_a_grid_and_at_points_follow_the_raster(tmp_path: Path) -> None:
    def slope(x, y):
        return 0.01 * (x - 285_000) + 0.02 * (y - 4_635_000)

    path = make_dem(tmp_path / "a.tif", METRES, slope, step=30.0)
    area = box(12.3, 41.8, 12.6, 42.0)
    dem = Elevation.open(path, 0.0, area)
    fine = GeoBox((60, 50), Affine(20, 0, 288_000, 0, -20, 4_641_000), "EPSG:32633")
    x, y = fine.affine * (np.arange(50)[None] + 0.5, np.arange(60)[:, None] + 0.5)
    assert np.allclose(dem.on(fine), slope(x, y), atol=0.01)
    coarse = fine.zoom_out(10)
    x, y = coarse.affine * (np.arange(5)[None] + 0.5, np.arange(6)[:, None] + 0.5)
    assert np.allclose(dem.on(coarse), slope(x, y), atol=0.5)
    lon, lat = Transformer.from_crs(32633, 4326, always_xy=True).transform(288_500, 4_640_700)
    assert dem.at(np.array([lon]), np.array([lat])) == pytest.approx(
        [slope(288_500, 4_640_700)], abs=0.01
    )


def test_no_data_and_places_beyond_the_raster_are_unknown(tmp_path: Path) -> None:
    path = make_dem(
        tmp_path / "a.tif", METRES, lambda x, y: np.where(x < 290_000, -9999.0, 5.0), step=30.0
    )
    dem = Elevation.open(path, 7.0, box(12.3, 41.8, 12.6, 42.0))
    heights = dem.on(METRES)
    assert np.isnan(heights[:, :49]).all()
    assert np.allclose(heights[:, 52:], 12.0)
    elsewhere = GeoBox((10, 10), Affine(100, 0, 400_000, 0, -100, 4_645_000), "EPSG:32633")
    assert np.isnan(dem.on(elsewhere)).all()
    assert np.isnan(dem.at(np.array([13.9]), np.array([41.9]))).all()
    # the second place has no coordinates in the raster's zone
    lon, lat = Transformer.from_crs(32633, 4326, always_xy=True).transform(292_500, 4_640_700)
    near, far = dem.at(np.array([lon, 105.0]), np.array([lat, 0.0]))
    assert near == pytest.approx(12.0)
    assert np.isnan(far)
    assert np.isnan(dem.at(np.array([105.0]), np.array([0.0]))).all()


def test_terrain_without_heights_has_no_pixels(tmp_path: Path) -> None:
    """West of the scene's centre the elevation model is silent, and so is the product."""
    place = Transformer.from_crs(4326, 32633, always_xy=True)
    x0, y0 = place.transform(ROME[1], ROME[0])
    grid = GeoBox((100, 100), Affine(1, 0, x0 - 50, 0, -1, y0 + 50), "EPSG:32633")
    path = make_dem(
        tmp_path / "a.tif", grid, lambda x, y: np.where(x < x0, -9999.0, 47.0), step=5.0
    )
    source = make_sicd(tmp_path / "a.ntf", shape=(200, 240))
    product = SicdProduct.open(source, ReadOptions(dem=path, dem_geoid_m=48.0))
    power = product.power(grid)[0]
    assert np.isnan(power[:, :40]).all()
    assert np.isfinite(power[30:70, 60:]).all()


def test_unusable_elevation_models_are_named(tmp_path: Path) -> None:
    source = make_sicd(tmp_path / "a.ntf")

    def opening(path: Path) -> None:
        SicdProduct.open(source, ReadOptions(dem=path))

    with pytest.raises(ProductError, match=r"cannot read .*absent\.tif"):
        opening(tmp_path / "absent.tif")
    (tmp_path / "text.tif").write_text("heights")
    with pytest.raises(ProductError, match=r"cannot read .*text\.tif"):
        opening(tmp_path / "text.tif")
    far = GeoBox((10, 10), Affine(100, 0, 600_000, 0, -100, 1_000_000), "EPSG:32633")
    with pytest.raises(GeometryError, match=r"far\.tif does not cover the product; give an elev"):
        opening(make_dem(tmp_path / "far.tif", far, 1.0))
    bare = tmp_path / "bare.tif"
    with rasterio.open(
        bare, "w", driver="GTiff", height=9, width=9, count=1, dtype="float32",
        transform=Affine(1e-2, 0, 12.4, 0, -1e-2, 42.0),
    ) as target:  # fmt: skip
        target.write(np.ones((1, 9, 9), np.float32))
    with pytest.raises(GeometryError, match=r"bare\.tif has no coordinate reference system; "):
        opening(bare)


def test_elevation_model_truncated_after_opening_is_named(tmp_path: Path) -> None:
    path = degrees_dem(tmp_path / "cut.tif")
    dem = Elevation.open(path, 0.0, ROME_BOX)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(ProductError, match=r"cannot read .*cut\.tif"):
        dem.on(DEGREES)
