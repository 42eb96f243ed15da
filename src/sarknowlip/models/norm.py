"""Batch normalisation without weights, over the batches of all processes.

`torch.nn.SyncBatchNorm` does the same on GPUs only. With it, N processes train as one process with
their joint batch would. Gradients flow through the sums: each process gets the gradient of the sum
of all processes' losses, of which data parallelism takes the mean.

Shapes: B batch, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


class _JointSum(torch.autograd.Function):
    """Sum over all processes; its gradient is the sum of all processes' gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return the sum, the same in all processes."""
        del ctx
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Return the sum of gradients."""
        del ctx
        return _summed(grad)


def _summed(x: Tensor) -> Tensor:
    total = x.clone()
    distributed.all_reduce(total)
    return total


def _joint_sum(x: Tensor) -> Tensor:
    total: Tensor = _JointSum.apply(x)  # type: ignore[no-untyped-call]
    return total


class JointBatchNorm(nn.Module):
    """Subtracts the mean and divides by the standard deviation of each feature.

    In evaluation running statistics are used, so that a row does not depend on its batch. It
    computes in float32.

    Args:
        width: Features D.
        momentum: Share of a batch in the running statistics.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, 1e-5
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x_BD: Tensor) -> Tensor:
        """Return rows of the same shape and type.

        Raises:
            ValueError: In training, a single row in all processes: it has no spread.
        """
        if not self.training:
            factor_D = (self.running_var.float() + self.eps).rsqrt()
            return ((x_BD.float() - self.running_mean) * factor_D).to(x_BD.dtype)
        return self._joint(x_BD.float()).to(x_BD.dtype)

    def _joint(self, x_BD: Tensor) -> Tensor:
        joint = distributed.is_available() and distributed.is_initialized()
        joint = joint and distributed.get_world_size() > 1
        if not joint and len(x_BD) < 2:
            raise ValueError("batch normalisation needs at least two rows in training")
        count = x_BD.new_full((), float(len(x_BD)))
        sum_D = x_BD.sum(dim=0)
        if joint:
            distributed.all_reduce(count)
            sum_D = _joint_sum(sum_D)
        centred_BD = x_BD - sum_D / count
        square_D = centred_BD.square().sum(dim=0)
        if joint:
            square_D = _joint_sum(square_D)
        with torch.no_grad():
            self.running_mean.lerp_(sum_D / count, self.momentum)
            self.running_var.lerp_(square_D / (count - 1), self.momentum)
        return centred_BD * (square_D / count + self.eps).rsqrt()
