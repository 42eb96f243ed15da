"""SARATR-X (Li et al., IEEE Transactions on Image Processing 34, 2025): its HiViT-B encoder.

HiViT (Zhang et al., ICLR 2023) looks at units of 4 × 4 pixels first, sixteen in a cell of 16 × 16.
MLPs without attention refine them; twice, two by two neighbours within a cell are merged and the
width doubles. Then each cell is one token, gets an absolute position and goes through ordinary
blocks. SARATR-X has no relative positions.

Of a picture: the mean of its cells, to mean 0 and variance 1, as in the authors' linear evaluation
(whose norm starts without weights); of cells: their tokens as they leave the last block. It was
trained on 8-bit amplitude pictures, 0…1, the same in three channels, without a normalisation.

Legend of tensor names: N pictures, C channels, Y × X pixels, L = G × G cells, U × U units of a
cell, F width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sarknowlip.bench.adapters.blocks import HEAD_WIDTH, NORM_EPS, Attention, Block, Mlp
from sarknowlip.bench.adapters.colour import amplitude
from sarknowlip.bench.adapters.frozen import Frozen, Look
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.bench.adapters.weights import (
    AGAIN,
    Tensors,
    depth_of,
    filled,
    read_tensors,
    width_of,
)
from sarknowlip.bench.metrics import BenchError
from sarknowlip.sar.tile import TileImage

UNITS = 4
"""Units along the edge of a cell."""


class UnitBlock(nn.Module):
    """An MLP after a norm and beside a shortcut."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, hidden)

    def forward(self, x_NLUUF: Tensor) -> Tensor:
        """Return units of the same shape."""
        out: Tensor = x_NLUUF + self.mlp(self.norm2(x_NLUUF))
        return out


class Merge(nn.Module):
    """Two by two units become one, twice as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width, eps=NORM_EPS)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x_NLUUF: Tensor) -> Tensor:
        """Return half as many units along each edge."""
        corners = [x_NLUUF[..., row::2, column::2, :] for column in (0, 1) for row in (0, 1)]
        out: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return out


class HiViT(nn.Module):
    """The encoder, under the names of the published file."""

    def __init__(self, unit: int, units: int, position_1LF: Tensor, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict(
            {
                "proj": nn.Conv2d(3, units, unit, stride=unit),
                "norm": nn.LayerNorm(units, eps=NORM_EPS),
            }
        )
        self.absolute_pos_embed = nn.Parameter(position_1LF)
        self.blocks = blocks

    @classmethod
    def of(cls, found: Tensors, path: Path) -> HiViT:
        """Return the network of a file.

        Raises:
            BenchError: It is of another model.
        """
        if any("relative_position_bias_table" in name for name in found):
            raise BenchError(f"{path} has relative positions, SARATR-X has none", AGAIN)
        blocks: list[nn.Module] = []
        for number in range(depth_of(found, "blocks.", path)):
            at = f"blocks.{number}."
            if f"{at}reduction.weight" in found:
                blocks.append(Merge(width_of(found, f"{at}reduction.weight", 1, path) // 4))
                continue
            hidden = width_of(found, f"{at}mlp.fc1.weight", 0, path)
            width = width_of(found, f"{at}mlp.fc1.weight", 1, path)
            if f"{at}attn.qkv.weight" in found:
                heads = max(1, width // HEAD_WIDTH)
                blocks.append(Block(width, hidden, Attention(width, heads)))
            else:
                blocks.append(UnitBlock(width, hidden))
        width_of(found, "absolute_pos_embed", 2, path)
        network = cls(
            width_of(found, "patch_embed.proj.weight", 2, path),
            width_of(found, "patch_embed.proj.weight", 0, path),
            torch.zeros_like(found["absolute_pos_embed"]),
            nn.ModuleList(blocks),
        )
        return filled(network, found, path)

    @property
    def edge(self) -> int:
        """Rows and columns of pictures."""
        proj = self.patch_embed["proj"]
        assert isinstance(proj, nn.Conv2d)
        return math.isqrt(self.absolute_pos_embed.shape[1]) * UNITS * proj.stride[0]

    def forward(self, pixels_NCYX: Tensor) -> Look:
        """Return the pooled picture and its cells."""
        seen = self.patch_embed["proj"](pixels_NCYX)
        N, F, across = seen.shape[0], seen.shape[1], seen.shape[2] // UNITS
        seen = seen.reshape(N, F, across, UNITS, across, UNITS).permute(0, 2, 4, 3, 5, 1)
        x = self.patch_embed["norm"](seen.reshape(N, across**2, UNITS, UNITS, F))
        placed = False
        for block in self.blocks:
            if isinstance(block, Block) and not placed:
                x, placed = x[:, :, 0, 0] + self.absolute_pos_embed, True
            x = block(x)
        mean_NF = x.mean(dim=1)
        return Look(functional.layer_norm(mean_NF, mean_NF.shape[-1:], eps=NORM_EPS), x)


class SaratrX(Frozen):
    """SARATR-X.

    Args:
        sheet: What is known of it.
        network: The encoder.
        given: Names the device.
    """

    def __init__(self, sheet: Sheet, network: HiViT, given: Given) -> None:
        super().__init__(sheet.named(given), network, given)
        self.edge = network.edge

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a file.

        Raises:
            BenchError: It is absent, damaged, or of another model.
        """
        sheet = Sheet.read("saratr-x")
        path = sheet.file(given)
        return cls(sheet, HiViT.of(read_tensors(path), path), given)

    def inputs(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return amplitude, 0…1, three times."""
        grey = np.stack([amplitude(tile, self.edge) for tile in tiles])
        return torch.from_numpy(grey).expand(-1, 3, -1, -1)

    def look(self, pixels_NCYX: Tensor) -> Look:
        """Return the pooled picture and its cells."""
        seen: Look = self.network(pixels_NCYX)
        return seen
