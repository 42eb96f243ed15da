"""Pairwise sigmoid loss (SigLIP, Zhai et al. 2023) with memory linear in the batch.

Each pair of an image and a text is a question of its own: do they belong together? All pairs of a
group do. The loss is −Σ log σ(± (scale · cosine + bias)) over all pairs, divided by the number of
images: + for pairs of a group, − for others.

For the backward pass the embeddings, scale, bias and groups are kept; logits are computed again,
`chunk` images at a time. (Chunks under plain autograd would keep all B × G logits.)

Over several processes each compares its own images with the texts of all.

Shapes: B batch of this process, G batch of all processes, K images of a chunk, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.distributed import ProcessGroup
from torch.nn import functional

from sarknowlip.losses.across import gather

CHUNK = 512
"""Images compared at a time: enough to keep a processor busy."""


class _PairwiseSigmoid(Function):
    @staticmethod
    def forward(ctx: Any, chunk: int, *tensors: Tensor | None) -> Tensor:
        image_BD, text_GD, scale, bias, group_B, group_G = _unpack(*tensors)
        ctx.save_for_backward(*tensors)
        ctx.chunk = chunk
        total = image_BD.new_zeros(())
        for image_KD, group_K in _split(chunk, image_BD, group_B):
            logits_KG = torch.addmm(bias, image_KD * scale, text_GD.T)
            total += functional.softplus(_signed(logits_KG, group_K, group_G)).sum()
        return total / image_BD.shape[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        image_BD, text_GD, scale, bias, group_B, group_G = _unpack(*ctx.saved_tensors)
        factor = grads[0] / image_BD.shape[0]
        image_grads, text_grad_GD = [], torch.zeros_like(text_GD)
        scale_grad, bias_grad = torch.zeros_like(scale), torch.zeros_like(bias)
        for image_KD, group_K in _split(ctx.chunk, image_BD, group_B):
            logits_KG = torch.addmm(bias, image_KD * scale, text_GD.T)
            slope_KG = _signed(_signed(logits_KG, group_K, group_G).sigmoid_(), group_K, group_G)
            slope_KG *= factor
            toward_KD = slope_KG @ text_GD
            image_grads.append(toward_KD * scale)
            text_grad_GD.addmm_(slope_KG.T, image_KD * scale)
            scale_grad += (toward_KD * image_KD).sum()
            bias_grad += slope_KG.sum()
        return None, torch.cat(image_grads), text_grad_GD, scale_grad, bias_grad, None, None


def _unpack(*tensors: Any) -> tuple[Tensor, ...]:
    """Return the tensors; the last one, groups of all processes, may be those of this process."""
    *first, group_B, group_G = tensors
    return *first, group_B, group_B if group_G is None else group_G


def _split(chunk: int, image_BD: Tensor, group_B: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(image_BD, chunk), torch.split(group_B, chunk), strict=True)


def _signed(values_KG: Tensor, group_K: Tensor, group_G: Tensor) -> Tensor:
    """Return values with the sign turned for pairs that belong together, in place."""
    same_KG = group_K[:, None] == group_G[None, :]
    return values_KG.mul_(1 - 2 * same_KG.to(values_KG.dtype))


def sigmoid(
    image_BD: Tensor,
    text_BD: Tensor,
    scale: Tensor,
    group_B: Tensor,
    *,
    bias: Tensor | None = None,
    chunk: int | None = None,
    across: ProcessGroup | None = None,
) -> Tensor:
    """Return −Σ log σ(± (scale · cosine + bias)) / B, a scalar; 0 at the best.

    Args:
        image_BD: Images, unit length.
        text_BD: Texts, unit length, row by row those of the images.
        scale: Factor on cosines, scalar.
        group_B: Equal exactly where two texts are equal, in all processes.
        bias: Added to all logits, scalar, learned: most pairs do not belong together; None for 0.
        chunk: Images compared at a time; None for `CHUNK`. The result does not depend on it.
        across: Processes whose batches make one.
    """
    if bias is None:
        bias = torch.zeros_like(scale)
    loss: Tensor = _PairwiseSigmoid.apply(  # type: ignore[no-untyped-call]
        chunk or CHUNK,
        image_BD,
        gather(text_BD, across),
        scale,
        bias,
        group_B,
        None if across is None else gather(group_B, across),  # no argument may be given twice
    )
    return loss
