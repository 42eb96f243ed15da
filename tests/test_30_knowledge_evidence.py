"""Rung 3: facts, their identifiers and storage."""

from __future__ import annotations

import random

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.tiles.make import coast
from sarknowlip.core.errors import CorpusError
from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.knowledge.sources import SOURCES
from sarknowlip.knowledge.store import evidence_table, read_evidence


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
