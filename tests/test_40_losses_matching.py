"""Rung 4: hard negatives are of another group, drawn as they should be."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sarknowlip.losses.matching import hard_negatives, pooled_negatives

ALMOST_ONE = 1 - 2.0**-24


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 9),
    names=st.integers(1, 9),
    spread=st.sampled_from([0.0, 1.0, 100.0, 1e4]),
    drawn=st.sampled_from([0.0, 0.5, ALMOST_ONE]),
    seed=st.integers(0, 10**6),
)
def test_of_another_group_if_there_is_one(
    size: int, names: int, spread: float, drawn: float, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    similarity = spread * torch.randn(size, size, generator=draw)
    group = torch.randint(names, (size,), generator=draw)
    for found in hard_negatives(similarity, group, torch.full((2, size), drawn)):
        for own, other in enumerate(found.tolist()):
            if (group != group[own]).any():
                assert group[other] != group[own]
            else:
                assert other == own


def test_in_proportion_to_exp_of_similarity() -> None:
    similarity = torch.tensor([[9.0, 1.0, 2.0, 0.0], [0, 9, 0, 0], [0, 0, 9, 3], [1, 0, 0, 9.0]])
    group = torch.tensor([0, 1, 2, 0])
    draws = 4000
    places = (torch.arange(draws) + 0.5) / draws
    found = [hard_negatives(similarity, group, torch.full((2, 4), float(u))) for u in places]
    texts, images = (torch.stack(part) for part in zip(*found, strict=True))
    allowed = group[:, None] != group[None, :]
    for index, logits in ((texts, similarity), (images, similarity.T)):
        for row in range(4):
            share = torch.bincount(index[:, row], minlength=4) / draws
            expected = torch.where(allowed[row], logits[row].exp(), 0.0)
            assert torch.allclose(share, expected / expected.sum(), atol=2 / draws)


@pytest.mark.parametrize("pool", [2, 3, 4, 8, 100])
def test_pools_are_drawn_apart(pool: int) -> None:
    draw = torch.Generator().manual_seed(0)
    similarity = 3 * torch.randn(8, 8, generator=draw)
    group, drawn = torch.tensor([0, 1, 2, 0, 4, 4, 6, 7]), torch.rand(2, 8, generator=draw)
    found = pooled_negatives(lambda part: similarity[part, part], group, drawn, pool)
    for start in range(0, 8, pool):
        part = slice(start, start + pool)
        alone = hard_negatives(similarity[part, part], group[part], drawn[:, part])
        for one, other in zip(found, alone, strict=True):
            assert torch.equal(one[part], other + start)


def test_no_gradient_through_the_draw() -> None:
    similarity = torch.randn(3, 3, requires_grad=True)
    for found in hard_negatives(similarity, torch.arange(3), torch.rand(2, 3)):
        assert found.dtype == torch.int64
        assert not found.requires_grad
