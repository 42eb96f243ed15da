"""Rung 4: what is said of functions, names and buildings, checked by hand on made facts."""

from __future__ import annotations

import pytest

from data.facts.make import COLUMNS, ROWS, Scene, rectangle, scenes
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.grammar import packaged_grammar
from sarknowlip.annotate.pattern import Draw
from sarknowlip.annotate.stages.function import Function
from sarknowlip.annotate.stages.landform import Landform
from sarknowlip.knowledge.evidence import Evidence, Facts


def claims(evidence: list[Evidence]) -> list[Claim]:
    facts = Facts(evidence)
    return Function().claims("tile", facts, Landform().claims("tile", facts, ()))


def said(evidence: list[Evidence], predicate: str) -> list[dict]:
    return [claim.arguments for claim in claims(evidence) if claim.predicate == predicate]


def ground(*regions: tuple[str, tuple[int, int, int, int], str]) -> Scene:
    """Return a tile with some regions."""
    scene = Scene()
    scene.image()
    scene.ground([(function, rectangle(*box), name) for function, box, name in regions])
    return scene


def test_the_port_town() -> None:
    town = scenes()["port town"]
    assert said(town, "dominant_function") == [{"function": "residential", "share_pct": 57}]
    assert said(town, "function_share") == [
        {"function": "rail", "share_pct": 3}, {"function": "port", "share_pct": 3},
        {"function": "park", "share_pct": 2}, {"function": "tank_farm", "share_pct": 2},
    ], "the sea's share is told as a water body"  # fmt: skip
    assert said(town, "named_region") == [
        {"function": "sea", "name": "Grey Sound", "part": ""},
        {"function": "port", "name": "North Harbour", "part": "centre"},
        {"function": "park", "name": "Linden Park", "part": ""},
    ]
    assert said(town, "place_name") == [{"kind": "suburb", "name": "Eastside"}]
    assert said(town, "city") == [
        {"name": "Larvik", "country": "Norway", "distance_km": 1.8, "direction": "south-west"}
    ]
    assert said(town, "buildings") == [{"count": 420, "share_pct": 14}]
    assert said(town, "building_height") == [{"height_m": 11}]
    assert said(town, "network") == [
        {"network": "roads", "length_km": 14.3}, {"network": "railways", "length_km": 1.2},
    ]  # fmt: skip
    unmapped = {one["function"] for one in said(town, "function_unmapped")}
    assert unmapped == {"airport", "farmland", "forest", "commercial", "wind_farm", "stadium"}
    assert said(town, "function_appearance")[0] == {
        "function": "residential", "polarization": "VV", "mean_db": -5.5,
        "mechanism": "double bounce",
    }  # fmt: skip


def test_without_names_no_name_is_said() -> None:
    facts = scenes()["port town without names"]
    told = {claim.predicate for claim in claims(facts)}
    assert not told & {"named_region", "place_name", "city"}
    assert said(facts, "dominant_function") == said(scenes()["port town"], "dominant_function")


def test_appearance_rests_on_the_share_that_was_stated() -> None:
    facts = scenes()["port town"]
    landform = Landform().claims("tile", Facts(facts), ())
    found = Function().claims("tile", Facts(facts), landform)
    known = {claim.id: claim for claim in (*landform, *found)}
    looks = {c.arguments["function"]: c for c in found if c.predicate == "function_appearance"}
    assert set(looks) == {"residential", "sea", "port", "tank_farm", "park"}, "rails: unclear"
    for function, claim in looks.items():
        (premise,) = (known[key] for key in claim.premise_ids)
        assert premise.stage == ("landform" if function == "sea" else "function")
        assert function in premise.arguments.values()
        assert set(premise.evidence_ids) < set(claim.evidence_ids)
        cited = {fact.subject for fact in facts if fact.id in claim.evidence_ids}
        assert cited >= {f"zone/function/{function}", f"function/{function}"}
    assert "sea" not in {
        c.arguments["function"]
        for c in Function().claims("tile", Facts(facts), ())
        if c.predicate == "function_appearance"
    }, "without the premise nothing is said"


def test_open_sea_is_mostly_sea_and_no_map_of_land() -> None:
    sea = scenes()["open sea"]
    assert said(sea, "dominant_function") == [{"function": "sea", "share_pct": 100}]
    assert said(sea, "function_unmapped") == [], "a map of waters does not know of land"


@pytest.mark.parametrize(
    ("evidence", "function"),
    [("function/quay", "port"), ("objects/hangar", "airport"), ("railways", "rail"),
     ("function/dense_residential", "residential"), ("objects/wind_turbine", "wind_farm")],
)  # fmt: skip
def test_what_belongs_to_a_function_speaks_against_its_absence(
    evidence: str, function: str
) -> None:
    scene = ground(("farmland", (0, 0, 100, 100), ""))
    assert function in {one["function"] for one in said(scene.found, "function_unmapped")}
    predicate, unit = {"f": ("share", "share"), "o": ("count", "count"), "r": ("length", "m")}[
        evidence[0]
    ]
    some = 0.001 if unit == "share" else 1
    scene.add("osm", evidence, predicate, some, unit, confidence=0.99)
    assert function not in {one["function"] for one in said(scene.found, "function_unmapped")}


@pytest.mark.parametrize(
    ("box", "part"),
    [((10, 10, 30, 30), "upper left"), ((0, 0, COLUMNS, 30), ""),
     ((50, 90, 70, 128), "lower centre"),
     ((20, 50, 60, 70), "middle left"), ((0, 0, COLUMNS, ROWS), "")],
)  # fmt: skip
def test_a_part_holds_most_of_what_is_said_to_be_there(box: tuple, part: str) -> None:
    found = said(ground(("park", box, "Old Park")).found, "named_region")
    assert found == [{"function": "park", "name": "Old Park", "part": part}]


def test_the_surer_of_two_sources_counts() -> None:
    flood = scenes()["contradictory"]
    assert said(flood, "dominant_function") == [{"function": "farmland", "share_pct": 90}]


def test_little_is_not_rounded_up() -> None:
    scene = ground(("farmland", (0, 0, 128, 127), ""), ("park", (0, 127, 128, 128), "Lawn"))
    assert said(scene.found, "function_share") == [], "0.8 % is not told as 1 %"
    scene.built(2, 0.001, None)
    scene.add("osm", "roads", "length", 40.0, "m")
    told = {claim.predicate for claim in claims(scene.found)}
    assert not told & {"buildings", "building_height", "network"}


def test_near_the_centre_of_a_city_no_direction_is_told() -> None:
    scene = Scene()
    scene.city("Larvik", "Norway", 24_000, 400.0, 10.0)
    near = [fact for fact in scene.found if fact.predicate != "bearing"]
    assert said(near, "city") == [
        {"name": "Larvik", "country": "Norway", "distance_km": 0.4, "direction": ""}
    ]


def test_a_city_that_is_a_country_is_named_once() -> None:
    scene = Scene()
    scene.city("Singapore", "Singapore", 5_000_000, 4000.0, 10.0)
    (claim,) = (c for c in claims(scene.found) if c.predicate == "city")
    for seed in range(50):
        assert packaged_grammar().sentence(claim, Draw(str(seed))).count("Singapore") == 1


def test_what_lies_on_missing_pixels_is_not_said() -> None:
    """The left half of the tile has values."""
    scene = ground(("park", (0, 0, 30, 30), "West Park"), ("port", (80, 0, 128, 30), "East Port"))
    shown = rectangle(0, 0, COLUMNS // 2, ROWS)
    scene.found = [fact for fact in scene.found if fact.predicate != "valid_share"]
    scene.add("image", "image", "valid_share", 0.5, "share", mask=shown)
    scene.place(0, "Westside", "suburb", 20.0, 20.0)
    scene.place(1, "Eastside", "suburb", 100.0, 20.0)
    scene.built(100, 0.2, 8.0)
    scene.add("osm", "roads", "length", 4_000.0, "m")
    assert [one["name"] for one in said(scene.found, "named_region")] == ["West Park"]
    assert [one["name"] for one in said(scene.found, "place_name")] == ["Westside"]
    assert said(scene.found, "function_share") == [{"function": "park", "share_pct": 11}]
    told = {claim.predicate for claim in claims(scene.found)}
    assert not told & {"buildings", "building_height", "network"}
