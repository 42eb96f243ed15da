"""Rung 4: what losses that judge samples one by one must satisfy, in one process and two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed

from sarknowlip.losses.across import Totals
from sarknowlip.losses.captioning import caption_nll
from sarknowlip.losses.chunks import by_chunks
from sarknowlip.losses.distilled import distilled
from sarknowlip.losses.masked import masked_error
from sarknowlip.losses.matching import matching
from two_processes import in_two_processes

B, L, V = 7, 6, 5
Case = tuple[Callable[..., Totals], Tensor, tuple[Tensor, ...]]


def cases(dtype: torch.dtype = torch.float64) -> dict[str, Case]:
    """Return each loss, what it is differentiated by, and its other arguments."""
    draw = torch.Generator().manual_seed(2)
    lengths = torch.tensor([6, 2, 4, 1, 6, 3, 5])
    mask = (torch.arange(L) < lengths[:, None]).long()
    ids = torch.randint(V, (B, L), generator=draw)
    logits, row, pixels, target = (
        torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype)
        for shape in ((B, L, V), (B,), (B, 2, L, 3), (B, 2, L, 3))
    )
    masked, valid = (torch.rand(s, generator=draw) < 0.5 for s in ((B, L), (B, 2, L, 3)))
    valid[1] = False
    views, told = (
        torch.randn(B, count, V, generator=draw, dtype=torch.float64).to(dtype) for count in (4, 2)
    )
    return {
        "caption": (caption_nll, logits, (ids, mask)),
        "question": (caption_nll, logits, (ids, mask, torch.tensor([1, 2, 2, 1, 3, 1, 9]))),
        "matching": (matching, row, (torch.tensor([1, 0, 0, 1, 1, 0, 1]),)),
        "masked": (masked_error, pixels, (target, masked, valid)),
        "distilled": (distilled, views, (told.softmax(dim=-1),)),
    }


@pytest.fixture(params=list(cases()))
def case(request: pytest.FixtureRequest) -> str:
    return request.param


def mean_of(
    case: str, value: Tensor, chunk: int | None = None, rows: slice = slice(None)
) -> Totals:
    loss, _, others = cases(value.dtype)[case]
    return Totals(*by_chunks(loss, chunk, value[rows], *(other[rows] for other in others)))


def test_gradient(case: str) -> None:
    value = cases()[case][1].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mean_of(case, x).mean(), [value])


@pytest.mark.parametrize("chunk", [1, 3, B, 50])
def test_chunks_change_nothing(case: str, chunk: int) -> None:
    whole, parts = (cases()[case][1].requires_grad_() for _ in range(2))
    expected, value = mean_of(case, whole), mean_of(case, parts, chunk)
    assert torch.equal(value.total_B, expected.total_B)
    assert torch.equal(value.count_B, expected.count_B)
    expected.mean().backward()
    value.mean().backward()
    assert torch.allclose(whole.grad, parts.grad, atol=1e-12, rtol=0)


def test_bf16_is_near(case: str) -> None:
    """Rounded by at most 2⁻⁹ of itself, an input moves the loss by its slope times that."""
    exact = cases()[case][1].requires_grad_()
    mean_of(case, exact).mean().backward()
    moved = 2**-8 * float((exact.grad * exact.detach()).abs().sum())
    rough = mean_of(case, exact.detach().bfloat16().float()).mean()
    assert abs(float(rough) - float(mean_of(case, exact.detach()).mean())) <= moved + 1e-6


def test_samples_do_not_see_each_other(case: str) -> None:
    value = cases()[case][1]
    alone = [mean_of(case, value, rows=slice(i, i + 1)).total_B for i in range(B)]
    assert torch.allclose(torch.cat(alone), mean_of(case, value).total_B, atol=1e-12)


def test_nothing_counted_is_zero() -> None:
    total = torch.zeros(3, requires_grad=True)
    value = Totals(total, torch.zeros(3, dtype=torch.int64)).mean()
    value.backward()
    assert value == 0
    assert torch.isfinite(total.grad).all()


def part_of_two(rank: int) -> dict[str, tuple[Tensor, Tensor]]:
    own = slice(0, 3) if rank == 0 else slice(3, 6)
    found = {}
    for case in cases():
        value = cases(torch.float32)[case][1].requires_grad_()
        loss = mean_of(case, value, rows=own).mean(distributed.group.WORLD)
        loss.backward()
        means = loss.detach(), value.grad
        for tensor in means:
            distributed.all_reduce(tensor)
        found[case] = means[0] / 2, means[1] / 2
    return found


def test_two_processes_are_one(tmp_path: Path) -> None:
    """Samples have different numbers of elements, so a mean of means would be another number."""
    for found in in_two_processes(part_of_two, tmp_path):
        for case, (mean, grad) in found.items():
            value = cases(torch.float32)[case][1].requires_grad_()
            expected = mean_of(case, value, rows=slice(0, 6)).mean()
            expected.backward()
            assert torch.allclose(mean, expected.detach(), atol=1e-6), case
            assert torch.allclose(grad, value.grad, atol=1e-7), case
