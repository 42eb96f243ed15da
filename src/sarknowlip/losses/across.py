"""Batches that are spread over processes: gathers and means that carry gradients.

Data parallelism takes the mean of the processes' gradients. What is computed here is scaled for
that: if every process calls the same functions in the same order and all hold equally many rows,
the mean over processes of values and of gradients are those of one process with the joint batch,
rows in the order of ranks.

`across` is the group of processes, None for this process alone.

Shapes: B rows of this process, G rows of all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed
from torch.autograd import Function
from torch.distributed import ProcessGroup

# torch 2.13 renamed them; both spellings are known to torch.compile
_all_gather = getattr(distributed, "all_gather_single", None) or distributed.all_gather_into_tensor
_reduce_scatter = (
    getattr(distributed, "reduce_scatter_single", None) or distributed.reduce_scatter_tensor
)


class _Gather(Function):
    """All processes' rows; the gradient of a row is the sum of those in all processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, across: ProcessGroup) -> Tensor:
        ctx.across = across
        shape = (distributed.get_world_size(across) * rows.shape[0], *rows.shape[1:])
        joint = rows.new_empty(shape)
        _all_gather(joint, rows.contiguous(), group=across)
        return joint

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        (grad,) = grads
        count = grad.shape[0] // distributed.get_world_size(ctx.across)
        own: Tensor = grad.new_empty((count, *grad.shape[1:]))
        _reduce_scatter(own, grad.contiguous(), group=ctx.across)
        return own, None


def gather(rows: Tensor, across: ProcessGroup | None) -> Tensor:
    """Return the rows (G, …) of all processes in the order of ranks, with gradient.

    Args:
        rows: Rows (B, …) of this process; B is the same in all processes.
        across: Processes.
    """
    if across is None:
        return rows
    joint: Tensor = _Gather.apply(rows, across)  # type: ignore[no-untyped-call]
    return joint


class Totals(NamedTuple):
    """A loss as sums over each sample's elements, so that means weigh all elements the same.

    Attributes:
        total_B: Sum of the loss over a sample's elements (words, numbers), with gradient.
        count_B: How many elements these are, without gradient; may be 0.
    """

    total_B: Tensor  # noqa: N815
    count_B: Tensor  # noqa: N815

    def mean(self, across: ProcessGroup | None = None) -> Tensor:
        """Return the mean over all elements of all samples, a scalar; 0 without any element.

        Over several processes the mean of what they return is the mean over all their elements.
        """
        count = self.count_B.sum().to(self.total_B.dtype)
        if across is not None:
            count = count.detach().clone()
            distributed.all_reduce(count, group=across)
            count = count / distributed.get_world_size(across)
        return self.total_B.sum() / torch.where(count > 0, count, 1.0)
