"""Light image decoder: what masked patches hold, from the tokens of those that were seen.

As in MAE (He et al. 2022): seen tokens are put to their places, the others get one learned mask
token, positions are added and a few narrow transformer blocks follow, which may look at a text;
without one they look at one learned token. Each channel then reads the common tokens through the
factor and shift of its polarisation and band.

Shapes: B batch, C channels, L patches of the image, K patches seen, D width, F numbers a patch, T
tokens of a text, M their width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sarknowlip.models.block import Block
from sarknowlip.models.channels import ABSENT
from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.vit import ChannelScale, sine_positions


class PixelDecoder(nn.Module):
    """Tokens of seen patches to numbers for all patches and channels.

    Args:
        config: Shapes.
    """

    position_LD: Tensor  # noqa: N815

    def __init__(self, config: SarKnowLIPConfig) -> None:
        super().__init__()
        width, side = config.pixel_width, config.image_px // config.patch_px
        features = config.pixel_features or config.patch_px**2
        self.side = side
        self.enter = nn.Linear(config.image_width, width)
        self.mask = nn.Embedding(1, width)
        self.no_text = nn.Embedding(1, config.text_width)
        self.blocks = nn.ModuleList(
            Block(width, config.image_heads, config.pixel_depth, config.text_width)
            for _ in range(config.pixel_depth)
        )
        self.norm = nn.LayerNorm(width)
        self.channel = ChannelScale(width)
        self.out = nn.Linear(width, features)
        self.register_buffer("position_LD", sine_positions(side, width), persistent=False)

    def forward(
        self,
        image_BKD: Tensor,
        keep_BK: Tensor | None,
        ids_BC: Tensor,
        text_BTM: Tensor | None = None,
        mask_BT: Tensor | None = None,
    ) -> Tensor:
        """Return predictions (B, C, L, F); zeros for absent channels.

        Args:
            image_BKD: Tokens of the image encoder.
            keep_BK: Their places, rows-first index of patches; None for all in order.
            ids_BC: Identifiers of channels, 0 where absent.
            text_BTM: Tokens of the text encoder; None for no text.
            mask_BT: 1 for a real token of the text, 0 for padding; None if all are real.
        """
        x_BLD = self.enter(image_BKD)
        if keep_BK is not None:
            B, K, D = x_BLD.shape
            mask_BLD = self.mask.weight.to(x_BLD.dtype).expand(B, self.side**2, D)
            x_BLD = mask_BLD.scatter(1, keep_BK[:, :, None].expand(B, K, D), x_BLD)
        x_BLD = x_BLD + self.position_LD
        if text_BTM is None:
            text_BTM, mask_BT = self.no_text.weight.expand(x_BLD.shape[0], 1, -1), None
        keep_B11T = None if mask_BT is None else mask_BT.bool()[:, None, None, :]
        for block in self.blocks:
            x_BLD = block(x_BLD, None, text_BTM, keep_B11T)
        told_BCLD = functional.gelu(self.channel(self.norm(x_BLD).unsqueeze(1), ids_BC))
        out_BCLF: Tensor = self.out(told_BCLD)
        return torch.where((ids_BC == ABSENT)[:, :, None, None], 0.0, out_BCLF)
