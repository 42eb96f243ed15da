"""Rung 4: what every registered loss of pairs must satisfy, in one process and in two."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed
from torch.nn import functional

from sarknowlip.losses import LOSSES
from two_processes import in_two_processes

B, D = 7, 12
GROUPS = (torch.arange(B), torch.tensor([0, 1, 0, 3, 1, 0, 6]), torch.zeros(B).long())
SLOPE = {"contrastive": 2.0}
"""Σ |derivative by the logits of a row|; at most B for losses that are sums over pairs."""
grouped = pytest.mark.parametrize("group", GROUPS, ids=["distinct", "some equal", "all equal"])


@pytest.fixture(params=list(LOSSES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def lossy(name: str, image: Tensor, text: Tensor, scale: Tensor, group: Tensor, **more) -> Tensor:
    """Return the loss with a threshold half-way between unlike and equal."""
    return LOSSES[name](image, text, scale, group, bias=-scale / 2, **more)


def unit(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(B, D, generator=draw, dtype=torch.float64)).to(dtype)


def leaves(*values: Tensor) -> list[Tensor]:
    return [value.clone().requires_grad_() for value in values]


@grouped
@pytest.mark.parametrize("chunk", [None, 3])
def test_gradient(name: str, group: Tensor, chunk: int | None) -> None:
    loss = LOSSES[name]
    inputs = leaves(unit(0), unit(1), *torch.tensor([5.0, -2.0], dtype=torch.float64))
    needed = loss(*inputs[:3], group, bias=inputs[3]).grad_fn is not None
    assert needed

    def value(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        return loss(image, text, scale, group, bias=bias, chunk=chunk)

    assert torch.autograd.gradcheck(value, inputs)


@grouped
@pytest.mark.parametrize("chunk", [1, 3, B, 100])
def test_chunks_change_nothing(name: str, group: Tensor, chunk: int) -> None:
    whole, parts = (leaves(unit(0), unit(1), torch.tensor(9.0).double()) for _ in range(2))
    expected, value = lossy(name, *whole, group), lossy(name, *parts, group, chunk=chunk)
    assert torch.allclose(value, expected, atol=1e-12, rtol=0)
    (3 * expected).backward()
    (3 * value).backward()
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-12, rtol=0)


@grouped
def test_order_of_the_batch_does_not_matter(name: str, group: Tensor) -> None:
    order = torch.randperm(B, generator=torch.Generator().manual_seed(3))
    scale = torch.tensor(10.0, dtype=torch.float64)
    value = lossy(name, unit(0), unit(1), scale, group)
    assert value.shape == ()
    shuffled = lossy(name, unit(0)[order], unit(1)[order], scale, group[order])
    assert torch.allclose(value, shuffled, atol=1e-12)
    assert torch.equal(value, lossy(name, unit(0), unit(1), scale, 100 - group))


@pytest.mark.parametrize("scale", [1.0, 14.0, 100.0])
def test_bf16_is_near(name: str, scale: float) -> None:
    """Rounding inputs to bfloat16 moves a cosine by ≤ 2⁻⁸, so the loss by ≤ slope · scale · 2⁻⁸."""
    exact = lossy(name, unit(0), unit(1), torch.tensor(scale, dtype=torch.float64), GROUPS[1])
    half = torch.bfloat16
    rounded = unit(0, half).float(), unit(1, half).float()
    rough = lossy(name, *rounded, torch.tensor(scale), GROUPS[1])
    assert abs(float(rough) - float(exact)) <= SLOPE.get(name, B) * scale * 2**-8


def test_aligned_pairs_cost_less_than_random_ones(name: str) -> None:
    scale = torch.tensor(20.0, dtype=torch.float64)
    aligned = lossy(name, unit(0), unit(0), scale, GROUPS[0])
    assert 0 <= aligned < 0.2 * lossy(name, unit(0), unit(1), scale, GROUPS[0])
    basis = torch.eye(B, D, dtype=torch.float64)
    sharp = torch.tensor(100.0, dtype=torch.float64)
    for group in GROUPS:
        assert lossy(name, basis[group], basis[group], sharp, group) == pytest.approx(0, abs=1e-9)


def test_equal_texts_are_no_negatives(name: str) -> None:
    """With two equal texts, bringing the two images together must not cost anything."""
    basis = torch.eye(D, dtype=torch.float64)
    group = torch.tensor([0, 0, 2, 3, 4, 5, 6])
    text = basis[group]
    together, apart = basis[group].clone(), basis[group].clone()
    apart[1] = basis[B]
    scale = torch.tensor(20.0, dtype=torch.float64)
    assert lossy(name, together, text, scale, group) < lossy(name, apart, text, scale, group)
    as_negatives = lossy(name, together, text, scale, torch.arange(B))
    assert lossy(name, together, text, scale, group) < as_negatives - 0.1


def joint_batch() -> tuple[list[Tensor], Tensor]:
    draw = torch.Generator().manual_seed(5)
    rows = functional.normalize(torch.randn(2, 10, D, generator=draw), dim=-1)
    return [*rows, torch.tensor(12.0), torch.tensor(-6.0)], torch.tensor(
        [0, 1, 2, 0, 4, 1, 6, 7, 0, 9]
    )


def part_of_two(rank: int) -> dict[tuple[str, int | None], list[Tensor]]:
    """Return the mean over processes of value and gradients, which is what training uses."""
    (image, text, scale, bias), group = joint_batch()
    own = slice(5 * rank, 5 * rank + 5)
    found = {}
    for name in LOSSES:
        for chunk in (None, 2):
            inputs = leaves(image, text, scale, bias)
            value = LOSSES[name](
                inputs[0][own],
                inputs[1][own],
                inputs[2],
                group[own],
                bias=inputs[3],
                chunk=chunk,
                across=distributed.group.WORLD,
            )
            value.backward()
            means = [
                value.detach(),
                *(torch.zeros(()) if x.grad is None else x.grad for x in inputs),
            ]
            for tensor in means:
                distributed.all_reduce(tensor)
            found[name, chunk] = [tensor / 2 for tensor in means]
    return found


def test_two_processes_are_one(tmp_path: Path) -> None:
    for found in in_two_processes(part_of_two, tmp_path):
        for (name, _), means in found.items():
            values, group = joint_batch()
            inputs = leaves(*values)
            value = LOSSES[name](*inputs[:3], group, bias=inputs[3])
            value.backward()
            expected = [value, *(torch.zeros(()) if x.grad is None else x.grad for x in inputs)]
            for one, other in zip(means, expected, strict=True):
                assert torch.allclose(one, other, atol=1e-6, rtol=1e-6)
