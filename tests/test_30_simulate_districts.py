"""What districts hold: one contract for every registered filler, then what makes each its kind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, Polygon

from sarknowlip.core.errors import ConfigError, GeometryError
from sarknowlip.simulate.layers import (
    BUILDING_KINDS,
    FUNCTIONS,
    ORDER,
    TARGET_KINDS,
    Layers,
    surface_id,
    surfaces,
)
from sarknowlip.simulate.world.district import UIDS_PER_DISTRICT, District
from sarknowlip.simulate.world.districts import FILLERS, fill
from sarknowlip.simulate.world.districts.classes import draw, target_classes
from sarknowlip.simulate.world.districts.layout import blobs, cut, split
from sarknowlip.simulate.world.districts.placing import bay_places
from sarknowlip.simulate.world.districts.plot import Plot, rectangles
from sarknowlip.simulate.world.districts.strips import strips_along

ORIGIN = np.array([385_000.0, 6_671_000.0])
SHAPES = {
    "compact": [(0, 0), (620, -60), (800, 250), (720, 640), (350, 700), (60, 560)],
    "large": [(0, 0), (2600, -200), (2900, 900), (1500, 1150), (200, 1000)],
    "concave": [(0, 0), (900, 0), (900, 700), (500, 690), (480, 250), (300, 260), (310, 720)],
    "sliver": [(0, 0), (1500, 4), (1500, 7), (0, 9)],
    "tiny": [(0, 0), (60, 5), (50, 40)],
}  # fmt: skip
SIZES = {
    # kind: least and largest length, width, height that exist
    "ship": ((12, 410), (4, 62), (5, 75)),
    "aircraft": ((6, 80), (8, 80), (2, 25)),
    "vehicle": ((3, 18.75), (1.5, 3.5), (1.2, 4.2)),
    "storage_tank": ((10, 80), (10, 80), (5, 25)),
    "wind_turbine": ((80, 170), (3, 6), (80, 160)),
    "crane": ((20, 150), (8, 30), (15, 140)),
    "container_stack": ((6, 13), (2.4, 17), (2.5, 15.6)),
    "rail_wagon": ((10, 27), (2.5, 3.3), (3, 4.7)),
}


def district(
    function: str,
    shape: list[tuple[float, float]] | Polygon,
    heading: float = 25.0,
    density: float = 0.7,
    uid: int = 7,
    quay: LineString | None = None,
) -> District:
    polygon = shapely.transform(Polygon(shape), lambda xy: xy + ORIGIN)
    if quay is not None:
        quay = shapely.transform(quay, lambda xy: xy + ORIGIN)
    return District(uid, polygon, function, heading, density, 3, quay)


def quayside(shift: float = 0.0, density: float = 0.9) -> District:
    """A port whose quay runs south-west with water to the left, that is, to the south-east."""
    line = LineString([(900, 600), (820, 80), (520, 40), (500, -130), (0, -180)])
    shape = Polygon([*line.coords, (-40, 300), (300, 650)])
    return district("port", shape, 80.0 + shift, density, 11, line)


def rectangles_of(layers: Layers) -> np.ndarray:
    """Ground that targets cover, each its own rectangle (discs: their inner square)."""
    t = layers.targets
    angle = np.radians(t.heading)
    ahead = np.stack([np.sin(angle), np.cos(angle)], axis=1) * (t.length / 2)[:, None]
    right = np.stack([np.cos(angle), -np.sin(angle)], axis=1) * (t.width / 2)[:, None]
    centre = np.stack([t.x, t.y], axis=1)
    corners = [centre + ahead + right, centre + ahead - right, centre - ahead - right,
               centre - ahead + right]  # fmt: skip
    return shapely.polygons(np.stack(corners, axis=1))


def check_contract(d: District, layers: Layers) -> None:
    regions, buildings, targets = layers.regions, layers.buildings, layers.targets
    assert regions.uid[0] == d.uid
    assert regions.order[0] == ORDER["district"]
    assert regions.function[0] == d.function
    assert regions.geometry[0].equals(d.polygon)
    rest = np.concatenate([regions.uid[1:], buildings.uid, targets.uid])
    assert len(np.unique(rest)) == len(rest)
    first = d.uid * UIDS_PER_DISTRICT
    assert ((rest > first) & (rest < first + UIDS_PER_DISTRICT)).all()
    for table in (regions, buildings, targets):
        assert (table.parent == d.uid).all()
        assert set(table.function) <= set(FUNCTIONS)
    assert set(buildings.kind) <= set(BUILDING_KINDS)
    assert set(targets.kind) <= set(TARGET_KINDS)
    known = [s.id for s in surfaces()]
    assert np.isin(regions.surface, known).all()
    assert np.isin(
        buildings.surface, [surface_id(f"{r}_roof") for r in ("flat", "tile", "metal")]
    ).all()
    roads = regions.function == "road"
    assert (regions.order[roads] == ORDER["road"]).all()
    finite = regions.heading[~np.isnan(regions.heading)]
    assert ((finite >= 0) & (finite < 180)).all()
    assert ((targets.heading >= 0) & (targets.heading < 360)).all()
    check_geometry(d, layers)


def check_geometry(d: District, layers: Layers) -> None:
    buildings, targets = layers.buildings, layers.targets
    ground = d.polygon.buffer(0.01)
    shapely.prepare(ground)
    for table in (layers.regions, buildings):
        shapes = table.geometry
        assert shapely.is_valid(shapes).all()
        assert not shapely.is_empty(shapes).any()
        assert np.isin(shapely.get_type_id(shapes), [3, 6]).all()
        assert (shapely.area(shapes) > 0.5).all()
        assert shapely.covers(ground, shapes).all()
    tree = shapely.STRtree(buildings.geometry)
    one, two = tree.query(buildings.geometry, predicate="intersects")
    pairs = one < two
    shared = shapely.intersection(buildings.geometry[one[pairs]], buildings.geometry[two[pairs]])
    assert shapely.area(shared).max(initial=0.0) < 0.1
    assert (buildings.height >= 2.2).all()
    assert (buildings.height <= 130).all()
    assert (buildings.base == 0).all()
    assert (shapely.area(buildings.geometry) > 15).all()

    ships = targets.kind == "ship"
    inside = shapely.contains_xy(ground, targets.x, targets.y)
    assert inside[~ships].all()
    assert not inside[ships].any()
    assert not len(tree.query(shapely.points(targets.x, targets.y), predicate="intersects")[0])
    for kind in set(targets.kind):
        of_kind = targets.kind == kind
        for column, (low, high) in zip(("length", "width", "height"), SIZES[kind], strict=True):
            values = getattr(targets, column)[of_kind]
            assert ((values >= low) & (values <= high)).all(), (kind, column)


def digest(layers: Layers) -> str:
    found = hashlib.sha256()
    for table in (layers.regions, layers.buildings):
        found.update(b"".join(shapely.to_wkb(table.geometry)) if len(table) else b"")
        found.update(table.uid.tobytes() + table.surface.tobytes())
    found.update(layers.buildings.height.tobytes())
    t = layers.targets
    for column in (t.uid, t.x, t.y, t.length, t.width, t.height, t.heading):
        found.update(column.tobytes())
    found.update("".join(t.subclass).encode())
    return found.hexdigest()


def one_of(function: str) -> District:
    return quayside() if function == "port" else district(function, SHAPES["compact"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("function", FILLERS)
def test_contract(function: str, shape: str) -> None:
    for density, heading in ((0.0, 0.0), (0.5, 133.0), (1.0, 179.9)):
        d = district(function, SHAPES[shape], heading, density)
        check_contract(d, fill(d))


@st.composite
def grounds(draw: st.DrawFn) -> Polygon:
    """Star-shaped polygons, convex or not, round or thin, of 0.002 to 3 km²."""
    count = draw(st.integers(3, 12))
    radii = np.array(draw(st.lists(st.floats(0.25, 1), min_size=count, max_size=count)))
    turns = np.array(draw(st.lists(st.floats(0, 0.9), min_size=count, max_size=count)))
    angles = 2 * np.pi * (np.arange(count) + turns) / count
    thin = draw(st.sampled_from([1.0, 0.5, 0.1, 0.02]))
    ring = np.stack([np.cos(angles), thin * np.sin(angles)], axis=1) * radii[:, None]
    shape = shapely.affinity.rotate(Polygon(ring), draw(st.floats(0, 180)))
    scale = np.sqrt(draw(st.sampled_from([2e3, 2e4, 2e5, 3e6])) / shape.area)
    return shapely.affinity.scale(shape, scale, scale)


@pytest.mark.parametrize("function", FILLERS)
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(ground=grounds(), heading=st.floats(0, 179.99), density=st.floats(0, 1), data=st.data())
def test_any_ground(
    function: str, ground: Polygon, heading: float, density: float, data: st.DataObject
) -> None:
    quay = None
    if function == "port":
        # Exteriors run counter-clockwise with land on the left: reversed, water is there.
        ring = list(shapely.orient_polygons(ground).exterior.coords)[::-1]
        quay = LineString(ring[: data.draw(st.integers(2, len(ring) - 1))])
    d = district(function, ground, heading, density, 1 + data.draw(st.integers(0, 10**6)), quay)
    layers = fill(d)
    check_contract(d, layers)


@pytest.mark.parametrize("function", FILLERS)
def test_ground_with_a_hole(function: str) -> None:
    hole = shapely.Point(420, 320).buffer(90)
    d = district(function, Polygon(SHAPES["compact"]).difference(hole))
    check_contract(d, fill(d))


def test_same_in_another_process() -> None:
    script = (
        "from test_30_simulate_districts import *\n"
        "print(*[digest(fill(one_of(f))) for f in FILLERS])"
    )
    environment = os.environ | {"PYTHONHASHSEED": "5", "PYTHONPATH": os.pathsep.join(sys.path)}
    other = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    mine = [digest(fill(one_of(function))) for function in FILLERS]
    assert other.stdout.split() == mine
    assert len(set(mine)) == len(mine)


def test_seed_and_uid_matter() -> None:
    first = district("dense_residential", SHAPES["compact"], uid=7)
    second = district("dense_residential", SHAPES["compact"], uid=8)
    third = District(7, first.polygon, first.function, first.heading, first.density, 4)
    heights = [fill(d).buildings.height for d in (first, second, third)]
    assert not np.array_equal(heights[0], heights[1])
    assert not np.array_equal(heights[0], heights[2])


def test_unknown_function_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown district filler 'sea'"):
        fill(district("sea", SHAPES["compact"]))


def test_more_than_fits_in_the_numbers_is_refused() -> None:
    d = district("farmland", SHAPES["compact"])
    plot = Plot(d)
    many = np.full(UIDS_PER_DISTRICT, plot.area, dtype=object)
    plot.ground(many, "grass")
    with pytest.raises(GeometryError, match="make districts smaller"):
        plot.layers("grass")


def test_dense_residential_is_dense() -> None:
    d = district("dense_residential", SHAPES["compact"])
    layers = fill(d)
    km2 = d.polygon.area / 1e6
    assert 600 < len(layers.buildings) / km2 < 1600
    assert set(layers.buildings.kind) == {"apartment_block"}
    assert layers.buildings.height.min() >= 4 * 3.1
    assert layers.buildings.height.max() <= 8 * 3.1 + 2
    assert (layers.regions.function == "road").any()
    cover = shapely.area(layers.buildings.geometry).sum() / d.polygon.area
    assert 0.2 < cover < 0.5


def test_sparse_residential_has_houses_that_face_streets() -> None:
    d = district("sparse_residential", SHAPES["compact"], density=0.4)
    layers = fill(d)
    houses = layers.buildings
    assert set(houses.kind) <= {"house", "row_house"}
    assert 400 < len(houses) / (d.polygon.area / 1e6) < 1600
    assert 0.05 < shapely.area(houses.geometry).sum() / d.polygon.area < 0.25
    streets = shapely.union_all(layers.regions.geometry[layers.regions.function == "road"])
    edge = shapely.union_all([streets, d.polygon.exterior])
    assert np.quantile(shapely.distance(houses.geometry, edge), 0.95) < 12.0
    assert (layers.regions.surface == surface_id("park_trees")).any()


def test_streets_run_along_and_across_the_heading() -> None:
    for heading in (0.0, 40.0, 170.0):
        regions = fill(district("commercial", SHAPES["compact"], heading)).regions
        roads = regions.function == "road"
        assert set(np.round(regions.heading[roads] - heading, 6) % 180) == {0.0, 90.0}
        for shape, direction in zip(regions.geometry[roads], regions.heading[roads], strict=True):
            box = shapely.get_coordinates(shapely.minimum_rotated_rectangle(shape))
            if shape.area < 2000:
                continue
            sides = np.diff(box[:3], axis=0)
            long = sides[np.argmax(np.hypot(*sides.T))]
            bearing = np.degrees(np.arctan2(long[0], long[1]))
            assert abs((bearing - direction + 90) % 180 - 90) < 3.0


def test_commercial_has_towers_shops_and_car_parks() -> None:
    layers = fill(district("commercial", SHAPES["large"]))
    towers = layers.buildings.height[layers.buildings.kind == "office_tower"]
    assert towers.min() >= 20
    assert towers.max() <= 120
    assert towers.max() > 80
    assert "shop" in layers.buildings.kind
    assert {"square", "parking", "road"} <= set(layers.regions.function)


def test_industrial_has_metal_halls_trucks_and_tanks() -> None:
    layers = fill(district("industrial", SHAPES["large"]))
    assert {"factory_hall", "warehouse"} <= set(layers.buildings.kind)
    assert (layers.buildings.surface == surface_id("metal_roof")).mean() > 0.6
    assert "truck" in layers.targets.subclass
    assert (layers.targets.kind == "storage_tank").sum() >= 3


def test_tanks_stand_apart_within_dikes() -> None:
    d = district("tank_farm", SHAPES["compact"])
    layers = fill(d)
    tanks = layers.targets.take(layers.targets.kind == "storage_tank")
    assert len(tanks) > 60
    assert (tanks.length == tanks.width).all()
    assert tanks.length.min() >= 10
    assert tanks.length.max() <= 80
    assert tanks.length.max() > 45
    discs = shapely.buffer(shapely.points(tanks.x, tanks.y), tanks.length / 2)
    assert shapely.covers(d.polygon, discs).all()
    one, two = shapely.STRtree(discs).query(discs, predicate="intersects")
    assert (one == two).all()
    dikes = layers.regions.geometry[layers.regions.surface == surface_id("bare_soil")]
    around = shapely.polygons([shape.exterior for shape in shapely.get_parts(dikes)])
    held = shapely.STRtree(around).query(discs, predicate="within")[0]
    assert len(np.unique(held)) == len(tanks)
    crossed = shapely.STRtree(dikes).query(discs, predicate="intersects")[0]
    assert len(crossed) == 0


def test_port_moors_ships_along_its_quay() -> None:
    d = quayside()
    layers = fill(d)
    check_contract(d, layers)
    ships = layers.targets.take(layers.targets.kind == "ship")
    assert len(ships) >= 5
    assert (ships.speed == 0).all()
    hulls = rectangles_of(Layers(layers.regions, layers.buildings, ships))
    gap = shapely.distance(hulls, d.quay)
    assert gap.min() >= 1.0 - 1e-6
    assert gap.max() <= 3.0 + 1e-6
    assert not shapely.intersects(hulls, d.polygon).any()
    one, two = shapely.STRtree(hulls).query(hulls, predicate="intersects")
    assert (one == two).all()
    # Water is to the left of the line: left of the nearest wall, and parallel to it.
    line = shapely.get_coordinates(d.quay)
    walls = shapely.linestrings(np.stack([line[:-1], line[1:]], axis=1))
    nearest = np.argmin(shapely.distance(hulls[:, None], walls[None, :]), axis=1)
    step = np.diff(line, axis=0)[nearest]
    offset = np.stack([ships.x, ships.y], axis=1) - line[nearest]
    assert (step[:, 0] * offset[:, 1] - step[:, 1] * offset[:, 0] > 0).all()
    bearing = np.degrees(np.arctan2(step[:, 0], step[:, 1]))
    assert np.abs((ships.heading - bearing + 90) % 180 - 90).max() < 1e-6


def test_port_has_quay_cranes_and_containers() -> None:
    d = quayside()
    layers = fill(d)
    quay = layers.regions.geometry[layers.regions.function == "quay"]
    assert shapely.area(quay).sum() > 0.8 * 48 * d.quay.length - 48 * 48 * 3
    cranes = layers.targets.take(layers.targets.subclass == "ship_to_shore_crane")
    assert len(cranes) >= 5
    jib = np.radians(cranes.heading)
    tip = shapely.points(cranes.x + 60 * np.sin(jib), cranes.y + 60 * np.cos(jib))
    assert not shapely.intersects(d.polygon, tip).any()
    rail = shapely.distance(shapely.points(cranes.x, cranes.y), d.quay)
    assert np.allclose(rail, 18.0, atol=1e-6)
    boxes = layers.targets.take(layers.targets.kind == "container_stack")
    assert len(boxes) > 100
    tiers = boxes.height / 2.59
    assert np.allclose(tiers, np.round(tiers))
    assert tiers.max() <= 5
    stacks = rectangles_of(Layers(layers.regions, layers.buildings, boxes))
    one, two = shapely.STRtree(stacks).query(stacks, predicate="intersects")
    assert (one == two).all()
    roads = layers.regions.geometry[layers.regions.function == "road"]
    assert not len(shapely.STRtree(roads).query(stacks, predicate="intersects")[0])
    assert not len(shapely.STRtree(quay).query(stacks, predicate="intersects")[0])


def test_port_without_quay_has_no_ships() -> None:
    layers = fill(district("port", SHAPES["compact"]))
    assert not (layers.targets.kind == "ship").any()
    assert "quay" not in layers.regions.function


def test_airport_has_a_long_runway_and_nose_in_aircraft() -> None:
    d = district("airport", [(0, 0), (3200, 500), (3000, 1500), (100, 1000)], 80.0)
    layers = fill(d)
    (runway,) = layers.regions.geometry[layers.regions.function == "runway"]
    sides = np.hypot(*np.diff(shapely.get_coordinates(runway)[:3], axis=0).T)
    assert max(sides) >= 2000
    assert min(sides) == pytest.approx(45.0)
    heading = layers.regions.heading[layers.regions.function == "runway"]
    assert heading == pytest.approx([80.0])
    assert {"taxiway", "apron", "parking"} <= set(layers.regions.function)
    assert {"terminal", "hangar", "control_tower"} <= set(layers.buildings.kind)
    planes = layers.targets.take(layers.targets.kind == "aircraft")
    assert len(planes) > 10
    assert {"narrow_body", "wide_body"} <= set(planes.subclass)
    shapes = rectangles_of(Layers(layers.regions, layers.buildings, planes))
    one, two = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    assert (one == two).all()
    assert not len(
        shapely.STRtree(layers.buildings.geometry).query(shapes, predicate="intersects")[0]
    )
    terminal = layers.buildings.geometry[layers.buildings.kind == "terminal"][0]
    near = shapely.distance(shapes, terminal) < 15
    assert near.sum() >= 6
    angle = np.radians(planes.heading[near])
    nose = np.stack([planes.x[near], planes.y[near]], axis=1)
    nose += np.stack([np.sin(angle), np.cos(angle)], axis=1) * planes.length[near, None] / 2
    assert np.allclose(shapely.distance(shapely.points(nose), terminal), 9.0, atol=1e-6)
    assert not shapely.intersects(runway, shapes).any()


@pytest.mark.parametrize(
    ("long", "least", "width"), [(1500, 1200, 45), (1000, 850, 30), (500, 400, 18)]
)
def test_short_grounds_have_short_runways(long: float, least: float, width: float) -> None:
    d = district("airport", [(0, 0), (long, 0), (long, 300), (0, 300)], 90.0)
    layers = fill(d)
    (runway,) = layers.regions.geometry[layers.regions.function == "runway"]
    box = runway.bounds
    assert box[2] - box[0] >= least
    assert box[3] - box[1] == pytest.approx(width)


def test_rail_has_parallel_tracks_and_wagons_on_them() -> None:
    d = district("rail", [(0, 0), (1200, 300), (1150, 520), (-50, 220)], 75.0)
    layers = fill(d)
    tracks = layers.regions.take(layers.regions.function == "rail_track")
    assert len(tracks) >= 8
    assert np.allclose(tracks.heading, 75.0)
    assert (tracks.surface == surface_id("gravel")).all()
    assert "station" in layers.buildings.kind
    wagons = layers.targets.take(layers.targets.kind == "rail_wagon")
    assert len(wagons) > 30
    assert {"coach", "freight_wagon"} == set(wagons.subclass)
    shapes = rectangles_of(Layers(layers.regions, layers.buildings, wagons))
    assert shapely.covers(shapely.union_all(shapely.buffer(tracks.geometry, 0.01)), shapes).all()
    one, two = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    assert (one == two).all()


def test_stadium_is_a_ring_around_grass() -> None:
    layers = fill(district("stadium", SHAPES["compact"]))
    (ring,) = layers.buildings.geometry[layers.buildings.kind == "stadium"]
    (hole,) = ring.interiors
    assert Polygon(hole).area > 105 * 68
    pitch = layers.regions.take(
        (layers.regions.surface == surface_id("grass")) & (layers.regions.order > 10)
    ).geometry
    assert any(Polygon(hole).buffer(0.01).covers(p) and p.area > 105 * 68 for p in pitch)
    assert (layers.targets.subclass == "car").sum() > 200


def test_fields_cover_farmland_and_crop_rows_follow_them() -> None:
    d = district("farmland", SHAPES["large"])
    regions = fill(d).regions
    crops = regions.take(
        np.isin(
            regions.surface,
            [surface_id(n) for n in ("cereal", "broadleaf_crop", "stubble", "ploughed")],
        )
    )
    assert len(set(crops.surface)) == 4
    hectares = shapely.area(crops.geometry) / 1e4
    assert 1 < np.median(hectares) < 12
    assert set(np.round(crops.heading, 6)) == {25.0, 115.0}
    whole = shapely.area(crops.geometry) > 5000
    box = shapely.minimum_rotated_rectangle(crops.geometry[whole])
    for shape, heading in zip(box, crops.heading[whole], strict=True):
        sides = np.diff(shapely.get_coordinates(shape)[:3], axis=0)
        long = sides[np.argmax(np.hypot(*sides.T))]
        ratio = np.hypot(*sides.T)
        if max(ratio) / min(ratio) > 1.5 and shape.area < 1.02 * shapely.area(
            shape.intersection(d.polygon)
        ):
            bearing = np.degrees(np.arctan2(long[0], long[1]))
            assert abs((bearing - heading + 90) % 180 - 90) < 20
    assert (regions.surface == surface_id("shrub")).any()
    assert shapely.area(regions.geometry[1:]).sum() > 0.9 * d.polygon.area
    assert "barn" in fill(d).buildings.kind


def test_turbines_keep_four_rotors_apart_and_face_one_wind() -> None:
    layers = fill(district("wind_farm", [(0, 0), (2600, -200), (2900, 1900), (200, 2000)]))
    turbines = layers.targets.take(layers.targets.kind == "wind_turbine")
    assert len(turbines) >= 8
    roads = layers.regions.geometry[layers.regions.function == "road"]
    assert not len(shapely.STRtree(layers.buildings.geometry).query(roads, "intersects")[0])
    assert len(set(turbines.length)) == 1
    assert len(set(turbines.heading)) == 1
    points = np.stack([turbines.x, turbines.y], axis=1)
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    np.fill_diagonal(distance, np.inf)
    assert distance.min() >= 4 * turbines.length[0]
    assert 90 <= turbines.length[0] <= 150
    assert 80 <= turbines.height[0] <= 140


@pytest.mark.parametrize(
    ("function", "base", "patches"),
    [
        ("forest", "forest", {"gravel"}),
        ("park", "grass", {"park_trees", "inland_water", "gravel"}),
        ("wetland", "wetland", {"inland_water", "flooded_vegetation"}),
        ("grassland", "grass", {"shrub"}),
        ("bare", "bare_soil", {"gravel", "inland_water"}),
    ],
)
def test_open_land_is_what_it_says(function: str, base: str, patches: set[str]) -> None:
    d = district(function, SHAPES["large"])
    regions = fill(d).regions
    assert regions.surface[0] == surface_id(base)
    assert np.isnan(regions.heading[0])
    assert {surface_id(name) for name in patches} <= set(regions.surface)
    kept = d.polygon.difference(shapely.union_all(regions.geometry[1:]))
    assert kept.area > 0.3 * d.polygon.area


def test_density_fills_districts() -> None:
    for function, count in (
        ("sparse_residential", lambda x: len(x.buildings)),
        ("dense_residential", lambda x: x.buildings.height.sum()),
        ("industrial", lambda x: shapely.area(x.buildings.geometry).sum()),
    ):
        thin, thick = (
            count(fill(district(function, SHAPES["large"], density=v))) for v in (0.1, 0.9)
        )
        assert thick > 1.1 * thin


def test_classes_have_true_dimensions() -> None:
    for kind, limits in SIZES.items():
        rows = target_classes(kind)
        assert rows
        for row in rows:
            assert row.source
            for (low, high), (least, most) in zip(
                (row.length, row.width, row.height), limits, strict=True
            ):
                assert least <= low <= high <= most, row.name
    (a320,) = (row for row in target_classes("aircraft") if row.name == "A320 class")
    assert (a320.length[0], a320.width[0]) == (37.57, 35.8)


def test_classes_are_drawn_by_their_shares() -> None:
    rows = target_classes("vehicle", "car", "van")
    n = 4000
    grid = (np.arange(n) + 0.5) / n
    drawn = draw(rows, grid, grid[::-1])
    assert (drawn.subclass == "car").mean() == pytest.approx(12 / 13, abs=1e-3)
    assert drawn.length.min() >= 3.8
    assert drawn.length.max() <= 6.9


boxes = st.lists(
    st.tuples(st.floats(-500, 500), st.floats(-500, 500), st.floats(1, 900), st.floats(1, 900)),
    min_size=1,
    max_size=6,
).map(lambda rows: np.array([[u, v, u + a, v + b] for u, v, a, b in rows]))


@given(boxes=boxes, pitch=st.floats(2, 80), axis=st.integers(0, 1), seed=st.integers(0, 99))
def test_cut_leaves_nothing_out(boxes: np.ndarray, pitch: float, axis: int, seed: int) -> None:
    lots, owner = cut(boxes, pitch, axis, np.random.default_rng(seed))
    length = lots[:, axis + 2] - lots[:, axis]
    assert (length > 0).all()
    total = np.bincount(owner, weights=length, minlength=len(boxes))
    assert np.allclose(total, boxes[:, axis + 2] - boxes[:, axis])
    assert (lots[:, axis] >= boxes[owner, axis] - 1e-9).all()


@given(boxes=boxes, seed=st.integers(0, 99))
def test_split_keeps_the_ground(boxes: np.ndarray, seed: int) -> None:
    pieces = split(boxes, 5000.0, np.random.default_rng(seed))
    area = (pieces[:, 2:] - pieces[:, :2]).prod(axis=1)
    assert area.sum() == pytest.approx((boxes[:, 2:] - boxes[:, :2]).prod(axis=1).sum())
    assert area.max() <= 10_000.0 or (pieces[:, 2:] - pieces[:, :2]).max() <= 2.0
    assert area.min() > 0


@given(radius=st.floats(1, 200), roughness=st.floats(0, 0.9), seed=st.integers(0, 10**6))
def test_blobs_are_valid_and_bounded(radius: float, roughness: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    (shape,) = blobs(np.zeros((1, 2)), np.array([radius]), roughness, random)
    assert shape.is_valid
    reach = np.hypot(*shapely.get_coordinates(shape).T)
    assert reach.max() <= radius * (1 + roughness) + 1e-6
    assert reach.min() >= radius * (1 - roughness) - 1e-6


@pytest.mark.parametrize("shape", ["compact", "large", "concave"])
@pytest.mark.parametrize("heading", [0.0, 77.0])
def test_strips_lie_within_and_are_long(shape: str, heading: float) -> None:
    plot = Plot(district("airport", SHAPES[shape], heading))
    strips = strips_along(plot, 30.0)
    assert shapely.covers(plot.area, rectangles(strips)).all()
    assert (strips[:, 2] > strips[:, 0]).all()
    assert np.allclose(strips[:, 3] - strips[:, 1], 30.0)
    assert len(strips)
    u0, _, u1, _ = plot.bounds
    for u, low, v, high in strips[:: len(strips) // 5 + 1]:
        # Slow and plain: the longest piece of ground between the two long edges.
        edges = [LineString([(u0, w), (u1, w)]).intersection(plot.area) for w in (low, high)]
        both = edges[0].intersection(shapely.affinity.translate(edges[1], 0, low - high))
        pieces = [piece.length for piece in shapely.get_parts(both)]
        # Beside slanting edges a strip is sought in steps: some of its ends is lost.
        assert v - u >= 0.9 * max(pieces) - 60.0


def test_no_strip_fits_in_a_sliver() -> None:
    assert len(strips_along(Plot(district("airport", SHAPES["sliver"], 90.0)), 30.0)) == 0


def test_bays_do_not_overlap() -> None:
    places, turns = bay_places(np.array([[0.0, 0.0, 40.0, 50.0]]), (2.5, 5.0), 6.0)
    assert len(places) == 16 * 6
    cars = shapely.box(
        places[:, 0] - 1.25, places[:, 1] - 2.5, places[:, 0] + 1.25, places[:, 1] + 2.5
    )
    assert shapely.union_all(cars).area == pytest.approx(12.5 * len(places))
    assert set(turns) == {-90.0, 90.0}
