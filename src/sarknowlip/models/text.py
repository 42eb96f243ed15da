"""Text encoder: a small bidirectional transformer.

Shapes: B batch, L tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sarknowlip.models.block import Block, Positions
from sarknowlip.models.config import SarKnowLIPConfig


class TextEncoder(nn.Module):
    """Token ids to tokens.

    Args:
        config: Shapes.

    Attributes:
        tokens: Table of token embeddings (vocabulary, D).
    """

    def __init__(self, config: SarKnowLIPConfig) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.text_width)
        self.positions = Positions(config.text_tokens, config.text_width)
        self.blocks = nn.ModuleList(
            Block(config.text_width, config.text_heads, config.text_depth)
            for _ in range(config.text_depth)
        )
        self.norm = nn.LayerNorm(config.text_width)

    def forward(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Return tokens (B, L, D) after the last norm.

        Args:
            ids_BL: Token ids, L at most `text_tokens`.
            mask_BL: 1 for a real token, 0 for padding; at least one real token a row.
        """
        keep_BL = mask_BL.bool()
        x_BLD = self.tokens(ids_BL) + self.positions(
            torch.arange(ids_BL.shape[1], device=ids_BL.device)
        )
        for block in self.blocks:
            x_BLD = block(x_BLD, keep_BL[:, None, None, :])
        normed_BLD: Tensor = self.norm(x_BLD)
        return normed_BLD


def masked_mean(x_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Return the mean (B, D) over real tokens.

    Args:
        x_BLD: Tokens.
        mask_BL: 1 for a real token, 0 for padding; at least one real token a row.
    """
    keep_BL1 = mask_BL.bool().unsqueeze(-1)
    return x_BLD.masked_fill(~keep_BL1, 0.0).sum(dim=1) / keep_BL1.sum(dim=1)
