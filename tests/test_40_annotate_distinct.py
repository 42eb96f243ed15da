"""Rung 4: counting different texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarknowlip.annotate import distinct
from sarknowlip.annotate.distinct import DistinctCount


@given(st.lists(st.lists(st.text(max_size=3), max_size=30), max_size=12), st.integers(0, 9))
def test_it_is_the_size_of_the_set(parts: list[list[str]], pending: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct, "PENDING", pending)
        count = DistinctCount()
        for part in parts:
            count.add(part)
    assert count.total() == len({text for part in parts for text in part}) == count.total()
