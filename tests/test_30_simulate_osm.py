"""Rung 3: worlds from OpenStreetMap extracts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from data.osm.make import COAST_M, CORNER, FRAME, SIZE_M, town
from sarknowlip.core.errors import ConfigError
from sarknowlip.geo.osm import MapError
from sarknowlip.geo.osm_coast import sea_polygons
from sarknowlip.geo.osm_tags import ORDER as MAP_ORDER
from sarknowlip.geo.osm_tags import metres, tag_rules
from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.layers import (
    BUILDING_KINDS,
    FUNCTIONS,
    ORDER,
    TARGET_KINDS,
    Layers,
    Regions,
    surface_id,
    surfaces,
)
from sarknowlip.simulate.world.osm import OsmWorld, OsmWorldConfig
from sarknowlip.simulate.world.osm_rules import world_rules
from sarknowlip.simulate.world.osm_traffic import TrafficConfig
from sarknowlip.simulate.world.painted import outlines

ISLAND = (2750.0, 2000.0, 60.0)


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("osm") / "town.osm.pbf"
    town().write(path)
    return path


@pytest.fixture(scope="module")
def world(extract: Path) -> OsmWorld:
    traffic = TrafficConfig(under_way_per_km2=3.0)
    return OsmWorld(OsmWorldConfig(path=extract, seed=5, traffic=traffic))


@pytest.fixture(scope="module")
def whole(world: OsmWorld) -> Layers:
    return world.layers(world.bounds)


def painted(regions: Regions, x: float, y: float) -> tuple[str, str]:
    """Function and surface on top at metres from the corner: the last row that holds the point."""
    hit = shapely.intersects_xy(regions.geometry, CORNER[0] + x, CORNER[1] + y)
    row = int(np.flatnonzero(hit)[-1])
    return regions.function[row], surfaces()[regions.surface[row] - 1].name


def at(table: object, x: float, y: float) -> list[int]:
    shapes = table.geometry  # type: ignore[attr-defined]
    return list(np.flatnonzero(shapely.intersects_xy(shapes, CORNER[0] + x, CORNER[1] + y)))


def all_uids(layers: Layers) -> np.ndarray:
    return np.concatenate([layers.regions.uid, layers.buildings.uid, layers.targets.uid])


def assert_sound(world: OsmWorld, layers: Layers) -> None:
    """What holds of every world: ids, vocabulary, order, coverage, owners, bounds."""
    uids = all_uids(layers)
    assert len(np.unique(uids)) == len(uids)
    assert (uids > 0).all()
    assert set(layers.regions.function) | set(layers.targets.function) <= set(FUNCTIONS)
    assert set(layers.buildings.kind) <= set(BUILDING_KINDS)
    assert set(layers.targets.kind) <= set(TARGET_KINDS)
    assert (np.diff(layers.regions.order) >= 0).all()
    edge = world.bounds
    area = shapely.box(edge.west, edge.south, edge.east, edge.north)
    for table in (layers.regions, layers.buildings):
        assert shapely.is_valid(table.geometry).all()
        assert shapely.covers(shapely.buffer(area, 1e-6), table.geometry).all()
        assert (shapely.area(table.geometry) > 0).all()
    assert set(shapely.get_type_id(layers.buildings.geometry)) <= {3}
    assert (layers.buildings.height > layers.buildings.base).all()
    solid = layers.buildings.geometry[layers.buildings.kind != "bridge"]
    assert shapely.area(solid).sum() == pytest.approx(shapely.union_all(solid).area, rel=1e-9)
    owners = set(layers.regions.uid)
    for parents in (layers.regions.parent, layers.buildings.parent, layers.targets.parent):
        assert set(parents) <= owners
    random = np.random.default_rng(1)
    x = random.uniform(edge.west, edge.east, 2000)
    y = random.uniform(edge.south, edge.north, 2000)
    tree = shapely.STRtree(layers.regions.geometry)
    held = tree.query(shapely.points(x, y), predicate="intersects")[0]
    assert len(np.unique(held)) == 2000


def test_the_town_is_sound(world: OsmWorld, whole: Layers) -> None:
    assert_sound(world, whole)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (100, 30, ("sparse_residential", "garden")),
        (100, 1000, ("farmland", "cereal")),
        (100, 2000, ("forest", "forest")),
        (450, 2350, ("grassland", "grass")),  # the hole of the forest
        (500, 850, ("river", "inland_water")),
        (500, 864, ("river", "inland_water")),  # 30 m wide, as tagged
        (500, 867, ("grassland", "grass")),
        (2000, 875, ("river", "inland_water")),
        (COAST_M + 5, 400, ("sea", "sea")),
        (COAST_M - 5, 400, ("grassland", "grass")),
        (2750, 2000, ("grassland", "grass")),  # the island
        (2550, 1215, ("quay", "concrete")),
        (2300, 1500, ("port", "concrete")),
        (1350, 310, ("parking", "asphalt")),
        (1350, 440, ("grassland", "grass")),  # underground parking
        (1200, 400, ("road", "asphalt")),
        (1200, 850, ("river", "inland_water")),  # under the bridge
        (1270, 200, ("grassland", "grass")),  # over a tunnel
        (1475, 645, ("grassland", "grass")),  # within a ring of footpaths
        (1575, 645, ("square", "concrete")),  # a pedestrian area
        (1000, 200, ("rail_track", "gravel")),
        (1400, 2000, ("runway", "concrete")),
        (1421, 2000, ("runway", "concrete")),
        (1424, 2000, ("airport", "grass")),
        (1600, 2205, ("taxiway", "asphalt")),
        (1990, 2390, ("apron", "concrete")),
    ],
)
def test_ground_is_what_the_map_says(
    whole: Layers, x: float, y: float, expected: tuple[str, str]
) -> None:
    regions = whole.regions.take(whole.regions.function != "wake")
    assert painted(regions, x, y) == expected


def test_heights_of_buildings(whole: Layers) -> None:
    buildings = whole.buildings
    by_place = {(66, 64): 7.4, (1710, 310): 52.5, (1510, 310): 40.0, (1540, 310): 12.0,
                (1555, 310): 10.0, (1610, 110): 5.0}  # fmt: skip
    for place, height in by_place.items():
        rows = at(buildings, *place)
        assert [float(buildings.height[row]) for row in rows] == [height], place
    assert not at(buildings, 1660, 110), "underground"
    assert not at(buildings, 1930, 330), "the yard of the apartments"
    (roof,) = at(buildings, 1610, 110)
    assert buildings.base[roof] == 4.5
    houses = buildings.take(buildings.kind == "house")
    assert len(houses) == 18
    assert set(np.round(houses.height, 6)) <= {4.2, 7.4}
    assert len(set(houses.height)) == 2


def test_roofs_and_kinds(whole: Layers) -> None:
    buildings = whole.buildings
    expected = {(1710, 310): ("office_tower", "flat_roof"), (1810, 310): ("shop", "metal_roof"),
                (1905, 310): ("apartment_block", "flat_roof"),
                (2030, 2100): ("terminal", "metal_roof"),
                (66, 174): ("house", "tile_roof")}  # fmt: skip
    for place, (kind, roof) in expected.items():
        (row,) = at(buildings, *place)
        assert (buildings.kind[row], buildings.surface[row]) == (kind, surface_id(roof)), place


def test_buildings_know_their_district(whole: Layers) -> None:
    (row,) = at(whole.buildings, 2030, 2100)
    airport = whole.regions.uid[whole.regions.function == "airport"]
    assert whole.buildings.function[row] == "airport"
    assert whole.buildings.parent[row] == airport[0]


def test_bridge_hangs_above_the_river(whole: Layers) -> None:
    bridges = whole.buildings.take(whole.buildings.kind == "bridge")
    assert len(bridges) == 1
    assert (bridges.base[0], bridges.height[0]) == (5.5, 7.0)
    assert bridges.geometry[0].area == pytest.approx(80 * 4 * 3.25, rel=1e-3)


def test_objects_of_the_map(whole: Layers) -> None:
    def found(kind: str) -> list[tuple[float, ...]]:
        rows = whole.targets.take(whole.targets.kind == kind)
        place = np.column_stack([rows.x - CORNER[0], rows.y - CORNER[1], rows.length, rows.height])
        return sorted(tuple(np.round(row, 0)) for row in place)

    assert found("storage_tank") == [(1100, 300, 30, 14), (1100, 400, 40, 12)]
    assert found("wind_turbine") == [(450, 1300, 112, 94)]
    assert found("crane") == [(2390, 1400, 60, 50)]  # the one beyond the world is not there


def test_the_sea_has_its_area_whether_nodes_are_cut_or_not(extract: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.osm.pbf"
    town().write(cut, nodes_beyond=False)
    island = np.pi * ISLAND[2] ** 2
    for path in (extract, cut):
        world = OsmWorld(OsmWorldConfig(path=path, populate=False))
        regions = world.layers(world.bounds).regions
        sea = shapely.area(regions.geometry[regions.function == "sea"]).sum()
        expected = (world.bounds.east - CORNER[0] - COAST_M) * world.bounds.height - island
        assert sea == pytest.approx(expected, abs=0.02 * island)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-300, 300), min_size=3, max_size=12),
    st.floats(0, 2 * np.pi),
    st.floats(0, 150),
)
def test_sea_lies_right_of_any_coastline(offsets: list[float], angle: float, short: float) -> None:
    """A winding line through the middle, at any angle, that ends up to 150 m before the edge."""
    half = 1000.0
    square = shapely.box(-half, -half, half, half)
    reach = half / max(abs(np.cos(angle)), abs(np.sin(angle)))
    along = np.linspace(-reach + short, reach - short, len(offsets) + 2)
    across = np.array([0.0, *offsets, 0.0])
    ahead = np.array([np.cos(angle), np.sin(angle)])
    left = np.array([-ahead[1], ahead[0]])
    coast = shapely.LineString(along[:, None] * ahead + across[:, None] * left)
    sea = shapely.union_all(sea_polygons([coast], square))
    middle = shapely.line_interpolate_point(coast, np.linspace(0.1, 0.9, 9), normalized=True)
    ahead_of = shapely.line_interpolate_point(
        coast, np.linspace(0.1, 0.9, 9) + 1e-6, normalized=True
    )
    start, end = shapely.get_coordinates(middle), shapely.get_coordinates(ahead_of)
    step = (end - start) / np.hypot(*(end - start).T)[:, None]
    right = np.column_stack([step[:, 1], -step[:, 0]]) * 0.2
    inside = (np.abs(start) < half - 1).all(axis=1)
    assert shapely.contains_xy(sea, start + right)[inside].all()
    assert not shapely.contains_xy(sea, start - right)[inside].any()
    assert not sea_polygons([], square)


def test_cells_hold_every_row_once(world: OsmWorld, whole: Layers) -> None:
    cells = list(world.cells())
    assert len(cells) > 4
    for name in ("regions", "buildings", "targets"):
        uids = np.concatenate([getattr(cell, name).uid for cell in cells])
        assert_array_equal(np.sort(uids), np.sort(getattr(whole, name).uid))


@settings(max_examples=25, deadline=None)
@given(x=st.floats(-50, 2950), y=st.floats(-50, 2950), size=st.floats(5, 400))
def test_windows_agree_with_the_whole(
    world: OsmWorld, whole: Layers, x: float, y: float, size: float
) -> None:
    west, south = CORNER[0] + x, CORNER[1] + y
    window = Bounds(west, south, west + size, south + size)
    area = shapely.box(window.west, window.south, window.east, window.north)
    part = world.layers(window)
    for name, shapes in (
        ("regions", whole.regions.geometry),
        ("buildings", whole.buildings.geometry),
        ("targets", outlines(whole.targets)),
    ):
        expected = getattr(whole, name).uid[shapely.intersects(shapes, area)]
        assert_array_equal(getattr(part, name).uid, expected)


def test_beyond_the_world_there_is_nothing(world: OsmWorld) -> None:
    far = Bounds(0.0, 0.0, 1000.0, 1000.0)
    empty = world.layers(far)
    assert len(all_uids(empty)) == 0


def test_same_seed_same_world(extract: Path, world: OsmWorld, whole: Layers) -> None:
    again = OsmWorld(world.config).layers(world.bounds)
    for name in ("regions", "buildings", "targets"):
        one, other = getattr(whole, name), getattr(again, name)
        for column, values in vars(one).items():
            if column == "geometry":
                assert shapely.equals_exact(values, other.geometry).all()
            else:
                assert_array_equal(values, getattr(other, column))
    other = OsmWorld(world.config.model_copy(update={"seed": 6})).layers(world.bounds)
    assert set(other.targets.uid) != set(whole.targets.uid)
    still = whole.regions.uid[whole.regions.function != "wake"]
    assert_array_equal(other.regions.uid[other.regions.function != "wake"], still)


def test_nothing_is_invented_without_populate(extract: Path) -> None:
    world = OsmWorld(OsmWorldConfig(path=extract, populate=False))
    layers = world.layers(world.bounds)
    assert set(layers.targets.kind) == {"storage_tank", "wind_turbine", "crane"}
    assert "wake" not in layers.regions.function


def test_vehicles_stand_on_streets_and_in_car_parks(whole: Layers) -> None:
    vehicles = whole.targets.take(whole.targets.kind == "vehicle")
    paved = whole.regions.geometry[np.isin(whole.regions.function, ("road", "parking"))]
    shapes = outlines(vehicles)
    assert len(vehicles) > 100
    assert shapely.covered_by(shapes, shapely.union_all(paved).buffer(0.3)).all()
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    assert (first == second).all()
    assert (vehicles.speed > 0).any()
    stalls = vehicles.take(
        (np.abs(vehicles.x - CORNER[0] - 1350) < 50) & (np.abs(vehicles.y - CORNER[1] - 340) < 40)
    )
    assert (stalls.speed == 0).all()
    # The moving ones on the northbound street keep to its right.
    street = (np.abs(vehicles.x - CORNER[0] - 1200) < 6) & (vehicles.speed > 0)
    east = vehicles.x[street] > CORNER[0] + 1200
    assert_array_equal(np.cos(np.radians(vehicles.heading[street])) > 0, east)


def test_ships_float_and_those_under_way_draw_a_wake(whole: Layers) -> None:
    vessels = whole.targets.take(whole.targets.kind == "ship")
    moving = vessels.take(vessels.speed > 0)
    water = shapely.union_all(whole.regions.geometry[np.isin(whole.regions.function, ["sea"])])
    quays = shapely.union_all(whole.regions.geometry[whole.regions.function == "quay"])
    shapes = outlines(vessels)
    assert len(moving) > 0
    assert len(vessels) > len(moving)
    assert shapely.covers(water.buffer(0.1), shapes).all()
    assert not shapely.intersects(quays, shapes).any()
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    assert (first == second).all()
    moored = shapely.points(vessels.x, vessels.y)[vessels.speed == 0]
    port = whole.regions.geometry[np.isin(whole.regions.function, ("port", "quay"))]
    assert (shapely.distance(shapely.union_all(port), moored) < 40).all()
    wakes = whole.regions.take(whole.regions.function == "wake")
    assert len(wakes) == len(moving)
    assert (wakes.surface == surface_id("ship_wake")).all()
    for row in range(len(moving)):
        angle = np.radians(moving.heading[row])
        ahead = np.array([np.sin(angle), np.cos(angle)])
        centre = np.array([moving.x[row], moving.y[row]])
        stern = shapely.Point(centre - ahead * (moving.length[row] / 2 + 1))
        wake = wakes.geometry[np.flatnonzero(shapely.intersects(wakes.geometry, stern))]
        assert len(wake)
        behind = (shapely.get_coordinates(wake[0].centroid) - centre) @ ahead
        assert behind[0] < -moving.length[row] / 2


def test_aircraft_stand_on_the_apron(whole: Layers) -> None:
    aircraft = whole.targets.take(whole.targets.kind == "aircraft")
    (apron,) = whole.regions.geometry[whole.regions.function == "apron"]
    assert len(aircraft) > 0
    assert shapely.covers(apron, outlines(aircraft)).all()
    assert set(aircraft.function) == {"airport"}


def test_a_square_around_a_place(extract: Path) -> None:
    lon, lat = FRAME.lonlat(CORNER[0] + 1500, CORNER[1] + 1500)
    config = OsmWorldConfig(path=extract, centre=(float(lon), float(lat)), size_km=0.8)
    world = OsmWorld(config)
    assert (world.bounds.width, world.bounds.height) == pytest.approx((800, 800), abs=2)
    assert world.bounds.centre == pytest.approx((CORNER[0] + 1500, CORNER[1] + 1500), abs=1)
    assert_sound(world, world.layers(world.bounds))
    at_edge = OsmWorld(config.model_copy(update={"size_km": 50.0}))
    assert at_edge.bounds.width == pytest.approx(SIZE_M, abs=3)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"city": "Rome", "size_km": 2.0}, "covers too little of the ground around"),
        ({"city": "Nowhere upon Nothing", "size_km": 2.0}, "no city named"),
        ({"city": "Rome"}, r"--city NAME --size-km N.*world\.centre"),
        ({"size_km": 2.0}, r"--city NAME --size-km N.*world\.centre"),
        ({"city": "Rome", "centre": (1.0, 2.0), "size_km": 2.0}, "both city and centre"),
    ],
)
def test_impossible_grounds_are_one_line(
    extract: Path, settings_: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        OsmWorld(OsmWorldConfig(path=extract, **settings_))
    assert "\n" not in str(caught.value)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.osm.pbf"
    path.write_bytes(b"no map")
    with pytest.raises(MapError, match=r"x\.osm\.pbf is not"):
        OsmWorld(OsmWorldConfig(path=path))


def test_flat_ground(world: OsmWorld) -> None:
    assert_array_equal(world.height(np.zeros((2, 3)), np.zeros((2, 3))), np.zeros((2, 3)))
    assert world.height_range(world.bounds) == (0.0, 0.0)


def test_relief_of_an_elevation_model(extract: Path, tmp_path: Path) -> None:
    step, margin = 25.0, 3000.0
    x = np.arange(CORNER[0] - margin, CORNER[0] + SIZE_M + margin, step) + step / 2
    y = np.arange(CORNER[1] + SIZE_M + margin, CORNER[1] - margin, -step) - step / 2
    plane = 0.01 * (x[None, :] - CORNER[0]) + 0.02 * (y[:, None] - CORNER[1])
    dem = tmp_path / "dem.tif"
    transform = rasterio.Affine(step, 0, x[0] - step / 2, 0, -step, y[0] + step / 2)
    profile = {"driver": "GTiff", "width": len(x), "height": len(y), "count": 1,
               "dtype": "float32", "crs": FRAME.crs.to_wkt(), "transform": transform}  # fmt: skip
    with rasterio.open(dem, "w", **profile) as out:
        out.write(plane.astype(np.float32), 1)
    config = OsmWorldConfig(path=extract, populate=False, dem=dem, dem_geoid_m=17.0)
    world = OsmWorld(config)
    random = np.random.default_rng(3)
    px, py = random.uniform(0, SIZE_M, (2, 500))
    heights = world.height(CORNER[0] + px, CORNER[1] + py)
    assert heights == pytest.approx(17.0 + 0.01 * px + 0.02 * py, abs=0.05)
    low, high = world.height_range(world.bounds)
    assert low <= heights.min()
    assert heights.max() <= high
    assert high - low < 100.0
    part = Bounds(CORNER[0] + 500, CORNER[1] + 500, CORNER[0] + 600, CORNER[1] + 700)
    low, high = world.height_range(part)
    px, py = random.uniform(500, 600, 400), random.uniform(500, 700, 400)
    inside = world.height(CORNER[0] + px, CORNER[1] + py)
    assert low <= inside.min() <= inside.max() <= high
    assert high - low < 0.01 * 150 + 0.02 * 250


def test_lengths_in_tags() -> None:
    assert metres({"height": "12.5 m"}, "height") == 12.5
    assert metres({"height": "3,5"}, "height") == 3.5
    assert metres({"height": "10'"}, "height") == pytest.approx(3.048)
    assert metres({"height": "high", "est": "4"}, "height", "est") == 4.0
    assert metres({"height": "-3"}, "height") is None


def test_table_uses_known_words_only() -> None:
    table, rules = tag_rules(), world_rules()
    names = {surface.name for surface in surfaces()}
    for rows, look_up in ((table.areas, rules.area), (table.lines, rules.line)):
        for tags in ({row.key: value} for row in rows for value in row.values):
            found = look_up(tags)
            assert found is not None
            assert found.ground.function in FUNCTIONS
            assert found.ground.surface in names
            assert found.order in ORDER
    assert {ground.function for ground in rules.built.values()} <= set(FUNCTIONS)
    assert set(rules.targets) <= {rule.kind for rule in table.objects} & set(TARGET_KINDS)
    assert {*rules.paving.values(), *rules.buildings.roof_materials.values()} <= names
    assert set(rules.buildings.kinds) <= set(rules.buildings.models) <= set(BUILDING_KINDS)
    assert {key: ORDER[key] for key in MAP_ORDER} == MAP_ORDER


def test_helsinki(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("osm-helsinki") / "Helsinki.osm.pbf"
    world = OsmWorld(OsmWorldConfig(path=path, seed=1))
    layers = world.layers(world.bounds)
    assert_sound(world, layers)
    assert world.bounds.area_km2 == pytest.approx(1.566, abs=0.01)

    def on_top(lon: float, lat: float) -> str:
        x, y = world.frame.xy(lon, lat)
        return painted(layers.regions, float(x) - CORNER[0], float(y) - CORNER[1])[0]

    assert on_top(24.9430, 60.1778) == "sea"  # Kaisaniemenlahti
    assert on_top(24.9465, 60.1752) in ("park", "road")  # Kaisaniemi botanic garden
    stations = layers.buildings.take(layers.buildings.kind == "station")
    x, y = world.frame.xy(24.9414, 60.1712)  # Central Railway Station
    assert shapely.distance(shapely.union_all(stations.geometry), shapely.Point(x, y)) < 80
    bridges = layers.buildings.take(layers.buildings.kind == "bridge")
    x, y = world.frame.xy(24.9511, 60.1764)  # Pitkäsilta
    assert shapely.distance(shapely.union_all(bridges.geometry), shapely.Point(x, y)) < 60
    assert (layers.targets.kind == "vehicle").sum() > 200
