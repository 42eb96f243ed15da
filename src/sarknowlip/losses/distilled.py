"""Self-distillation: views of an image that a student sees are told what a teacher made of others.

DINO (Caron et al., "Emerging properties in self-supervised vision transformers", ICCV 2021): both
give a distribution over the same outputs, which stand for nothing given; the loss is the
cross-entropy of the student's under the teacher's, for all pairs of different views. The first
views are those that the teacher sees too.

Shapes: B batch, V views of the student, W views of the teacher, K outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sarknowlip.losses.across import Totals


def centred(logits: Tensor, centre_K: Tensor, temperature: float) -> Tensor:
    """Return a teacher's distributions (…, K), without gradient.

    Less their mean, no output can take all images; a temperature below the student's keeps them
    from being all the same. Either alone ends in what the other prevents.

    Args:
        logits: The teacher's (…, K).
        centre_K: Their mean over batches.
        temperature: What differences are divided by.
    """
    return ((logits - centre_K) / temperature).softmax(dim=-1).detach()


def distilled(logits_BVK: Tensor, target_BWK: Tensor) -> Totals:
    """Return the cross-entropy of each sample over pairs of different views, and their number.

    Args:
        logits_BVK: The student's, divided by its temperature.
        target_BWK: The teacher's distributions of the first W ≤ V views; W = V = 1 has no pair.
    """
    V, W = logits_BVK.shape[1], target_BWK.shape[1]
    log_BVK = logits_BVK.log_softmax(dim=-1)
    # no matrix product: autocast would sum it in bfloat16
    cross_BWV = -(target_BWK[:, :, None] * log_BVK[:, None]).sum(dim=-1)
    same_BW = cross_BWV.diagonal(dim1=1, dim2=2)
    total_B = cross_BWV.sum(dim=(1, 2)) - same_BW.sum(dim=1)
    return Totals(total_B, torch.full_like(total_B, V * W - W, dtype=torch.int64))


def entropy(chance: Tensor) -> Tensor:
    """Return the entropy (…) of distributions (…, K), nats."""
    return -(chance * chance.clamp_min(torch.finfo(chance.dtype).tiny).log()).sum(dim=-1)
