"""Rung 3: gazetteer, land cover and waters against what was drawn, and on real data."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from rasterio.windows import from_bounds
from scipy.ndimage import label
from shapely.geometry import Point, box

from data.knowledge.make import (
    COAST,
    GRID,
    LAKE,
    coast_cover,
    make_landcover,
    make_waters,
    place,
)  # fmt: skip
from data.tiles.make import make_tile
from sarknowlip.core.errors import ConfigError, GeometryError, ProductError
from sarknowlip.geo.gazetteer import country_name
from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.knowledge.masks import decode_mask
from sarknowlip.knowledge.regions import pieces
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.sources.gazetteer import CENTRE_M, LIMIT_M, GazetteerSource
from sarknowlip.knowledge.sources.landcover import LandcoverSource
from sarknowlip.knowledge.sources.water import WaterSource
from sarknowlip.sar.tile import TileImage


def tile_on(grid: GeoBox) -> TileImage:
    return replace(make_tile(np.full((1, *grid.shape), 0.1)), geobox=grid)


def around(lon: float, lat: float, epsg: int = 32632, size: int = 128) -> GeoBox:
    """Return a 10 m grid centred on a place."""
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    corner = Affine(10, 0, x - 5 * size, 0, -10, y + 5 * size)
    return GeoBox((size, size), corner, f"EPSG:{epsg}")


# Gazetteer ---------------------------------------------------------------------------------------


def test_a_tile_north_east_of_rome() -> None:
    lon, lat, _ = Geod(ellps="WGS84").fwd(12.51133, 41.89193, 45.0, 4000.0)
    facts = Facts(GazetteerSource().evidence(tile_on(around(lon, lat, 32633))))
    assert facts.label("city", "name") == "Rome"
    assert facts.label("city", "country") == "Italy"
    assert facts.value("city", "population") > 2e6
    assert facts.value("city", "distance") == pytest.approx(4000, abs=1)
    assert facts.value("city", "bearing") == pytest.approx(45.0, abs=0.1)


@pytest.mark.parametrize(
    ("lon", "lat", "name"),
    [
        (24.952, 60.184, "Helsinki"),  # Kallio, a district that the list holds too
        (12.798, 41.963, "Tivoli"),
        (6.73, 0.34, "São Tomé"),
        (4.34, 51.91, "Vlaardingen"),  # a town of its own, beside Rotterdam
        (4.44, 51.88, "Rotterdam"),  # Waalhaven
    ],
)
def test_cities_win_over_their_suburbs(lon: float, lat: float, name: str) -> None:
    facts = Facts(GazetteerSource().evidence(tile_on(around(lon, lat))))
    assert facts.label("city", "name") == name


def test_no_direction_in_the_centre_and_no_city_far_away() -> None:
    centre = Facts(GazetteerSource().evidence(tile_on(around(12.51133, 41.89193, 32633))))
    assert centre.value("city", "distance") < CENTRE_M
    assert centre.find("city", "bearing") is None
    assert GazetteerSource().evidence(tile_on(around(6.0, 24.0, 32632))) == []  # Sahara


@given(st.floats(-179, 179), st.floats(-70, 70))
@settings(max_examples=60, deadline=None)
def test_what_is_told_leads_from_the_city_to_the_tile(lon: float, lat: float) -> None:
    size = 1e-4
    grid = GeoBox((16, 16), Affine(size, 0, lon - 8 * size, 0, -size, lat + 8 * size), "EPSG:4326")
    facts = Facts(GazetteerSource().evidence(tile_on(grid)))
    distance = facts.value("city", "distance")
    assert distance is None or 0 <= distance <= LIMIT_M
    bearing = facts.value("city", "bearing")
    assert bearing is None or 0 <= bearing <= 360


def test_countries_have_names() -> None:
    assert country_name("FI") == "Finland"
    assert country_name("??") == "??"


# Land cover --------------------------------------------------------------------------------------


def cover_of(path, grid=GRID) -> list[Evidence]:
    return LandcoverSource(SourceOptions(landcover=(path,))).evidence(tile_on(grid))


def test_shares_and_masks_of_drawn_ground(tmp_path) -> None:
    found = cover_of(make_landcover(tmp_path / "c.tif", GRID, coast_cover(GRID)))
    facts = Facts(found)
    for cover, share in (("water", 1 / 3), ("tree_cover", 0.267), ("cropland", 0.2)):
        assert facts.value(f"cover/{cover}", "share") == pytest.approx(share, abs=0.005)
    assert facts.value("cover/snow_ice", "share") == 0.0
    assert facts.find("cover/snow_ice", "share").mask_rle is None
    assert sum(fact.value for fact in found) == pytest.approx(1.0, abs=1e-4)
    water = decode_mask(facts.find("cover/water", "share").mask_rle, GRID.shape)
    assert water[:, :64].all()
    assert not water[:, 64:].any()


@given(arrays(np.uint8, (8, 8), elements=st.sampled_from([10, 50, 80, 95])))
@settings(max_examples=25, deadline=None)
def test_cells_as_large_as_pixels_are_copied(tmp_path_factory, codes: np.ndarray) -> None:
    grid = GeoBox((8, 8), GRID.affine, GRID.crs)
    path = tmp_path_factory.mktemp("cover") / "c.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=8, width=8, count=1, dtype="uint8",
        crs=str(grid.crs), transform=grid.affine,
    ) as file:  # fmt: skip
        file.write(codes, 1)
    facts = Facts(cover_of(path, grid))
    for code, cover in ((10, "tree_cover"), (50, "built_up"), (80, "water"), (95, "mangroves")):
        fact = facts.find(f"cover/{cover}", "share")
        mask = codes == code
        assert fact.value == pytest.approx(mask.mean(), abs=1e-5)
        assert (fact.mask_rle is None) == (not mask.any())
        if mask.any():
            assert np.array_equal(decode_mask(fact.mask_rle, (8, 8)), mask)


def test_several_rasters_join_and_gaps_are_silent(tmp_path) -> None:
    west, _, east, _ = GRID.extent.boundingbox
    middle = (west + east) / 2
    halves = [
        make_landcover(tmp_path / "a.tif", GRID, lambda x, y: np.where(x < middle, 10, 0)),
        make_landcover(tmp_path / "b.tif", GRID, lambda x, y: np.where(x < middle, 0, 50)),
    ]
    assert cover_of(halves[0]) == []
    source = LandcoverSource(SourceOptions(landcover=tuple(halves)))
    facts = Facts(source.evidence(tile_on(GRID)))
    assert facts.value("cover/tree_cover", "share") == pytest.approx(0.5)
    assert facts.value("cover/built_up", "share") == pytest.approx(0.5)
    assert cover_of(make_landcover(tmp_path / "none.tif", GRID, 0)) == []


def test_time_is_that_of_the_raster(tmp_path) -> None:
    stamp = "2021-01-01T00:00:00Z"
    tagged = make_landcover(tmp_path / "c.tif", GRID, 10, time_start=stamp)
    named = make_landcover(tmp_path / "ESA_WorldCover_10m_2021_v200_N42E015_Map.tif", GRID, 10)
    silent = make_landcover(tmp_path / "d.tif", GRID, 10)
    assert {fact.source_time for fact in cover_of(tagged) + cover_of(named)} == {stamp}
    assert {fact.source_time for fact in cover_of(silent)} == {None}


def test_wrong_rasters_are_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="code 37, no class"):
        cover_of(make_landcover(tmp_path / "c.tif", GRID, 37))
    with pytest.raises(ProductError, match="float32, no class codes"):
        cover_of(make_landcover(tmp_path / "f.tif", GRID, 10, dtype="float32"))
    path = tmp_path / "n.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=8, width=8, count=1, dtype="uint8",
        transform=GRID.affine,
    ) as file:  # fmt: skip
        file.write(np.full((1, 8, 8), 10, np.uint8))
    with pytest.raises(GeometryError, match=r"n\.tif has no coordinate reference system"):
        cover_of(path)


def test_versions_follow_content(tmp_path) -> None:
    paths = [make_landcover(tmp_path / f"{n}.tif", GRID, code) for n, code in ((1, 10), (2, 10))]
    versions = [LandcoverSource(SourceOptions(landcover=(path,))).version for path in paths]
    assert versions[0] == versions[1], "whatever the name"
    make_landcover(paths[1], GRID, 20)
    assert LandcoverSource(SourceOptions(landcover=(paths[1],))).version != versions[0]


def test_a_real_worldcover_tile(shared_data) -> None:
    """São Tomé: shares on a UTM grid are those of the raster's own cells in the same place."""
    path = shared_data("worldcover") / "ESA_WorldCover_10m_2021_v200_N00E006_Map.tif"
    grid = around(6.73, 0.34, size=256)
    found = cover_of(path, grid)
    facts = Facts(found)
    with rasterio.open(path) as file:
        bounds = grid.extent.to_crs("EPSG:4326").boundingbox
        cells = file.read(1, window=from_bounds(*bounds, file.transform))
    for code, cover in ((10, "tree_cover"), (50, "built_up"), (80, "water")):
        expected = (cells == code).mean()
        assert facts.value(f"cover/{cover}", "share") == pytest.approx(expected, abs=0.01)
    assert {fact.source_time for fact in found} == {"2021-01-01T00:00:00Z"}
    assert cover_of(path, around(6.2, 2.8)) == [], "the open sea that WorldCover leaves out"


# Waters ------------------------------------------------------------------------------------------


def water_of(path, grid=GRID, known=()) -> list[Evidence]:
    return WaterSource(SourceOptions(water=path)).evidence(tile_on(grid), known)


@pytest.mark.parametrize("name", ["w.gpkg", "w.shp", "w.geojson"])
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32633"])
def test_sea_and_lake_in_any_format_and_crs(name, crs, tmp_path) -> None:
    if name.endswith("geojson") and crs != "EPSG:4326":
        return  # RFC 7946 knows degrees alone
    facts = Facts(water_of(make_waters(tmp_path / name, GRID, crs)))
    sea = decode_mask(facts.find("function/sea", "share").mask_rle, GRID.shape)
    columns = np.arange(192)[None, :] < 64
    assert (sea ^ columns).sum() < 20, "the shore at column 64"
    lake = (LAKE[2] - LAKE[0]) * (LAKE[3] - LAKE[1])
    assert facts.value("function/lake", "share") == pytest.approx(lake, abs=0.001)
    assert facts.label("region/00", "function") == "sea"
    assert facts.label("region/01", "function") == "lake"
    assert facts.value("region/01", "area") == pytest.approx(lake * 1920**2, rel=0.05)
    assert facts.value("region/01", "column") == pytest.approx(0.85 * 192, abs=1)
    assert facts.value("region/01", "row") == pytest.approx(0.75 * 192, abs=1)


@pytest.mark.skipif("Parquet" in pyogrio.list_drivers(), reason="GDAL reads GeoParquet here")
def test_waters_in_geoparquet_are_refused_with_the_way_out(tmp_path) -> None:
    path = tmp_path / "w.parquet"
    gpd.read_file(make_waters(tmp_path / "w.gpkg", GRID, "EPSG:4326")).to_parquet(path)
    with pytest.raises(ProductError, match=r"w\.parquet is GeoParquet.*convert it to GeoPackage"):
        water_of(path)


def test_polygons_without_kind_are_sea_and_other_kinds_are_left_out(tmp_path) -> None:
    shapes = [box(*place(GRID, 0, 0), *place(GRID, 0.5, 1))]
    gpd.GeoDataFrame({"x": ["1"]}, geometry=shapes, crs=str(GRID.crs)).to_file(tmp_path / "a.gpkg")
    facts = Facts(water_of(tmp_path / "a.gpkg"))
    assert facts.value("function/sea", "share") == pytest.approx(0.5)
    other = gpd.GeoDataFrame({"fclass": ["glacier"]}, geometry=shapes, crs=str(GRID.crs))
    other.to_file(tmp_path / "b.gpkg")
    assert water_of(tmp_path / "b.gpkg") == []


def test_maps_come_first(tmp_path) -> None:
    path = make_waters(tmp_path / "w.gpkg", GRID)
    rest = {"unit": "share", "source": "osm", "source_version": "1", "confidence": 1.0}
    for subject in ("function/sea", "region/00"):
        known = [Evidence.of("tile", subject, "share", value=0.2, **rest)]
        assert water_of(path, known=known) == []
    assert water_of(path, known=[Evidence.of("tile", "function/park", "share", value=0, **rest)])


def test_whole_tiles_of_sea_on_both_sides_of_the_antimeridian(tmp_path) -> None:
    seas = [box(170, -20, 180, 20), box(-180, -20, -170, 20)]
    gpd.GeoDataFrame(geometry=seas, crs="EPSG:4326").to_file(tmp_path / "sea.shp")
    grid = GeoBox((64, 64), Affine(100, 0, -3200, 0, -100, 3200), "EPSG:3832")  # centred on 150° E
    x, y = Transformer.from_crs(4326, 3832, always_xy=True).transform(180.0, 5.0)
    grid = GeoBox((64, 64), Affine(100, 0, x - 3200, 0, -100, y + 3200), grid.crs)
    facts = Facts(water_of(tmp_path / "sea.shp", grid))
    assert facts.value("function/sea", "share") == pytest.approx(1.0, abs=0.02)


def test_wrong_vectors_are_refused(tmp_path) -> None:
    gpd.GeoDataFrame(geometry=[Point(15, 42)], crs="EPSG:4326").to_file(tmp_path / "p.gpkg")
    with pytest.raises(ProductError, match=r"p\.gpkg holds Points"):
        water_of(tmp_path / "p.gpkg")
    shapes = [box(*place(GRID, 0, 0), *place(GRID, COAST, 1))]
    gpd.GeoDataFrame(geometry=shapes).to_file(tmp_path / "n.shp")
    with pytest.raises(GeometryError, match=r"n\.shp has no coordinate reference system"):
        water_of(tmp_path / "n.shp")
    path = make_waters(tmp_path / "t.shp", GRID)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(ProductError, match=r"t\.shp"):
        water_of(path)


# Regions -----------------------------------------------------------------------------------------


@given(arrays(bool, (12, 14)))
@settings(max_examples=60, deadline=None)
def test_pieces_are_connected_apart_and_hold_their_point(mask: np.ndarray) -> None:
    found = pieces(mask, least=1)
    total = sum((piece.mask.astype(int) for piece in found), np.zeros(mask.shape, int))
    assert np.array_equal(total, mask.astype(int))
    assert [piece.pixels for piece in found] == sorted((p.pixels for p in found), reverse=True)
    for piece in found:
        assert label(piece.mask)[1] == 1
        assert piece.mask[int(piece.row), int(piece.column)]
        assert piece.pixels == piece.mask.sum()
    assert all(piece.pixels >= 5 for piece in pieces(mask, least=5))
