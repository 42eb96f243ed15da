"""Which patches of an image are hidden: random ones, as in MAE (He et al. 2022).

Shapes: B batch, L patches of an image, K patches kept.
"""

from __future__ import annotations

import torch
from torch import Tensor


def kept(count: int, share: float) -> int:
    """Return how many of `count` patches are kept if a share of them is hidden, at least 1."""
    return max(1, count - round(share * count))


def random_keep(noise_BL: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Hide the patches with the largest noise.

    Args:
        noise_BL: Independent uniform random numbers.
        share: Share of patches to hide, 0…1; at least one is kept.

    Returns:
        Patches kept, ascending, int64 (B, K), and which are hidden, bool (B, L).
    """
    count = kept(noise_BL.shape[1], share)
    keep_BK = noise_BL.argsort(dim=1)[:, :count].sort(dim=1).values
    masked_BL = torch.ones_like(noise_BL, dtype=torch.bool).scatter(1, keep_BK, False)
    return keep_BK, masked_BL
