"""Rung 4: stage target on made facts whose claims were worked out by hand; how things are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from data.facts.make import ROWS, Scene, rectangle, scenes, shuffled
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.stages.target import Target
from sarknowlip.annotate.things import Cast, part_of_image, things
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.knowledge.evidence import Evidence, Facts


def claims_of(evidence: Sequence[Evidence]) -> list[Claim]:
    return Target().claims("tile", Facts(evidence), ())


def said(evidence: Sequence[Evidence], predicate: str) -> list[dict]:
    return [claim.arguments for claim in claims_of(evidence) if claim.predicate == predicate]


def without(evidence: Sequence[Evidence], subject: str, predicate: str) -> list[Evidence]:
    return [f for f in evidence if (f.subject, f.predicate) != (subject, predicate)]


def test_port_town_by_hand() -> None:
    town = scenes()["port town"]
    assert said(town, "target_count") == [{"count": 3}]
    assert said(town, "ship_count") == [{"count": 2}]
    assert said(town, "ship_size") == [
        {"rank": 1, "part": "upper left", "length_m": 120},
        {"rank": 2, "part": "lower left", "length_m": 60},
    ]
    assert said(town, "clearest_target") == [
        {"part": "upper left", "length_m": 120, "width_m": 20, "contrast_db": 25}
    ]
    assert said(town, "further_target")[1] == {"rank": 3, "part": "centre", "length_m": 80}
    assert {(c["kind"], c["count"]) for c in said(town, "object_count")} == {
        ("storage_tank", 3), ("crane", 2), ("pier", 1), ("church", 1)
    }  # fmt: skip
    pier = {"a": "object/00", "a_kind": "pier", "a_name": "Long Pier", "a_part": ""}
    assert said(town, "object_size") == [pier | {"length_m": 100, "width_m": 20}]
    assert said(town, "object_axis") == [pier | {"bearing_deg": 90}]
    (height,) = said(town, "object_height")
    assert (height["a_name"], height["height_m"]) == ("St Nicholas", 48), "cranes share a ninth"


def test_no_ship_is_said_of_seen_water_only() -> None:
    scene = Scene()
    scene.image()
    scene.targets([])
    assert said(scene.found, "no_ship") == []
    scene.surface("water", rectangle(0, 0, 5, ROWS), -20.0, -27.0)
    assert said(scene.found, "no_ship") == [], "a strip of water is too little"
    wide = Scene()
    wide.image()
    wide.targets([])
    wide.surface("water", rectangle(0, 0, 30, ROWS), -20.0, -27.0)
    assert said(wide.found, "no_ship") == [{}]
    assert said(wide.found, "no_target") == [{}]
    assert said(wide.found, "ship_count") == []


def test_a_candidate_on_mapped_dry_ground_is_no_ship() -> None:
    """Smooth fields look like water, and a pylon on them like a ship."""
    scene = Scene()
    scene.image()
    fields, lake = rectangle(0, 0, 64, ROWS), rectangle(64, 0, 128, ROWS)
    scene.ground([("farmland", fields, ""), ("lake", lake, "")])
    scene.targets([(30.0, 30.0, True, 40.0, 10.0), (100.0, 60.0, True, 40.0, 10.0)])
    assert said(scene.found, "ship_count") == [{"count": 1}]
    assert said(scene.found, "ship_place") == [{"rank": 1, "part": "middle right"}]
    many = [*without(scene.found, "targets", "count")]
    other = Scene()
    other.add("image", "targets", "count", 40, "count")
    assert said(many + other.found, "ship_count") == [], "38 were not looked at"


def test_counts_are_less_certain_the_more_there_are() -> None:
    few, many = Scene(), Scene()
    few.targets([(10.0, 10.0, True, 20.0, 10.0)])
    many.targets([(float(x), 10.0, True, 20.0, 10.0) for x in range(5, 85, 8)])
    one = next(c for c in claims_of(few.found) if c.predicate == "target_count")
    ten = next(c for c in claims_of(many.found) if c.predicate == "target_count")
    assert ten.arguments == {"count": 10}
    assert ten.confidence < one.confidence - 0.1


@pytest.mark.parametrize("name", scenes())
def test_laws_on_all_scenes(name: str) -> None:
    evidence = scenes()[name]
    claims = claims_of(evidence)
    assert claims == claims_of(shuffled(evidence))
    told = {claim.predicate for claim in claims}
    assert not {"no_target", "target_count"} <= told
    assert not {"no_ship", "ship_count"} <= told
    by_id = {fact.id: fact for fact in evidence}
    for claim in claims:
        again = claims_of([by_id[key] for key in claim.evidence_ids])
        kept = [c.arguments for c in again if c.predicate == claim.predicate]
        if "rank" not in claim.arguments:
            assert claim.arguments in kept, "what it cites is enough to draw it"
        elif claim.predicate in {"ship_size", "ship_place"}:
            assert claim.arguments in kept


def cast(regions: Sequence[tuple[str, np.ndarray, str]], share: dict[str, float] | None = None):
    """Return a view of facts and the things of a tile; `share` replaces functions' shares."""
    scene = Scene()
    scene.image()
    scene.ground(regions)
    found = scene.found
    for name, value in (share or {}).items():
        found = without(found, f"function/{name}", "share")
        more = Scene()
        more.add("osm", f"function/{name}", "share", value, "share")
        found = found + more.found
    facts = Facts(found)
    return facts, Cast(facts)


def test_a_kind_names_a_thing_only_if_all_of_the_kind_are_known() -> None:
    park = rectangle(10, 10, 40, 40)
    facts, alone = cast([("park", park, "")])
    assert alone.reference(facts.fresh(), "a", "region/00") == {
        "a": "region/00", "a_kind": "park", "a_name": "", "a_part": ""
    }  # fmt: skip
    facts, more = cast([("park", park, "")], {"park": 1.2 * park.mean()})
    assert more.reference(facts.fresh(), "a", "region/00") is not None, "specks don't count"
    facts, more = cast([("park", park, "")], {"park": 1.5 * park.mean()})
    assert more.reference(facts.fresh(), "a", "region/00") is None
    facts, more = cast([("park", park, "Linden Park")], {"park": 1.5 * park.mean()})
    assert more.reference(facts.fresh(), "a", "region/00") is not None, "but names do"


def test_a_part_names_a_thing_that_has_most_of_it() -> None:
    left, right = rectangle(10, 10, 30, 30), rectangle(100, 10, 120, 30)
    facts, two = cast([("park", left, ""), ("park", right, "")])
    names = [two.reference(facts.fresh(), "a", f"region/0{k}") for k in range(2)]
    assert {name["a_part"] for name in names if name} == {"upper left", "upper right"}
    # The other has its middle elsewhere, but more of the upper left.
    corner = rectangle(0, 30, 100, 90) | rectangle(0, 0, 42, 30)
    small = rectangle(20, 5, 25, 10)
    facts, two = cast([("park", corner & ~small, ""), ("park", small, "")])
    assert two.reference(facts.fresh(), "a", "region/01") is None


def test_pieces_that_lie_near_may_be_of_one_thing() -> None:
    left = rectangle(10, 10, 40, 30)
    for gap, clear in ((5, False), (15, True)):
        right = rectangle(40 + gap, 10, 80, 30)
        facts, two = cast([("airport", left, ""), ("airport", right, "")])
        assert (two.reference(facts.fresh(), "a", "region/00") is not None) == clear


def test_a_name_of_two_pieces_does_not_tell_them_apart() -> None:
    left, right = rectangle(10, 10, 30, 30), rectangle(12, 38, 30, 60)
    facts, two = cast([("park", left, "Linden Park"), ("park", right, "Linden Park")])
    assert two.reference(facts.fresh(), "a", "region/00") is None


def test_more_objects_than_are_listed_are_not_told_apart() -> None:
    scene = Scene()
    scene.image()
    scene.objects([("crane", (10, 10, 12, 12), "", {"height": 50.0})])
    assert len(said(scene.found, "object_height")) == 1
    found = without(scene.found, "objects/crane", "count")
    assert said(found, "object_height") == [], "nobody knows how many there are"
    more = Scene()
    more.add("osm", "objects/crane", "count", 3, "count")
    assert said(found + more.found, "object_height") == []


def test_things_outside_are_nowhere() -> None:
    scene = Scene()
    scene.image()
    for number, (x, y) in enumerate([(-5.0, 10.0), (300.0, 10.0), (128.0, 128.0)]):
        scene.place(number, "Away", "suburb", x, y)
    facts = Facts(scene.found)
    parts = [part_of_image(facts, f"place/0{k}") for k in range(3)]
    assert parts == [None, None, "lower right"]
    assert [thing.subject for thing in things(facts, ["place/"])] == ["place/02"]


def test_a_damaged_mask_is_one_line() -> None:
    scene = Scene()
    scene.image()
    scene.ground([("park", np.ones((40, 40), dtype=bool), "")])
    facts = Facts(scene.found)
    with pytest.raises(SarKnowlipError, match="128 × 128 pixels; annotate the corpus again"):
        Cast(facts).extent("region/00")
