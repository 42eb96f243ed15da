"""Rung 4: summaries of claims made by hand, and of all made tiles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.facts.make import scenes
from sarknowlip.annotate.claim import Argument, Claim
from sarknowlip.annotate.grammar import packaged_grammar
from sarknowlip.annotate.pattern import Draw
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.stages.summary import CLEARLY_PCT, Summary
from sarknowlip.knowledge.evidence import Facts
from sarknowlip.knowledge.vocabulary import COVERS


def claim(predicate: str, **arguments: Argument) -> Claim:
    return Claim.of(
        "tile", "function", predicate, arguments, confidence=0.8, stage="function",
        stage_version="1", rule="r", evidence_ids=[f"{predicate}{sorted(arguments.items())}"],
    )  # fmt: skip


def covers(**shares: int) -> list[Claim]:
    return [
        claim("dominant_cover" if pct > 50 else "cover_share", cover=name, share_pct=pct)
        for name, pct in shares.items()
    ]


def said(before: Sequence[Claim], predicate: str) -> list[dict[str, Any]]:
    found = Summary().claims("tile", Facts(()), before)
    return [c.arguments for c in found if c.predicate == predicate]


def test_a_headline_by_hand() -> None:
    shares = covers(cropland=60, tree_cover=25, water=10)
    assert said(shares, "headline") == [{"main": "cropland", "second": "tree_cover"}]
    assert said(shares, "more_of")[0] == {
        "more": "cropland", "less": "tree_cover", "more_pct": 60, "less_pct": 25
    }  # fmt: skip
    assert len(said(shares, "more_of")) == 3
    (headline,) = (c for c in Summary().claims("tile", Facts(()), shares) if "main" in c.arguments)
    assert headline.premise_ids == tuple(sorted(c.id for c in shares))
    assert set(headline.evidence_ids) == {key for c in shares for key in c.evidence_ids}
    assert headline.confidence == 0.8


@pytest.mark.parametrize(
    ("shares", "headline"),
    [
        ({"cropland": 46, "tree_cover": 45}, None),  # too near to each other
        ({"cropland": 40, "tree_cover": 15}, None),  # what covers the other 45 %?
        ({"cropland": 60, "tree_cover": 15}, ("cropland", "")),  # of 25 % nothing is known
        ({"cropland": 60, "tree_cover": 20, "water": 19}, ("cropland", "")),
        ({"cropland": 29, "tree_cover": 25, "water": 24, "bare": 22}, None),
        ({"cropland": 93, "tree_cover": 7}, ("cropland", "")),
        ({}, None),
    ],
)
def test_headlines_that_could_be_wrong_are_withheld(
    shares: dict[str, int], headline: tuple[str, str] | None
) -> None:
    found = [(c["main"], c["second"]) for c in said(covers(**shares), "headline")]
    assert found == ([] if headline is None else [headline])


def test_functions_come_before_covers_and_surfaces() -> None:
    shares = covers(tree_cover=80)
    town = [claim("dominant_function", function="residential", share_pct=70)]
    seen = [claim("dominant_surface", surface="land", share_pct=90)]
    assert said([*seen, *shares, *town], "headline") == [{"main": "residential", "second": ""}]
    assert said([*seen, *shares], "headline") == [{"main": "tree_cover", "second": ""}]
    assert said(seen, "headline") == [{"main": "land", "second": ""}]
    assert said([*seen, *shares, *town], "more_of") == [], "nothing across kinds of words"


def test_bright_structures_are_part_of_land() -> None:
    seen = [
        claim("dominant_surface", surface="land", share_pct=90),
        claim("surface_share", surface="bright_structure", share_pct=40),
        claim("surface_share", surface="water", share_pct=10),
    ]
    assert said(seen, "headline") == [{"main": "land", "second": "water"}]
    assert [(c["more"], c["less"]) for c in said(seen, "more_of")] == [("land", "water")]


def test_seen_water_is_not_called_permanent() -> None:
    seen = [
        claim("dominant_surface", surface="water", share_pct=70),
        claim("surface_share", surface="land", share_pct=30),
    ]
    grammar = packaged_grammar()
    for c in Summary().claims("tile", Facts(()), seen):
        texts = {grammar.sentence(c, Draw(str(seed))) for seed in range(300)}
        assert any("open water" in text.lower() for text in texts)
        assert not any(re.search("permanent|water cover", text, re.I) for text in texts)


def test_mapped_water_counts_whole_and_once() -> None:
    before = [
        claim("water_body", water="river", name="Long Water", share_pct=30),
        claim("water_body", water="river", name="", share_pct=40),
        claim("function_share", function="farmland", share_pct=50),
    ]
    assert said(before, "more_of") == [
        {"more": "farmland", "less": "river", "more_pct": 50, "less_pct": 40}
    ]
    assert said(before, "headline") == [{"main": "farmland", "second": "river"}]


def test_objects_are_compared_by_count() -> None:
    before = [claim("object_count", kind=k, count=n) for k, n in (("crane", 2), ("pylon", 9))]
    assert said(before, "more_objects") == [
        {"more": "pylon", "less": "crane", "more_count": 9, "less_count": 2}
    ]
    same = [claim("object_count", kind=k, count=4) for k in ("crane", "pylon")]
    assert said(same, "more_objects") == []


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(COVERS.values())), st.integers(1, 40), max_size=6))
def test_what_is_more_is_more(shares: dict[str, int]) -> None:
    found = said(covers(**shares), "more_of")
    for c in found:
        assert shares[c["more"]] == c["more_pct"] >= c["less_pct"] + CLEARLY_PCT
        assert shares[c["less"]] == c["less_pct"]
    clear = [
        (a, b) for a in shares for b in shares if shares[a] >= shares[b] + CLEARLY_PCT
    ]  # fmt: skip
    assert {(c["more"], c["less"]) for c in found} == set(clear)


@pytest.mark.parametrize("name", scenes())
def test_summaries_of_made_tiles_rest_on_their_claims(name: str) -> None:
    facts, before = Facts(scenes()[name]), []
    for stage in STAGES:
        if stage != "summary":
            before += STAGES[stage]().claims("tile", facts, tuple(before))
    known = {c.id for c in before}
    for c in Summary().claims("tile", facts, tuple(before)):
        assert set(c.premise_ids) <= known
        assert c.premise_ids


def test_without_claims_nothing_is_summed_up() -> None:
    assert Summary().claims("tile", Facts(scenes()["port town"]), ()) == []
