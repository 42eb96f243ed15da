"""Rung 4: where a tile's facts come from."""

from __future__ import annotations

from data.knowledge.make import make_options
from data.tiles.make import coast
from sarknowlip.annotate.tile import AnnotateConfig, TileAnnotator


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
