"""Second dates: the list of changes is the difference, and windows don't matter."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data.world.make import (
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
from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.layers import Layers, Table, surface_id, surfaces
from sarknowlip.simulate.world.changes import Change, ChangedWorld, Changes
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.painted import outlines
from sarknowlip.simulate.world.procedural import ProceduralWorld

WEST, SOUTH = ORIGIN
EVERYTHING = Changes(
    flood_m=1.5,
    new_buildings=0.5,
    demolished=0.3,
    ships_left=0.3,
    ships_moved=0.4,
    ships_arrived=0.5,
    harvest=0.6,
    vehicles=False,
)


ABOVE_GROUND = ("base", "height")
"""What a flood takes from things that stand in it; that is not listed."""


def slope(x: Any, y: Any) -> Any:
    """A river bed at 10 m below x = 600; west of it flat, east of it a slope of 1 : 100."""
    return 10.0 + np.maximum(x - WEST - 600.0, 0.0) / 100.0


def town(**options: Any) -> HandWorld:
    """A river 600 m wide in the west with ships, a quay, fields, houses and a car park."""
    parts: list[Any] = [
        ground(local_bounds(2000, 2000)),
        region(2, rectangle(0, 0, 600, 2000), "inland_water", "river", "water"),
        region(3, rectangle(600, 0, 30, 2000), "concrete", "quay", "ground"),
    ]
    for n in range(8):
        crop = ("cereal", "broadleaf_crop")[n % 2]
        field = rectangle(700, 250 * n, 300, 240)
        parts.append(region(10 + n, field, crop, "farmland", "ground", heading=30.0))
    for n in range(30):
        x, y = 1150 + 45 * (n % 6), 60 + 90 * (n // 6)
        parts.append(building(100 + n, rectangle(x, y, 20, 15), kind="house"))
    parts.append(building(200, rectangle(0, 1000, 700, 12), kind="bridge", base=8.0))
    for n in range(9):
        parts.append(target(300 + n, "ship", 585, 100 + 200 * n, 80, 14, subclass="cargo"))
    for n in range(6):
        x, y = 120 + 40 * n, 150 + 300 * n
        sailing = {"heading": 20.0, "speed": 5.0, "subclass": "tanker"}
        parts.append(target(320 + n, "ship", x, y, 60, 12, **sailing))
        wake = shapely.box(WEST + x - 8, SOUTH + y - 120, WEST + x + 8, SOUTH + y - 20)
        parent = 320 + n if n % 2 else 2
        parts.append(region(340 + n, wake, "ship_wake", "wake", "wake", parent=parent))
    parts.append(region(4, rectangle(1500, 1000, 200, 200), "asphalt", "parking", "ground"))
    for n in range(60):
        x, y = 1510 + 18 * (n % 10), 1015 + 30 * (n // 10)
        parts.append(target(400 + n, "vehicle", x, y, 4.5, 1.8))
    return HandWorld(layers(*parts), relief=slope, **options)


def rows(table: Table, without: tuple[str, ...] = ()) -> dict[int, tuple[Any, ...]]:
    """Return rows by uid, geometry as WKB."""
    columns = []
    for field in fields(table):
        if field.name in without:
            continue
        column = getattr(table, field.name)
        columns.append(shapely.to_wkb(column) if field.name == "geometry" else column)
    found = {int(row[0]): row for row in zip(*columns, strict=True)}
    assert len(found) == len(table), "uid repeated"
    return {uid: tuple(map(repr, row)) for uid, row in found.items()}


def everything(world: Any) -> Layers:
    return Layers.concat(list(world.cells()))


def by_kind(world: ChangedWorld) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = {}
    for change in world.changes():
        found.setdefault(change.kind, []).append(change)
    return found


def test_difference_of_the_dates_is_exactly_the_list() -> None:
    before_world = town()
    after_world = ChangedWorld(before_world, EVERYTHING)
    before, after = everything(before_world), everything(after_world)
    listed = list(after_world.changes())
    gone, come = Counter[int](), Counter[int]()
    for old, new in zip(vars(before).values(), vars(after).values(), strict=True):
        first, second = (rows(table, ABOVE_GROUND) for table in (old, new))
        gone.update(uid for uid in first if first[uid] != second.get(uid))
        come.update(uid for uid in second if second[uid] != first.get(uid))
    removed = ("demolished", "ship_left", "harvest")
    added = ("flood", "new_building", "ship_arrived", "harvest")
    assert gone == Counter(change.uid for change in listed if change.kind in removed)
    assert come == Counter(change.uid for change in listed if change.kind in added)
    assert {change.kind for change in listed} == {*removed, *added}


def test_listed_geometry_and_classes_are_those_of_the_rows() -> None:
    world = ChangedWorld(town(), EVERYTHING)
    first, second = everything(world.world), everything(world)
    names = {surface.id: surface.name for surface in surfaces()}

    def places(found: Layers) -> dict[int, tuple[Any, str]]:
        region_names = [names[int(s)] for s in found.regions.surface]
        shapes = [*found.regions.geometry, *found.buildings.geometry, *outlines(found.targets)]
        kinds = [*region_names, *found.buildings.kind, *found.targets.subclass]
        uids = [*found.regions.uid, *found.buildings.uid, *found.targets.uid]
        return {int(u): (s, k) for u, s, k in zip(uids, shapes, kinds, strict=True)}

    old, new = places(first), places(second)
    for change in world.changes():
        if change.kind in ("demolished", "ship_left", "harvest"):
            assert (change.geometry, change.before) == old[change.uid]
        if change.kind in ("flood", "new_building", "ship_arrived", "harvest"):
            assert (change.geometry, change.after) == new[change.uid]
        assert change.before != change.after


def test_no_changes_leave_the_world_as_it_is() -> None:
    world = ChangedWorld(town(), Changes(vehicles=False))
    for old, new in zip(
        vars(everything(world.world)).values(), vars(everything(world)).values(), strict=True
    ):
        assert rows(old) == rows(new)
    assert list(world.changes()) == []


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1900), st.integers(0, 1900), st.integers(20, 700), st.integers(20, 700))
def test_windows_tell_what_the_whole_tells(x: int, y: int, width: int, height: int) -> None:
    """A new object for each window, so that no cache of another window can help."""
    window = Bounds(WEST + x, SOUTH + y, WEST + x + width, SOUTH + y + height)
    part = ChangedWorld(town(), MOVING).layers(window)
    area = shapely.box(window.west, window.south, window.east, window.north)
    for name, table in vars(whole()).items():
        shapes = outlines(table) if name == "targets" else table.geometry
        touching = table.take(shapely.intersects(shapes, area))
        assert rows(getattr(part, name)) == rows(touching), name
    assert (np.diff(part.regions.order) >= 0).all()


MOVING = EVERYTHING.model_copy(update={"vehicles": True})


@functools.cache
def whole() -> Layers:
    return everything(ChangedWorld(town(), MOVING))


def test_flood_reaches_its_level_and_what_is_connected() -> None:
    """Ground 1 : 100 from the river at x = 600 m: 1.5 m of water reach x = 750 m."""
    kept = town()
    dike = kept.given.regions
    world = ChangedWorld(HandWorld(Layers.concat([kept.given]), relief=slope), Changes(flood_m=1.5))
    flooded = by_kind(world)["flood"]
    shape = shapely.union_all([change.geometry for change in flooded])
    expected = rectangle(600, 0, 150, 2000)
    assert shape.symmetric_difference(expected).area < 1.0
    assert sum(change.geometry.area for change in flooded) == pytest.approx(shape.area, abs=0.1)
    assert shape.intersection(dike.geometry[1]).area < 1e-6, "permanent water is no flood"
    after = {change.before: change.after for change in flooded}
    assert after == {
        "concrete": "inland_water",
        "grass": "inland_water",
        "cereal": "flooded_vegetation",
        "broadleaf_crop": "flooded_vegetation",
    }


def test_harvested_fields_flood_as_open_water() -> None:
    world = ChangedWorld(town(), Changes(flood_m=1.5, harvest=1.0))
    crops = [c for c in by_kind(world)["flood"] if c.before in ("cereal", "broadleaf_crop")]
    assert crops
    assert {change.after for change in crops} == {"inland_water"}


def test_low_ground_behind_a_dike_stays_dry() -> None:
    def behind_dike(x: Any, y: Any) -> Any:
        return np.where(np.abs(x - WEST - 700.0) < 31.0, 14.0, 10.0)

    dry = ChangedWorld(HandWorld(town().given, relief=behind_dike), Changes(flood_m=2.0))
    assert dry.height(np.array([WEST + 900.0]), np.array([SOUTH + 900.0])) == 10.0
    shape = shapely.union_all([change.geometry for change in by_kind(dry)["flood"]])
    assert shape.bounds[2] < WEST + 680.0
    overtopped = ChangedWorld(HandWorld(town().given, relief=behind_dike), Changes(flood_m=4.5))
    assert overtopped.height(np.array([WEST + 900.0]), np.array([SOUTH + 900.0])) == 14.5


def test_height_is_flat_on_flooded_ground_and_within_its_range() -> None:
    world = ChangedWorld(town(), Changes(flood_m=1.5))
    x = np.linspace(WEST + 5, WEST + 1995, 400)
    height = world.height(x, np.full_like(x, SOUTH + 777.0))
    np.testing.assert_allclose(height, np.maximum(11.5, slope(x, x)), atol=1e-6)
    low, high = world.height_range(local_bounds(2000, 2000))
    assert low <= height.min()
    assert height.max() <= high
    wet = [change.geometry for change in by_kind(world)["flood"]]
    inside = shapely.contains_xy(shapely.union_all(wet), x, np.full_like(x, SOUTH + 777.0))
    assert np.all(height[inside] > slope(x, x)[inside])


def test_new_buildings_stand_on_open_ground_and_on_nothing_else() -> None:
    world = ChangedWorld(town(), Changes(new_buildings=1.0))
    first, second = everything(world.world), everything(world)
    built = second.buildings.take(second.buildings.uid >= 2**52)
    assert len(built) > 10
    taken = [*first.buildings.geometry, *outlines(second.targets)]
    covered = first.regions.take(first.regions.surface != surface_id("grass")).geometry
    for shape in built.geometry:
        assert not shapely.intersects(shape, [*taken, *covered]).any()
        assert local_area().covers(shape)
    near = shapely.STRtree(built.geometry).query(built.geometry, "intersects")
    assert (near[0] == near[1]).all()
    assert set(built.kind) <= {"warehouse", "apartment_block"}
    half = ChangedWorld(town(), Changes(new_buildings=0.5))
    assert {c.uid for c in half.changes()} < set(built.uid.tolist())


def local_area() -> Any:
    return rectangle(0, 0, 2000, 2000)


def test_ships_stay_in_water_and_apart() -> None:
    busy = Changes(ships_left=0.2, ships_moved=0.8, ships_arrived=1.0)
    found = everything(ChangedWorld(town(), busy))
    ships = found.targets.take(found.targets.kind == "ship")
    river = rectangle(0, 0, 600, 2000)
    shapes = outlines(ships)
    new = ships.uid >= 2**52
    assert new.sum() >= 5
    old = everything(town()).targets
    at = dict(zip(old.uid.tolist(), old.y, strict=True))
    moved = [y != at[uid] for uid, y in zip(ships.uid[~new].tolist(), ships.y[~new], strict=True)]
    assert sum(moved) >= 5
    assert shapely.covers(river, shapes).all()
    pairs = shapely.STRtree(shapes).query(shapes, "intersects")
    assert (pairs[0] == pairs[1]).all()
    assert not shapely.intersects(shapes[:, None], town().given.buildings.geometry[-1]).any()
    wakes = found.regions.take(found.regions.function == "wake")
    assert shapely.covers(river, wakes.geometry).all()
    gaps = shapely.distance(wakes.geometry[:, None], shapes[ships.speed > 0]).min(axis=1)
    assert gaps.max() < 5.0, "a wake without a ship"
    assert len(wakes) == (ships.speed > 0).sum()


def test_the_far_end_of_a_new_long_wake_is_seen() -> None:
    """The ship is 4 km from the window, in another cell, and only its wake reaches it."""
    bounds = local_bounds(9000, 3000)
    wake = shapely.box(WEST + 2100, SOUTH + 1495, WEST + 6100, SOUTH + 1505)
    parts = [
        region(2, rectangle(0, 0, 9000, 3000), "sea", "sea", "water"),
        region(3, wake, "ship_wake", "wake", "wake", parent=30),
        target(30, "ship", 2000, 1500, 190, 25, heading=270.0, speed=8.0),
    ]
    world = HandWorld(layers(*parts), bounds=bounds)
    what = Changes(ships_arrived=1.0)
    new = [c for c in ChangedWorld(world, what).changes() if c.after == "ship_wake"]
    assert len(new) == 1
    east, south = new[0].geometry.bounds[2], new[0].geometry.bounds[1]
    window = Bounds(east - 5.0, south - 5.0, east + 5.0, south + 20.0)
    seen = ChangedWorld(world, what).layers(window).regions
    assert new[0].uid in seen.uid


def test_all_ships_may_leave() -> None:
    world = ChangedWorld(town(), Changes(ships_left=1.0))
    found = everything(world)
    assert not (found.targets.kind == "ship").any()
    assert not (found.regions.function == "wake").any()
    assert len(by_kind(world)["ship_left"]) == 15 + 6


def test_vehicles_are_elsewhere_but_parked_on_hard_ground() -> None:
    first, second = everything(town()), everything(ChangedWorld(town(), Changes()))
    old = first.targets.take(first.targets.kind == "vehicle")
    new = second.targets.take(second.targets.kind == "vehicle")
    assert sorted(old.uid) == sorted(new.uid)
    places = dict(zip(old.uid.tolist(), old.x, strict=True))
    moved = [x != places[uid] for uid, x in zip(new.uid.tolist(), new.x, strict=True)]
    assert sum(moved) > 20
    shapes = outlines(new)
    assert shapely.covers(rectangle(1500, 1000, 200, 200), shapes).all()
    pairs = shapely.STRtree(shapes).query(shapes, "intersects")
    assert (pairs[0] == pairs[1]).all()


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_shares_are_kept(share: float) -> None:
    """Of 2,500 houses and fields: three standard deviations of a binomial are 2.6 percent."""
    houses = [building(10_000 + n, rectangle(20, 20, 5, 5)) for n in range(2500)]
    fields_ = [
        region(20_000 + n, rectangle(20, 20, 5, 5), "cereal", "farmland") for n in range(2500)
    ]
    world = ChangedWorld(
        HandWorld(layers(*houses, *fields_)), Changes(demolished=share, harvest=share)
    )
    found = by_kind(world)
    assert len(found["demolished"]) / 2500 == pytest.approx(share, abs=0.026)
    assert len(found["harvest"]) / 2500 == pytest.approx(share, abs=0.026)
    other = by_kind(ChangedWorld(world.world, world.what.model_copy(update={"seed": 2})))
    assert {c.uid for c in other["harvest"]} != {c.uid for c in found["harvest"]}


def test_bridges_are_never_demolished() -> None:
    world = ChangedWorld(town(), Changes(demolished=1.0))
    assert set(everything(world).buildings.kind) == {"bridge"}


@pytest.mark.parametrize(
    "wrong", [{"flood_m": -1.0}, {"harvest": 1.1}, {"ships_left": 0.7, "ships_moved": 0.5}]
)
def test_impossible_changes_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=r"flood_m|harvest|ships_moved"):
        Changes(**wrong)


@functools.cache
def city() -> ProceduralWorld:
    return ProceduralWorld(WorldConfig(city="Hamburg", seed=3, size_km=1.5, coast=True, river=True))


def test_a_procedural_city_differs_by_the_list() -> None:
    what = EVERYTHING.model_copy(update={"new_buildings": 1.0})
    world = ChangedWorld(city(), what)
    before, after = everything(city()), everything(world)
    gone, come = set[int](), set[int]()
    for old, new in zip(vars(before).values(), vars(after).values(), strict=True):
        first, second = (rows(table, ABOVE_GROUND) for table in (old, new))
        gone |= {uid for uid in first if first[uid] != second.get(uid)}
        come |= {uid for uid in second if second[uid] != first.get(uid)}
    listed = list(world.changes())
    removed = ("demolished", "drowned", "ship_left", "harvest")
    added = ("flood", "new_building", "ship_arrived", "harvest")
    assert gone == {change.uid for change in listed if change.kind in removed}
    assert come == {change.uid for change in listed if change.kind in added}
    assert {change.kind for change in listed} >= {"flood", "demolished", "harvest"}
    assert max(before.regions.uid) < 2**52


@pytest.mark.parametrize("place", [(0.1, 0.2), (0.5, 0.5), (0.8, 0.6)])
def test_windows_of_a_procedural_city_tell_what_the_whole_tells(place: tuple[float, float]) -> None:
    ground_ = city().bounds
    west = ground_.west + place[0] * ground_.width
    south = ground_.south + place[1] * ground_.height
    window = Bounds(west, south, west + 230.0, south + 310.0)
    part = ChangedWorld(city(), MOVING).layers(window)
    area = shapely.box(window.west, window.south, window.east, window.north)
    for name, table in vars(changed_city()).items():
        shapes = outlines(table) if name == "targets" else table.geometry
        touching = table.take(shapely.intersects(shapes, area))
        assert rows(getattr(part, name)) == rows(touching), name


@functools.cache
def changed_city() -> Layers:
    return everything(ChangedWorld(city(), MOVING))


def test_floods_of_a_city_lie_below_the_risen_water() -> None:
    """Where the flood is, water stands over the ground, by no more than it rose at the shore."""
    world = ChangedWorld(city(), Changes(flood_m=1.0))
    flooded = shapely.union_all([change.geometry for change in by_kind(world)["flood"]])
    assert flooded.area > 1000.0
    x, y = np.meshgrid(
        np.arange(city().bounds.west + 3, city().bounds.east, 20),
        np.arange(city().bounds.south + 3, city().bounds.north, 20),
    )
    depth = world.height(x, y) - city().height(x, y)
    inside = shapely.contains_xy(flooded.buffer(-1.0), x, y)
    assert inside.sum() > 10
    assert (depth[inside] > -1e-9).all()
    assert (depth[inside] > 0).mean() > 0.95
    low, high = world.height_range(city().bounds)
    assert low <= world.height(x, y).min()
    assert world.height(x, y).max() <= high


def test_floods_leave_roofs_and_decks_where_they_are() -> None:
    """House on ground at 15.9 m, water at 17 m: its roof stays, less of it is seen; so do decks."""
    parts = (
        ground(local_bounds(2000, 2000)),
        region(2, rectangle(0, 0, 600, 2000), "inland_water", "river", "water"),
        building(100, rectangle(700, 300, 20, 20), height=9.0),
        building(101, rectangle(700, 400, 20, 20), height=4.0),
        building(200, rectangle(0, 1000, 590, 12), kind="bridge", base=8.0, height=9.5),
        target(300, "storage_tank", 720, 500, 20, 20, height=15.0),
        target(301, "vehicle", 720, 550, 5, 2, height=1.5),
        target(302, "ship", 300, 300, 80, 14, height=12.0),
    )
    first = HandWorld(layers(*parts), relief=slope)
    second = ChangedWorld(first, Changes(flood_m=6.0, vehicles=False, new_buildings=1.0))
    before, after = everything(first), everything(second)
    kept = {int(uid): row for row, uid in enumerate(after.buildings.uid)}
    assert 101 not in kept
    for row, uid in enumerate(before.buildings.uid.tolist()):
        if uid not in kept:
            continue
        x, y = shapely.get_coordinates(shapely.centroid(before.buildings.geometry[row]))[0]
        at = np.array([x]), np.array([y])
        old = first.height(*at) + before.buildings.height[row]
        new = second.height(*at) + after.buildings.height[kept[uid]]
        assert second.height(*at) > first.height(*at) + 1.0
        np.testing.assert_allclose(new, old)
    assert after.buildings.base[kept[200]] == pytest.approx(2.0)
    heights = dict(zip(after.targets.uid.tolist(), after.targets.height, strict=True))
    assert heights[302] == 12.0
    assert 301 not in heights
    assert 300 in heights
    assert heights[300] < 13.0
    drowned = {change.uid: change for change in second.changes() if change.kind == "drowned"}
    assert set(drowned) == {101, 301}
    new = after.buildings.take(~np.isin(after.buildings.uid, before.buildings.uid))
    assert len(new) > 3
    x, y = shapely.get_coordinates(new.geometry).T
    np.testing.assert_array_equal(second.height(x, y), first.height(x, y))
