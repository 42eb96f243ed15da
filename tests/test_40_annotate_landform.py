"""Rung 4: what is said of surfaces, covers, waters and relief, checked by hand on made facts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.facts.make import COLUMNS, ROWS, Scene, rectangle, scenes
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.mechanism import Look, depolarization, mechanism
from sarknowlip.annotate.stages.landform import Landform
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.knowledge.evidence import Evidence, Facts

EVERYTHING = rectangle(0, 0, COLUMNS, ROWS)


def claims(evidence: list[Evidence]) -> list[Claim]:
    return Landform().claims("tile", Facts(evidence), ())


def said(evidence: list[Evidence], predicate: str) -> list[dict]:
    return [claim.arguments for claim in claims(evidence) if claim.predicate == predicate]


def terrain(slope: float, relief: float) -> list[Evidence]:
    scene = Scene()
    scene.terrain(100.0, relief, slope, 0.0, 0.0)
    return scene.found


def sea_in(mask: np.ndarray, up: float | None = None) -> list[Evidence]:
    """Return a tile whose sea is a mask."""
    scene = Scene()
    scene.image()
    scene.ground([("sea", mask, ""), ("forest", ~mask, "")])
    if up is not None:
        scene.add("image", "image", "up", up, "deg")
    return scene.found


def flood(
    seen: float, mapped: float, confidence: float = 0.95, open_ground: float = 0.0
) -> list[Evidence]:
    """Return a tile with shares of water in rows of the image and of the map."""
    scene = Scene()
    scene.image()
    scene.surface("water", rectangle(0, 0, COLUMNS, round(seen * ROWS)), -20.0, -27.0, confidence)
    rest = rectangle(0, round((mapped + open_ground) * ROWS), COLUMNS, ROWS)
    river = rectangle(0, 0, COLUMNS, round(mapped * ROWS))
    scene.ground([("river", river, "")] * bool(mapped) + [("farmland", rest, "")])
    return scene.found


def test_the_port_town() -> None:
    town = scenes()["port town"]
    assert said(town, "dominant_surface") == [{"surface": "land", "share_pct": 69}]
    assert said(town, "surface_share") == [
        {"surface": "water", "share_pct": 31}, {"surface": "bright_structure", "share_pct": 19},
    ]  # fmt: skip
    assert said(town, "dominant_cover") == [{"cover": "built_up", "share_pct": 66}]
    assert said(town, "cover_share") == [
        {"cover": "water", "share_pct": 31}, {"cover": "tree_cover", "share_pct": 2},
    ]  # fmt: skip
    assert {one["cover"] for one in said(town, "cover_absent")} >= {"cropland", "mangroves"}
    assert said(town, "water_body") == [{"water": "sea", "name": "Grey Sound", "share_pct": 31}]
    assert said(town, "coast") == [{"direction": "west"}]
    assert said(town, "water_differs") == []
    assert said(town, "relief") == [{"relief": "flat", "relief_m": 20}]
    assert said(town, "elevation") == [{"height_m": 10}]
    assert said(town, "viewing") == [{"incidence_deg": 38, "look_deg": 98}]
    assert said(town, "appearance") == [
        {"surface": "water", "polarization": "VV", "mean_db": -21.0, "mechanism": "specular"},
        {"surface": "bright_structure", "polarization": "VV", "mean_db": -2.1,
         "mechanism": "double bounce"},
    ], "the level of land is not that of land without its buildings"  # fmt: skip
    assert said(town, "cross_ratio") == [
        {"polarization": "VH/VV", "ratio_db": -6.7, "mechanism": "mixed"}
    ], "a town's walls mix into the ratio"
    names = said(scenes()["port town without names"], "water_body")
    assert names == [{"water": "sea", "name": "", "share_pct": 31}]


def test_farmland_and_mountain() -> None:
    farm, mountain = scenes()["farmland"], scenes()["mountain"]
    assert said(farm, "dominant_surface") == [{"surface": "land", "share_pct": 97}]
    assert said(farm, "relief") == [{"relief": "rolling", "relief_m": 55}]
    assert said(farm, "line") == [
        {"tone": "dark", "part": "centre", "length_m": 900, "bearing_deg": 90}
    ]
    assert said(farm, "cover_appearance")[0] == {
        "cover": "cropland", "polarization": "VV", "mean_db": -11.9, "mechanism": "mixed",
    }  # fmt: skip
    assert said(farm, "cross_ratio")[0]["mechanism"] == "volume", "bright on less than 5 %"
    assert said(mountain, "relief") == [{"relief": "steep", "relief_m": 1150}]
    assert said(mountain, "elevation") == [{"height_m": 1640}]
    assert said(mountain, "slopes") == [{"facing_pct": 36, "away_pct": 31}]
    assert said(mountain, "shadow") == [{"share_pct": 6}]
    told = {one["cover"]: one["mechanism"] for one in said(mountain, "cover_appearance")}
    assert told == {"tree_cover": "volume", "bare": "surface", "water": "specular"}, "snow: unsure"


def test_what_the_image_is_unsure_of_is_not_said() -> None:
    told = {claim.predicate for claim in claims(scenes()["mountain"])}
    assert not told & {"dominant_surface", "surface_share", "surface_absent", "appearance"}
    assert "cross_ratio" not in told, "whether walls mix in is not known"
    assert said(scenes()["image only"], "surface_share")[0]["share_pct"] == 50


@pytest.mark.parametrize(
    ("slope", "height", "kind"),
    [(0.5, 8, "flat"), (2.0, 29, "flat"), (2.0, 60, "rolling"), (8.0, 60, "rolling"),
     (10.0, 120, "hilly"), (16.0, 400, "hilly"), (17.0, 400, "steep"), (5.0, 20, None)],
)  # fmt: skip
def test_classes_of_relief(slope: float, height: float, kind: str | None) -> None:
    assert [one["relief"] for one in said(terrain(slope, height), "relief")] == [kind] * bool(kind)


@pytest.mark.parametrize(("height", "metres"), [(0.2, 1), (3.0, 3), (9.4, 9), (12.6, 15)])
def test_no_ground_has_no_relief(height: float, metres: int) -> None:
    assert said(terrain(0.5, height), "relief") == [{"relief": "flat", "relief_m": metres}]


def test_heights_above_the_ellipsoid_are_no_elevations() -> None:
    for label, confidence, expected in (
        ("EGM2008", 0.9, 1), ("ellipsoid", 0.9, 0), ("unknown datum", 0.5, 0),
    ):  # fmt: skip
        scene = Scene()
        scene.add("dem", "terrain", "mean_height", 40.0, "m", label=label, confidence=confidence)
        assert len(said(scene.found, "elevation")) == expected


@pytest.mark.parametrize(
    ("box", "direction"),
    [((0, 0, 60, 128), "west"), ((120, 0, 128, 128), "east"), ((0, 0, 128, 30), "north"),
     ((0, 100, 128, 128), "south"), ((0, 0, 60, 60), "north-west"), ((0, 0, 4, 128), None),
     ((40, 40, 88, 88), None), ((0, 0, 128, 125), None)],
)  # fmt: skip
def test_where_the_sea_lies(box: tuple, direction: str | None) -> None:
    """Not where it covers too little or surrounds the land, or is surrounded."""
    expected = [{"direction": direction}] * bool(direction)
    assert said(sea_in(rectangle(*box)), "coast") == expected


def test_islands_and_borders_between_winds_have_no_direction() -> None:
    assert said(sea_in(~rectangle(40, 40, 88, 88)), "coast") == []
    west = rectangle(0, 0, 60, 128)
    assert said(sea_in(west, up=20.0), "coast") == [], "290° is nearly north-west"
    assert said(sea_in(west, up=45.0), "coast") == [{"direction": "north-west"}]


@pytest.mark.parametrize("turns", range(4))
def test_turning_the_sea_turns_its_direction(turns: int) -> None:
    sea = np.rot90(rectangle(0, 0, 50, 128), turns)
    direction = ("west", "south", "east", "north")[turns]
    assert said(sea_in(sea), "coast") == [{"direction": direction}]


def test_water_that_differs_from_the_map() -> None:
    assert said(scenes()["contradictory"], "water_differs") == [{"seen_pct": 60, "mapped_pct": 10}]
    assert said(flood(0.5, 0.25), "water_differs") == [{"seen_pct": 50, "mapped_pct": 25}]
    assert said(flood(0.25, 0.5), "water_differs") == [{"seen_pct": 25, "mapped_pct": 50}]
    assert said(flood(0.44, 0.25), "water_differs") == [], "no more than 20 points"
    assert said(flood(0.5, 0.25, confidence=0.6), "water_differs") == []
    assert said(flood(0.5, 0.25, open_ground=0.2), "water_differs") == [], "it may be unmapped"
    nearer = [*flood(0.5, 0.0)]
    scene = Scene()
    scene.cover("water", rectangle(0, 0, COLUMNS, 64), -20.0, -27.0, 0.1)
    assert said([*nearer, *scene.found], "water_differs") == [], "one of two maps agrees"


def test_waters_of_several_names() -> None:
    scene = Scene()
    scene.image()
    one, other = rectangle(0, 0, 64, 64), rectangle(64, 64, 128, 96)
    scene.ground([("lake", one, "Upper Lake"), ("lake", other, "Lower Lake")])
    assert said(scene.found, "water_body") == [
        {"water": "lake", "name": "", "share_pct": 38},
        {"water": "lake", "name": "Lower Lake", "share_pct": 12},
        {"water": "lake", "name": "Upper Lake", "share_pct": 25},
    ]


@pytest.mark.parametrize(
    ("ground", "look", "why"),
    [
        ("sea", Look("VV", -21.0, -28.0, 0.1), "specular"),
        ("sea", Look("VV", -12.0, -28.0, 0.1), "surface"),  # roughened by wind
        ("built_up", Look("VV", -4.0, -11.0, 1.2), "double bounce"),
        ("built_up", Look("VV", -4.0, -11.0, 0.1), None),  # bright and even: no walls
        ("built_up", Look("VV", -12.0, -19.0, 1.2), None),
        ("runway", Look("VV", -19.0, -27.0, 0.1), "specular"),
        ("runway", Look("VV", -12.0, -22.0, 0.1), None),
        ("forest", Look("VV", -8.5, -14.5, 0.1), "volume"),
        ("forest", Look("VV", -8.5, -20.0, 0.1), None),  # a canopy depolarises
        ("forest", Look("VV", -8.5, None, 0.1), None),
        ("bare", Look("VV", -12.0, -23.5, 0.1), "surface"),
        ("bare", Look("VV", -15.0, -21.0, 0.1), None),
        ("cropland", Look("VV", -16.0, -23.0, 0.1), None),  # noise may have raised the ratio
        ("wind_farm", Look("VV", -10.0, -16.0, 0.1), None),
    ],
)
def test_mechanisms(ground: str, look: Look, why: str | None) -> None:
    assert mechanism(ground, look) == why


@given(st.floats(-21, 0), st.floats(-20, 0), st.floats(0.1, 6))
def test_more_cross_polarised_power_never_means_less_volume(
    mean: float, ratio: float, more: float
) -> None:
    order = {"surface": 0, "mixed": 1, "volume": 2}
    found = [depolarization(mean, mean + one) for one in (ratio, ratio + more)]
    if None not in found:
        assert order[str(found[0])] <= order[str(found[1])]


@pytest.mark.parametrize("name", scenes())
def test_every_share_is_told_once(name: str) -> None:
    """Dominant, partial or absent: at most one of the three for each surface and cover."""
    told: dict[tuple, int] = {}
    for claim in claims(scenes()[name]):
        for kind in ("surface", "cover"):
            if claim.predicate in {f"dominant_{kind}", f"{kind}_share", f"{kind}_absent"}:
                key = kind, claim.arguments[kind]
                told[key] = told.get(key, 0) + 1
    assert all(count == 1 for count in told.values()), told


def test_small_shares_of_the_image_need_to_be_nearly_sure() -> None:
    for rows, confidence, expected in (
        (8, 0.9, None), (8, 0.96, 6), (16, 0.9, 12), (16, 0.7, None), (0, 0.9, "absent"),
    ):  # fmt: skip
        scene = Scene()
        scene.image()
        scene.surface("water", rectangle(0, 0, COLUMNS, rows), -20.0, -27.0, confidence)
        told = {c.predicate: c.arguments for c in claims(scene.found)}
        share = told.get("surface_share", {}).get("share_pct")
        assert share == (None if expected == "absent" else expected)
        assert ("surface_absent" in told) == (expected == "absent")


def test_what_covers_about_half_does_not_dominate() -> None:
    for rows, dominant in ((60, None), (68, None), (74, "water"), (40, "land")):
        scene = Scene()
        scene.image()
        scene.surface("water", rectangle(0, 0, COLUMNS, rows), -20.0, -27.0)
        scene.cover("water", rectangle(0, 0, COLUMNS, rows), -20.0, -27.0, 0.1)
        told = [one["surface"] for one in said(scene.found, "dominant_surface")]
        assert told == [dominant] * bool(dominant)
        water = said(scene.found, "surface_share")
        assert [one["share_pct"] for one in water] == [round(rows / 1.28)] * (dominant != "water")
        assert len(said(scene.found, "cover_share")) == (dominant != "water")


def partly_seen(columns: int) -> Scene:
    """Return a tile whose left columns alone have values."""
    scene = Scene()
    scene.image(valid=columns / COLUMNS)
    shown = rectangle(0, 0, columns, ROWS)
    scene.found = [fact for fact in scene.found if fact.predicate != "valid_share"]
    scene.add("image", "image", "valid_share", shown.mean(), "share", mask=shown)
    return scene


def test_shares_of_maps_are_of_what_is_seen() -> None:
    scene = partly_seen(64)
    lake = rectangle(32, 0, 128, ROWS)
    scene.cover("water", lake, -20.0, -27.0, 0.1)
    scene.cover("cropland", ~lake, -12.0, -20.0, 0.1)
    scene.ground([("lake", lake, "Big Lake"), ("farmland", ~lake, "")])
    scene.terrain(100.0, 60.0, 3.0, 0.2, 0.2)
    told = said(scene.found, "cover_share")
    assert told == [
        {"cover": "water", "share_pct": 50}, {"cover": "cropland", "share_pct": 50},
    ]  # fmt: skip
    assert said(scene.found, "water_body")[0]["share_pct"] == 50
    assert said(scene.found, "relief") == [], "heights are of the whole tile"
    unmasked = [fact for fact in scene.found if fact.predicate != "valid_share"]
    unmasked += partly_seen(64).found[-1:]
    bare = [
        fact.model_copy(update={"mask_rle": None}) if fact.predicate == "valid_share" else fact
        for fact in unmasked
    ]
    assert said(bare, "cover_share") == [], "which pixels are seen is not known"


def test_the_sea_lies_where_it_is_seen() -> None:
    scene = partly_seen(64)
    south = rectangle(0, 64, 64, ROWS)
    scene.ground([("sea", south | rectangle(64, 0, 128, ROWS), ""), ("forest", ~south, "")])
    assert said(scene.found, "coast") == [{"direction": "south"}]


def test_a_damaged_mask_is_one_line() -> None:
    sea = sea_in(rectangle(0, 0, 50, 128))
    damaged = [
        fact.model_copy(update={"mask_rle": "0"}) if fact.subject == "function/sea" else fact
        for fact in sea
    ]
    with pytest.raises(SarKnowlipError, match=r"damaged evidence.*annotate the corpus again"):
        claims(damaged)


def test_uncalibrated_levels_are_not_explained() -> None:
    scene = Scene()
    scene.image()
    scene.levels(-8.0, -15.0, unit="dB relative")
    scene.surface("bright_structure", ~EVERYTHING, 0.0, 0.0)
    told = {claim.predicate for claim in claims(scene.found)}
    assert not told & {"mean_backscatter", "cross_ratio", "appearance"}
