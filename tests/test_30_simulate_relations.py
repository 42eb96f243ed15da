"""The relation graph: answers worked out by hand, laws of relations, files."""

from __future__ import annotations

import functools
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from data.world.make import (
    ORIGIN,
    HandWorld,
    building,
    layers,
    local_bounds,
    rectangle,
    region,
    target,
)
from data.world.port import QUESTIONS, Question, scene
from sarknowlip.core.errors import ConfigError, SarKnowlipError, StorageError
from sarknowlip.simulate.world.alignment import Rows
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.procedural import ProceduralWorld
from sarknowlip.simulate.world.relation_table import RELATIONS, edges, write_relations
from sarknowlip.simulate.world.relations import Direction, SpatialGraph, items_of
from sarknowlip.simulate.world.truth import write_truth

SHEET = local_bounds(2000, 2000)
OPPOSITE = {"north": "south", "east": "west", "south": "north", "west": "east"}


@functools.cache
def port() -> SpatialGraph:
    return SpatialGraph.from_world(scene(), SHEET, north="grid")


@pytest.fixture(scope="module")
def from_files(tmp_path_factory: pytest.TempPathFactory) -> SpatialGraph:
    folder = tmp_path_factory.mktemp("truth")
    write_truth(scene(), folder, gsd_m=50.0)
    return SpatialGraph.from_truth(folder, north="grid")


def check(graph: SpatialGraph, question: Question) -> None:
    text, method, arguments, answer = question
    given_answer = getattr(graph, method)(*arguments)
    if isinstance(given_answer, Direction):
        assert given_answer.bearing_deg == pytest.approx(answer[0], abs=1e-3), text
        assert given_answer.wind == answer[1], text
    elif isinstance(answer, float):
        assert given_answer == pytest.approx(answer, abs=1e-9), text
    else:
        assert given_answer == answer, text


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question[0])
def test_hand_checked_questions(question: Question) -> None:
    check(port(), question)


def test_a_graph_read_from_truth_files_answers_alike(from_files: SpatialGraph) -> None:
    for question in QUESTIONS:
        check(from_files, question)
    assert list(edges(from_files)) == list(edges(port()))


def test_answers_do_not_depend_on_the_sequence_of_rows() -> None:
    graph = port()
    order = np.random.default_rng(1).permutation(len(graph))
    shuffled = replace(
        graph.items, **{f.name: getattr(graph.items, f.name)[order] for f in fields(graph.items)}
    )
    other = SpatialGraph(shuffled, graph.frame, north="grid")
    for question in QUESTIONS:
        check(other, question)
    assert list(edges(other)) == list(edges(graph))


def crowd(points: list[tuple[int, int, int]]) -> SpatialGraph:
    """Return a graph of boxes of 4 m … 12 m on a lattice of 5 m, so that they touch and overlap."""
    boxes = [
        building(n + 1, rectangle(5 * x, 5 * y, 4 * size, 4 * size), kind="house")
        for n, (x, y, size) in enumerate(points)
    ]
    return SpatialGraph.from_world(HandWorld(layers(*boxes)), SHEET)


lattice = st.integers(0, 12)
crowds = st.lists(st.tuples(lattice, lattice, st.integers(1, 3)), min_size=2, max_size=14).map(
    crowd
)


@settings(max_examples=60, deadline=None)
@given(crowds)
def test_laws_of_relations(graph: SpatialGraph) -> None:
    things = graph.of_kind()
    for a in things:
        sides = {side: set(graph.in_direction(a, side)) for side in OPPOSITE}
        coincide = {b for b in things if b != a and graph.direction(a, b) is None}
        assert sum(len(found) for found in sides.values()) + len(coincide) == len(things) - 1
        assert set().union(*sides.values()) | coincide == set(things) - {a}
        for side, found in sides.items():
            for b in found:
                assert a in graph.in_direction(b, OPPOSITE[side])  # type: ignore[arg-type]
        beside = graph.adjacent(a)
        for b in things:
            assert graph.distance(a, b) == graph.distance(b, a)
            assert (b in beside) == (a in graph.adjacent(b))
        assert not set(beside) & {*graph.inside(a), *graph.contains(a)}
        assert a not in [*beside, *graph.nearest(a, k=99), *graph.contains(a)]


@settings(max_examples=60, deadline=None)
@given(crowds, st.integers(1, 5))
def test_nearest_equals_the_plain_search(graph: SpatialGraph, k: int) -> None:
    shapes = dict(zip(graph.items.uid.tolist(), graph.items.geometry, strict=True))
    for a, shape in shapes.items():
        ranked = sorted((shape.distance(s), b) for b, s in shapes.items() if b != a)
        assert graph.nearest(a, k=k) == [b for _, b in ranked[:k]]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 8),
    st.floats(0, 179.9),
    st.floats(20, 200),
    st.lists(st.floats(-0.9, 0.9), min_size=8, max_size=8),
)
def test_rows_at_any_angle_are_found(
    n: int, angle: float, spacing: float, offs: list[float]
) -> None:
    """Members up to 0.9 m off a line: the best line of all is within 2 m of each."""
    along = np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
    across = np.array([along[1], -along[0]])
    parts = [
        target(k + 1, "crane", *(1000 + spacing * k * along + offs[k] * across), heading=angle)
        for k in range(n)
    ]
    world = HandWorld(layers(*parts, target(99, "crane", 1000, 700, heading=angle + 90.0)))
    graph = SpatialGraph.from_world(world, local_bounds(4000, 4000).padded(4000))
    rows = graph.aligned("crane", rules=Rows(tolerance_m=2.0))
    assert [set(row) for row in rows] == [set(range(1, n + 1))]
    assert rows[0] in (tuple(range(1, n + 1)), tuple(range(n, 0, -1)))


def test_rows_end_at_gaps_and_turned_members() -> None:
    places = [0, 100, 200, 600, 700, 800, 900]
    parts = [target(k + 1, "crane", x, 500) for k, x in enumerate(places)]
    graph = SpatialGraph.from_world(HandWorld(layers(*parts)), SHEET)
    assert graph.aligned("crane") == [(4, 5, 6, 7), (1, 2, 3)]
    assert graph.aligned("crane", rules=Rows(spacing_m=400.0)) == [(1, 2, 3, 4, 5, 6, 7)]
    turned = [
        target(k + 1, "crane", 100 * k, 500, heading=180.0 * k + 6 * (k == 1)) for k in range(3)
    ]
    graph = SpatialGraph.from_world(HandWorld(layers(*turned)), SHEET)
    assert graph.aligned("crane") == []
    assert graph.aligned("crane", rules=Rows(heading_deg=7.0)) == [(1, 2, 3)]


def test_rows_run_from_west_to_east_or_from_south_to_north() -> None:
    north = [target(9 - k, "crane", 500, 100 * k) for k in range(4)]
    west = [target(19 - k, "pylon", 900 - 100 * k, 50 + 30 * k) for k in range(4)]
    graph = SpatialGraph.from_world(HandWorld(layers(*north, *west)), SHEET)
    assert graph.aligned("crane") == [(9, 8, 7, 6)]
    assert graph.aligned("pylon") == [(16, 17, 18, 19)]


def test_things_with_one_centre_have_no_direction() -> None:
    world = HandWorld(
        layers(building(1, rectangle(0, 0, 30, 30)), building(2, rectangle(10, 10, 10, 10)))
    )
    graph = SpatialGraph.from_world(world, SHEET)
    assert graph.direction(1, 2) is None
    assert [graph.in_direction(1, side) for side in OPPOSITE] == [[]] * 4  # type: ignore[arg-type]
    assert not graph.all_between(1, 2)


def test_equal_outlines_are_not_inside_each_other() -> None:
    world = scene()
    twin = world.given.regions.take(np.array([10]))
    both = layers(world.given.regions, replace(twin, uid=np.array([77])))
    graph = SpatialGraph.from_world(HandWorld(both), SHEET)
    assert graph.inside(77) == [3, 1]
    assert 11 not in graph.contains(77)


def test_bearings_are_from_true_north_by_default() -> None:
    graph = SpatialGraph.from_world(scene(), SHEET)
    centre = shapely.centroid(graph.items.geometry)
    place = {u: (c.x, c.y) for u, c in zip(graph.items.uid.tolist(), centre, strict=True)}
    lon, lat = graph.frame.lonlat(*np.transpose([place[40], place[42]]))
    azimuth = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[0] % 360.0
    true, grid = graph.direction(40, 42), port().direction(40, 42)
    assert true is not None
    assert grid is not None
    assert true.bearing_deg == pytest.approx(azimuth, abs=0.02)
    assert abs(true.bearing_deg - grid.bearing_deg) > 1.5
    # 112.348° from grid north is less from true north here, so it stays in the east.
    assert true.wind == "E"


def test_edges_say_what_the_queries_say() -> None:
    graph = port()
    found = list(edges(graph, max_distance_m=300.0))
    assert found == sorted(found, key=lambda e: (e.subject, RELATIONS.index(e.relation), e.object))
    assert len(set(found)) == len(found)
    pairs = {(a, b) for a in graph.of_kind() for b in graph.of_kind() if a != b}
    near = {(a, b) for a, b in pairs if graph.distance(a, b) <= 300.0}
    by_relation: dict[str, set[tuple[int, int]]] = {}
    for edge in found:
        by_relation.setdefault(edge.relation, set()).add((edge.subject, edge.object))
    assert by_relation["distance"] == near
    assert by_relation["north_of"] == {p for p in near if p[0] in graph.north_of(p[1])}
    assert by_relation["west_of"] == {p for p in near if p[0] in graph.west_of(p[1])}
    assert by_relation["inside"] == {p for p in pairs if p[1] in graph.inside(p[0])}
    assert by_relation["adjacent"] == {p for p in pairs if p[1] in graph.adjacent(p[0])}
    assert by_relation["crosses"] == {p for p in pairs if p[1] in graph.crosses(p[0])}
    assert {(30, 31), (31, 30), (31, 32), (60, 61)} <= by_relation["aligned"]
    assert (30, 32) not in by_relation["aligned"]
    value = {(e.subject, e.relation, e.object): (e.value, e.unit) for e in found}
    assert value[40, "distance", 4] == (5.0, "m")
    assert value[21, "east_of", 20] == (90.0, "deg")
    assert value[50, "inside", 11] == (None, None)
    assert value[30, "aligned", 31] == (100.0, "m")


def test_relations_are_written_whole_and_alike(tmp_path: Path) -> None:
    path = tmp_path / "relations.parquet"
    total = write_relations(port(), path, ("inside", "distance"), 50.0)
    table = pq.read_table(path)
    assert table.to_pylist() == [e._asdict() for e in edges(port(), ("inside", "distance"), 50.0)]
    assert table.num_rows == total
    first = path.read_bytes()
    write_relations(port(), path, ("inside", "distance"), 50.0)
    assert path.read_bytes() == first


def test_a_graph_without_relations_is_an_empty_table(tmp_path: Path) -> None:
    lonely = SpatialGraph.from_world(HandWorld(layers(target(1, "ship", 5, 5))), SHEET)
    assert write_relations(lonely, tmp_path / "none.parquet") == 0
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


def test_mistakes_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SarKnowlipError, match="uid 4711"):
        port().nearest(4711)
    with pytest.raises(ConfigError, match="above"):
        list(edges(port(), ("above",)))
    with pytest.raises(SarKnowlipError, match=r"truth\.json.*write the truth"):
        SpatialGraph.from_truth(tmp_path)
    write_truth(scene(), tmp_path, gsd_m=100.0)
    (tmp_path / "objects.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(SarKnowlipError, match=r"objects\.parquet"):
        SpatialGraph.from_truth(tmp_path)
    items = port().items
    with pytest.raises(ValueError, match="share a uid"):
        SpatialGraph(replace(items, uid=np.zeros_like(items.uid)), port().frame)

    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(StorageError, match="No space left"):
        write_relations(port(), tmp_path / "relations.parquet")
    assert not (tmp_path / "relations.parquet").exists()


def test_a_city_answers_alike_from_memory_and_from_files(tmp_path: Path) -> None:
    city = ProceduralWorld(WorldConfig(city="Hamburg", seed=3, size_km=1.0, coast=True))
    write_truth(city, tmp_path, gsd_m=20.0)
    memory, files = SpatialGraph.from_world(city, city.bounds), SpatialGraph.from_truth(tmp_path)
    assert len(memory) == len(files) > 100
    for kind in ("building", "ship", "region"):
        for uid in memory.of_kind(kind)[:20]:
            assert memory.inside(uid) == files.inside(uid)
            assert memory.nearest(uid, "region", 5) == files.nearest(uid, "region", 5)
            assert memory.north_of(uid, "building", 300.0) == files.north_of(uid, "building", 300.0)


def test_graphs_can_leave_a_kind_out() -> None:
    graph = port()
    rest = graph.without("ship")
    assert not rest.of_kind("ship")
    assert set(rest.of_kind()) == set(graph.of_kind()) - set(graph.of_kind("ship"))


def test_slivers_of_truth_files_stay_askable() -> None:
    """A region whose sides cross when rounded, and one without area, keep a place and relations."""
    x, y = ORIGIN
    spike = shapely.Polygon([(x, y), (x + 50, y), (x + 50, y + 50), (x + 25.0003, y + 4e-4)])
    flat = shapely.Polygon([(x + 10, y + 20), (x + 40, y + 20 + 2e-4), (x + 40, y + 20)])
    world = HandWorld(
        layers(region(1, rectangle(-10, -10, 100, 100), "grass", "grassland"),
               region(2, spike, "grass", "park"), region(3, flat, "asphalt", "road")),
        local_bounds(100, 100),
    )  # fmt: skip
    graph = SpatialGraph(items_of(world.given, world.frame), world.frame)
    assert shapely.is_valid(graph.items.geometry).all()
    assert not shapely.is_empty(graph.items.geometry).any()
    assert graph.inside(2) == [1]
    assert graph.inside(3)[-1] == 1
