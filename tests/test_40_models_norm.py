"""Rung 4: batch normalisation over the batches of all processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from sarknowlip.models.norm import JointBatchNorm
from two_processes import in_two_processes

ROWS = ((0, 5), (5, 8))


def draw() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    return torch.randn(8, 6, generator=source) * 3 + 1, torch.randn(8, 6, generator=source)


def test_it_is_batch_normalisation() -> None:
    rows, weight = draw()
    ours, theirs = JointBatchNorm(6), nn.BatchNorm1d(6, affine=False)
    for step in range(3):
        one, other = (rows + step).requires_grad_(), (rows + step).detach().requires_grad_()
        out, expected = ours(one), theirs(other)
        assert torch.allclose(out, expected, atol=1e-5)
        (out * weight).sum().backward()
        (expected * weight).sum().backward()
        assert torch.allclose(one.grad, other.grad, atol=1e-5)
    assert torch.allclose(ours.running_mean, theirs.running_mean, atol=1e-6)
    assert torch.allclose(ours.running_var, theirs.running_var, atol=1e-5)
    assert torch.allclose(ours.eval()(rows), theirs.eval()(rows), atol=1e-5)


def test_a_single_row_is_refused_in_training_only() -> None:
    norm = JointBatchNorm(6)
    with pytest.raises(ValueError, match="at least two rows"):
        norm(torch.zeros(1, 6))
    assert norm.eval()(torch.zeros(1, 6)).shape == (1, 6)


def work(rank: int) -> tuple[torch.Tensor, ...]:
    """Pass this process' rows; return output, gradient and statistics."""
    rows, weight = (part[slice(*ROWS[rank])].clone() for part in draw())
    norm = JointBatchNorm(6)
    out = norm(rows.requires_grad_())
    (out * weight).sum().backward()
    return out.detach(), rows.grad, norm.running_mean, norm.running_var


def test_two_processes_are_one_with_the_joint_batch(tmp_path: Path) -> None:
    found = in_two_processes(work, tmp_path)
    rows, weight = draw()
    norm = JointBatchNorm(6)
    out = norm(rows.requires_grad_())
    (out * weight).sum().backward()
    for place, (here, gradient, mean, variance) in zip(ROWS, found, strict=True):
        assert torch.allclose(here, out[slice(*place)], atol=1e-6)
        assert torch.allclose(gradient, rows.grad[slice(*place)], atol=1e-6)
        assert torch.allclose(mean, norm.running_mean, atol=1e-6)
        assert torch.allclose(variance, norm.running_var, atol=1e-5)
