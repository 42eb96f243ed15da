"""Rung 4: the contract of every stage, over measured and made facts."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from data.facts.make import scenes, shuffled
from data.tiles.make import coast, make_tile, speckled
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.tile import AnnotateConfig, TileAnnotator
from sarknowlip.core.errors import ConfigError
from sarknowlip.knowledge.evidence import Evidence, Facts
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


@functools.cache
def evidence() -> dict[str, tuple[Evidence, ...]]:
    """Return facts by tile: what the image source measures on drawn tiles, and made facts."""
    source = SOURCES["image"]()
    drawn = {name: tuple(source.evidence(tile)) for name, tile in tiles().items()}
    return drawn | {name: tuple(facts) for name, facts in scenes().items()}


TILES = (*tiles(), *scenes())


def chain(facts: Facts, until: str | None = None) -> list[Claim]:
    """Return the claims of all stages, or of those before `until`."""
    claims: list[Claim] = []
    for name in STAGES:
        if name == until:
            break
        claims.extend(STAGES[name]().claims("tile", facts, tuple(claims)))
    return claims


@pytest.mark.parametrize("tile_name", TILES)
@pytest.mark.parametrize("name", STAGES)
def test_contract_of_stages(name: str, tile_name: str) -> None:
    stage = STAGES[name]()
    facts = evidence()[tile_name]
    known = {fact.id for fact in facts}
    before = chain(Facts(facts), until=name)
    claims = stage.claims("tile", Facts(facts), before)
    again = stage.claims("tile", Facts(shuffled(facts)), before)
    assert again == claims, "order of facts does not matter"
    assert len({claim.id for claim in claims}) == len(claims)
    said = [(claim.predicate, sorted(claim.arguments.items())) for claim in claims]
    assert all(said.count(one) == 1 for one in said), "nothing is said twice"
    for index, claim in enumerate(claims):
        assert claim.intact
        assert claim.stage == name == stage.name
        assert claim.stage_version == stage.version
        assert claim.dimension == stage.dimension
        assert claim.evidence_ids
        assert set(claim.evidence_ids) <= known
        assert set(claim.premise_ids) <= {c.id for c in (*before, *claims[:index])}
        assert frozenset(claim.arguments) == stage.predicates[claim.predicate]
    assert stage.claims("tile", Facts(()), ()) == [], "no fact, no claim"


@pytest.mark.parametrize("name", STAGES)
def test_every_predicate_is_exercised_by_some_tile(name: str) -> None:
    said = {
        claim.predicate
        for facts in evidence().values()
        for claim in chain(Facts(facts))
        if claim.stage == name
    }
    assert said == set(STAGES[name]().predicates)


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("tile_name", scenes())
def test_a_stage_survives_the_loss_of_any_source(name: str, tile_name: str) -> None:
    """Facts of each source alone: fewer claims, never an error, none that rests on others."""
    facts = evidence()[tile_name]
    for source in sorted({fact.source for fact in facts}):
        left = [fact for fact in facts if fact.source == source]
        before = chain(Facts(left), until=name)
        claims = STAGES[name]().claims("tile", Facts(left), before)
        assert {key for claim in claims for key in claim.evidence_ids} <= {f.id for f in left}


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
    sentences = [text for text in annotation.texts if text.level == "sentence"]
    assert len(sentences) == len(annotation.claims)


def test_unknown_names_are_one_line() -> None:
    for change in (
        {"sources": ("oracle",)}, {"stages": ("dream",)}, {"texts": {"language": "tlh"}}
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r"choose"):
            TileAnnotator(AnnotateConfig(**change))
