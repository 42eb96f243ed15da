"""Rung 4: batch normalisation over the batches of all processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing, nn

from sarknowlip.models.norm import JointBatchNorm

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


def work(rank: int, folder: str) -> None:
    """Pass this process' rows; leave output, gradient and statistics in a file."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=len(ROWS)
    )
    rows, weight = (part[slice(*ROWS[rank])].clone() for part in draw())
    norm = JointBatchNorm(6)
    out = norm(rows.requires_grad_())
    (out * weight).sum().backward()
    torch.save(
        (out.detach(), rows.grad, norm.running_mean, norm.running_var), f"{folder}/{rank}.pt"
    )
    distributed.destroy_process_group()


def test_two_processes_are_one_with_the_joint_batch(tmp_path: Path) -> None:
    multiprocessing.spawn(work, (str(tmp_path),), nprocs=len(ROWS))
    rows, weight = draw()
    norm = JointBatchNorm(6)
    out = norm(rows.requires_grad_())
    (out * weight).sum().backward()
    for rank, place in enumerate(ROWS):
        here, gradient, mean, variance = torch.load(tmp_path / f"{rank}.pt")
        assert torch.allclose(here, out[slice(*place)], atol=1e-6)
        assert torch.allclose(gradient, rows.grad[slice(*place)], atol=1e-6)
        assert torch.allclose(mean, norm.running_mean, atol=1e-6)
        assert torch.allclose(variance, norm.running_var, atol=1e-5)
