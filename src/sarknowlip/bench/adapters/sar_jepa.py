"""SAR-JEPA (Li et al., ISPRS Journal of Photogrammetry and Remote Sensing 218, 2024): its encoder.

A ViT of one channel without positions; where a token stands is told by relative positions alone, as
in LoMaR. They are those of iRPE (Wu et al., ICCV 2021): contextual, on keys, "product". Row and
column differences are each put into one of 7 buckets, exactly up to 1 and logarithmically beyond
(eq. 18 there, α = 1.9, β = 3.8, γ = 15.2); a learned vector for each of the 49 pairs, and one for
whatever concerns the class token, is multiplied with the query and added to scores. Heads share it.

Of a picture: the class token after the last norm, as in the authors' linear evaluation; of cells:
their tokens after it. It was trained on 8-bit amplitude pictures, 0…1, without a normalisation.

Legend of tensor names: N pictures, C channels, Y × X pixels, L tokens, F width, H heads, D width of
a head, K buckets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from sarknowlip.bench.adapters.blocks import NORM_EPS, Attention, Block, with_class
from sarknowlip.bench.adapters.colour import amplitude
from sarknowlip.bench.adapters.frozen import Frozen, Look
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.bench.adapters.weights import Tensors, depth_of, filled, read_tensors, width_of
from sarknowlip.sar.tile import TileImage

EDGE = 224
ALPHA, BETA, GAMMA = 1.9, 3.8, 15.2
REACH = int(BETA)
"""Largest bucket on either side."""
SIDE = 2 * REACH + 1
BUCKETS = SIDE**2 + 1
"""Pairs of buckets, and the one of the class token."""


def bucket(difference: int) -> int:
    """Return the bucket of a difference of rows or columns, −`REACH` … `REACH`."""
    size = abs(difference)
    if size > ALPHA:
        far = math.log(size / ALPHA) / math.log(GAMMA / ALPHA) * (BETA - ALPHA)
        size = min(round(ALPHA + far), REACH)
    return size if difference >= 0 else -size


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)
def buckets_of(side: int) -> Tensor:
    """Return the bucket of every query and key (L, L), L = 1 + side², class token first.

    It is kept for calls with gradients too, whatever the mode of the first one.
    """
    one = torch.tensor([[bucket(i - j) + REACH for j in range(side)] for i in range(side)])
    rows = one[:, None, :, None].expand(side, side, side, side)
    columns = one[None, :, None, :].expand(side, side, side, side)
    table = torch.full((1 + side**2, 1 + side**2), BUCKETS - 1)
    table[1:, 1:] = (rows * SIDE + columns).reshape(side**2, side**2)
    return table


class KeyPositions(nn.Module):
    """What relative positions add to scores."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.lookup_table_weight = nn.Parameter(torch.zeros(1, head_width, BUCKETS))

    def forward(self, q_NHLD: Tensor) -> Tensor:
        """Return (N, H, L, L); queries are not divided by √D here, unlike in scores."""
        N, H, L = q_NHLD.shape[:3]
        told_NHLK = q_NHLD @ self.lookup_table_weight
        table_LL = buckets_of(math.isqrt(L - 1)).to(q_NHLD.device)
        return told_NHLK.gather(3, table_LL.expand(N, H, L, L))


class PlacedAttention(Attention):
    """Attention with relative positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.rpe_k = KeyPositions(width // heads)

    def bias(self, q_BHLD: Tensor) -> Tensor:
        """Return what positions add to scores."""
        out: Tensor = self.rpe_k(q_BHLD)
        return out


class SarJepaNetwork(nn.Module):
    """The encoder, under the names of the published file."""

    def __init__(self, width: int, patch: int, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, patch, stride=patch)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = blocks
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    @classmethod
    def of(cls, found: Tensors, path: Path) -> SarJepaNetwork:
        """Return the network of a file.

        Raises:
            BenchError: It is of another model.
        """
        width = width_of(found, "cls_token", 2, path)
        heads = width // width_of(found, "blocks.0.attn.rpe_k.lookup_table_weight", 1, path)
        hidden = width_of(found, "blocks.0.mlp.fc1.weight", 0, path)
        depth = depth_of(found, "blocks.", path)
        blocks = (Block(width, hidden, PlacedAttention(width, heads)) for _ in range(depth))
        patch = width_of(found, "patch_embed.proj.weight", 2, path)
        return filled(cls(width, patch, nn.ModuleList(blocks)), found, path)

    def forward(self, pixels_NCYX: Tensor) -> Look:
        """Return class token and cells."""
        x_NLF = self.patch_embed["proj"](pixels_NCYX).flatten(2).transpose(1, 2)
        x_NLF = with_class(self.cls_token, x_NLF)
        for block in self.blocks:
            x_NLF = block(x_NLF)
        x_NLF = self.norm(x_NLF)
        return Look(x_NLF[:, 0], x_NLF[:, 1:])


class SarJepa(Frozen):
    """SAR-JEPA ViT-B/16.

    Args:
        sheet: What is known of it.
        network: The encoder.
        given: Names the device.
    """

    def __init__(self, sheet: Sheet, network: SarJepaNetwork, given: Given) -> None:
        super().__init__(sheet.named(given), network, given)

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a file.

        Raises:
            BenchError: It is absent, damaged, or of another model.
        """
        sheet = Sheet.read("sar-jepa")
        path = sheet.file(given)
        return cls(sheet, SarJepaNetwork.of(read_tensors(path), path), given)

    def inputs(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return amplitude, 0…1."""
        return torch.from_numpy(np.stack([amplitude(tile, EDGE) for tile in tiles]))

    def look(self, pixels_NCYX: Tensor) -> Look:
        """Return class token and cells."""
        seen: Look = self.network(pixels_NCYX)
        return seen
