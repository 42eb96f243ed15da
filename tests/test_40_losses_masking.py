"""Rung 4: hidden patches."""

from __future__ import annotations

import pytest
import torch

from sarknowlip.losses.masked import masked_error
from sarknowlip.losses.masking import kept, random_keep


@pytest.mark.parametrize(("share", "count"), [(0.0, 16), (0.5, 8), (0.75, 4), (0.99, 1), (1.0, 1)])
def test_how_many_are_kept(share: float, count: int) -> None:
    assert kept(16, share) == count
    keep, masked = random_keep(torch.rand(3, 16), share)
    assert keep.shape == (3, count)
    assert masked.sum(dim=1).tolist() == [16 - count] * 3
    for row, places in enumerate(keep.tolist()):
        assert places == sorted(set(places))
        assert not masked[row, places].any()


def test_each_patch_is_as_likely() -> None:
    noise = torch.rand(4000, 10, generator=torch.Generator().manual_seed(0))
    share = random_keep(noise, 0.7)[1].float().mean(dim=0)
    assert torch.allclose(share, torch.tensor(0.7), atol=4 * (0.21 / 4000) ** 0.5)


def test_only_hidden_valid_numbers_count() -> None:
    predicted, target = torch.zeros(1, 1, 3, 2), torch.full((1, 1, 3, 2), 2.0)
    target[0, 0, 0] = 100.0  # seen
    target[0, 0, 1, 1] = 50.0  # no data
    valid = torch.ones(1, 1, 3, 2, dtype=torch.bool)
    valid[0, 0, 1, 1] = False
    found = masked_error(predicted, target, torch.tensor([[False, True, True]]), valid)
    assert found.count_B == 3
    assert found.mean() == 4.0
