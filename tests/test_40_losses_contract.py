"""Rung 4: what every registered loss must satisfy."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sarknowlip.losses import LOSSES, PairLoss

B, D = 7, 12
GROUPS = (torch.arange(B), torch.tensor([0, 1, 0, 3, 1, 0, 6]), torch.zeros(B).long())


@pytest.fixture(params=list(LOSSES))
def loss(request: pytest.FixtureRequest) -> PairLoss:
    return LOSSES[request.param]


def unit(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(B, D, generator=draw, dtype=torch.float64)).to(dtype)


@pytest.mark.parametrize("group", GROUPS, ids=["distinct", "some equal", "all equal"])
def test_gradient(loss: PairLoss, group: Tensor) -> None:
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    inputs = (unit(0).requires_grad_(), unit(1).requires_grad_(), scale)
    assert torch.autograd.gradcheck(lambda *x: loss(*x, group), inputs)


@pytest.mark.parametrize("group", GROUPS, ids=["distinct", "some equal", "all equal"])
def test_order_of_the_batch_does_not_matter(loss: PairLoss, group: Tensor) -> None:
    order = torch.randperm(B, generator=torch.Generator().manual_seed(3))
    scale = torch.tensor(10.0, dtype=torch.float64)
    value = loss(unit(0), unit(1), scale, group)
    assert value.shape == ()
    assert torch.allclose(
        value, loss(unit(0)[order], unit(1)[order], scale, group[order]), atol=1e-12
    )
    renamed = 100 - group
    assert torch.equal(value, loss(unit(0), unit(1), scale, renamed))


@pytest.mark.parametrize("scale", [1.0, 14.0, 100.0])
def test_bf16_is_near(loss: PairLoss, scale: float) -> None:
    """Rounding inputs to bfloat16 moves a cosine by ≤ 2⁻⁸, the loss by ≤ 2 · scale · that."""
    exact = loss(unit(0), unit(1), torch.tensor(scale, dtype=torch.float64), GROUPS[1])
    half = torch.bfloat16
    rough = loss(unit(0, half).float(), unit(1, half).float(), torch.tensor(scale), GROUPS[1])
    assert abs(float(rough) - float(exact)) <= 2 * scale * 2**-8


def test_aligned_pairs_cost_less_than_random_ones(loss: PairLoss) -> None:
    scale = torch.tensor(20.0, dtype=torch.float64)
    aligned = loss(unit(0), unit(0), scale, GROUPS[0])
    assert 0 <= aligned < 0.2 * loss(unit(0), unit(1), scale, GROUPS[0])
    basis = torch.eye(B, D, dtype=torch.float64)
    sharp = torch.tensor(100.0, dtype=torch.float64)
    for group in GROUPS:
        assert loss(basis[group], basis[group], sharp, group) == pytest.approx(0, abs=1e-9)


def test_equal_texts_are_no_negatives(loss: PairLoss) -> None:
    """With two equal texts, bringing the two images together must not cost anything."""
    basis = torch.eye(D, dtype=torch.float64)
    group = torch.tensor([0, 0, 2, 3, 4, 5, 6])
    text = basis[group]
    together, apart = basis[group].clone(), basis[group].clone()
    apart[1] = basis[B]
    scale = torch.tensor(20.0, dtype=torch.float64)
    assert loss(together, text, scale, group) < loss(apart, text, scale, group)
    as_negatives = loss(together, text, scale, torch.arange(B))
    assert loss(together, text, scale, group) < as_negatives - 0.1
