"""Rung 4: which answers of a model the evidence supports; schema, prompts and picture."""

from __future__ import annotations

import functools
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.transform import Affine

from data.facts.make import scenes
from data.tiles.make import coast, make_tile, speckled
from data.vlm.make import as_answered, make_subjects
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.writers import Subject
from sarknowlip.annotate.writers.vlm.check import REASONS, Checker, parse, tolerance
from sarknowlip.annotate.writers.vlm.config import VlmConfig
from sarknowlip.annotate.writers.vlm.picture import (
    BAR_SHARE,
    FOOTER_PX,
    NO_DATA,
    bar_metres,
    draw,
    north_up,
)
from sarknowlip.annotate.writers.vlm.prompt import Prompts
from sarknowlip.annotate.writers.vlm.schema import is_number, roles
from sarknowlip.knowledge.evidence import Facts

PREDICATES = {p: a for name in STAGES for p, a in STAGES[name].predicates.items()}
CONFIG = VlmConfig(endpoint="http://127.0.0.1/v1", model="m")
TILE, _ = coast(size=96)


@functools.cache
def subjects() -> dict[str, Subject]:
    """Return made scenes with regions, objects and relations, and a drawn coast."""
    found = {"coast": make_subjects(1)[0]}
    for name, facts in scenes().items():
        claims: list[Claim] = []
        for stage in STAGES:
            claims.extend(STAGES[stage]().claims("tile", Facts(facts), tuple(claims)))
        found[name] = Subject(TILE, facts, claims)
    return found


NAMES = ("coast", *scenes())


@functools.cache
def checker(name: str) -> Checker:
    return Checker(subjects()[name], PREDICATES)


def one(name: str, predicate: str) -> Claim:
    return next(claim for claim in subjects()[name].derived if claim.predicate == predicate)


def somewhere(predicate: str) -> tuple[str, Claim]:
    """Return a subject that has a claim of the predicate, and the claim."""
    for name in NAMES:
        for claim in subjects()[name].derived:
            if claim.predicate == predicate:
                return name, claim
    raise AssertionError(f"no scene has {predicate}")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_derived_is_accepted_as_it_is(name: str) -> None:
    check = checker(name).check
    for claim in subjects()[name].derived:
        verdict = check(json.loads(json.dumps(as_answered(claim))))
        assert verdict.claim is not None
        assert verdict.claim.predicate == claim.predicate
        assert as_answered(verdict.claim) == as_answered(claim)
        assert verdict.exact


@pytest.mark.parametrize("name", NAMES)
def test_what_differs_beyond_the_tolerance_is_refused(name: str) -> None:
    """Every number is moved far off and every word replaced, one at a time."""
    check = checker(name).check
    derived = [as_answered(claim) for claim in subjects()[name].derived]
    tried = 0
    for answer in derived:
        for argument, value in answer.items():
            changed: Any = f"not {value}"
            if is_number(argument):
                kind, _ = tolerance(argument) or ("exact", 0.0)
                step = {"exact": 1, "axis": 45.0, "circle": 45.0}.get(kind, 30.0 + abs(value))
                changed = value + step
            verdict = check(answer | {argument: changed})
            if verdict.claim is None:
                assert verdict.reason in REASONS
                assert verdict.detail
                tried += 1
            else:
                assert as_answered(verdict.claim) != answer, "it happens to be another claim"
    assert tried >= len(derived)


@given(st.integers(-60, 60))
@settings(max_examples=40, deadline=None)
def test_a_share_agrees_within_five_points(off: int) -> None:
    share = one("coast", "surface_share")
    said = as_answered(share)
    verdict = checker("coast").check(said | {"share_pct": said["share_pct"] + off})
    assert (verdict.claim == share) == (abs(off) <= 5)
    assert verdict.reason == ("" if abs(off) <= 5 else "wrong_value")
    assert verdict.exact == (off == 0)


@given(st.floats(-400, 400))
@settings(max_examples=60, deadline=None)
def test_an_axis_agrees_within_fifteen_degrees_either_way(off: float) -> None:
    axis = one("coast", "target_axis")
    said = as_answered(axis)
    verdict = checker("coast").check(said | {"bearing_deg": said["bearing_deg"] + off})
    gap = abs(off) % 180
    if abs(min(gap, 180 - gap) - 15) > 1e-6:
        assert (verdict.claim == axis) == (min(gap, 180 - gap) < 15)


@given(st.floats(0.01, 3))
@settings(max_examples=40, deadline=None)
def test_a_length_agrees_within_a_fifth(factor: float) -> None:
    size = one("coast", "clearest_target")
    said = as_answered(size)
    verdict = checker("coast").check(said | {"length_m": said["length_m"] * factor})
    if abs(abs(factor - 1) - 0.2) > 1e-6:
        assert (verdict.claim == size) == (abs(factor - 1) < 0.2)


def test_relations_hold_the_other_way_round() -> None:
    opposite = {"north": "south", "south": "north", "east": "west", "west": "east"}
    for predicate in ("direction", "distance", "adjacent"):
        name, claim = somewhere(predicate)
        said = as_answered(claim)
        turned = said | {"a": said["b"], "b": said["a"]}
        if predicate == "direction":
            assert checker(name).check(turned).reason == "wrong_value"
            parts = said["direction"].split("-")
            turned["direction"] = "-".join(opposite[part] for part in parts)
        assert checker(name).check(turned).claim is not None, predicate
    name, claim = somewhere("inside")
    said = as_answered(claim)
    assert checker(name).check(said | {"a": said["b"], "b": said["a"]}).claim is None


def test_reasons_tell_what_is_wrong() -> None:
    name, claim = somewhere("position")
    cases = [
        ("unknown_predicate", {"predicate": "mood"}),
        ("malformed", {"predicate": "surface_absent"}),
        ("malformed", {"predicate": "no_target", "count": 0}),
        ("malformed", ["no_target"]),
        ("no_such_thing", as_answered(claim) | {"a": "object/77"}),
    ]
    for reason, answer in cases:
        assert checker(name).check(answer).reason == reason
    coastal = [
        ("contradicted", {"predicate": "no_target"}),
        ("contradicted", {"predicate": "no_ship"}),
        ("contradicted", {"predicate": "surface_absent", "surface": "water"}),
        ("contradicted", {"predicate": "dominant_surface", "surface": "water", "share_pct": 68}),
        ("wrong_value", {"predicate": "ship_count", "count": 2}),
        ("not_derivable", {"predicate": "building_height", "height_m": 12}),
    ]
    for reason, answer in coastal:
        assert checker("coast").check(answer).reason == reason, answer
    name, absent = somewhere("cover_absent")
    present = {"predicate": "cover_share", "cover": absent.arguments["cover"], "share_pct": 20}
    assert checker(name).check(present).reason == "contradicted"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
ARGUMENTS = sorted({name for names in PREDICATES.values() for name in names})


@given(
    st.fixed_dictionaries({"predicate": st.sampled_from(sorted(PREDICATES))}),
    st.dictionaries(st.sampled_from(ARGUMENTS), JSON, max_size=4),
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_answered_has_a_verdict(head: dict[str, Any], rest: dict[str, Any]) -> None:
    for answer in (head | rest, rest):
        verdict = checker("coast").check(answer)
        assert (verdict.claim is None) == (verdict.reason in REASONS)


@given(st.text() | JSON.map(json.dumps), st.lists(JSON, max_size=3))
@settings(max_examples=200, deadline=None)
def test_claims_are_found_within_any_words(words: str, claims: list[Any]) -> None:
    parse(words)
    found = parse(f"{words.replace('{', '(')}\n```json\n{json.dumps({'claims': claims})}\n```")
    assert json.dumps(found) == json.dumps(claims)


def test_depth_is_no_way_to_fall() -> None:
    for text in ("[" * 100_000, '{"a":' * 20_000, '{"claims": ' + "[" * 50_000):
        assert parse(text) is None


def test_schema_is_one_that_strict_servers_take() -> None:
    schema = Prompts(CONFIG).schema
    seen, words = 0, 0

    def walk(node: Any) -> None:
        nonlocal seen, words
        if isinstance(node, list):
            for item in node:
                walk(item)
        if not isinstance(node, dict):
            return
        words += len(node.get("enum", ()))
        assert not set(node) & {"minimum", "maximum", "pattern", "minLength", "maxItems", "const"}
        if node.get("type") == "object":
            seen += 1
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in schema["$defs"]
        for value in node.values():
            walk(value)

    walk(schema)
    assert seen == 1 + len(PREDICATES)
    assert words <= 1000, "the most that hosted strict modes take"
    assert "anyOf" not in schema


def test_schema_holds_all_that_is_derived() -> None:
    schema = Prompts(CONFIG).schema
    forms = schema["properties"]["claims"]["items"]["anyOf"]
    by_name = {form["properties"]["predicate"]["enum"][0]: form["properties"] for form in forms}
    for name in NAMES:
        for claim in subjects()[name].derived:
            said = as_answered(claim)
            form = by_name[claim.predicate]
            assert set(form) == set(said)
            for argument, value in said.items():
                kind = form[argument]
                if "$ref" in kind:
                    kind = schema["$defs"][argument]
                assert isinstance(value, str if kind["type"] == "string" else int | float)
                assert value in kind.get("enum", [value]), f"{claim.predicate} {argument}"


def test_prompts_tell_each_predicate_thing_and_fact() -> None:
    name, claim = somewhere("position")
    subject = subjects()[name]
    messages = Prompts(CONFIG).ask(subject)
    system, text = messages[0]["content"], messages[1]["content"][1]["text"]
    for predicate in PREDICATES:
        (line,) = (line for line in system.splitlines() if line.startswith(f"- {predicate}("))
        assert len(line.split("): ")[1]) > 10, f"{predicate} is not explained"
    assert "$" not in system + text
    for role in roles(frozenset(claim.arguments)):
        assert f"\n{claim.arguments[role]} | " in text
    for fact in subject.evidence:
        assert f"{fact.subject} | {fact.predicate} | " in text
    shy = Prompts(CONFIG.model_copy(update={"facts": False})).ask(subject)[1]["content"][1]["text"]
    assert "rows |" not in shy


def picture_of(tile: Any, px: int = 192) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw(tile, px).png)))


def test_the_same_level_is_the_same_grey_in_every_picture() -> None:
    """Calibrated: one grey for −10 dB whatever else is shown; the footer lies below."""
    for other in (1e-3, 1.0):
        power = np.full((1, 96, 96), 0.1)
        power[:, 48:] = other
        shown = picture_of(make_tile(power))
        assert shown.shape == (192 + FOOTER_PX, 192, 3)
        assert (shown[:90] == round(255 * 15 / 30)).all()
    assert (
        "Grey: VV σ⁰ from -25 dB (black) to 5 dB (white)" in draw(make_tile(power), 64).description
    )


def test_uncalibrated_pictures_are_stretched_by_percentiles() -> None:
    tile = make_tile(speckled(np.full((1, 96, 96), 400.0), 4.0), calibrated=False,
                     quantity="amplitude")  # fmt: skip
    shown = picture_of(tile)[:192]
    assert shown.min() == 0
    assert shown.max() == 255
    assert "uncalibrated" in draw(tile, 64).description


def test_two_polarisations_make_colours_and_no_data_magenta() -> None:
    tile, water = coast(size=96)
    tile.db[:, :10, -10:] = np.nan
    shown = picture_of(tile, 96)
    assert (shown[:10, -10:] == NO_DATA).all()
    red, green, _ = np.moveaxis(shown[:96].astype(float), -1, 0)
    assert red[water].mean() < red[~water].mean()
    assert not np.allclose(red, green)
    assert "Red: VV" in draw(tile, 96).description
    tile.db[:] = np.nan
    assert (picture_of(tile, 96)[:96] == NO_DATA).all()


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    tile, _ = coast(size=96)
    drawn = draw(tile, 480)
    shown = np.asarray(Image.open(io.BytesIO(drawn.png)).convert("L"))
    bar = int((shown[480 + 10, :240] == 0).sum())
    assert "500 m" not in drawn.description
    assert "200 m long" in drawn.description
    assert bar == pytest.approx(200 / 10.004 * 480 / 96, abs=2)


@given(st.floats(1, 1e6))
@settings(max_examples=50, deadline=None)
def test_scale_bars_are_round_and_short(width: float) -> None:
    metres = bar_metres(width)
    assert metres <= BAR_SHARE * width * (1 + 1e-9)
    assert metres * 2.5 * (1 + 1e-9) >= BAR_SHARE * width
    assert f"{metres:.0e}"[0] in "125"


@pytest.mark.parametrize("turn", [0, 30, 90, 180, 275])
def test_the_arrow_follows_the_grid(turn: float) -> None:
    """A grid turned counter-clockwise has north that much clockwise of up."""
    place = Affine.translation(500_000, 4.7e6) * Affine.rotation(turn) * Affine.scale(10, -10)
    tile = make_tile(np.ones((1, 64, 48)), transform=place)
    assert abs((north_up(tile) - turn + 180) % 360 - 180) < 0.1
    wide = make_tile(
        np.ones((1, 64, 48)), transform=Affine.translation(0, 5e6) * Affine.scale(10, -20)
    )
    assert picture_of(wide, 256).shape[:2] == (256 + FOOTER_PX, 96)
