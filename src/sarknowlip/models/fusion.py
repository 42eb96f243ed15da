"""Fusion encoder: words look at an image, and say whether the two belong together.

As in ALBEF (Li et al. 2021) and BLIP (Li et al. 2022), but on top of the text encoder's tokens, so
that a text is encoded once for contrast and matching. The logit comes from the mean over tokens.

Shapes: B batch, L tokens, D their width, K tokens of the image, M their width.
"""

from __future__ import annotations

from torch import Tensor, nn

from sarknowlip.models.block import Block
from sarknowlip.models.config import SarKnowLIPConfig


class FusionEncoder(nn.Module):
    """Tokens of a text and of an image to one number.

    Args:
        config: Shapes.
    """

    def __init__(self, config: SarKnowLIPConfig) -> None:
        super().__init__()
        width, depth = config.text_width, config.fusion_depth
        self.blocks = nn.ModuleList(
            Block(width, config.text_heads, depth, config.image_width) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1)

    def forward(self, x_BLD: Tensor, mask_BL: Tensor, image_BKM: Tensor) -> Tensor:
        """Return the logit (B,) that text and image belong together.

        Args:
            x_BLD: Tokens of the text encoder, after its last norm.
            mask_BL: 1 for a real token, 0 for padding; at least one real token a row.
            image_BKM: Tokens of the image encoder, after its last norm.
        """
        keep_BL = mask_BL.bool()
        fused_BLD = self.tokens(x_BLD, mask_BL, image_BKM).masked_fill(~keep_BL.unsqueeze(-1), 0.0)
        mean_BD = fused_BLD.sum(dim=1) / keep_BL.sum(dim=1, keepdim=True)
        logit_B: Tensor = self.head(mean_BD).squeeze(-1)
        return logit_B

    def tokens(self, x_BLD: Tensor, mask_BL: Tensor, image_BKM: Tensor) -> Tensor:
        """Return the text's tokens (B, L, D) that have seen the image, after the last norm.

        Arguments are those of `forward`.
        """
        keep_B11L = mask_BL.bool()[:, None, None, :]
        for block in self.blocks:
            x_BLD = block(x_BLD, keep_B11L, image_BKM)
        fused_BLD: Tensor = self.norm(x_BLD)
        return fused_BLD
