"""Claims against exact truth: each predicate both ways, in a port drawn by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import mapping

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
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.truth import tolerance
from sarknowlip.annotate.truth.judge import JUDGES, SEEN, TruthJudge, judge
from sarknowlip.annotate.truth.recall import said, sayable
from sarknowlip.annotate.truth.report import TruthTally
from sarknowlip.annotate.truth.scene import Scene
from sarknowlip.annotate.truth.world import TruthWorld, world_of, worlds_below
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.corpus.record import Place, Projection, Storage, TileRecord
from sarknowlip.sar.product import Acquisition, Geocoding, Radiometry
from sarknowlip.simulate.world.truth import write_truth

WEST, SOUTH = ORIGIN
CRS = "EPSG:32635"


def port() -> HandWorld:
    """Sea in the south, a port on its shore, houses in a town north-east of it, a road."""
    parts = [
        ground(local_bounds(2000, 2000)),
        region(2, rectangle(0, 0, 2000, 900), "sea", "sea", "water"),
        region(3, rectangle(400, 900, 400, 200), "concrete", "port", "district"),
        region(4, rectangle(1000, 1200, 500, 300), "concrete", "dense_residential", "district"),
        region(5, rectangle(0, 1150, 2000, 20), "asphalt", "road", "road", heading=90.0),
        *(building(20 + k, rectangle(1050 + 100 * k, 1250, 40, 20)) for k in range(3)),
        building(25, rectangle(700, 1020, 80, 20), 10.0, "warehouse", function="port"),
        target(30, "ship", 1000, 600, 120, 18, heading=90.0),
        target(31, "ship", 600, 880, 100, 16, heading=90.0),
        *(target(40 + k, "storage_tank", 450 + 100 * k, 950, 40, 40, 15) for k in range(3)),
        target(50, "wind_turbine", 1300, 1560, 120, 6, 100, heading=float("nan")),
    ]
    return HandWorld(layers(*parts), relief=lambda x, y: 20 + (y - SOUTH) / 20)


def tile(x: float, y: float, pixels: int, start: str | None = None, **flight: Any) -> TileRecord:
    """Return a tile of 10 m pixels by its south-west corner relative to `ORIGIN`."""
    west, south, edge = WEST + x, SOUTH + y, 10.0 * pixels
    square = shapely.segmentize(shapely.box(west, south, west + edge, south + edge), edge / 8)
    degrees = Transformer.from_crs(CRS, 4326, always_xy=True).transform
    footprint = shapely.transform(square, degrees, interleaved=False)
    return TileRecord(
        id=f"tile-{x:g}-{y:g}",
        scene="scene",
        sensor="sentinel1",
        tile_key="key",
        block="block",
        acquisition=Acquisition(
            start_datetime=start, observation_direction="right", incidence_angle=38.0, **flight
        ),
        radiometry=Radiometry.model_construct(),
        geocoding=Geocoding.model_construct(),
        projection=Projection(
            code=CRS,
            transform=(10.0, 0.0, west, 0.0, -10.0, south + edge),
            shape=(pixels, pixels),
            proj_bbox=(west, south, west + edge, south + edge),
            bbox=footprint.bounds,
            footprint=mapping(footprint),
            gsd_x=10.0,
            gsd_y=10.0,
            nodata_fraction=0.0,
            round_trip_px=0.0,
        ),
        place=Place(city_id=1, city="Town", country="FI", population=1, distance_km=1.0),
        storage=Storage.model_construct(),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("truth") / "1"
    write_truth(port(), path, date="2024-06-01T00:00:00Z")
    return path


@pytest.fixture(scope="module")
def scene(folder: Path) -> Scene:
    return Scene(tile(400, 400, 120), TruthWorld.read(folder))


@pytest.fixture(scope="module")
def inland(folder: Path) -> Scene:
    return Scene(tile(1000, 1000, 60), TruthWorld.read(folder))


def claim(predicate: str, **arguments: Any) -> Claim:
    return Claim.of(
        "tile", "landform", predicate, arguments, confidence=1.0, stage="s", stage_version="1",
        rule="r", evidence_ids=["e"],
    )  # fmt: skip


def named(role: str, kind: str, part: str = "") -> dict[str, str]:
    return {role: "x/00", f"{role}_kind": kind, f"{role}_name": "", f"{role}_part": part}


def pair(a: str, b: str, a_part: str = "", b_part: str = "") -> dict[str, str]:
    return named("a", a, a_part) | named("b", b, b_part)


BOTH_WAYS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("dominant_surface", {"surface": "land", "share_pct": 55}, {"surface": "water",
                                                                "share_pct": 42}),
    ("surface_share", {"surface": "water", "share_pct": 42}, {"surface": "water",
                                                              "share_pct": 20}),
    ("dominant_cover", {"cover": "water", "share_pct": 42}, {"cover": "built_up",
                                                             "share_pct": 18}),
    ("cover_share", {"cover": "built_up", "share_pct": 17}, {"cover": "tree_cover",
                                                             "share_pct": 30}),
    ("cover_absent", {"cover": "tree_cover"}, {"cover": "water"}),
    ("relief", {"relief": "rolling", "relief_m": 58}, {"relief": "flat", "relief_m": 5}),
    ("relief", {"relief": "rolling", "relief_m": 58}, {"relief": "steep", "relief_m": 58}),
    ("elevation", {"height_m": 70}, {"height_m": 170}),
    ("water_body", {"water": "sea", "name": "", "share_pct": 41}, {"water": "river", "name": "",
                                                                   "share_pct": 41}),
    ("coast", {"direction": "south"}, {"direction": "north"}),
    ("dominant_function", {"function": "sea", "share_pct": 42}, {"function": "port",
                                                                 "share_pct": 6}),
    ("function_share", {"function": "port", "share_pct": 6}, {"function": "port",
                                                              "share_pct": 20}),
    ("function_share", {"function": "residential", "share_pct": 10}, {"function": "industrial",
                                                                      "share_pct": 10}),
    ("function_unmapped", {"function": "airport"}, {"function": "port"}),
    ("named_region", {"function": "port", "name": "East Docks", "part": "middle left"},
     {"function": "port", "name": "East Docks", "part": "upper right"}),
    ("buildings", {"count": 4, "share_pct": 1}, {"count": 40, "share_pct": 1}),
    ("buildings", {"count": 4, "share_pct": 1}, {"count": 4, "share_pct": 9}),
    ("building_height", {"height_m": 12}, {"height_m": 30}),
    ("network", {"network": "roads", "length_km": 1.2}, {"network": "roads", "length_km": 5.0}),
    ("network", {"network": "roads", "length_km": 1.2}, {"network": "railways", "length_km": 1.2}),
    ("headline", {"main": "sea", "second": "grassland"}, {"main": "port", "second": ""}),
    ("headline", {"main": "water", "second": "built_up"}, {"main": "sea", "second": "airport"}),
    ("more_of", {"more": "sea", "less": "port", "more_pct": 42, "less_pct": 6},
     {"more": "port", "less": "sea", "more_pct": 6, "less_pct": 42}),
    ("ship_count", {"count": 1}, {"count": 3}),
    ("ship_count", {"count": 2}, {"count": 0}),
    ("ship_size", {"rank": 1, "part": "lower centre", "length_m": 125, "width_m": 20},
     {"rank": 1, "part": "lower centre", "length_m": 200, "width_m": 20}),
    ("ship_size", {"rank": 1, "part": "lower centre", "length_m": 125, "width_m": 20},
     {"rank": 1, "part": "upper left", "length_m": 125, "width_m": 20}),
    ("ship_axis", {"rank": 1, "bearing_deg": 85}, {"rank": 1, "bearing_deg": 5}),
    ("object_count", {"kind": "storage_tank", "count": 3}, {"kind": "storage_tank", "count": 4}),
    ("object_size", named("a", "storage_tank") | {"length_m": 40, "width_m": 40},
     named("a", "storage_tank") | {"length_m": 400, "width_m": 40}),
    ("object_height", named("a", "storage_tank") | {"height_m": 15},
     named("a", "storage_tank") | {"height_m": 40}),
    ("object_axis", named("a", "warehouse") | {"bearing_deg": 90},
     named("a", "warehouse") | {"bearing_deg": 0}),
    ("direction", pair("wind_turbine", "port") | {"direction": "north-east"},
     pair("wind_turbine", "port") | {"direction": "west"}),
    ("direction", pair("wind_turbine", "port") | {"direction": "north-east"},
     pair("port", "wind_turbine") | {"direction": "north-east"}),
    ("distance", pair("port", "dense_residential") | {"distance_m": 220},
     pair("port", "dense_residential") | {"distance_m": 2200}),
    ("distance", pair("port", "residential", "middle left") | {"distance_m": 220},
     pair("port", "residential", "upper right") | {"distance_m": 220}),
    ("adjacent", pair("port", "sea"), pair("residential", "sea")),
    ("inside", pair("storage_tank", "port"), pair("wind_turbine", "port")),
    ("crosses", pair("road", "grassland"), pair("road", "sea")),
    ("nearest", pair("dense_residential", "storage_tank") | {"distance_m": 440},
     pair("dense_residential", "storage_tank") | {"distance_m": 900}),
    ("larger", pair("sea", "port") | {"ratio": 6.2}, pair("sea", "port") | {"ratio": 2.0}),
    ("larger", pair("sea", "port") | {"ratio": 6.2}, pair("port", "sea") | {"ratio": 6.2}),
    ("aligned", {"kind": "storage_tank", "count": 3, "bearing_deg": 90},
     {"kind": "storage_tank", "count": 4, "bearing_deg": 90}),
    ("aligned", {"kind": "storage_tank", "count": 3, "bearing_deg": 90},
     {"kind": "storage_tank", "count": 3, "bearing_deg": 0}),
    ("position", named("a", "port") | {"part": "middle left"},
     named("a", "port") | {"part": "upper right"}),
    ("more_objects", {"more": "storage_tank", "less": "warehouse", "more_count": 3,
                      "less_count": 1},
     {"more": "storage_tank", "less": "warehouse", "more_count": 9, "less_count": 1}),
]  # fmt: skip

TESTED_APART = {
    "no_ship", "surface_absent", "clearest_target", "further_target", "target_axis", "line",
    "place_name", "water_differs", "slopes",
}  # fmt: skip


@pytest.mark.parametrize(("predicate", "right", "wrong"), BOTH_WAYS)
def test_a_claim_is_true_and_its_changed_sister_false(
    scene: Scene, predicate: str, right: dict[str, Any], wrong: dict[str, Any]
) -> None:
    assert judge(scene, claim(predicate, **right)).right is True
    verdict = judge(scene, claim(predicate, **wrong))
    assert verdict.right is False
    assert verdict.truth


def test_absence_is_judged_where_there_is_none(scene: Scene, inland: Scene) -> None:
    for predicate, arguments in (("no_ship", {}), ("surface_absent", {"surface": "water"})):
        assert judge(inland, claim(predicate, **arguments)).right is True
        assert judge(scene, claim(predicate, **arguments)).right is False


def test_what_truth_does_not_know_is_undecided(scene: Scene) -> None:
    for given in (
        claim("mean_backscatter", polarization="VV", mean_db=-9.0),
        claim("surface_share", surface="bright_structure", share_pct=3),
        claim("direction", **pair("target", "port"), direction="north"),
        claim("headline", main="bright_structure", second=""),
    ):
        assert judge(scene, given).right is None


def test_every_judged_predicate_is_one_of_the_stages_and_tested() -> None:
    stated = {name for stage in STAGES.values() for name in stage.predicates}
    assert set(JUDGES) | set(SEEN) <= stated
    assert set(JUDGES) | set(SEEN) == {row[0] for row in BOTH_WAYS} | TESTED_APART


def test_counts_at_the_edge_may_be_either(folder: Path) -> None:
    """A tank whose centre lies on the edge of the tile counts or not; one more does not."""
    scene = Scene(tile(550, 400, 60), TruthWorld.read(folder))
    assert scene.count("storage_tank") == (1, 2)
    for count, right in ((0, False), (1, True), (2, True), (3, False)):
        verdict = judge(scene, claim("object_count", kind="storage_tank", count=count))
        assert verdict.right is right


def test_moving_ships_may_appear_along_the_track(folder: Path, tmp_path: Path) -> None:
    """8 m/s toward the radar at 38°: 8 · sin 38° · R/V, 60 to 140 s, forward along the track."""
    world = port()
    ship = target(60, "ship", 1000, 300, 120, 18, heading=270.0, speed=8.0)
    world.given = layers(world.given.regions, world.given.buildings, ship)
    write_truth(world, tmp_path / "moving")
    still = Scene(tile(400, 200, 120), TruthWorld.read(tmp_path / "moving"))
    assert shapely.centroid(still.ships[0].shape).coords[0] == pytest.approx(
        (WEST + 1000, SOUTH + 300), abs=1.0
    )
    record = tile(400, 200, 120, heading=0.0)
    scene = Scene(record, TruthWorld.read(tmp_path / "moving"))
    _, south, _, north = scene.ships[0].shape.bounds
    speed = 8.0 * np.sin(np.radians(38.0)) * np.cos(np.radians(scene.convergence))
    assert south == pytest.approx(SOUTH + 300 + 60 * speed - 9, abs=12)
    assert north == pytest.approx(SOUTH + 300 + 140 * speed + 9, abs=12)


def test_a_tile_belongs_to_the_world_around_it_at_the_nearest_date(tmp_path: Path) -> None:
    for number, date in (("1", "2024-06-01T00:00:00Z"), ("2", "2024-06-13T00:00:00Z")):
        write_truth(port(), tmp_path / "city" / "truth" / number, date=date)
    worlds = worlds_below(tmp_path)
    assert [world.folder.name for world in worlds] == ["1", "2"]
    for start, name in (("2024-06-02T05:00:00Z", "1"), ("2024-06-20T05:00:00Z", "2"), (None, "1")):
        found = world_of(tile(400, 400, 120, start), worlds)
        assert found is not None
        assert found.folder.name == name
    assert world_of(tile(1500, 400, 120), worlds) is None, "half of it lies beyond"


def test_recall_counts_what_true_claims_say(scene: Scene) -> None:
    statements = set(sayable(scene))
    assert ("landform", ("surface_share", "water")) in statements
    assert ("function", ("function_share", "port")) in statements
    assert ("target", ("object_count", "storage_tank")) in statements
    assert ("target", ("ship_count",)) in statements
    assert ("relation", ("direction", "port", "residential")) in statements
    assert ("relation", ("adjacent", "port", "sea")) in statements
    assert ("relation", ("adjacent", "residential", "sea")) not in statements
    assert ("function", ("function_share", "airport")) not in statements
    assert said("nearest", pair("sea", "port")) == {("distance", "port", "sea")}
    both = {("function_share", "dense_residential"), ("function_share", "sparse_residential")}
    assert both < said("function_share", {"function": "residential"})


def test_the_tally_tells_precision_recall_and_what_is_false(folder: Path) -> None:
    tally, record = TruthTally(), tile(400, 400, 120)
    claims = [claim("ship_count", count=3), claim("water_body", water="sea", name="", share_pct=41),
              claim("texture", texture="varied")]  # fmt: skip
    TruthJudge.below(folder).judge(record, claims, tally)
    TruthJudge.below(folder).judge(tile(9000, 0, 12), claims, tally)
    total = TruthTally()
    total.add(tally, 0)
    report = total.report()
    assert (report.tiles, report.unknown_tiles) == (1, 1)
    assert report.predicates["water_body"].precision == 1.0
    assert report.predicates["water_body"].recall == 1.0
    assert report.predicates["ship_count"].precision == 0.0
    assert report.predicates["ship_count"].said == 0
    assert report.ship_count_within_1.true == 1
    assert report.predicates["texture"].undecided == 1
    assert report.overall.precision == 0.5
    assert len(report.false_claims) == 1
    assert "ship_count" in report.false_claims[0]
    assert "1 to 2 ships" in report.false_claims[0]


def test_tolerances() -> None:
    assert tolerance.share(0.45, 0.42, 0.42)
    assert not tolerance.share(0.88, 0.80, 0.80)
    assert tolerance.share(0.05, 0.04, 0.04)
    assert not tolerance.share(0.06, 0.04, 0.04)
    assert not tolerance.share(0.47, 0.42, 0.42)
    assert tolerance.size(112, 100, 10)
    assert not tolerance.size(130, 100, 10)
    assert tolerance.axis(175, 10)
    assert not tolerance.axis(90, 10)
    assert not tolerance.axis(3610, 10)


def test_missing_and_damaged_truth_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SarKnowlipError, match=r"no truth.json below .*; name a folder"):
        worlds_below(tmp_path)
    (tmp_path / "truth.json").write_text('{"crs": 3}')
    with pytest.raises(SarKnowlipError, match=r"truth.json tells no bounds or CRS"):
        worlds_below(tmp_path)
    for name in ("truth.json", "regions.parquet", "landcover.tif"):
        content = (folder / name).read_bytes()
        (tmp_path / name).write_bytes(content if name == "truth.json" else content[:99])
    broken = Scene(tile(400, 400, 120), TruthWorld.read(tmp_path))
    with pytest.raises(SarKnowlipError, match=r"cannot read .*regions.parquet: .*simulate"):
        judge(broken, claim("function_share", function="port", share_pct=6))
    with pytest.raises(SarKnowlipError, match=r"cannot read .*landcover.tif"):
        judge(broken, claim("cover_absent", cover="water"))
    with pytest.raises(SarKnowlipError, match=r"cannot read .*dem.tif"):
        judge(broken, claim("elevation", height_m=3))
