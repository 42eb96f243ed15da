"""Rung 4: the contract of every stage, and that the grammar has words for all they may say."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tiles.make import coast, make_tile, speckled
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.grammar import Grammar
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.tile import AnnotateConfig, TileAnnotator
from sarknowlip.core.errors import ConfigError
from sarknowlip.knowledge.evidence import Facts
from sarknowlip.knowledge.sources import SOURCES


def town() -> object:
    rng = np.random.default_rng(2)
    streets = np.kron(rng.random((48, 48)) < 0.5, np.ones((4, 4)))
    mean = np.where(streets, 10**0.3, 10**-1.2)
    return make_tile(speckled(np.stack([mean, mean / 8]), 4.4), polarizations=("VV", "VH"))


def tiles() -> dict[str, object]:
    calm = speckled(np.full((1, 96, 96), 0.01), 4.4)
    fleet = calm[0].copy()
    fleet[20:22, 20:26] = fleet[70:72, 30:36] = fleet[40:46, 80:82] = 3.0
    steps = np.full((1, 128, 128), 400.0)
    steps[:, :, :60] = 40.0
    return {
        "coast": coast()[0],
        "sea": make_tile(calm),
        "fleet": make_tile(fleet[None]),
        "town": town(),
        "relative": make_tile(speckled(steps, 8.0), calibrated=False, quantity="amplitude"),
        "flat": make_tile(
            speckled(np.full((1, 96, 96), 300.0), 8.0), calibrated=False, quantity="amplitude"
        ),
        "empty": make_tile(np.full((1, 32, 32), np.nan)),
    }


def evidence_of(tile: object) -> list:
    return [fact for name in SOURCES for fact in SOURCES[name]().evidence(tile)]


@pytest.mark.parametrize("tile_name", tiles())
@pytest.mark.parametrize("name", STAGES)
def test_contract_of_stages(name: str, tile_name: str) -> None:
    stage = STAGES[name]()
    evidence = evidence_of(tiles()[tile_name])
    known = {fact.id for fact in evidence}
    claims = stage.claims("tile", Facts(evidence), ())
    random.Random(0).shuffle(evidence)
    assert stage.claims("tile", Facts(evidence), ()) == claims, "order of facts does not matter"
    assert len({claim.id for claim in claims}) == len(claims)
    for claim in claims:
        assert claim.intact
        assert claim.stage == name == stage.name
        assert claim.stage_version == stage.version
        assert claim.dimension == stage.dimension
        assert claim.evidence_ids
        assert set(claim.evidence_ids) <= known
        assert frozenset(claim.arguments) == stage.predicates[claim.predicate]
    assert stage.claims("tile", Facts(()), ()) == [], "no fact, no claim"


@pytest.mark.parametrize("name", STAGES)
def test_every_predicate_is_exercised_by_some_tile(name: str) -> None:
    stage = STAGES[name]()
    said = {
        claim.predicate
        for tile in tiles().values()
        for claim in stage.claims("tile", Facts(evidence_of(tile)), ())
    }
    assert said == set(stage.predicates)


def test_claims_say_what_was_drawn() -> None:
    tile, water = coast()
    (annotation,) = TileAnnotator(AnnotateConfig()).annotate([tile])
    claims = {claim.predicate: claim.arguments for claim in annotation.claims}
    assert claims["dominant_surface"]["surface"] == "land"
    share = next(c for c in annotation.claims if c.predicate == "surface_share")
    assert share.arguments["surface"] == "water"
    assert abs(share.arguments["share_pct"] - 100 * water.mean()) <= 2
    assert claims["ship_count"] == {"count": 1}
    assert claims["clearest_target"]["part"] == "middle left"
    assert claims["target_axis"]["bearing_deg"] in {85, 90, 95}
    assert len(annotation.texts) == len(annotation.claims)


def test_a_surface_has_every_share_told_once() -> None:
    """Dominant, partial or absent: exactly one of the three for each surface spoken of."""
    for tile in tiles().values():
        told: dict[str, int] = {}
        for claim in STAGES["landform"]().claims("tile", Facts(evidence_of(tile)), ()):
            if claim.predicate in {"dominant_surface", "surface_share", "surface_absent"}:
                surface = str(claim.arguments["surface"])
                told[surface] = told.get(surface, 0) + 1
        assert all(count == 1 for count in told.values()), told


def every_claim() -> list[Claim]:
    """Return a claim for each predicate and each word the lexicon has for its arguments."""
    words = Grammar().lexicon.words
    numbers = {"count": (1, 2, 7, 40), "rank": (2, 3)}
    found = []
    for name in STAGES:
        stage = STAGES[name]()
        for predicate, arguments in stage.predicates.items():
            for k in range(12):
                values = {}
                for argument in sorted(arguments):
                    known = numbers.get(argument) or tuple(words.get(argument, ())) or (k - 12.5,)
                    values[argument] = known[k % len(known)]
                found.append(
                    Claim.of(
                        "tile", stage.dimension, predicate, values, confidence=1.0,
                        stage=name, stage_version="1", rule="r", evidence_ids=[f"e{k}"],
                    )
                )  # fmt: skip
    return found


def test_grammar_has_words_for_everything() -> None:
    grammar = Grammar()
    for claim in every_claim():
        text = grammar.sentence(claim)
        assert not re.search(r"[\[\]{}|#]|  ", text.text), text.text
        assert text.text[0].isupper() or text.text[0].isdigit() or text.text[0] == "−"
        assert text.text.endswith(".")
        assert text.claim_ids == (claim.id,)
        for value in claim.arguments.values():
            if isinstance(value, float):
                assert f"{value:.1f}".replace("-", "−") in text.text
        assert text == grammar.sentence(claim), "the same claim gives the same words"


def test_patterns_name_only_arguments_that_their_predicates_have() -> None:
    known = {p: a for name in STAGES for p, a in STAGES[name].predicates.items()}
    for predicate, patterns in Grammar().lexicon.sentences.items():
        for pattern in patterns:
            slots = set(re.findall(r"\{(\w+)", pattern))
            assert slots <= known[predicate], pattern
            assert slots == known[predicate], f"{pattern} leaves out an argument"
            assert pattern.count("[") == pattern.count("]")


@given(st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_number_agrees_with_its_noun(count: int) -> None:
    claim = Claim.of(
        "tile", "target", "target_count", {"count": count}, confidence=1.0,
        stage="target", stage_version="1", rule="r", evidence_ids=[str(count)],
    )  # fmt: skip
    text = Grammar().sentence(claim).text
    plural = bool(re.search(r"(targets|objects)\b", text))
    assert plural == (count != 1), text


def test_texts_vary() -> None:
    claims = [
        Claim.of(
            f"tile{k}", "landform", "surface_share", {"surface": "water", "share_pct": 30},
            confidence=1.0, stage="landform", stage_version="1", rule="r", evidence_ids=["e"],
        )
        for k in range(200)
    ]  # fmt: skip
    texts = {Grammar().sentence(claim).text for claim in claims}
    assert len(texts) >= 20, "one claim has at least twenty wordings"


def test_unknown_names_are_one_line() -> None:
    for change in (
        {"sources": ("oracle",)}, {"stages": ("dream",)}, {"texts": {"language": "tlh"}}
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r"choose"):
            TileAnnotator(AnnotateConfig(**change))
