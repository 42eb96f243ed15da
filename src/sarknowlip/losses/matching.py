"""Image–text matching with hard negatives (ALBEF, Li et al. 2021).

A fusion encoder that reads image and text together is asked whether they belong together. Negatives
that are easy teach it nothing: each image is paired with a text that the encoders find similar to
it, each text with such an image, drawn in proportion to exp(logit). Logits are given by the caller:
`train.objectives.matching` takes scaled cosines times `hardness`, computed for this draw alone.

Negatives come from the batch of the own process, as in ALBEF: those of others would need their
tokens, which are hundreds of times as large as embeddings. Parts of the batch (`pools`) make the
draw independent of how a batch is spread over processes: see `hard_negatives`.

Shapes: B batch, P pairs of a pool, R rows that are matched.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from sarknowlip.losses.across import Totals


def hard_negatives(
    similarity_PP: Tensor, group_P: Tensor, drawn_2P: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a text for each image and an image for each text that do not belong to them.

    Args:
        similarity_PP: Logits of images (rows) and texts (columns), of any scale.
        group_P: Equal exactly where two texts are equal.
        drawn_2P: Uniform random numbers in [0, 1): the draw follows from them alone.

    Returns:
        Two int64 (P,): index of a text of another group for each image, drawn ∝ exp(similarity),
        and the same of an image for each text. Where there is no other group: the own index.
    """
    other_PP = group_P[:, None] != group_P[None, :]
    similarity_PP = similarity_PP.detach().float()
    return (
        _drawn(similarity_PP, other_PP, drawn_2P[0]),
        _drawn(similarity_PP.T, other_PP, drawn_2P[1]),
    )


def pooled_negatives(
    logits: Callable[[slice], Tensor], group_B: Tensor, drawn_2B: Tensor, pool: int
) -> tuple[Tensor, Tensor]:
    """Return hard negatives found within neighbouring pairs of the batch.

    If the batch of each process is a multiple of `pool`, N processes find the same negatives as one
    process with their joint batch. It also bounds the cost of the draw.

    Args:
        logits: Gives the logits (P, P) of a slice of the batch.
        group_B: Equal exactly where two texts are equal.
        drawn_2B: Uniform random numbers in [0, 1).
        pool: Pairs among which negatives are found; the last pool may be smaller.

    Returns:
        As `hard_negatives`, indices into the batch.
    """
    texts, images = [], []
    with torch.no_grad():
        for start in range(0, group_B.shape[0], pool):
            part = slice(start, start + pool)
            text_P, image_P = hard_negatives(logits(part), group_B[part], drawn_2B[:, part])
            texts.append(text_P + start)
            images.append(image_P + start)
    return torch.cat(texts), torch.cat(images)


def matching(logits_R: Tensor, labels_R: Tensor) -> Totals:
    """Return the binary cross-entropy of each row.

    Args:
        logits_R: Logits that image and text belong together.
        labels_R: 1 where they do, 0 where not.
    """
    loss_R = functional.binary_cross_entropy_with_logits(
        logits_R, labels_R.to(logits_R.dtype), reduction="none"
    )
    return Totals(loss_R, torch.ones_like(loss_R))


def _drawn(similarity_PP: Tensor, allowed_PP: Tensor, drawn_P: Tensor) -> Tensor:
    """Return a column for each row, by inversion of the cumulative distribution."""
    own_P = torch.arange(len(drawn_P), device=drawn_P.device)
    none_P = ~allowed_PP.any(dim=1)
    allowed_PP = allowed_PP | (none_P[:, None] & (own_P[:, None] == own_P[None, :]))
    chance_PP = similarity_PP.masked_fill(~allowed_PP, -torch.inf).double().softmax(dim=1)
    sums_PP = chance_PP.cumsum(dim=1)
    reach_P1 = drawn_P.double().unsqueeze(1) * sums_PP[:, -1:]
    # the first column whose sum is beyond: never one of chance 0
    return (sums_PP <= reach_P1).sum(dim=1)
