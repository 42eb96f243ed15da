"""Rung 3: masks as COCO strings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sarknowlip.knowledge.masks import decode_mask, encode_mask, mask_box

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


@settings(max_examples=200, deadline=None)
@given(masks)
def test_what_was_written_is_read(mask: np.ndarray) -> None:
    assert np.array_equal(decode_mask(encode_mask(mask), mask.shape), mask)


def test_runs_are_written_as_coco_does() -> None:
    # Columns of [[0, 1], [1, 1]] are 0 1, 1 1: one zero, three ones. Long runs by hand: 100 is
    # 0b11_00100: "T" (4 + 32 + 48), then "3" (3 + 48).
    assert encode_mask(np.array([[0, 1], [1, 1]], bool)) == "13"
    assert encode_mask(np.zeros((10, 10), bool)) == "T3"
    # 2 zeros, 3 ones, 2 zeros, 1 one: of the last two the fourth is written as 1 - 3 = -2, "N".
    assert encode_mask(np.array([0, 0, 1, 1, 1, 0, 0, 1], bool)[:, None]) == "232N"


@settings(max_examples=50, deadline=None)
@given(masks, st.text(min_size=1, max_size=3))
def test_damage_is_noticed(mask: np.ndarray, more: str) -> None:
    text = encode_mask(mask) + more
    try:
        read = decode_mask(text, mask.shape)
    except ValueError:
        return
    assert encode_mask(read) != encode_mask(mask) or np.array_equal(read, mask)


def test_wrong_size_and_characters() -> None:
    with pytest.raises(ValueError, match="3 × 3"):
        decode_mask(encode_mask(np.ones((2, 2), bool)), (3, 3))
    with pytest.raises(ValueError, match="no character"):
        decode_mask("é", (1, 1))


@given(masks)
def test_boxes_hold_all_and_touch(mask: np.ndarray) -> None:
    box = mask_box(mask)
    if box is None:
        assert not mask.any()
        return
    x0, y0, x1, y1 = box
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    edges = (mask[y0], mask[y1 - 1], mask[:, x0], mask[:, x1 - 1])
    assert all(edge.any() for edge in edges)
