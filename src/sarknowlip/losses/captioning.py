"""How likely a text is, word by word, given what the decoder saw.

Shapes: B batch, L tokens, T = L − 1 tokens after the first, V vocabulary.
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
    nll_BT, told_BT = token_nll(logits_BLV, ids_BL, mask_BL, prefix_B)
    return Totals(nll_BT.sum(dim=1), told_BT.sum(dim=1))


def token_nll(
    logits_BLV: Tensor, ids_BL: Tensor, mask_BL: Tensor, prefix_B: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the negative log-likelihood of each token after the first, and which are told.

    Arguments are those of `caption_nll`.

    Returns:
        Nats (B, L − 1), 0 where a token is padding or given; and, bool (B, L − 1), where it is not.
    """
    told_BT = told_tokens(mask_BL, prefix_B)
    nll_BT = functional.cross_entropy(
        logits_BLV[:, :-1].transpose(1, 2), ids_BL[:, 1:], reduction="none"
    )
    return nll_BT.masked_fill(~told_BT, 0.0), told_BT


def told_tokens(mask_BL: Tensor, prefix_B: Tensor | None = None) -> Tensor:
    """Return whether each token but the first is told, bool (B, L − 1).

    Args:
        mask_BL: As in `caption_nll`.
        prefix_B: As there.
    """
    told_BT = mask_BL[:, 1:].bool()
    if prefix_B is None:
        return told_BT
    place_T = torch.arange(1, mask_BL.shape[1], device=mask_BL.device)
    return told_BT & (place_T[None, :] >= prefix_B[:, None])
