"""Symmetric contrastive loss for batches in which several tiles may have the same text.

With distinct texts it is that of CLIP (Radford et al. 2021; InfoNCE, van den Oord et al. 2018).
Captions written from evidence repeat: two tiles of open sea are told in the same words. Taking the
other tile as a negative would push apart what is right. As in supervised contrastive learning
(Khosla et al. 2020, L_out) and UniCL (Yang et al. 2022), the target of a row is uniform over all
pairs of its group. The entropy of the targets is subtracted, which changes no gradient: the loss is
the divergence KL(target ‖ softmax), 0 at the best however many texts repeat.

Shapes: B batch, D width.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def contrastive(image_BD: Tensor, text_BD: Tensor, scale: Tensor, group_B: Tensor) -> Tensor:
    """Return the mean over rows and both directions of KL(target ‖ softmax).

    Args:
        image_BD: Images, unit length.
        text_BD: Texts, unit length, row by row those of the images.
        scale: Factor on cosines, scalar, the inverse temperature.
        group_B: Equal exactly where two texts are equal.
    """
    same_BB = (group_B[:, None] == group_B[None, :]).to(image_BD.dtype)
    target_BB = same_BB / same_BB.sum(dim=1, keepdim=True)
    logits_BB = scale * image_BD @ text_BD.T
    total = logits_BB.new_zeros(())
    for rows_BB in (logits_BB, logits_BB.T):
        total = total + functional.kl_div(
            functional.log_softmax(rows_BB, dim=1),
            target_BB,
            reduction="batchmean",
        )
    return total / 2
