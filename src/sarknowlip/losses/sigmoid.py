"""Pairwise sigmoid loss (SigLIP, Zhai et al. 2023) with memory linear in the batch.

Each pair of an image and a text is a question of its own: do they belong together? All pairs of a
group do. The loss is −Σ log σ(± (scale · cosine + bias)) over all pairs, divided by the number of
images: + for pairs of a group, − for others.

Logits exist for `chunk` images at a time and serve value and gradient at once. What is kept for the
backward pass are the gradients, as large as the embeddings. (Chunks under plain autograd would keep
all B × G logits; computing them a second time there takes longer.)

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
        image_grads, text_grad_GD = [], torch.zeros_like(text_GD)
        total, scale_grad, bias_grad = (torch.zeros_like(x) for x in (scale, scale, bias))
        for image_KD, group_K in _split(chunk, image_BD, group_B):
            scaled_KD = image_KD * scale
            same_KG = group_K[:, None] == group_G[None, :]
            wrong_KG = _turned(torch.addmm(bias, scaled_KD, text_GD.T), same_KG)
            total += functional.softplus(wrong_KG).sum()
            slope_KG = _turned(wrong_KG.sigmoid_(), same_KG)
            toward_KD = slope_KG @ text_GD
            image_grads.append(toward_KD * scale)
            text_grad_GD.addmm_(slope_KG.T, scaled_KD)
            scale_grad += (toward_KD * image_KD).sum()
            bias_grad += slope_KG.sum()
        ctx.save_for_backward(torch.cat(image_grads), text_grad_GD, scale_grad, bias_grad)
        ctx.count = image_BD.shape[0]
        loss: Tensor = total / ctx.count
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        factor = grads[0] / ctx.count
        return None, *(grad * factor for grad in ctx.saved_tensors), None, None


def _value(chunk: int, *tensors: Tensor | None) -> Tensor:
    """Return the loss without gradient."""
    image_BD, text_GD, scale, bias, group_B, group_G = _unpack(*tensors)
    total = torch.zeros_like(scale)
    for image_KD, group_K in _split(chunk, image_BD, group_B):
        same_KG = group_K[:, None] == group_G[None, :]
        logits_KG = torch.addmm(bias, image_KD * scale, text_GD.T)
        total += functional.softplus(_turned(logits_KG, same_KG)).sum()
    return total / image_BD.shape[0]


def _unpack(*tensors: Any) -> tuple[Tensor, ...]:
    """Return the tensors; the last one, groups of all processes, may be those of this process."""
    *first, group_B, group_G = tensors
    return *first, group_B, group_B if group_G is None else group_G


def _split(chunk: int, image_BD: Tensor, group_B: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(image_BD, chunk), torch.split(group_B, chunk), strict=True)


def _turned(values_KG: Tensor, same_KG: Tensor) -> Tensor:
    """Return values with the sign turned for pairs that belong together."""
    return torch.where(same_KG, -values_KG, values_KG)


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
    compute = _PairwiseSigmoid.apply if torch.is_grad_enabled() else _value
    loss: Tensor = compute(
        chunk or CHUNK,
        image_BD,
        gather(text_BD, across),
        scale,
        bias,
        group_B,
        None if across is None else gather(group_B, across),  # no argument may be given twice
    )
    return loss
