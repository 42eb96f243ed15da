"""Rung 3: terrain against planes whose slope and direction are known."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from data.elevation.make import make_dem
from data.knowledge.make import GRID
from data.tiles.make import make_tile
from sarknowlip.core.errors import ConfigError, GeometryError
from sarknowlip.knowledge.evidence import Facts
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.sources.terrain import TerrainSource, gradient, look_azimuth_deg

SMALL = GeoBox((64, 64), GRID.affine, GRID.crs)


def terrain_of(path, heading=None, side=None, grid=SMALL, **options) -> Facts:
    tile = replace(make_tile(np.full((1, *grid.shape), 0.1)), geobox=grid)
    looking = {"heading": heading, "observation_direction": side}
    tile = replace(tile, acquisition=tile.acquisition.model_copy(update=looking))
    return Facts(TerrainSource(SourceOptions(dem=path, **options)).evidence(tile))


def plane(rise_east: float, rise_north: float):
    x0, y0 = SMALL.affine.c, SMALL.affine.f
    return lambda x, y: 500 + rise_east * (x - x0) + rise_north * (y - y0)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-60, 60))
@settings(max_examples=40, deadline=None)
def test_gradient_of_a_plane_on_a_turned_grid(east: float, north: float, turn: float) -> None:
    grid = GeoBox((16, 20), SMALL.affine @ Affine.rotation(turn), SMALL.crs)
    rows, columns = np.mgrid[:16, :20] + 0.5
    x, y = grid.affine * (columns, rows)
    found = gradient(plane(east, north)(x, y), grid)
    # Easting 500 km is the central meridian: grid north is true north; the scale is 0.9996.
    for values, expected in zip(found, (east, north), strict=True):
        assert values == pytest.approx(np.full(values.shape, expected), abs=5e-4)


def test_gradient_knows_true_north() -> None:
    """At 72° N, 5° from the central meridian, the grid is turned by 4.8°."""
    affine = Affine(10, 0, 672_000, 0, -10, 7_996_000)
    grid = GeoBox((16, 16), affine, "EPSG:32633")
    lonlat = GeoBox((16, 16), Affine(3e-4, 0, 20, 0, -1e-4, 72), "EPSG:4326")
    rows, _ = np.mgrid[:16, :16] + 0.5
    for place, tolerance in ((grid, 0.02), (lonlat, 1e-3)):
        east, north = gradient(-rows * (1 if place is lonlat else 10), place)
        bearing = np.degrees(np.arctan2(east.mean(), north.mean()))
        expected = 0.0 if place is lonlat else 4.77
        assert bearing == pytest.approx(expected, abs=10 * tolerance)


def test_height_relief_and_slope(tmp_path) -> None:
    facts = terrain_of(make_dem(tmp_path / "d.tif", SMALL, plane(0.3, 0.0)), dem_geoid_m=40.0)
    assert facts.value("terrain", "mean_height") == pytest.approx(540 + 0.3 * 320, abs=0.5)
    assert facts.label("terrain", "mean_height") == "ellipsoid"
    assert facts.value("terrain", "relief") == pytest.approx(0.96 * 0.3 * 640, rel=0.02)
    assert facts.value("terrain", "slope") == pytest.approx(np.degrees(np.arctan(0.3)), abs=0.05)
    assert facts.find("terrain", "facing_share") is None, "nobody says how the radar looked"


@pytest.mark.parametrize(
    ("heading", "side", "azimuth"),
    [
        (350.0, "right", 80.0),
        (190.0, "right", 280.0),
        (350.0, "left", 260.0),
        (10.0, "left", 280.0),
    ],
)
def test_ground_that_rises_away_from_the_radar_faces_it(heading, side, azimuth, tmp_path) -> None:
    tile = make_tile(np.ones((1, 4, 4)))
    looking = {"heading": heading, "observation_direction": side}
    assert look_azimuth_deg(tile.acquisition.model_copy(update=looking)) == azimuth
    eastwards = 0 < azimuth < 180
    for rise, faces in ((0.3, eastwards), (-0.3, not eastwards)):
        path = make_dem(tmp_path / "d.tif", SMALL, plane(rise, 0.0))
        facts = terrain_of(path, heading, side)
        assert facts.value("terrain", "facing_share") == float(faces)
        assert facts.value("terrain", "away_share") == float(not faces)
    gentle = terrain_of(make_dem(tmp_path / "d.tif", SMALL, plane(0.05, 0.0)), heading, side)
    assert gentle.value("terrain", "facing_share") == 0.0
    assert gentle.value("terrain", "away_share") == 0.0


def test_a_ridge_faces_and_turns_away(tmp_path) -> None:
    middle = SMALL.affine.c + 320
    path = make_dem(tmp_path / "d.tif", SMALL, lambda x, y: 400 - 0.4 * np.abs(x - middle))
    facts = terrain_of(path, 350.0, "right")
    assert facts.value("terrain", "facing_share") == pytest.approx(0.5, abs=0.03)
    assert facts.value("terrain", "away_share") == pytest.approx(0.5, abs=0.03)


def test_unknown_heights_are_silent_and_unknown_datums_are_told(tmp_path, caplog) -> None:
    assert list(terrain_of(make_dem(tmp_path / "n.tif", SMALL, -9999.0))) == []
    half = make_dem(tmp_path / "h.tif", SMALL, lambda x, y: np.where(x < 500_300, -9999.0, 5.0))
    assert list(terrain_of(half)) == []
    nan = make_dem(tmp_path / "nan.tif", SMALL, float("nan"))
    assert list(terrain_of(nan)) == []
    with caplog.at_level(logging.WARNING):
        facts = terrain_of(make_dem(tmp_path / "d.tif", SMALL, 5.0))
    assert "d.tif" in caplog.text
    assert facts.label("terrain", "mean_height") == "unknown datum"
    assert (
        facts.find("terrain", "mean_height").confidence < facts.find("terrain", "relief").confidence
    )


def test_version_follows_heights_and_geoid(tmp_path) -> None:
    path = make_dem(tmp_path / "d.tif", SMALL, 5.0)
    versions = {
        TerrainSource(SourceOptions(dem=path, dem_geoid_m=geoid)).version for geoid in (0.0, 1.0)
    }
    make_dem(path, SMALL, 6.0)
    versions.add(TerrainSource(SourceOptions(dem=path, dem_geoid_m=0.0)).version)
    assert len(versions) == 3


def test_a_raster_without_place_is_refused(tmp_path) -> None:
    path = tmp_path / "n.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=8, width=8, count=1, dtype="float32",
        transform=SMALL.affine,
    ) as file:  # fmt: skip
        file.write(np.ones((1, 8, 8), np.float32))
    with pytest.raises(GeometryError, match=r"n\.tif has no coordinate reference system"):
        terrain_of(path)
    with pytest.raises(ConfigError, match="--dem"):
        TerrainSource(SourceOptions())


def test_the_real_model_of_rome(shared_data) -> None:
    """Rome, 30 m: plausible heights, and slopes that face either way."""
    path = shared_data("sentinel1-safe") / "Rome-30m-DEM.tif"
    with rasterio.open(path) as file:
        west, south, east, north = file.bounds
    step = min(east - west, north - south) / 200
    lon, lat = (west + east) / 2, (south + north) / 2
    grid = GeoBox((64, 64), Affine(step, 0, lon, 0, -step, lat), "EPSG:4326")
    facts = terrain_of(path, 350.0, "right", grid, dem_geoid_m=48.0)
    values = {fact.predicate: fact.value for fact in facts}
    print(values)
    assert 40 < values["mean_height"] < 1500
    assert 0 < values["slope"] < 40
    assert 0 <= values["facing_share"] + values["away_share"] <= 1


def test_the_first_raster_that_covers_a_tile_counts(tmp_path):
    half = make_dem(tmp_path / "a.tif", SMALL, lambda x, y: np.where(x < 500_300, -9999.0, 5.0))
    whole = [make_dem(tmp_path / f"{n}.tif", SMALL, h) for n, h in (("b", 7.0), ("c", 9.0))]

    def height(*paths):
        return terrain_of(paths, dem_geoid_m=0.0).value("terrain", "mean_height")

    assert height(half, *whole) == pytest.approx(7.0)
    assert height(half, *whole[::-1]) == pytest.approx(9.0)
    assert height(tmp_path) == pytest.approx(7.0)
    assert height(half) is None
