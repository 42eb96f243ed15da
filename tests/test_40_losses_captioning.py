"""Rung 4: likelihood of texts, against a loop."""

from __future__ import annotations

import math

import pytest
import torch

from sarknowlip.losses.captioning import caption_nll


def test_equals_loops() -> None:
    draw = torch.Generator().manual_seed(0)
    logits, ids = torch.randn(3, 5, 7, generator=draw), torch.randint(7, (3, 5), generator=draw)
    lengths, prefix = [5, 3, 4], [1, 2, 4]
    mask = torch.tensor([[int(k < length) for k in range(5)] for length in lengths])
    found = caption_nll(logits, ids, mask, torch.tensor(prefix))
    for row in range(3):
        expected = 0.0
        for place in range(prefix[row], lengths[row]):
            chances = logits[row, place - 1].exp() / logits[row, place - 1].exp().sum()
            expected -= math.log(chances[ids[row, place]])
        assert float(found.total_B[row]) == pytest.approx(expected, abs=1e-5)
    assert found.count_B.tolist() == [4, 1, 0]
    assert float(found.mean()) == pytest.approx(float(found.total_B.sum()) / 5)


def test_padding_counts_for_nothing() -> None:
    draw = torch.Generator().manual_seed(1)
    logits, ids = torch.randn(2, 6, 7, generator=draw), torch.randint(7, (2, 6), generator=draw)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]] * 2)
    long, short = (
        caption_nll(logits, ids, mask),
        caption_nll(logits[:, :4], ids[:, :4], mask[:, :4]),
    )
    assert torch.equal(long.count_B, short.count_B)
    assert torch.allclose(long.total_B, short.total_B)


def test_without_a_prefix_all_but_the_first_are_told() -> None:
    logits, ids, mask = torch.zeros(1, 4, 8), torch.zeros(1, 4).long(), torch.ones(1, 4).long()
    plain, given = caption_nll(logits, ids, mask), caption_nll(logits, ids, mask, torch.ones(1))
    assert plain.count_B == given.count_B == 3
    assert float(plain.mean()) == pytest.approx(math.log(8))
