"""How likely a text is, word by word, given what the decoder saw.

Shapes: B batch, L tokens, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sarknowlip.losses.across import Totals


def caption_nll(
    logits_BLV: Tensor, ids_BL: Tensor, mask_BL: Tensor, prefix_B: Tensor | None = None
) -> Totals:
    """Return the negative log-likelihood of each text, summed over its tokens, and their number.

    The loss of a batch is `.mean()`, over tokens. The first token of a text is given, not told.

    Args:
        logits_BLV: Logits of a causal decoder that read the same ids: those at l are of token l+1.
        ids_BL: Token ids, with marks of begin and end.
        mask_BL: 1 for a real token, 0 for padding.
        prefix_B: First tokens that are given, such as a question; 1 or None for the mark of begin.

    Returns:
        Nats, and tokens counted.
    """
    told_BL = mask_BL[:, 1:].bool()
    if prefix_B is not None:
        place_L = torch.arange(1, ids_BL.shape[1], device=ids_BL.device)
        told_BL = told_BL & (place_L[None, :] >= prefix_B[:, None])
    nll_BL = functional.cross_entropy(
        logits_BLV[:, :-1].transpose(1, 2), ids_BL[:, 1:], reduction="none"
    )
    return Totals(nll_BL.masked_fill(~told_BL, 0.0).sum(dim=1), told_BL.sum(dim=1))
