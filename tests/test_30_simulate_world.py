"""Rung 3: procedural city worlds: complete, dry ships, one answer however one asks."""

from __future__ import annotations

import functools
import hashlib
import pickle
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from sarknowlip.core.errors import ConfigError
from sarknowlip.geo.gazetteer import find_city
from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.layers import (
    BUILDING_KINDS,
    FUNCTIONS,
    ORDER,
    TARGET_KINDS,
    Layers,
    surface_id,
)
from sarknowlip.simulate.world import procedural
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.ground import ROADS, first_uid, plan_layers
from sarknowlip.simulate.world.painted import outlines
from sarknowlip.simulate.world.plan import Plan, make_plan
from sarknowlip.simulate.world.procedural import ProceduralWorld
from sarknowlip.simulate.world.zoning import zones

DISTRICTS = {
    "dense_residential", "sparse_residential", "commercial", "industrial", "port", "airport",
    "rail", "stadium", "park", "farmland", "forest", "wetland", "grassland", "bare", "wind_farm",
    "tank_farm",
}  # fmt: skip

SMALL = WorldConfig(city="Genoa", seed=4, size_km=2.0, coast=True, river=True, lakes=True)
CITY = WorldConfig(city="Hamburg", seed=1, size_km=10.0, coast=True, river=True, lakes=True)

configs = st.builds(
    WorldConfig,
    city=st.sampled_from(["Hamburg", "Sydney", "Quito"]),
    seed=st.integers(0, 10**6),
    size_km=st.sampled_from([1.0, 1.7, 3.0, 5.5]),
    coast=st.sampled_from([None, True, False]),
    river=st.sampled_from([None, True, False]),
    lakes=st.sampled_from([None, True]),
    relief_m=st.sampled_from([0.0, 12.0, 80.0]),
)


@functools.cache
def small() -> ProceduralWorld:
    return ProceduralWorld(SMALL)


@functools.cache
def city() -> tuple[Plan, Layers]:
    plan = make_plan(CITY)
    return plan, plan_layers(CITY, plan)


def places(bounds: Bounds, count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.uniform((bounds.west, bounds.south), (bounds.east, bounds.north), (count, 2))


def digest(layers: list[Layers]) -> str:
    found = hashlib.sha256()
    for part in layers:
        for table in (part.regions, part.buildings):
            for wkb in shapely.to_wkb(table.geometry):
                found.update(wkb)
            found.update(table.uid.tobytes() + "".join(table.function).encode())
        found.update(part.regions.heading.tobytes() + part.buildings.height.tobytes())
        targets = part.targets
        for name in ("uid", "x", "y", "length", "width", "height", "heading", "speed", "parent"):
            found.update(getattr(targets, name).tobytes())
        found.update("".join(targets.subclass).encode())
    return found.hexdigest()


def test_configuration_knows_the_city_and_its_square() -> None:
    with pytest.raises(ConfigError, match=r"'Hambrug'.*perhaps.*Hamburg"):
        WorldConfig(city="Hambrug")
    with pytest.raises(ValueError, match="less than or equal to 32"):
        WorldConfig(city="Hamburg", size_km=33)
    place, bounds = find_city("Hamburg"), CITY.bounds()
    assert place is not None
    assert (bounds.width, bounds.height) == (10_000, 10_000)
    lon, lat = CITY.frame().lonlat(*bounds.centre)
    assert (float(lon), float(lat)) == pytest.approx((place.lon, place.lat), abs=2e-5)
    assert CITY.frame().epsg == 32632


def test_nature_is_as_asked() -> None:
    dry = make_plan(WorldConfig(city="Quito", size_km=3, coast=False, river=False, lakes=False))
    assert dry.water.everything.is_empty
    assert not any(district.quay for district in dry.districts)
    wet = city()[0].water
    assert min(wet.sea.area, wet.river.area, sum(lake.area for lake in wet.lakes)) > 1e5
    seeds = [WorldConfig(city="Hamburg", seed=seed) for seed in range(200)]
    for fact, share in (("has_coast", 0.6), ("has_lakes", 0.6)):
        assert np.mean([getattr(c, fact) for c in seeds]) == pytest.approx(share, abs=0.12)
    assert all(c.has_river or c.has_coast for c in seeds)


@example(config=WorldConfig(city="Hamburg", seed=49, size_km=1.0, lakes=True))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(config=configs)
def test_any_world_is_covered_dry_and_within_its_bounds(config: WorldConfig) -> None:
    plan = make_plan(config)
    layers = plan_layers(config, plan)
    grounds = np.array([district.polygon for district in plan.districts], dtype=object)
    everything = np.concatenate([layers.regions.geometry, grounds])
    points = shapely.points(places(config.bounds(), 4000, config.seed))
    hit = shapely.STRtree(everything).query(points, predicate="intersects")[0]
    assert len(np.unique(hit)) == len(points), "ground without a region"
    assert shapely.is_valid(everything).all()
    world = config.bounds()
    world_box = box(world.west, world.south, world.east, world.north)
    assert shapely.covers(world_box.buffer(1e-6), everything).all()
    water = plan.water.everything
    assert shapely.area(shapely.intersection(grounds, water)).max() < 1e-3
    roads = shapely.union_all(plan.network.grounds)
    assert shapely.area(shapely.intersection(grounds, roads)).max() < 1e-3
    assert shapely.union_all(grounds).area == pytest.approx(shapely.area(grounds).sum())
    assert [district.uid for district in plan.districts] == [*range(1, len(grounds) + 1)]
    for district in plan.districts:
        assert district.polygon.geom_type == "Polygon"
        assert 0 <= district.heading < 180
        assert 0 <= district.density <= 1
    check_quays(plan)
    check_ships(layers, water)
    spots = shapely.points(layers.targets.x, layers.targets.y)
    driving = layers.targets.kind == "vehicle"
    assert not shapely.contains_properly(water, spots[driving]).any()
    assert shapely.covers(world_box.buffer(1e-6), layers.buildings.geometry).all()
    check_heights(config, plan)


def check_quays(plan: Plan) -> None:
    for district in plan.districts:
        if district.quay is None:
            continue
        start, end = shapely.get_coordinates(district.quay)
        way = (end - start) / np.hypot(*(end - start))
        left = np.array([-way[1], way[0]])
        along = start + np.linspace(0, district.quay.length, 15)[:, None] * way
        assert shapely.contains_xy(plan.water.everything, *(along + 25 * left).T).all()
        assert shapely.contains_xy(district.polygon, *(along - 2 * left).T).all()


def check_ships(layers: Layers, water: shapely.Geometry) -> None:
    ships = layers.targets.take(layers.targets.kind == "ship")
    hulls = outlines(ships)
    assert shapely.covers(water.buffer(1e-6), hulls).all()
    pairs = shapely.STRtree(hulls).query(hulls, predicate="intersects")
    assert np.array_equal(pairs[0], pairs[1]), "ships overlap"
    wakes = layers.regions.take(layers.regions.function == "wake")
    assert sorted(wakes.parent) == sorted(ships.uid[ships.speed > 0])
    for geometry, parent in zip(wakes.geometry, wakes.parent, strict=True):
        row = int(np.flatnonzero(ships.uid == parent)[0])
        assert geometry.distance(hulls[row]) < 0.01
        turn = np.radians(ships.heading[row])
        ahead = np.array([np.sin(turn), np.cos(turn)])
        astern = (shapely.get_coordinates(geometry) - [ships.x[row], ships.y[row]]) @ ahead
        assert astern.max() < -ships.length[row] / 2 + 0.01
        assert astern.min() > -40.6 * ships.length[row]


def check_heights(config: WorldConfig, plan: Plan) -> None:
    bounds = config.bounds()
    x, y = places(bounds, 4000, 1).T
    heights = plan.relief(x, y)
    flat = shapely.contains_xy(shapely.union_all([plan.water.sea, plan.water.river]), x, y)
    assert np.allclose(heights[flat], config.base_height_m, atol=1e-9)
    assert heights.min() > config.base_height_m - 1e-9
    world = box(bounds.west, bounds.south, bounds.east, bounds.north)
    open_water = shapely.union_all([plan.water.sea, plan.water.river])
    shore = shapely.get_coordinates(open_water.intersection(world))
    assert np.allclose(plan.relief(*shore.T), config.base_height_m, atol=1e-9)
    for lake in plan.water.lakes:
        assert np.ptp(plan.relief(*shapely.get_coordinates(lake).T)) < 1e-9
        inside = heights[shapely.contains_xy(lake, x, y)]
        assert not len(inside) or np.ptp(inside) < 1e-9
    land = heights[~shapely.contains_xy(plan.water.everything, x, y)]
    assert land.std() == pytest.approx(config.relief_m, rel=0.2)


def test_heights_are_smooth_and_within_their_stated_range() -> None:
    world = small()
    x, y = places(world.bounds.padded(3000), 20_000).T
    here, beside = world.height(x, y), world.height(x + 1.0, y)
    assert np.isfinite(here).all()
    assert np.abs(here - beside).max() < 0.6, "a cliff"
    for part in (world.bounds, Bounds(*np.add(world.bounds.centre * 2, (-300, -200, 100, 150)))):
        x, y = places(part, 5000).T
        low, high = world.height_range(part)
        heights = world.height(x, y)
        assert low <= heights.min() + 1e-9
        assert high >= heights.max() - 1e-9
    assert high - low < np.ptp(world.plan.relief.values), "the range is that of the part"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shore", ["coast", "river"])
def test_ten_kilometres_hold_every_function(seed: int, shore: str) -> None:
    sea = shore == "coast"
    plan = make_plan(WorldConfig(city="Rotterdam", seed=seed, coast=sea, river=not sea))
    functions = Counter(district.function for district in plan.districts)
    assert set(functions) == DISTRICTS
    assert set(FUNCTIONS) >= DISTRICTS
    airport = next(d.polygon for d in plan.districts if d.function == "airport")
    sides = shapely.get_coordinates(shapely.oriented_envelope(airport))
    assert np.hypot(*np.diff(sides, axis=0).T).max() > 1200
    assert all(d.quay is not None for d in plan.districts if d.function == "port")


def test_the_city_grows_outward() -> None:
    plan = city()[0]
    check_heights(CITY, plan)
    away: dict[str, list[float]] = {}
    for district in plan.districts:
        centre = np.subtract(district.polygon.centroid.coords[0], CITY.bounds().centre)
        away.setdefault(district.function, []).append(float(np.hypot(*centre)))
    means = [np.mean(away[f]) for f in ("commercial", "dense_residential", "farmland", "forest")]
    assert means[0] < means[1] < min(means[2:])
    shares = Counter(d.function for d in plan.districts)
    for row in zones()[:-1]:
        assert shares[row.function] >= 1
        assert shares[row.function] / len(plan.districts) == pytest.approx(row.share, abs=0.03)


def test_bridges_span_water_from_land_to_land() -> None:
    plan, layers = city()
    bridges = layers.buildings
    assert set(bridges.kind) == {"bridge"}
    assert len(bridges) >= 3, "motorway, railway, streets"
    assert np.all((bridges.base >= 6) & (bridges.base <= 15))
    assert np.allclose(bridges.height - bridges.base, 1.5)
    assert set(bridges.surface) == {surface_id("asphalt")}
    wet = shapely.intersects(bridges.geometry, plan.water.river)
    assert wet.all()
    ends = layers.regions.take(layers.regions.function == "bridge")
    assert sorted(ends.uid) == sorted(bridges.parent)
    assert shapely.area(ends.geometry).min() > 50
    for line in plan.network.deck_lines:
        tips = [shapely.Point(tip) for tip in (line.coords[0], line.coords[-1])]
        assert not any(plan.water.river.contains(tip) for tip in tips)


def test_vehicles_drive_on_the_right_of_their_roads() -> None:
    plan, layers = city()
    vehicles = layers.targets.take(layers.targets.kind == "vehicle")
    assert len(vehicles) > 500
    assert set(vehicles.subclass) == {"car", "truck", "bus"}
    roads = dict(zip(layers.regions.uid, layers.regions.geometry, strict=True))
    ground = np.array([roads[uid] for uid in vehicles.parent], dtype=object)
    spots = shapely.points(vehicles.x, vehicles.y)
    assert shapely.covers(ground, spots).all()
    line = dict(zip(-np.arange(len(plan.network.lines)), plan.network.lines, strict=True))
    lines = np.array([line[uid - first_uid(ROADS)] for uid in vehicles.parent], dtype=object)
    near = shapely.get_coordinates(
        shapely.line_interpolate_point(lines, shapely.line_locate_point(lines, spots))
    )
    turn = np.radians(vehicles.heading)
    right = (vehicles.x - near[:, 0]) * np.cos(turn) - (vehicles.y - near[:, 1]) * np.sin(turn)
    assert right.min() > 0.5


def test_traffic_is_as_dense_as_asked() -> None:
    counts = {}
    for factor in (0.0, 1.0, 3.0):
        config = SMALL.model_copy(update={"ships": factor, "vehicles": factor, "size_km": 6.0})
        layers = plan_layers(config, make_plan(config))
        kinds = Counter(layers.targets.kind)
        counts[factor] = kinds["ship"], kinds["vehicle"]
        assert (factor > 0) == ("wake" in set(layers.regions.function))
    assert counts[0.0] == (0, 0)
    assert counts[1.0][0] >= 4
    assert counts[3.0][0] > 2 * counts[1.0][0]
    assert counts[3.0][1] == pytest.approx(3 * counts[1.0][1], rel=0.05)


def test_words_are_in_the_vocabularies() -> None:
    for part in [city()[1], *small().cells()]:
        assert set(part.regions.function) <= set(FUNCTIONS)
        assert set(part.buildings.kind) <= set(BUILDING_KINDS)
        assert set(part.targets.kind) <= set(TARGET_KINDS)
        assert set(part.regions.order) <= set(ORDER.values())
        assert part.regions.surface.min() > 0


def test_many_questions_give_the_rows_of_one_pass() -> None:
    world = small()
    whole = Layers.concat(list(world.cells()))
    step = world.bounds.width / 5
    parts = []
    for i in range(-1, 6):
        for j in range(-1, 6):
            west, south = world.bounds.west + i * step, world.bounds.south + j * step
            parts.append(world.layers(Bounds(west, south, west + step, south + step)))
            assert np.all(np.diff(parts[-1].regions.order) >= 0)
    asked = Layers.concat(parts)
    for name in ("regions", "buildings", "targets"):
        rows = getattr(whole, name)
        assert len(np.unique(rows.uid)) == len(rows), f"{name}: a uid twice"
        assert set(getattr(asked, name).uid) == set(rows.uid)
    every = np.concatenate([whole.regions.uid, whole.buildings.uid, whole.targets.uid])
    assert len(np.unique(every)) == len(every)


def test_a_question_returns_just_what_touches() -> None:
    world = small()
    x, y = world.bounds.centre
    part = Bounds(x - 150, y - 60, x + 210, y + 170)
    window = box(part.west, part.south, part.east, part.north)
    whole = Layers.concat(list(world.cells()))
    found = world.layers(part)
    for name in ("regions", "buildings"):
        rows = getattr(whole, name)
        touching = rows.uid[shapely.intersects(rows.geometry, window)]
        assert sorted(getattr(found, name).uid) == sorted(touching)
        assert len(touching) > 5
    spots = shapely.points(whole.targets.x, whole.targets.y)
    inside = set(whole.targets.uid[shapely.intersects(spots, window)])
    assert inside <= set(found.targets.uid)
    assert len(world.layers(Bounds(x + 9e4, y, x + 9.1e4, y + 100)).regions) == 0


def test_filled_ground_is_covered() -> None:
    world = small()
    for centre in places(world.bounds, 12, 7):
        part = Bounds(*(centre - 40), *(centre + 40))
        inside = places(part, 100)
        edge = world.bounds
        inside = inside[
            (inside[:, 0] > edge.west) & (inside[:, 0] < edge.east)
            & (inside[:, 1] > edge.south) & (inside[:, 1] < edge.north)
        ]  # fmt: skip
        ground = shapely.union_all(world.layers(part).regions.geometry)
        assert shapely.contains_xy(ground, *inside.T).all()


def test_worlds_repeat_in_another_process_and_differ_by_seed_and_city() -> None:
    config = WorldConfig(city="Genoa", seed=11, size_km=1.0)
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_30_simulate_world import *\n"
        f"world = ProceduralWorld(WorldConfig(**{config.model_dump()!r}))\n"
        "print(digest(list(world.cells())))"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    world = ProceduralWorld(config)
    own = digest(list(world.cells()))
    assert made.stdout.strip() == own
    for change in ({"seed": 12}, {"city": "Bologna"}):
        other = ProceduralWorld(config.model_copy(update=change))
        assert digest(list(other.cells())) != own


def test_a_pickled_copy_is_the_same_world_and_is_not_planned_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = ProceduralWorld(WorldConfig(city="Genoa", seed=11, size_km=2.0, coast=True, river=True))
    size = len(pickle.dumps(world))
    first = world.layers(world.bounds)
    monkeypatch.setattr(procedural, "make_plan", None)
    monkeypatch.setattr(procedural, "plan_layers", None)
    content = pickle.dumps(world)
    copy = pickle.loads(content)
    assert (copy.config, copy.frame, copy.bounds) == (world.config, world.frame, world.bounds)
    assert digest([copy.layers(copy.bounds)]) == digest([first])
    assert digest(list(copy.cells())) == digest(list(world.cells()))
    x, y = places(world.bounds, 200).T
    assert np.array_equal(copy.height(x, y), world.height(x, y))
    assert copy.height_range(world.bounds) == world.height_range(world.bounds)
    assert len(content) == size, "filled districts travel along"
