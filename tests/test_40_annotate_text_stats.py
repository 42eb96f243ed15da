"""Rung 4: variety of texts, on cases worked by hand and beside a plain template."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.claims.make import tile_claims, tile_facts
from sarknowlip.annotate.compose import Composer
from sarknowlip.annotate.store import CLAIMS, TEXTS, claims_table, texts_table
from sarknowlip.annotate.text_stats import (
    VarietyMeter,
    annotation_stats,
    bleu,
    self_bleu,
    tokens,
)
from sarknowlip.core.errors import CorpusError


def test_bleu_by_hand() -> None:
    text = ["the", "cat", "sat", "on", "the", "mat"]
    assert bleu(text, [text]) == pytest.approx(1.0)
    assert bleu(text, [["a", "b", "c", "d", "e", "f"]]) == 0.0
    # 1-grams 5/6, 2-grams 3/5, 3-grams 1/4, 4-grams 0.1/3 (smoothed); no brevity penalty.
    other = ["the", "cat", "is", "on", "the", "mat"]
    expected = (5 / 6 * 3 / 5 * 1 / 4 * 0.1 / 3) ** 0.25
    assert bleu(text, [other]) == pytest.approx(expected)
    # Clipping: "the" seven times, twice in the reference (Papineni et al. 2002).
    assert bleu(["the"] * 7, [other]) == pytest.approx(
        (2 / 7 * 0.1 / 6 * 0.1 / 5 * 0.1 / 4) ** 0.25
    )
    # Four of eight tokens: all n-grams match, penalty exp(1 - 8/4).
    long = ["a", "b", "c", "d", "e", "f", "g", "h"]
    assert bleu(long[:4], [long]) == pytest.approx(math.exp(-1))
    assert bleu(long[:4], [long, long[:3]]) == pytest.approx(1.0), "the closest length counts"


def test_self_bleu_of_equal_and_of_foreign_texts() -> None:
    same = [["a", "b", "c", "d", "e"]] * 3
    assert self_bleu(same) == 1.0
    assert self_bleu([["a", "b", "c", "d"], ["e", "f", "g", "h"]]) == 0.0
    assert self_bleu(same[:1]) is None


def test_variety_by_hand() -> None:
    meter = VarietyMeter()
    for key, words in enumerate(["A b c.", "A b d.", "A b c."]):
        meter.add(str(key), words)
    found = meter.result()
    assert (found.texts, found.vocabulary, found.duplicates) == (3, 5, 1)
    assert found.distinct_2 == pytest.approx(5 / 9, abs=1e-5)
    assert found.unique_share == pytest.approx(2 / 3, abs=1e-5)
    assert found.lengths == {"0-9": 3}
    assert tokens("−14.2 dB, A") == ["−", "14.2", "db", ",", "a"]


def test_stats_of_a_version(tmp_path: Path) -> None:
    claims, texts = [], []
    for seed in range(30):
        tile = tile_claims(seed, tile=f"tile{seed:02d}")
        claims += tile
        texts += Composer().texts(tile, tile_facts(tile))
    pq.write_table(claims_table(claims), tmp_path / CLAIMS)
    pq.write_table(texts_table(texts), tmp_path / TEXTS)
    found = annotation_stats(tmp_path)
    assert found == annotation_stats(tmp_path), "the sample is drawn by its seed"
    assert found.tiles == 30
    assert found.per_tile * 30 == pytest.approx(len(texts), abs=0.1)
    assert found.levels["sentence"] == len(claims) / 30
    assert sum(found.dimensions.values()) == pytest.approx(found.per_tile, abs=0.01)
    assert found.sentences.texts == found.template.texts == len(claims)
    assert found.sentences.unique_share > 0.9
    assert found.sentences.distinct_2 > found.template.distinct_2
    assert found.sentences.self_bleu < found.template.self_bleu


def test_absent_and_empty_tables(tmp_path: Path) -> None:
    with pytest.raises(CorpusError):
        annotation_stats(tmp_path)
    pq.write_table(claims_table([]), tmp_path / CLAIMS)
    pq.write_table(texts_table([]), tmp_path / TEXTS)
    found = annotation_stats(tmp_path)
    assert (found.tiles, found.per_tile, found.sentences.self_bleu) == (0, 0.0, None)
