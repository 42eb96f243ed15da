"""Rung 3: facts, their identifiers and storage; the contract of every knowledge source."""

from __future__ import annotations

import random

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.tiles.make import coast, make_tile, speckled
from sarknowlip.core.errors import CorpusError
from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.knowledge.sources import SOURCES
from sarknowlip.knowledge.store import evidence_table, read_evidence

UNITS = {"dB", "dB relative", "share", "m", "px", "deg", "count", "looks", "1", "class"}


def fact(value: float = 1.0, **change) -> Evidence:
    given = {"unit": "share", "source": "s", "source_version": "1", "confidence": 0.5} | change
    return Evidence.of("t", "water", "share", value=value, **given)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_identifiers_tell_facts_apart(a: float, b: float) -> None:
    same = round(a, 5) == round(b, 5)
    assert (fact(a).id == fact(b).id) == same
    assert fact(a).intact
    if not same:
        assert not fact(a).model_copy(update={"value": b}).intact


def test_facts_need_a_finite_value_or_a_label() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not finite"):
            fact(value)
    with pytest.raises(ValueError, match="value or a label"):
        fact(None)


def test_the_most_certain_fact_wins_whatever_the_order() -> None:
    facts = [fact(0.1 * k, confidence=0.1 * k, source=f"s{k}") for k in range(1, 9)]
    for seed in range(5):
        random.Random(seed).shuffle(facts)
        view = Facts(facts)
        assert view.value("water", "share") == pytest.approx(0.8)
        assert [used.source for used in view.used] == ["s8"]
        assert view.fresh().used == ()


def test_storage_gives_back_what_it_got_in_equal_bytes(tmp_path) -> None:
    found = SOURCES["image"]().evidence(coast()[0])
    for name in "ab":
        pq.write_table(evidence_table(found), tmp_path / name)
    assert list(read_evidence(tmp_path / "a")) == found
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes()[:-20])
    for name in ("b", "absent"):
        with pytest.raises(CorpusError, match="annotate the corpus again"):
            list(read_evidence(tmp_path / name))


def awkward_tiles() -> dict[str, object]:
    nan = np.full((2, 64, 64), np.nan)
    half = speckled(np.full((2, 96, 96), 0.1), 4.0)
    half[:, :, :48] = np.nan
    return {
        "coast": coast()[0],
        "empty": make_tile(nan, polarizations=("VV", "VH")),
        "half": make_tile(half, polarizations=("VV", "VH")),
        "tiny": make_tile(speckled(np.full((1, 16, 16), 0.1), 4.0)),
        "constant": make_tile(np.full((1, 64, 64), 0.25)),
        "zeros": make_tile(np.zeros((1, 64, 64))),
        "relative": make_tile(
            speckled(np.full((1, 96, 96), 900.0), 1.0), calibrated=False, quantity="amplitude"
        ),
        "l-band": make_tile(
            speckled(np.full((4, 64, 64), 0.1), 4.0),
            polarizations=("HH", "HV", "VH", "VV"),
            band="L",
        ),
    }


@pytest.mark.parametrize("tile_name", awkward_tiles())
@pytest.mark.parametrize("name", SOURCES)
def test_contract_of_sources(name: str, tile_name: str) -> None:
    tile = awkward_tiles()[tile_name]
    source = SOURCES[name]()
    found = source.evidence(tile)
    assert found == SOURCES[name]().evidence(tile), "deterministic"
    assert len({fact.id for fact in found}) == len(found)
    assert len({(fact.subject, fact.predicate) for fact in found}) == len(found)
    rows, columns = tile.valid.shape
    for fact in found:
        assert fact.intact
        assert fact.tile_id == tile.id
        assert fact.source == name == source.name
        assert fact.source_version == source.version
        assert fact.unit in UNITS
        if fact.bbox_px is not None:
            x0, y0, x1, y1 = fact.bbox_px
            assert 0 <= x0 < x1 <= columns
            assert 0 <= y0 < y1 <= rows


def test_image_facts_of_a_known_scene() -> None:
    tile, water = coast()
    facts = Facts(SOURCES["image"]().evidence(tile))
    assert facts.value("water", "share") == pytest.approx(water.mean(), abs=0.02)
    assert facts.value("land", "mean_VV") == pytest.approx(-9.5, abs=0.3)
    assert facts.value("image", "looks") == pytest.approx(4.4, rel=0.2)
    assert facts.value("VH/VV", "ratio") == pytest.approx(
        facts.value("VH", "mean") - facts.value("VV", "mean"), abs=1e-4
    )
    assert facts.value("ships", "count") == 1
    assert facts.value("target/00", "length") == pytest.approx(120.0, abs=30.0)
    assert facts.value("target/00", "column") == pytest.approx(32.0, abs=1.0)
    assert facts.value("target/00", "row") == pytest.approx(97.5, abs=1.0)
