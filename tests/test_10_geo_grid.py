"""Rung 1: the tile grid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from shapely.geometry import MultiPolygon, box

from sarknowlip.core.errors import ConfigError, GeometryError
from sarknowlip.geo.footprint import cut_at_antimeridian, extent_footprint, pixel_round_trip_error
from sarknowlip.geo.grid import (
    GridConfig,
    circular_centre,
    ground_sample_distance,
    native_tile_grid,
    preferred_gsd,
    utm_epsg,
    utm_tile_grid,
)


def around(lon: float, lat: float, half: float = 0.03) -> MultiPolygon:
    return MultiPolygon([box(lon - half, lat - half, lon + half, lat + half)])


@settings(deadline=None, max_examples=60)
@given(st.floats(-179.9, 179.9), st.floats(-79, 83), st.sampled_from([1.0, 2.5, 10.0, 20.0]))
def test_tiles_cover_the_footprint_and_lie_on_the_world_grid(
    lon: float, lat: float, gsd: float
) -> None:
    footprint = around(lon, lat)
    grid = utm_tile_grid(footprint, gsd, 256)
    ground = gsd * 256
    assert grid.geobox.affine.c % ground == pytest.approx(0, abs=1e-6)
    assert grid.geobox.affine.f % ground == pytest.approx(0, abs=1e-6)
    assert footprint.difference(extent_footprint(grid.geobox).buffer(1e-7)).area < 1e-9
    assert pixel_round_trip_error(grid.geobox) < 0.01


@given(st.floats(4.0, 5.0), st.floats(40, 41))
@settings(deadline=None, max_examples=30)
def test_equal_keys_mean_equal_ground(lon: float, lat: float) -> None:
    first = utm_tile_grid(around(lon, lat), 10.0, 128)
    second = utm_tile_grid(around(lon + 0.02, lat + 0.01), 10.0, 128)

    def tiles(grid):
        rows, columns = grid.shape
        return {
            (t := grid.tile(r, c)).key: tuple(t.geobox.affine)
            for r, c in itertools.product(range(rows), range(columns))
        }

    a, b = tiles(first), tiles(second)
    assert set(a) & set(b)
    assert all(a[key] == b[key] for key in set(a) & set(b))
    assert len(set(a.values())) == len(a)


@pytest.mark.parametrize("strips", [False, True])
@pytest.mark.parametrize("pixels", [64, 512, 100_000])
def test_chunks_partition_the_grid(pixels: int, strips: bool) -> None:
    grid = utm_tile_grid(around(12.5, 41.9, 0.2), 10.0, 128)
    blocks = list(grid.chunks(pixels, strips=strips))
    seen = [tile.key for _, tiles in blocks for tile in tiles]
    rows, columns = grid.shape
    assert len(seen) == len(set(seen)) == rows * columns
    area = sum(block.shape[0] * block.shape[1] for block, _ in blocks)
    assert area == grid.geobox.shape[0] * grid.geobox.shape[1]
    assert max(block.shape[0] * block.shape[1] for block, _ in blocks) <= max(pixels, 128) ** 2
    if strips and pixels == 512:
        assert all(block.shape[1] >= block.shape[0] for block, _ in blocks)


def test_native_grid_keeps_the_raster_lattice() -> None:
    raster = GeoBox((300, 520), Affine(20, 0, 620048.24, 0, -20, 4830114.7), "EPSG:32631")
    grid = native_tile_grid(raster, 256)
    assert grid.shape == (2, 3)
    assert grid.geobox.affine == raster.affine
    assert native_tile_grid(raster[:10, :10], 256).shape == (1, 1)


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [
        (3, 43, 32631),
        (-180, 10, 32601),
        (179.99, -10, 32760),
        (180, 0, 32601),
        (0, 84, 32661),
        (0, -81, 32761),
    ],
)
def test_zones(lon: float, lat: float, epsg: int) -> None:
    assert utm_epsg(lon, lat) == epsg


@given(st.floats(0.05, 5000))
def test_preferred_gsd_is_near_and_stable(metres: float) -> None:
    size = preferred_gsd(metres)
    assert 0.86 < size / metres < 1.16
    assert preferred_gsd(size) == size


def test_sentinel1_chips_of_all_latitudes_share_a_pixel_size() -> None:
    sizes = set()
    for lat in (0.0, 9.1, 26.7, 38.2):
        chip = GeoBox((512, 512), Affine(8.98e-5, 0, 10, 0, -8.98e-5, lat), "EPSG:4326")
        sizes.add(preferred_gsd(max(ground_sample_distance(chip))))
    assert sizes == {10.0}


def test_antimeridian_footprint_is_cut_and_gridded_on_one_side() -> None:
    raster = GeoBox((2000, 2000), Affine(10, 0, 690_000, 0, -10, 8_200_000), "EPSG:32760")
    east = GeoBox((4000, 4000), Affine(10, 0, 800_000, 0, -10, 8_200_000), "EPSG:32760")
    footprint = extent_footprint(east)
    assert len(footprint.geoms) == 2
    assert footprint.bounds[0] == pytest.approx(-180)
    assert abs(abs(circular_centre(footprint)[0]) - 180) < 1
    grid = utm_tile_grid(footprint, 10.0, 256)
    assert grid.geobox.shape[1] * 10 < 80_000
    assert len(extent_footprint(raster).geoms) == 1


@pytest.mark.parametrize("epsg", [32661, 32761])
def test_pole_is_inside_its_own_footprint(epsg: int) -> None:
    raster = GeoBox((1000, 1000), Affine(100, 0, 1_950_000, 0, -100, 2_050_000), f"EPSG:{epsg}")
    footprint = extent_footprint(raster)
    pole = 90.0 if epsg == 32661 else -90.0
    assert footprint.is_valid
    assert pole in (footprint.bounds[1], footprint.bounds[3])
    assert footprint.bounds[0] == -180
    assert footprint.bounds[2] == 180
    assert pixel_round_trip_error(raster) < 0.01


def test_cutting_leaves_ordinary_polygons_alone() -> None:
    plain = around(10, 50)
    assert cut_at_antimeridian(plain).symmetric_difference(plain).area < 1e-12


def test_bad_grids_are_refused() -> None:
    with pytest.raises(ConfigError, match="tile_px"):
        GridConfig(tile_px=3)
    with pytest.raises(ConfigError, match="native"):
        GridConfig(gsd_m=10, placement="native")
    with pytest.raises(GeometryError, match="empty"):
        utm_tile_grid(MultiPolygon(), 10, 256)


def test_ground_sample_distance_of_degrees() -> None:
    chip = GeoBox((100, 100), Affine(1e-4, 0, 10, 0, -1e-4, 60), "EPSG:4326")
    x, y = ground_sample_distance(chip)
    assert x == pytest.approx(5.58, abs=0.02)
    assert y == pytest.approx(11.14, abs=0.02)
    assert np.isfinite([x, y]).all()
