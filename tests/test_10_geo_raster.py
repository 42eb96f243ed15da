"""Rung 1: raster reading, tile files, warping, footprints of valid data, gazetteer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Geod

from sarknowlip.core.errors import GeometryError, ProductError
from sarknowlip.geo.footprint import extent_footprint, valid_footprint, wgs84_bbox
from sarknowlip.geo.gazetteer import find_city, nearest_city
from sarknowlip.geo.raster import StoredTile, decode_tile, encode_tile, iter_tiles
from sarknowlip.geo.warp import aligned_window, sample, source_window, warp

UTM = GeoBox((96, 128), Affine(10, 0, 500_000, 0, -10, 4_700_000), "EPSG:32633")


def stored(seed: int = 0, shape: tuple[int, int] = (96, 128), bands: int = 2) -> StoredTile:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 65536, (bands, *shape), dtype=np.uint16)
    grid = GeoBox(shape, UTM.affine, UTM.crs)
    return StoredTile(pixels, grid, ("VV", "VH")[:bands], 0.002, -80.0, {"QUANTITY": "sigma0"})


@pytest.mark.parametrize("shape", [(16, 16), (96, 128), (256, 256), (257, 511)])
def test_tile_files_round_trip_and_are_deterministic(tmp_path: Path, shape) -> None:
    tile = stored(shape=shape)
    content = encode_tile(tile)
    assert content == encode_tile(tile)
    path = tmp_path / "tile.tif"
    path.write_bytes(content)
    back = decode_tile(path)
    assert np.array_equal(back.pixels, tile.pixels)
    assert back.geobox == tile.geobox
    assert (back.bands, back.scale, back.offset) == (tile.bands, tile.scale, tile.offset)
    assert back.tags["QUANTITY"] == "sigma0"
    with rasterio.open(path) as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.nodata == 0
        assert source.compression.value == "ZSTD"


def test_truncated_tile_names_the_file(tmp_path: Path) -> None:
    content = encode_tile(stored())
    path = tmp_path / "short.tif"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ProductError, match=r"cannot read .*short\.tif.*; the file is damaged"):
        decode_tile(path)


@pytest.mark.parametrize(
    ("size", "shape"), [(64, (200, 300)), (512, (200, 300)), (100, (200, 300))]
)
def test_strip_tiles_equal_a_whole_read(tmp_path: Path, size: int, shape) -> None:
    path = tmp_path / "raster.tif"
    values = np.random.default_rng(1).integers(0, 65536, (2, *shape), dtype=np.uint16)
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=2, dtype="uint16"
    ) as target:
        target.write(values)
    again = np.zeros_like(values)
    for row, column, part in iter_tiles(path, size):
        again[:, row : row + part.shape[1], column : column + part.shape[2]] = part
    assert np.array_equal(again, values)


def test_warp_to_the_same_grid_changes_nothing() -> None:
    values = np.random.default_rng(2).gamma(4, 0.25, (2, *UTM.shape)).astype(np.float32)
    assert np.allclose(warp(values, UTM, UTM), values)


def test_warp_keeps_power() -> None:
    values = np.random.default_rng(3).gamma(4, 0.25, (1, *UTM.shape)).astype(np.float32)
    geographic = GeoBox.from_bbox(
        (15.002, 42.445, 15.013, 42.451), "EPSG:4326", resolution=1.5e-4, tight=True
    )
    moved = warp(values, UTM, geographic, "average")
    assert np.nanmean(moved) == pytest.approx(values.mean(), rel=0.05)
    assert np.isfinite(moved).mean() > 0.5


def test_aligned_window_needs_a_whole_shift() -> None:
    inside = UTM[10:20, 30:50]
    assert aligned_window(UTM, inside) == (10, 30)
    assert aligned_window(inside, UTM) == (-10, -30)
    off = GeoBox(UTM.shape, UTM.affine * Affine.translation(0.5, 0), UTM.crs)
    assert aligned_window(UTM, off) is None
    assert aligned_window(UTM, GeoBox(UTM.shape, UTM.affine, "EPSG:32632")) is None


@pytest.mark.filterwarnings("error")
def test_source_window_outside_the_projection_is_none() -> None:
    # on the equator, 90° from the central meridian of the source's zone
    aside = GeoBox((10, 10), Affine(10, 0, 833_900, 0, -10, 50), "EPSG:32647")
    assert source_window(UTM, aside) is None


def test_source_window_of_a_distant_target_is_none() -> None:
    far = GeoBox((10, 10), Affine(10, 0, 600_000, 0, -10, 4_500_000), "EPSG:32633")
    assert source_window(UTM, far) is None
    rows, columns = source_window(UTM, UTM[20:40, 50:60], margin=2)
    assert (rows.start, rows.stop, columns.start, columns.stop) == (18, 42, 48, 62)


def test_sample_interpolates_and_marks_the_outside() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    got = sample(values, np.array([0.0, 0.5, 5.0, np.nan]), np.array([1.0, 1.5, 1.0, 0.0]))
    assert got[:2] == pytest.approx([1.0, 3.5])
    assert np.isnan(got[2:]).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 95), st.integers(1, 127))
def test_valid_footprint_measures_the_valid_ground(rows: int, columns: int) -> None:
    mask = np.zeros(UTM.shape, dtype=bool)
    mask[:rows, :columns] = True
    footprint = valid_footprint(mask, UTM)
    area = sum(abs(Geod(ellps="WGS84").geometry_area_perimeter(p)[0]) for p in footprint.geoms)
    assert area == pytest.approx(rows * columns * 100, rel=0.01)
    west, south, east, north = wgs84_bbox(footprint)
    assert west < east
    assert south < north


def test_footprint_of_nothing_is_an_error() -> None:
    with pytest.raises(GeometryError, match="no valid pixel"):
        valid_footprint(np.zeros(UTM.shape, dtype=bool), UTM)


def test_raster_off_the_earth_is_an_error() -> None:
    lost = GeoBox((10, 10), Affine(10, 0, 1e12, 0, -10, 1e12), "EPSG:32633")
    with pytest.raises(GeometryError, match="no position on Earth"):
        extent_footprint(lost)


def test_gazetteer_knows_rome() -> None:
    city, distance = nearest_city(12.4964, 41.9028)
    assert city.country == "IT"
    assert distance < 3
    rome = find_city("Rome")
    assert rome is not None
    assert rome.population > 2_000_000
    assert rome.slug == f"rome-{rome.id}"
    assert find_city("no such place") is None


def test_nearest_city_works_across_the_antimeridian() -> None:
    west, _ = nearest_city(-179.9, -16.7)
    east, _ = nearest_city(179.9, -16.7)
    assert west.country == east.country == "FJ"
