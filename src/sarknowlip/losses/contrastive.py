"""Symmetric contrastive loss for batches in which several tiles may have the same text.

With distinct texts it is that of CLIP (Radford et al. 2021; InfoNCE, van den Oord et al. 2018).
Captions written from evidence repeat: two tiles of open sea are told in the same words. Taking the
other tile as a negative would push apart what is right. As in supervised contrastive learning
(Khosla et al. 2020, L_out) and UniCL (Yang et al. 2022), the target of a row is uniform over all
pairs of its group. The entropy of the targets is subtracted, which changes no gradient: the loss is
the divergence KL(target ‖ softmax), 0 at the best however many texts repeat.

Over several processes each compares its own rows with all others' (as open_clip's "local loss").

Shapes: B batch of this process, G batch of all processes, D width.
"""

from __future__ import annotations

from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn import functional

from sarknowlip.losses.across import gather
from sarknowlip.losses.chunks import by_chunks


def contrastive(
    image_BD: Tensor,
    text_BD: Tensor,
    scale: Tensor,
    group_B: Tensor,
    *,
    bias: Tensor | None = None,
    chunk: int | None = None,
    across: ProcessGroup | None = None,
) -> Tensor:
    """Return the mean over rows and both directions of KL(target ‖ softmax).

    Args:
        image_BD: Images, unit length.
        text_BD: Texts, unit length, row by row those of the images.
        scale: Factor on cosines, scalar, the inverse temperature.
        group_B: Equal exactly where two texts are equal, in all processes.
        bias: Not used: a softmax does not change when all logits do.
        chunk: Rows compared at a time and compared again in the backward pass; None for all.
        across: Processes whose batches make one.
    """
    del bias
    if chunk is None and across is None:  # one product serves both directions
        logits_BB = scale * image_BD @ text_BD.T
        target_BB = _targets(group_B, group_B, image_BD)
        rows_B = (_divergence(logits_BB, target_BB) + _divergence(logits_BB.T, target_BB)) / 2
        return rows_B.mean()
    image_GD, text_GD, group_G = (gather(rows, across) for rows in (image_BD, text_BD, group_B))

    def compare(image_BD: Tensor, text_BD: Tensor, group_B: Tensor) -> tuple[Tensor]:
        target_BG = _targets(group_B, group_G, image_BD)
        to_text_B = _divergence(scale * image_BD @ text_GD.T, target_BG)
        to_image_B = _divergence(scale * text_BD @ image_GD.T, target_BG)
        return ((to_text_B + to_image_B) / 2,)

    return by_chunks(compare, chunk, image_BD, text_BD, group_B)[0].mean()


def _targets(group_B: Tensor, group_G: Tensor, like: Tensor) -> Tensor:
    """Return distributions (B, G), uniform over equal texts."""
    same_BG = (group_B[:, None] == group_G[None, :]).to(like.dtype)
    return same_BG / same_BG.sum(dim=1, keepdim=True)


def _divergence(logits_BG: Tensor, target_BG: Tensor) -> Tensor:
    """Return KL(target ‖ softmax) of each row."""
    logs_BG = functional.log_softmax(logits_BG, dim=1)
    return functional.kl_div(logs_BG, target_BG, reduction="none").sum(dim=1)
