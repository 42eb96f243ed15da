"""Rung 4: where a tile's facts come from."""

from __future__ import annotations

import numpy as np
import pytest

from data.knowledge.make import make_options
from data.tiles.make import coast, make_tile, speckled
from data.vlm.make import as_answered, content, serving
from sarknowlip.annotate.tile import AnnotateConfig, TileAnnotator
from sarknowlip.annotate.writers.grounded import GroundedConfig
from sarknowlip.annotate.writers.vlm.config import VlmConfig


class Silent:
    """Stands for a source, and must not be asked."""

    def __init__(self, source) -> None:
        self.name, self.version, self.looks_at = source.name, source.version, source.looks_at

    def evidence(self, tile, known=()):
        raise AssertionError(f"{self.name} was asked")


def test_facts_come_from_the_cache_unless_they_must_not(tmp_path) -> None:
    options = make_options(tmp_path).model_copy(update={"cache": tmp_path / "cache"})
    config = AnnotateConfig(options=options)
    tile, _ = coast()
    anew = TileAnnotator(config, cached=False)
    fresh = anew.evidence(tile)
    assert anew.cache is None
    annotator = TileAnnotator(config)
    assert annotator.evidence(tile) == fresh
    annotator.sources = [Silent(source) for source in annotator.sources]
    assert annotator.evidence(tile) == fresh
    assert TileAnnotator(AnnotateConfig()).cache is None


@pytest.mark.parametrize("kind", ["grounded", "vlm"])
def test_no_writer_makes_claims_less_sure_than_the_limit(tmp_path, kind) -> None:
    """Lines are found with a confidence of 0.4: no text tells them, unless the limit is lower."""
    power = np.full((1, 128, 128), 0.1)
    power[:, :, 60:64] *= 10**0.8
    tile = make_tile(speckled(power, 16.0))
    derived = TileAnnotator(AnnotateConfig())
    derived = derived.derive(tile.id, derived.evidence(tile))
    unsure = {claim.id for claim in derived if claim.confidence < 0.5}
    assert "line" in {claim.predicate for claim in derived if claim.id in unsure}
    answer = {"content": content([as_answered(claim) for claim in derived])}
    with serving(tmp_path, {"otherwise": answer}) as server:

        def annotation(**limit):
            asks = VlmConfig(endpoint=server.url, model="scripted")
            writer = GroundedConfig(most=99) if kind == "grounded" else asks
            (found,) = TileAnnotator(AnnotateConfig(writer=writer, **limit)).annotate([tile])
            return found

        usual, all_told = annotation(), annotation(least=0.0)
    assert {claim.id for claim in all_told.claims} == {claim.id for claim in derived}
    assert {claim.id for claim in usual.claims} == {claim.id for claim in derived} - unsure
    assert not any(unsure.intersection(text.claim_ids) for text in usual.texts)
    assert usual.texts
    if kind == "vlm":
        assert usual.draft.counts["dropped.not_derivable"] == len(unsure)
