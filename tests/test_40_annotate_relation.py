"""Rung 4: relations worked out by hand, their laws on random things, and corner cases."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.facts.make import COLUMNS, ROWS, Scene, rectangle, scenes, shuffled
from sarknowlip.annotate import spatial
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.extent import Extent
from sarknowlip.annotate.geometry import WINDS, PixelGrid
from sarknowlip.annotate.stages.relation import LISTED, Relation
from sarknowlip.knowledge.evidence import Evidence, Facts

GSD = (10.0, 10.0)
GRID = PixelGrid(GSD, (ROWS, COLUMNS))
OPPOSITE = dict(zip(WINDS, WINDS[4:] + WINDS[:4], strict=True))


def claims_of(evidence: Sequence[Evidence]) -> list[Claim]:
    return Relation().claims("tile", Facts(evidence), ())


def told(evidence: Sequence[Evidence], predicate: str) -> list[dict[str, Any]]:
    return [claim.arguments for claim in claims_of(evidence) if claim.predicate == predicate]


def named(arguments: dict[str, Any]) -> tuple[str, ...]:
    """Return kind and name or part of a and b, and the rest."""
    found = []
    for role in ("a", "b"):
        if role in arguments:
            more = arguments[f"{role}_name"] or arguments[f"{role}_part"]
            found.append(f"{arguments[f'{role}_kind']} {more}".strip())
    rest = [str(v) for k, v in arguments.items() if k.split("_")[0] not in {"a", "b"}]
    return (*found, *rest)


def ground(*regions: tuple[str, np.ndarray, str]) -> Scene:
    scene = Scene()
    scene.image()
    scene.ground(regions)
    return scene


def extent(*box: int) -> Extent:
    found = Extent.of_mask(rectangle(*box), GSD)
    assert found is not None
    return found


def test_port_town_by_hand() -> None:
    town = scenes()["port town"]
    directions = {named(c) for c in told(town, "direction")}
    assert {
        ("sea Grey Sound", "residential", "west"), ("quay", "port North Harbour", "west"),
        ("tank_farm", "port North Harbour", "south"),
        ("church St Nicholas", "park Linden Park", "north-east"),
        ("ship upper left", "ship lower left", "north"),
    } <= directions  # fmt: skip
    distances = {named(c) for c in told(town, "distance")}
    # Port to tank farm: rows 64…72 lie between, 80 m. Park to port: columns 64…80, 160 m.
    assert ("tank_farm", "port North Harbour", "80") in distances
    assert ("park Linden Park", "port North Harbour", "160") in distances
    inside = {named(c) for c in told(town, "inside")}
    assert ("park Linden Park", "residential") in inside
    assert ("church St Nicholas", "residential") in inside
    assert ("ship upper left", "sea Grey Sound") in inside
    adjacent = {named(c) for c in told(town, "adjacent")}
    assert ("quay", "sea Grey Sound") in adjacent
    assert not adjacent & inside
    positions = {named(c) for c in told(town, "position")}
    assert ("port North Harbour", "centre") in positions
    assert ("suburb Eastside", "middle right") in positions
    assert not any(thing.startswith("residential") for thing, _ in positions)
    # The ship nearest to the pier ends 7 columns west and 20 rows north of it: 212 m.
    assert ("pier Long Pier", "ship upper left", "220") in {named(c) for c in told(town, "nearest")}
    assert told(town, "aligned") == [], "three tanks in 16 columns: no more than chance"


def test_farmland_by_hand() -> None:
    land = scenes()["farmland"]
    assert [named(c) for c in told(land, "crosses")] == [("bridge", "river")]
    assert told(land, "aligned") == [{"kind": "wind_turbine", "count": 4, "bearing_deg": 90}]
    assert told(land, "inside") == [], (
        "the river parts the fields: pieces of one are not told apart"
    )
    assert ("forest", "river", "200") not in {named(c) for c in told(land, "distance")}
    assert ("river", "forest", "200") in {named(c) for c in told(land, "distance")}
    ratios = {named(c)[:2]: c["ratio"] for c in told(land, "larger")}
    assert ratios["forest", "river"] == 2.3, "1200 of 512 pixels"


@pytest.mark.parametrize("network", ["road", "rail"])
def test_networks_have_no_place(network: str) -> None:
    """A strip of whatever else, but not roads or railways, has direction, distance, and size."""
    placed = {"direction", "distance", "larger", "position", "nearest"}
    found = {}
    for kind in (network, "park"):
        scene = ground(
            (kind, rectangle(2, 2, 30, 30), ""), ("forest", rectangle(50, 50, 126, 126), "")
        )
        found[kind] = {c.predicate for c in claims_of(scene.found)} & placed
    assert found == {"park": placed - {"nearest"}, network: set()}


@pytest.mark.parametrize("name", scenes())
def test_laws_on_all_scenes(name: str) -> None:
    evidence = scenes()[name]
    claims = claims_of(evidence)
    assert claims == claims_of(shuffled(evidence))
    by_pair: dict[frozenset[str], list[str]] = {}
    for claim in claims:
        if "b" in claim.arguments:
            pair = frozenset({str(claim.arguments["a"]), str(claim.arguments["b"])})
            assert len(pair) == 2
            by_pair.setdefault(pair, []).append(claim.predicate)
    for predicates in by_pair.values():
        assert not {"adjacent", "inside"} <= set(predicates)
        assert not {"adjacent", "distance"} <= set(predicates)
        assert not {"inside", "direction"} <= set(predicates)
    by_id = {fact.id: fact for fact in evidence}
    for claim in claims[:40]:
        cited = [by_id[key] for key in claim.evidence_ids]
        again = [(c.predicate, c.arguments) for c in claims_of(cited)]
        assert (claim.predicate, claim.arguments) in again, "what it cites is enough to draw it"


coordinate = st.integers(1, 118)
size = st.integers(1, 40)
boxes = st.tuples(coordinate, coordinate, size, size).map(
    lambda b: (b[0], b[1], min(127, b[0] + b[2]), min(127, b[1] + b[3]))
)


@settings(max_examples=300, deadline=None)
@given(boxes, boxes)
def test_relations_mirror_each_other(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    a, b = extent(*one), extent(*other)
    there, back = spatial.direction(a, b, GRID), spatial.direction(b, a, GRID)
    assert (there is None) == (back is None)
    assert there is None or back == OPPOSITE[there]
    gap = a.gap(b) if not spatial.overlap(a, b) else 0.0
    if not a.share_within(b):
        assert gap == b.gap(a)
        assert gap >= a.least_gap(b) - 1e-9
        assert gap == pytest.approx(a.least_gap(b)), "of boxes"
        assert GRID.distance(rectangle(*one), rectangle(*other)) == pytest.approx(gap, abs=15.0)
    assert spatial.adjacent(a, b, gap) == spatial.adjacent(b, a, gap)
    a_in_b, b_in_a = (
        spatial.inside(x, y, surrounded=True) for x, y in itertools.permutations((a, b))
    )
    assert not (a_in_b and b_in_a)
    if a_in_b or b_in_a:
        assert not spatial.adjacent(a, b, 0.0)
        assert there is None


@settings(max_examples=200, deadline=None)
@given(boxes, boxes, st.integers(-1, 1), st.integers(-1, 1))
def test_a_shift_of_all_changes_nothing(
    one: tuple[int, ...], other: tuple[int, ...], right: int, down: int
) -> None:
    inner = [tuple(min(126, max(2, edge)) for edge in box) for box in (one, other)]
    inner = [(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)) for x0, y0, x1, y1 in inner]
    before = [Extent.of_box(box, (ROWS, COLUMNS), GSD) for box in inner]
    moved = [(x0 + right, y0 + down, x1 + right, y1 + down) for x0, y0, x1, y1 in inner]
    after = [Extent.of_box(box, (ROWS, COLUMNS), GSD) for box in moved]
    found = []
    for a, b in (before, after):
        assert a is not None
        assert b is not None
        gap = a.gap(b) if not a.share_within(b) else 0.0
        is_cut = a.cut or b.cut
        found.append((spatial.direction(a, b, GRID), gap, spatial.adjacent(a, b, gap),
                      is_cut or spatial.inside(a, b, surrounded=True)))  # fmt: skip
    assert found[0] == found[1] or found[0][3] != found[1][3]


def test_a_nearest_corner_is_not_lost_to_rounding() -> None:
    a = Extent.of_box((0, 0, 19, 19), (200, 200), (10.0, 10.0))
    b = Extent.of_box((36, 39, 54, 57), (200, 200), (10.0, 10.0))
    assert a is not None
    assert b is not None
    assert b.gap(a) == pytest.approx(np.hypot(170.0, 200.0))


masks = st.lists(boxes, min_size=1, max_size=4).map(
    lambda found: np.logical_or.reduce([rectangle(*box) for box in found])
)


@settings(max_examples=100, deadline=None)
@given(masks, masks)
def test_gaps_are_those_of_all_pixels(one: np.ndarray, other: np.ndarray) -> None:
    other = other & ~one
    a, b = Extent.of_mask(one, GSD), Extent.of_mask(other, GSD)
    if a is None or b is None:
        return
    first, second = np.argwhere(one)[::3], np.argwhere(other)[::3]
    steps = np.maximum(np.abs(first[:, None] - second) - 1, 0)
    assert a.gap(b) <= 10 * np.hypot(steps[..., 0], steps[..., 1]).min() + 10 * 0.5
    assert a.gap(b) == b.gap(a) or abs(a.gap(b) - b.gap(a)) < 5.0
    assert a.area == one.sum()
    assert a.ninths.sum() == one.sum()
    assert a.centre == pytest.approx(tuple(np.argwhere(one).mean(axis=0)[::-1] + 0.5))
    assert (a.filled >= a.mask).all()


def test_directions_near_a_border_of_two_winds_are_withheld() -> None:
    origin = extent(60, 60, 64, 64)
    for bearing in range(360):
        x = 62 + 40 * np.sin(np.radians(bearing))
        y = 62 - 40 * np.cos(np.radians(bearing))
        thing = extent(round(x) - 1, round(y) - 1, round(x) + 1, round(y) + 1)
        found = spatial.direction(thing, origin, GRID)
        off = (bearing + 22.5) % 45 - 22.5
        if abs(off) < 11:
            assert found == WINDS[round(bearing / 45) % 8]
        if abs(off) > 14:
            assert found is None


def test_interlocked_things_have_no_direction() -> None:
    hook = rectangle(10, 10, 70, 20) | rectangle(60, 10, 70, 70) | rectangle(10, 10, 20, 70)
    cradled = extent(30, 30, 50, 90)
    whole = Extent.of_mask(hook, GSD)
    assert whole is not None
    assert spatial.direction(cradled, whole, GRID) is None


def test_what_the_edge_cuts_is_inside_nothing() -> None:
    town = extent(0, 0, COLUMNS, ROWS)
    assert spatial.inside(extent(1, 1, 20, 20), town, surrounded=True)
    assert not spatial.inside(extent(0, 1, 20, 20), town, surrounded=True)


def test_small_things_are_inside_with_what_is_around_them() -> None:
    field = extent(20, 20, 60, 60)
    assert spatial.inside(extent(21, 21, 23, 23), field, surrounded=False)
    assert not spatial.inside(extent(20, 30, 22, 32), field, surrounded=False), "on the border"


def test_networks_and_waters_do_not_hold_what_they_surround() -> None:
    island = rectangle(40, 40, 60, 60)
    around = rectangle(20, 20, 90, 90) & ~island
    for kind, holds in (("farmland", True), ("road", False), ("lake", False)):
        found = told(ground((kind, around, ""), ("park", island, "")).found, "inside")
        assert bool(found) == holds, kind


def test_corner_cases_of_size() -> None:
    pixel, whole, empty = (
        rectangle(5, 5, 6, 6),
        rectangle(0, 0, COLUMNS, ROWS),
        rectangle(0, 0, 0, 0),
    )
    assert Extent.of_mask(empty, GSD) is None
    assert Extent.of_box((130, 0, 140, 10), (ROWS, COLUMNS), GSD) is None
    dot, all_of_it = Extent.of_mask(pixel, GSD), Extent.of_mask(whole, GSD)
    assert dot is not None
    assert all_of_it is not None
    assert spatial.direction(dot, all_of_it, GRID) is None
    assert spatial.inside(dot, all_of_it, surrounded=True)
    twin = Extent.of_mask(pixel, GSD)
    assert twin is not None
    assert dot.gap(twin) == 0.0
    assert spatial.direction(dot, twin, GRID) is None
    assert not spatial.inside(dot, twin, surrounded=True)
    assert all_of_it.widened().area == whole.sum()
    assert dot.widened().area == 9


def test_two_equal_things_stand_in_no_relation() -> None:
    park = rectangle(10, 10, 40, 40)
    scene = ground(("park", park, ""))
    scene.objects([("stadium", (10, 10, 40, 40), "", {})])
    predicates = {c.predicate for c in claims_of(scene.found) if "b" in c.arguments}
    assert predicates == set()


def test_a_bridge_from_bank_to_bank_crosses_a_quay_along_it_does_not() -> None:
    river, land = rectangle(0, 60, COLUMNS, 66), rectangle(0, 0, COLUMNS, 60)
    for box, crosses in (
        ((50, 58, 52, 68), True), ((50, 50, 52, 60), False), ((40, 58, 70, 60), False),
        ((50, 40, 52, 63), False), ((60, 61, 62, 64), False),
    ):  # fmt: skip
        scene = ground(("river", river, "Long Water"), ("farmland", land, ""))
        scene.objects([("bridge", box, "", {})])
        assert bool(told(scene.found, "crosses")) == crosses, box


def test_a_road_crosses_the_river_that_it_parts() -> None:
    river = rectangle(0, 60, COLUMNS, 66)
    road = rectangle(50, 0, 52, ROWS)
    left, right = river & rectangle(0, 0, 50, ROWS), river & rectangle(52, 0, COLUMNS, ROWS)
    scene = ground(("road", road, ""), ("river", left, ""), ("river", right, ""))
    (found,) = told(scene.found, "crosses")
    assert named(found) == ("road", "river")
    other = rectangle(0, 10, 30, 14)
    scene = ground(
        ("road", road, ""), ("river", left, ""), ("river", right, ""), ("river", other, "")
    )
    assert told(scene.found, "crosses") == [], "which of two rivers?"
    along = rectangle(0, 66, COLUMNS, 68)
    dam = rectangle(50, 60, 52, 66)
    scene = ground(
        ("road", along, ""), ("rail", dam, ""), ("river", left, ""), ("river", right, "")
    )
    assert [named(c) for c in told(scene.found, "crosses")] == [("rail", "river")]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(4, 7),
    st.floats(0, 179),
    st.floats(6, 12),
    st.lists(st.floats(-0.4, 0.4), min_size=7, max_size=7),
)
def test_rows_at_any_angle_are_found(n: int, angle: float, step: float, off: list[float]) -> None:
    along = np.array([np.sin(np.radians(angle)), -np.cos(np.radians(angle))])
    points = np.array([64 + step * k * along + off[k] * along[::-1] * (1, -1) for k in range(n)])
    order = np.random.default_rng(n).permutation(n)
    row = spatial.row_of(points[order], GSD)
    assert row is not None
    assert order[row].tolist() in (list(range(n)), list(range(n))[::-1])


def test_random_points_stand_in_rows_no_more_often_than_said() -> None:
    rng = np.random.default_rng(1)
    for count in (3, 5, 8, 16):
        found = [spatial.row_of(rng.uniform(0, 128, (count, 2)), GSD) for _ in range(200)]
        assert sum(row is not None for row in found) <= 200 * spatial.FALSE_ROWS, count


def test_rows_need_three_and_no_second_as_long() -> None:
    two = np.array([[0.0, 0.0], [10.0, 10.0]])
    assert spatial.row_of(two, GSD) is None
    assert spatial.row_of(np.vstack([two, two]), GSD) is None, "pairs at one place"
    grid = np.array([[10.0 * x, 10.0 * y] for x in range(4) for y in range(4)])
    assert spatial.row_of(grid, GSD) is None, "a square has many rows"


@pytest.mark.parametrize(
    ("gap", "pixel", "said"),
    [(25.0, 10.0, None), (30.0, 10.0, 30), (94.0, 10.0, 90), (137.0, 10.0, 140),
     (1240.0, 10.0, 1200), (3.4, 0.5, 3), (0.9, 0.1, None), (9990.0, 10.0, 10000)],
)  # fmt: skip
def test_distances_as_they_are_said(gap: float, pixel: float, said: int | None) -> None:
    assert spatial.said_distance(gap, pixel) == said


@settings(max_examples=300, deadline=None)
@given(st.floats(1.0, 1e5), st.floats(0.2, 40.0))
def test_said_distances_are_near_the_true_ones(gap: float, pixel: float) -> None:
    said = spatial.said_distance(gap, pixel)
    assert said is None or abs(said - gap) <= max(0.05 * gap, pixel / 2, 0.5) + 1e-9


def test_the_nearest_must_be_nearer_than_the_edge() -> None:
    """Beyond the edge another crane may stand."""
    for left, told_of in ((50, True), (6, False)):
        scene = ground(("park", rectangle(left, 50, left + 10, 60), ""))
        scene.objects(
            [
                ("crane", (left + 20, 54, left + 22, 56), "", {}),
                ("crane", (124, 10, 126, 12), "", {}),
            ]
        )
        found = told(scene.found, "nearest")
        assert bool(found) == told_of
        if found:
            assert named(found[0]) == ("park", "crane centre", "100")


def test_without_pixel_size_nothing_is_said() -> None:
    evidence = [f for f in scenes()["port town"] if f.predicate not in {"gsd_x", "gsd_y"}]
    assert claims_of(evidence) == []


def test_things_are_what_valid_pixels_show_of_them() -> None:
    """The park reaches 20 columns beyond the last valid one."""
    park, port = rectangle(60, 20, 100, 40), rectangle(10, 20, 40, 40)
    whole = ground(
        ("park", park, ""), ("port", port, ""), ("forest", rectangle(62, 80, 70, 90), "")
    )
    scene = Scene()
    scene.ground(
        [("park", park, ""), ("port", port, ""), ("forest", rectangle(90, 80, 120, 90), "")]
    )
    for predicate, value in (("rows", ROWS), ("columns", COLUMNS), ("gsd_x", 10), ("gsd_y", 10)):
        scene.add("image", "image", predicate, value, "px")
    shown = rectangle(0, 0, 80, ROWS)
    scene.add("image", "image", "valid_share", shown.mean(), "share", mask=shown)
    (larger,) = (c for c in told(scene.found, "larger") if c["a_kind"] in {"port", "park"})
    assert named(larger) == ("port", "park", "1.5"), "600 of 400 pixels"
    ratios = {named(c) for c in told(whole.found, "larger")}
    assert ("park", "port", "1.5") not in ratios, "800 of 600 pixels"
    kinds = {c[role] for c in told(scene.found, "distance") for role in ("a_kind", "b_kind")}
    assert kinds == {"park", "port"}, "the forest is not seen"
    blind = [f for f in scene.found if f.predicate != "valid_share"]
    assert claims_of(blind) == []


def test_a_turned_grid_turns_directions() -> None:
    scene = ground(
        ("park", rectangle(50, 10, 60, 20), ""), ("port", rectangle(50, 80, 70, 100), "")
    )
    assert [named(c)[-1] for c in told(scene.found, "direction")] == ["north"]
    scene.add("image", "image", "up", 90.0, "deg")
    assert [named(c)[-1] for c in told(scene.found, "direction")] == ["east"]


def test_many_things_are_bounded() -> None:
    scene = Scene()
    scene.image()
    scene.objects(
        [("tower", (4 * k + 1, 3 * k + 1, 4 * k + 3, 3 * k + 3), f"T{k}", {}) for k in range(30)]
    )
    pairs = {(c["a"], c["b"]) for c in told(scene.found, "distance")}
    assert len({thing for pair in pairs for thing in pair}) <= LISTED
