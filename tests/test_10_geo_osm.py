"""Rung 1: features of OpenStreetMap extracts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import osmium
import pytest
import shapely
from osmium.osm import mutable

from data.osm.make import CORNER, FRAME, SIZE_M, Map, rectangle, town
from sarknowlip.geo.osm import Feature, MapError, extract_box, iter_features


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("osm") / "town.osm.pbf"
    town().write(path)
    return path


def metric(feature: Feature) -> shapely.Geometry:
    """A feature's geometry in metres from the town's corner."""

    def move(points):  # type: ignore[no-untyped-def]
        x, y = FRAME.xy(points[:, 0], points[:, 1])
        return list(zip(x - CORNER[0], y - CORNER[1], strict=True))

    return shapely.transform(feature.geometry, move)


def test_areas_have_holes_and_come_from_relations(extract: Path) -> None:
    forest = [f for f in iter_features(extract, ["landuse"]) if f.tags["landuse"] == "forest"]
    assert [(f.element, f.shape) for f in forest] == [("relation", "area")]
    assert metric(forest[0]).area == pytest.approx(1100 * 1100 - 300 * 300, rel=1e-4)


def test_closed_ways_come_as_line_and_as_area_and_open_ways_as_line(extract: Path) -> None:
    found = [(f.shape, f.tags["railway"]) for f in iter_features(extract, ["railway"])]
    assert found == [("line", "rail")]
    parking = list(iter_features(extract, ["amenity"]))
    assert sorted(f.shape for f in parking) == ["area", "area", "line", "line"]
    assert {f.id for f in parking if f.shape == "area"} == {
        f.id for f in parking if f.shape == "line"
    }


def test_only_features_with_a_wanted_key(extract: Path) -> None:
    kinds = {f.shape for f in iter_features(extract, ["generator:source"])}
    assert kinds == {"point"}
    every = list(iter_features(extract, ["building", "highway"]))
    assert every
    assert all({"building", "highway"} & f.tags.keys() for f in every)
    with pytest.raises(ValueError, match="no tag keys"):
        next(iter_features(extract, []))


def test_points_can_have_keys_of_their_own(extract: Path) -> None:
    keys = ["man_made", "landuse"]
    every = list(iter_features(extract, keys))
    some = list(iter_features(extract, keys, point_keys=["generator:source"]))
    assert {f.tags["man_made"] for f in every if f.shape == "point"} == {"storage_tank", "crane"}
    assert [f.tags["power"] for f in some if f.shape == "point"] == ["generator"]
    assert sum(f.shape != "point" for f in some) == sum(f.shape != "point" for f in every) > 0


def test_box_selects_what_touches_it(extract: Path) -> None:
    everything = {(f.element, f.id, f.shape) for f in iter_features(extract, ["building"])}
    lon, lat = FRAME.lonlat(
        [CORNER[0] + 1690, CORNER[0] + 1850], [CORNER[1] + 290, CORNER[1] + 350]
    )
    box = (lon[0], lat[0], lon[1], lat[1])
    inside = {
        (f.element, f.id, f.shape)
        for f in iter_features(extract, ["building"])
        if shapely.box(*box).intersects(f.geometry.envelope)
    }
    found = {(f.element, f.id, f.shape) for f in iter_features(extract, ["building"], box)}
    assert found == inside
    assert 0 < len(found) < len(everything)


def test_lines_cut_by_the_extract_come_as_pieces(tmp_path: Path) -> None:
    map_ = Map()
    inside = [(100.0, 100.0), (200.0, 100.0)]
    again = [(300.0, 200.0), (400.0, 200.0)]
    map_.way([*inside, (200.0, -50.0), *again, (9000.0, 0.0)], highway="primary")
    map_.way(rectangle(-100, 500, 100, 600), building="yes")
    map_.write(tmp_path / "cut.osm.pbf", nodes_beyond=False)
    features = list(iter_features(tmp_path / "cut.osm.pbf", ["highway", "building"]))
    road = next(f for f in features if "highway" in f.tags)
    assert [part.length for part in metric(road).geoms] == pytest.approx([100, 100], abs=0.05)
    assert not [f for f in features if f.shape == "area"]


def test_box_of_the_header_or_of_the_nodes(tmp_path: Path) -> None:
    map_ = Map()
    map_.way([(10.0, 20.0), (310.0, 220.0)], highway="primary")
    boxes = {}
    for name, said in (("with", True), ("without", False)):
        map_.write(tmp_path / f"{name}.osm.pbf", box=said)
        west, south, east, north = extract_box(tmp_path / f"{name}.osm.pbf")
        x, y = FRAME.xy([west, east], [south, north])
        boxes[name] = (x[1] - x[0], y[1] - y[0])
    assert boxes["with"][0] == pytest.approx(SIZE_M, rel=0.05)
    assert boxes["without"] == pytest.approx((300, 200), abs=0.1)


def test_missing_foreign_and_truncated_files_are_one_line(extract: Path, tmp_path: Path) -> None:
    whole = extract.read_bytes()
    for name, content in {
        "empty": b"", "foreign": b"<osm version='0.6'/>" * 20, "half": whole[: len(whole) // 2],
        "short": whole[:-3], "flipped": whole[:900] + bytes(200) + whole[1100:],
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.osm.pbf"
        path.write_bytes(content)
        with pytest.raises(MapError, match=rf"{name}\.osm\.pbf is not an .osm.pbf") as caught:
            list(iter_features(path, ["building"]))
        assert "\n" not in str(caught.value)
    with pytest.raises(MapError, match=r"nothing\.osm\.pbf is not there"):
        extract_box(tmp_path / "nothing.osm.pbf")
    with pytest.raises(MapError, match=r"nothing\.osm\.pbf is not there"):
        list(iter_features(tmp_path / "nothing.osm.pbf", ["building"]))


def test_ways_without_places_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.osm.pbf"
    with osmium.SimpleWriter(str(path)) as writer:
        writer.add_way(mutable.Way(id=1, nodes=[1, 2], tags={"highway": "primary"}))
    with pytest.raises(MapError, match=r"bare\.osm\.pbf has no places of its ways' nodes"):
        list(iter_features(path, ["highway"]))
    with pytest.raises(MapError, match=r"bare\.osm\.pbf has no nodes"):
        extract_box(path)


def test_helsinki(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("osm-helsinki") / "Helsinki.osm.pbf"
    box = extract_box(path)
    assert box == pytest.approx((24.93518, 60.16416, 24.95341, 60.17911), abs=1e-5)
    buildings = [f for f in iter_features(path, ["building"]) if f.shape == "area"]
    # 446 areas with that key: counted with osmium's own area handler, no filter.
    assert len(buildings) == 446
    assert all(shapely.is_valid(f.geometry) for f in buildings)
