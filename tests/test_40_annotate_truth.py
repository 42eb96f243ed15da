"""Claims against exact truth: each predicate both ways, in a port drawn by hand."""

from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path
from typing import Any

import geopandas
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
from sarknowlip.annotate.truth.places import Places
from sarknowlip.annotate.truth.power import power
from sarknowlip.annotate.truth.recall import said, sayable
from sarknowlip.annotate.truth.report import TruthTally
from sarknowlip.annotate.truth.scene import Scene
from sarknowlip.annotate.truth.world import TruthWorld, world_of, worlds_below
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.corpus.record import Place, Projection, Storage, TileRecord
from sarknowlip.knowledge.evidence import Evidence
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


def test_a_judged_scene_is_let_go(folder: Path) -> None:
    scene = Scene(tile(400, 400, 120), TruthWorld.read(folder))
    assert scene.regions_of("port") == scene.regions_of("port")
    assert scene.ninth("upper left").area > 0
    kept = weakref.ref(scene)
    del scene
    gc.collect()
    assert kept() is None, "memory would grow with every tile"


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
    ("dominant_surface", {"surface": "land", "share_pct": 58}, {"surface": "water",
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
    ("ship_size", {"rank": 1, "part": "lower centre", "length_m": 125},
     {"rank": 1, "part": "lower centre", "length_m": 200}),
    ("ship_size", {"rank": 1, "part": "lower centre", "length_m": 125},
     {"rank": 1, "part": "upper left", "length_m": 125}),
    ("ship_place", {"rank": 1, "part": "lower centre"}, {"rank": 1, "part": "upper left"}),
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
    assert report.unsaid["function_share"]["port"] == 1
    assert "sea" not in report.unsaid.get("water_body", {})
    assert len(report.false_claims) == 1
    assert "ship_count" in report.false_claims[0]
    assert "1 to 2 ships" in report.false_claims[0]


def cited(folder: Path, claims: list[Claim]) -> Scene:
    """Return the port seen with facts that tell where targets and lines are."""
    return Scene(tile(400, 400, 120), TruthWorld.read(folder), Places.of(FACTS, claims))


def fact(subject: str, predicate: str, value: float) -> Evidence:
    return Evidence.of(
        "tile", subject, predicate, value=value, unit="px", source="image", source_version="1",
        confidence=1.0,
    )  # fmt: skip


def about(subject: str, predicate: str, **arguments: Any) -> Claim:
    """Return a claim that cites the facts about a subject."""
    keys = [known.id for known in FACTS if known.subject == subject]
    return Claim.of(
        "tile", "target", predicate, arguments, confidence=1.0, stage="s", stage_version="1",
        rule="r", evidence_ids=keys,
    )  # fmt: skip


PLACES = {
    "target/00": (5, 65),  # a tank
    "target/01": (80, 50),  # grass
    "target/02": (34, 57),  # the warehouse
    "target/03": (60, 100),  # the ship at sea
    "target/04": (20, 72),  # the ship at the quay
    "target/05": (90, 110),  # sea
    "line/00": (60, 70),  # the shore
    "line/01": (60, 110),  # sea
}
FACTS = [
    fact(subject, axis, value)
    for subject, place in PLACES.items()
    for axis, value in zip(("column", "row"), place, strict=True)
]
AT_PLACES = [
    ("target/00", "clearest_target", {"part": "middle left", "length_m": 45, "width_m": 40,
                                      "contrast_db": 9}, True),
    ("target/00", "clearest_target", {"part": "upper right", "length_m": 45, "width_m": 40,
                                      "contrast_db": 9}, False),
    ("target/00", "further_target", {"rank": 2, "part": "middle left", "length_m": 900}, False),
    ("target/01", "further_target", {"rank": 2, "part": "middle right", "length_m": 40}, False),
    ("target/02", "target_axis", {"rank": 3, "bearing_deg": 85}, True),
    ("target/02", "target_axis", {"rank": 3, "bearing_deg": 60}, False),
    ("target/00", "target_axis", {"rank": 1, "bearing_deg": 60}, None),
    ("target/03", "ship_axis", {"rank": 1, "bearing_deg": 80}, True),
    ("target/03", "ship_axis", {"rank": 1, "bearing_deg": 70}, False),
    ("target/05", "ship_axis", {"rank": 1, "bearing_deg": 80}, False),
    ("target/03", "ship_size", {"rank": 1, "part": "lower centre", "length_m": 125}, True),
    ("target/05", "ship_size", {"rank": 1, "part": "lower centre", "length_m": 125}, False),
    ("line/00", "line", {"tone": "bright", "part": "centre", "length_m": 500,
                         "bearing_deg": 90}, True),
    ("line/00", "line", {"tone": "bright", "part": "centre", "length_m": 500,
                         "bearing_deg": 45}, False),
    ("line/00", "line", {"tone": "bright", "part": "upper left", "length_m": 500,
                         "bearing_deg": 90}, False),
    ("line/01", "line", {"tone": "dark", "part": "lower centre", "length_m": 500,
                         "bearing_deg": 90}, False),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "predicate", "arguments", "right"), AT_PLACES)
def test_what_the_image_shows_is_judged_where_it_is(
    folder: Path, subject: str, predicate: str, arguments: dict[str, Any], right: bool | None
) -> None:
    assert judge(cited(folder, []), about(subject, predicate, **arguments)).right is right


def test_without_facts_the_place_of_a_target_is_not_known(scene: Scene) -> None:
    for subject, predicate, arguments, _ in AT_PLACES:
        if not predicate.startswith("ship"):
            assert judge(scene, about(subject, predicate, **arguments)).right is None


def sighted(*subjects: str) -> list[Claim]:
    """Return claims of ships at places."""
    if not subjects:
        return [claim("no_ship")]
    size = {"part": "centre", "length_m": 50}
    told = [about(name, "ship_size", rank=k, **size) for k, name in enumerate(subjects, 1)]
    return [claim("ship_count", count=len(subjects)), *told]


@pytest.mark.parametrize(
    ("subjects", "counted", "figures"),
    [
        (["target/03"], True, {"presence": (1, 0, 1), "ships": (1, 0, 1), "count": (1, 0, 0)}),
        (["target/03", "target/04"], True, {"ships": (1, 0, 1), "count": (1, 0, 0)}),
        (["target/03", "target/05"], False,
         {"ships": (1, 1, 1), "count": (0, 1, 0), "count_within_1": (1, 0, 0)}),
        (["target/04"], False, {"presence": (0, 0, 0), "ships": (0, 0, 0), "absence": (0, 1, 0)}),
        ([], None, {"presence": (0, 0, 0), "absence": (0, 1, 0), "count": (0, 1, 0)}),
    ],
)  # fmt: skip
def test_ships_count_in_open_water_only(
    folder: Path, subjects: list[str], counted: bool | None, figures: dict[str, tuple[int, ...]]
) -> None:
    """One ship is at sea, one moored; what is told near the quay counts on neither side."""
    claims = sighted(*subjects)
    if counted is not None:
        assert judge(cited(folder, claims), claims[0]).right is counted
    tally = TruthTally()
    TruthJudge.below(folder).judge(tile(400, 400, 120), claims, tally, FACTS)
    found = tally.report().open_water
    assert (found.tiles, found.untold) == (1, 0)
    assert (found.presence.exist, found.ships.exist, found.absence.exist) == (1, 1, 0)
    for name, numbers in figures.items():
        figure = getattr(found, name)
        assert (figure.true, figure.false, figure.said) == numbers, name


def test_ships_that_are_not_told_one_by_one_are_left_out(folder: Path) -> None:
    claims = [claim("ship_count", count=3), *sighted("target/03")[1:]]
    tally = TruthTally()
    TruthJudge.below(folder).judge(tile(400, 400, 120), claims, tally, FACTS)
    TruthJudge.below(folder).judge(tile(1000, 1000, 60), claims, tally, FACTS)
    found = tally.report().open_water
    assert (found.tiles, found.untold) == (0, 1), "and the other tile has no open water"


def test_names_are_looked_up_where_the_map_has_any(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "named")
    shapes = [rectangle(0, 0, 2000, 900), rectangle(1900, 1900, 50, 50)]
    tags = [[("natural", "bay"), ("name", "Bay")], [("place", "hamlet"), ("name", "Far")]]
    geopandas.GeoDataFrame({"tags": tags}, geometry=shapes, crs=CRS).to_crs(4326).to_parquet(
        copied / "map.parquet", write_covering_bbox=True
    )
    named_scene = Scene(tile(400, 400, 120), TruthWorld.read(copied))
    for name, right in (("", True), ("Bay", True), ("Far", False), ("Atlantis", False)):
        given = claim("water_body", water="sea", name=name, share_pct=42)
        assert judge(named_scene, given).right is right, name
    assert judge(named_scene, claim("place_name", kind="bay", name="Bay")).right is True
    nameless = Scene(tile(400, 400, 120), TruthWorld.read(folder))
    assert judge(nameless, claim("place_name", kind="bay", name="Bay")).right is None


def test_slopes_are_those_of_the_heights_along_the_look(folder: Path, tmp_path: Path) -> None:
    """A plain that rises by 11° to the north, seen from the south, from the east and unknown."""
    world = port()
    world.relief = lambda _, y: 20 + (y - SOUTH) / 5
    write_truth(world, tmp_path / "steep")
    steep = TruthWorld.read(tmp_path / "steep")
    told = claim("slopes", facing_pct=100, away_pct=0)
    for heading, right in ((270.0, True), (90.0, False), (180.0, False), (None, None)):
        assert judge(Scene(tile(1000, 1300, 60, heading=heading), steep), told).right is right


def test_water_that_differs_from_the_map(scene: Scene) -> None:
    assert judge(scene, claim("water_differs", seen_pct=42, mapped_pct=41)).right is True
    assert judge(scene, claim("water_differs", seen_pct=70, mapped_pct=42)).right is False
    assert judge(scene, claim("water_differs", seen_pct=42, mapped_pct=10)).right is False


def test_what_is_altered_beyond_tolerance_is_called_false(folder: Path) -> None:
    """Power, by predicate: nine in ten at least, for each."""
    right = [claim(predicate, **arguments) for predicate, arguments, _ in BOTH_WAYS]
    right += [about(subject, predicate, **arguments)
              for subject, predicate, arguments, is_right in AT_PLACES if is_right]  # fmt: skip
    right.append(claim("function_unmapped", function="airport"))
    found = power(cited(folder, sighted("target/03")), right)
    assert set(found) >= {row[0] for row in BOTH_WAYS} - {"named_region", "crosses"}
    for predicate, verdicts in found.items():
        decided = verdicts[True] + verdicts[False]
        assert verdicts[False] >= 0.9 * decided, (predicate, verdicts)
    assert sum(counts[False] for counts in found.values()) > 100


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
