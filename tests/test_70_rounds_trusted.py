"""What the loop says of a trusted set before it relies on it."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from sarknowlip.train.rounds.trusted import FEW_SILENT, warning_of


def scored(silent: int, told: int) -> pa.Table:
    """Return scores of texts: the first ones are those on which evidence is silent."""
    count = silent + told
    support = [math.nan] * silent + [1.0] * told
    ids = [f"text{n}" for n in range(count)]
    return pa.table({"text_id": ids, "evidence.support": pa.array(support, pa.float64())})


def labels(start: int, stop: int) -> dict[str, bool]:
    """Return labels of texts, every second one bad."""
    return {f"text{n}": n % 2 == 0 for n in range(start, stop)}


@pytest.mark.parametrize("known", [0, 1, FEW_SILENT - 1])
def test_few_labels_of_silent_texts_are_told(known: int) -> None:
    found = warning_of(scored(50, 300), labels(0, known) | labels(50, 300))
    assert found is not None
    assert found.startswith(f"evidence is silent on 50 texts, of which {known} are trusted: ")


def test_enough_labels_of_both_kinds_are_not_warned_of() -> None:
    assert warning_of(scored(50, 300), labels(0, FEW_SILENT)) is None


@pytest.mark.parametrize("kind", ["bad", "good"])
def test_labels_of_one_kind_are_told(kind: str) -> None:
    one = dict.fromkeys(labels(0, FEW_SILENT), kind == "bad")
    found = warning_of(scored(50, 300), one | labels(50, 300))
    assert found is not None
    assert f"of which {FEW_SILENT} are trusted, all of them {kind}" in found


def test_nothing_is_said_where_all_silent_texts_were_looked_at() -> None:
    assert warning_of(scored(5, 300), dict.fromkeys(labels(0, 5), True)) is None
    assert warning_of(scored(5, 300), labels(0, 4)) is not None


def test_nothing_is_said_where_evidence_speaks_or_is_not_asked() -> None:
    assert warning_of(scored(0, 300), labels(1, 2)) is None
    assert warning_of(scored(50, 10).drop_columns(["evidence.support"]), labels(1, 2)) is None
