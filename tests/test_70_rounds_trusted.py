"""What the loop says of a trusted set before it relies on it."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from sarknowlip.train.rounds.trusted import ENOUGH, warning_of


def scored(silent: int, told: int) -> pa.Table:
    """Return scores of texts: the first ones are those on which evidence is silent."""
    count = silent + told
    support = [math.nan] * silent + [1.0] * told
    ids = [f"text{n}" for n in range(count)]
    return pa.table({"text_id": ids, "evidence.support": pa.array(support, pa.float64())})


@pytest.mark.parametrize("known", [0, 1, ENOUGH - 1])
def test_few_labels_of_silent_texts_are_told(known: int) -> None:
    trusted = {f"text{n}" for n in range(known)} | {f"text{n}" for n in range(50, 300)}
    found = warning_of(scored(50, 300), trusted)
    assert found is not None
    assert found.startswith(f"evidence is silent on 50 texts, of which {known} are trusted")


def test_enough_labels_are_not_warned_of() -> None:
    assert warning_of(scored(50, 300), {f"text{n}" for n in range(ENOUGH)}) is None


def test_nothing_is_said_where_evidence_speaks_or_is_not_asked() -> None:
    assert warning_of(scored(0, 300), {"text1"}) is None
    assert warning_of(scored(50, 10).drop_columns(["evidence.support"]), {"text1"}) is None
