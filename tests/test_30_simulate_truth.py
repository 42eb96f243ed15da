"""Truth files: what other programs read from them is what the world holds."""

from __future__ import annotations

import hashlib
import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from pyproj import Geod

from data.world.make import (
    HELSINKI,
    ORIGIN,
    HandWorld,
    building,
    ground,
    layers,
    local_bounds,
    rectangle,
    region,
    target,
)
from sarknowlip.core.errors import StorageError
from sarknowlip.sar.elevation import Elevation
from sarknowlip.simulate.frame import Bounds, Frame
from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world import geotable, truth_rasters
from sarknowlip.simulate.world.changes import ChangedWorld, Changes
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.painted import outlines
from sarknowlip.simulate.world.procedural import ProceduralWorld
from sarknowlip.simulate.world.truth import write_truth

WEST, SOUTH = ORIGIN


def harbour(**options: Any) -> HandWorld:
    """Grass with a basin, a road over it and a house; a ship, a tank and a turbine."""
    west, south = ORIGIN
    parts = [
        ground(local_bounds(2000, 2000)),
        region(2, rectangle(500, 500, 800, 600), "sea", "sea", "water"),
        region(3, rectangle(0, 700, 2000, 20), "asphalt", "road", "road", heading=90.0),
        region(5, rectangle(100, 1500, 300, 300), "cereal", "farmland", heading=178.5),
        building(20, rectangle(210, 210, 60, 20), kind="warehouse"),
        building(21, rectangle(490, 690, 820, 40), kind="bridge", base=6.0, height=8.0),
        target(30, "ship", 900, 900, 120, 18, heading=30.0, speed=6.0, subclass="cargo"),
        target(31, "storage_tank", 1600, 300, 40, 40),
        target(32, "wind_turbine", 1700, 1700, 120, 6, 100, heading=float("nan")),
    ]
    relief = options.pop("relief", lambda x, y: 20.0 + (x - west) / 50 + (y - south) / 100)
    return HandWorld(layers(*parts), relief=relief, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    write_truth(harbour(), folder, date="2024-06-01T00:00:00Z")
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_geopandas_reads_every_row_where_it_is(folder: Path) -> None:
    world = harbour()
    for name, shapes, uids in (
        ("regions", world.given.regions.geometry, world.given.regions.uid),
        (
            "objects",
            [*world.given.buildings.geometry, *outlines(world.given.targets)],
            [*world.given.buildings.uid, *world.given.targets.uid],
        ),
    ):
        frame = geopandas.read_parquet(folder / f"{name}.parquet").set_index("uid")
        assert frame.crs.to_epsg() == 4326
        back = frame.to_crs(world.frame.epsg).geometry
        assert sorted(frame.index) == sorted(uids)
        for uid, shape in zip(uids, shapes, strict=True):
            assert shapely.hausdorff_distance(back[uid], shape) < 0.02
            assert back[uid].area == pytest.approx(shape.area, rel=1e-4)


def test_covering_boxes_let_readers_skip(folder: Path) -> None:
    whole = geopandas.read_parquet(folder / "objects.parquet")
    tank = whole[whole.kind == "storage_tank"].iloc[0]
    found = geopandas.read_parquet(folder / "objects.parquet", bbox=tank.geometry.bounds)
    assert found.uid.tolist() == [31]
    boxes = pq.read_table(folder / "objects.parquet")["bbox"].to_pylist()
    for box, shape in zip(boxes, whole.geometry, strict=True):
        assert tuple(box[k] for k in ("xmin", "ymin", "xmax", "ymax")) == shape.bounds


def test_duckdb_reads_plain_columns(folder: Path) -> None:
    query = f"select kind, length, speed from '{folder}/objects.parquet' where layer = 'target'"
    assert sorted(duckdb.sql(query).fetchall()) == [
        ("ship", 120.0, 6.0),
        ("storage_tank", 40.0, 0.0),
        ("wind_turbine", 120.0, 0.0),
    ]
    where = "function = 'farmland' and landcover = 40"
    rows = duckdb.sql(f"select surface from '{folder}/regions.parquet' where {where}").fetchall()
    assert rows == [("cereal",)]


def test_headings_are_from_true_north(folder: Path) -> None:
    """The azimuth of the geodesic from stern to bow, and of a road's and a hall's long side."""
    world = harbour()
    objects = geopandas.read_parquet(folder / "objects.parquet").set_index("uid")

    def azimuth(x: float, y: float, grid_deg: float, metres: float = 50.0) -> float:
        step = metres * np.sin(np.radians(grid_deg)), metres * np.cos(np.radians(grid_deg))
        lon, lat = world.frame.lonlat([x, x + step[0]], [y, y + step[1]])
        return float(Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[0])

    ship = world.given.targets.take(np.array([0]))
    assert objects.heading[30] == pytest.approx(azimuth(ship.x[0], ship.y[0], 30.0), abs=2e-3)
    assert abs(objects.heading[30] - 30.0) > 1.5, "grid north is not true north here"
    assert objects.heading[20] == pytest.approx(azimuth(WEST + 240, SOUTH + 220, 90.0), abs=2e-3)
    regions = geopandas.read_parquet(folder / "regions.parquet").set_index("uid")
    field = azimuth(WEST + 250, SOUTH + 1650, 178.5) % 180.0
    assert regions.heading[5] == pytest.approx(field, abs=2e-3)
    assert np.isnan(regions.heading[1])
    assert np.isnan(objects.heading[32])


def test_sizes_and_places_of_objects(folder: Path) -> None:
    objects = geopandas.read_parquet(folder / "objects.parquet").set_index("uid")
    hall = objects.loc[20]
    assert (hall.length, hall.width) == pytest.approx((60.0, 20.0))
    assert (hall.subclass, hall.surface, hall.height) == ("warehouse", "flat_roof", 12.0)
    assert np.isnan(hall.speed)
    x, y = harbour().frame.xy(objects.lon[30], objects.lat[30])
    assert (float(x) - WEST, float(y) - SOUTH) == pytest.approx((900.0, 900.0), abs=1e-3)


def test_land_cover_is_painted_in_order(folder: Path) -> None:
    with rasterio.open(folder / "landcover.tif") as source:
        codes = source.read(1)
        assert source.crs.to_epsg() == 32635
        assert source.res == (10.0, 10.0)
        assert (source.dtypes, source.shape) == (("uint8",), (200, 200))
        assert source.transform.c, source.transform.f == (WEST, SOUTH + 2000)

    def at(x: float, y: float) -> int:
        return int(codes[int((2000 - y) // 10), int(x // 10)])

    places = {
        (5, 5): 30, (900, 600): 80, (105, 705): 50, (900, 715): 50, (150, 1600): 40, (240, 220): 50,
    }  # fmt: skip
    assert {place: at(*place) for place in places} == places
    road, hall, basin, field = 2000 * 20, 60 * 20, 800 * 600, 300 * 300
    over_basin = 800 * 40  # the bridge is wider than the road
    assert (codes == 40).sum() * 100 == field
    assert (codes == 80).sum() * 100 == basin - over_basin
    assert (codes == 50).sum() * 100 == road + hall + 820 * 20


def test_blocks_of_rasters_fit_together(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth_rasters, "BLOCK", 64)
    write_truth(harbour(), tmp_path)
    for name in ("landcover.tif", "dem.tif"):
        with rasterio.open(tmp_path / name) as small, rasterio.open(folder / name) as large:
            assert small.block_shapes == [(64, 64)]
            assert np.array_equal(small.read(), large.read())


def test_heights_are_taken_as_ellipsoidal(folder: Path) -> None:
    world = harbour()
    x = WEST + np.array([305.0, 1005.0, 1895.0])
    y = SOUTH + np.array([305.0, 1405.0, 1595.0])
    lon, lat = world.frame.lonlat(x, y)
    covers = shapely.box(lon.min(), lat.min(), lon.max(), lat.max())
    elevation = Elevation.open(folder / "dem.tif", None, covers)
    assert (elevation.vertical_datum, elevation.error_m) == ("ellipsoid", 0.0)
    np.testing.assert_allclose(elevation.at(lon, lat), world.height(x, y), atol=1e-3)


def test_manifest_tells_where_and_when(folder: Path) -> None:
    told = json.loads((folder / "truth.json").read_text())
    assert told["crs"] == "EPSG:32635"
    assert told["rows"] == {"regions": 4, "objects": 5, "map": 9}
    assert told["date"] == "2024-06-01T00:00:00Z"
    assert told["changes"] is None


def test_equal_worlds_give_equal_bytes(tmp_path: Path, folder: Path) -> None:
    write_truth(harbour(), tmp_path, date="2024-06-01T00:00:00Z")
    assert digests(tmp_path) == digests(folder)
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    write_truth(harbour(), tmp_path, date="2024-06-01T00:00:00Z")
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


def test_rows_are_grouped_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geotable, "ROW_GROUP", 8)
    houses = [building(100 + n, rectangle(90 * (n % 20), 400 * (n // 20), 9, 9)) for n in range(61)]
    write_truth(HandWorld(layers(ground(local_bounds(2000, 2000)), *houses)), tmp_path)
    file = pq.ParquetFile(tmp_path / "objects.parquet")
    groups = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    assert groups == [8] * 7 + [5]
    assert sorted(file.read(["uid"])["uid"].to_pylist()) == list(range(100, 161))


def test_changes_are_written_for_a_second_date(tmp_path: Path) -> None:
    world = ChangedWorld(
        harbour(relief=lambda x, y: 20.0 + np.maximum(np.abs(x - WEST - 900) - 400, 0) / 100),
        Changes(flood_m=1.0, demolished=1.0, ships_left=1.0, harvest=1.0),
    )
    write_truth(world, tmp_path)
    table = geopandas.read_parquet(tmp_path / "changes.parquet")
    listed = list(world.changes())
    assert table.uid.tolist() == [change.uid for change in listed]
    assert table.kind.tolist() == [change.kind for change in listed]
    assert {"flood", "demolished", "ship_left", "harvest"} == set(table.kind)
    assert table.after[table.kind == "ship_left"].isna().all()
    areas = table.to_crs(32635).area
    assert areas.tolist() == pytest.approx([c.geometry.area for c in listed], rel=1e-3)
    told = json.loads((tmp_path / "truth.json").read_text())
    assert Changes(**told["changes"]) == world.what
    with rasterio.open(tmp_path / "landcover.tif") as source:
        codes = source.read(1)
    assert (codes == 80).sum() > 480_000 / 100 - 3200 / 100


def test_geojson_follows_rfc_7946(tmp_path: Path, folder: Path) -> None:
    write_truth(harbour(), tmp_path, format="geojson")
    for name in ("regions", "objects"):
        features = json.loads((tmp_path / f"{name}.geojson").read_text())["features"]
        plain = geopandas.read_parquet(folder / f"{name}.parquet")
        assert [f["properties"]["uid"] for f in features] == plain.uid.tolist()
        for feature, shape in zip(features, plain.geometry, strict=True):
            read = shapely.geometry.shape(feature["geometry"])
            assert read.exterior.is_ccw
            assert read.equals_exact(shape, 1e-9) or read.normalize().equals(shape.normalize())
    ship = next(f["properties"] for f in features if f["properties"]["uid"] == 30)
    assert ship["surface"] is None
    assert ship["speed"] == 6.0


def test_polygons_across_the_antimeridian_are_cut(tmp_path: Path) -> None:
    frame = Frame.around(179.99, -17.0)
    x, y = (float(v) for v in frame.xy(180.0, -17.0))
    bounds = Bounds(x - 1000, y - 1000, x + 1000, y + 1000)
    world = HandWorld(layers(ground(bounds)), bounds=bounds, frame=frame)
    write_truth(world, tmp_path, gsd_m=100.0)
    table = geopandas.read_parquet(tmp_path / "regions.parquet")
    assert table.geometry[0].geom_type == "MultiPolygon"
    assert all(part.bounds[2] - part.bounds[0] < 0.1 for part in table.geometry[0].geoms)
    box = pq.read_table(tmp_path / "regions.parquet")["bbox"][0].as_py()
    assert box["xmin"] > 0 > box["xmax"]


def test_progress_counts_all_blocks(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    write_truth(harbour(), tmp_path, 5.0, progress=lambda *args: seen.append(args))
    assert {name for _, _, name in seen} == {"objects", "map.parquet", "landcover.tif", "dem.tif"}
    assert [row for row in seen if row[2] == "dem.tif"][-1] == (4, 4, "dem.tif")


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 3 kB: the kernel refuses further bytes like a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("format", ["parquet", "geojson"])
def test_a_full_disk_stops_and_leaves_nothing(
    tmp_path: Path, small_disk: None, format: geotable.Format
) -> None:
    houses = [building(100 + n, rectangle(19 * n, 3 * n, 9, 9)) for n in range(99)]
    with pytest.raises(StorageError, match=r"regions|objects"):
        write_truth(HandWorld(layers(*houses)), tmp_path, format=format)
    assert list(tmp_path.iterdir()) == []


def test_a_raster_that_is_cut_short_is_noticed(tmp_path: Path, small_disk: None) -> None:
    def rough(x: Any, y: Any) -> Any:
        return np.sin(x * 12.9898 + y * 78.233) * 43758.5453 % 1.0

    with pytest.raises(StorageError, match=r"dem\.tif"):
        truth_rasters.write_dem(harbour(relief=rough), tmp_path / "dem.tif", 10.0, print)
    assert [path.name for path in tmp_path.iterdir()] == ["dem.tif.aux.xml"]


def test_any_refusal_of_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(StorageError, match=r"No space left.*free space"):
        write_truth(harbour(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        write_truth(harbour(), blocked / "truth")


def metres_of(shapes: Any, frame: Frame) -> Any:
    """Return degrees back on the map grid, corner by corner."""
    return shapely.transform(
        np.asarray(shapes, dtype=object), lambda p: np.stack(frame.xy(p[:, 0], p[:, 1]), axis=-1)
    )


def test_polygons_of_a_flooded_city_are_valid_in_degrees(tmp_path: Path) -> None:
    """Where outlines are cut, slivers are left that rounding folds: 40 rows of this city."""
    city = ProceduralWorld(WorldConfig(city="Rotterdam", size_km=2.2))
    flooded = ChangedWorld(city, Changes(flood_m=3.0))
    for world in (city, flooded):
        folder = tmp_path / type(world).__name__
        write_truth(world, folder, 50.0)
        given = Layers.concat(list(world.cells()))
        outlined = [*given.buildings.geometry, *outlines(given.targets)]
        uids = [*given.buildings.uid.tolist(), *given.targets.uid.tolist()]
        shapes = {
            "regions": dict(zip(given.regions.uid.tolist(), given.regions.geometry, strict=True)),
            "objects": dict(zip(uids, outlined, strict=True)),
        }
        if world is flooded:
            shapes["changes"] = {change.uid: change.geometry for change in flooded.changes()}
        for name, expected in shapes.items():
            table = geopandas.read_parquet(folder / f"{name}.parquet")
            assert sorted(table.uid) == sorted(expected), name
            assert table.geometry.is_valid.all()
            assert not table.geometry.is_empty.any()
            assert set(table.geom_type) <= {"Polygon", "MultiPolygon"}
            area = shapely.area([expected[uid] for uid in table.uid])
            found = shapely.area(metres_of(table.geometry, city.frame))
            assert (np.abs(found - area) <= np.maximum(1e-4, 1e-6 * area)).all()
            assert table.union_all().area > 0
    table = geopandas.read_parquet(tmp_path / "ChangedWorld" / "changes.parquet")
    flood = table[table.kind == "flood"]
    whole = metres_of([flood.union_all()], city.frame)[0].area
    apart = [change.geometry.area for change in flooded.changes()]
    assert whole == pytest.approx(sum(apart), rel=1e-6)


def test_slivers_are_left_out_but_no_row_is_lost() -> None:
    west, south = ORIGIN
    field, speck = rectangle(0, 0, 90, 90), shapely.box(west, south, west + 1e-6, south + 1e-6)
    line = shapely.Polygon([(west, south), (west + 70, south), (west + 35, south + 1e-8)])
    given = np.array([field, shapely.MultiPolygon([field, line]), line, speck], dtype=object)
    moved = geotable.to_lonlat(given, HELSINKI)
    assert shapely.is_valid(moved).all()
    assert [shape.geom_type for shape in moved] == ["Polygon"] * 4
    assert moved[0].equals(moved[1])
    back = metres_of(moved, HELSINKI)
    assert shapely.area(back[2:]) == pytest.approx([geotable.LEAST_PART_M2 / 2] * 2, rel=0.05)
    assert (shapely.distance(back[2:], shapely.Point(west, south)) < 0.02).all()
