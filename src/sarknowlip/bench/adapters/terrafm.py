"""TerraFM (Danish et al., arXiv:2506.06281): its encoder with the patch embedding of Sentinel-1.

Each sensor has its own first map, three times as wide as the ViT, and its own learned offset; a
common projection brings both down to the width of the ViT. Fusion of sensors is a matter of
training only. Of a picture: the class token after the last norm; of cells: their tokens after it.

It was trained on VV and VH of Sentinel-1, terrain-corrected (Major TOM Core-S1RTC). How values were
normalised is not published; normalised decibels are given, as usual with such data.

Legend of tensor names: N pictures, C channels, Y × X pixels, L = G × G cells, F width, V = 3 F.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from sarknowlip.bench.adapters.blocks import NORM_EPS, plain_blocks, with_class
from sarknowlip.bench.adapters.colour import pair
from sarknowlip.bench.adapters.frozen import Frozen, Look
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.bench.adapters.weights import Tensors, depth_of, filled, read_tensors, width_of
from sarknowlip.sar.tile import TileImage


class TokenProjection(nn.Module):
    """Maps wide tokens of any sensor to the width of the ViT."""

    def __init__(self, wide: int, width: int) -> None:
        super().__init__()
        self.proj1 = nn.Linear(wide, wide, bias=False)
        self.norm_input = nn.LayerNorm(wide)
        self.proj2 = nn.Linear(wide, wide)
        self.proj3 = nn.Linear(wide, width)

    def forward(self, x_NLV: Tensor) -> Tensor:
        """Return tokens (N, L, F)."""
        out: Tensor = self.proj3(self.proj2(self.norm_input(self.proj1(x_NLV))))
        return out


class RadarPatches(nn.Module):
    """Patch embedding of two radar channels."""

    def __init__(self, patch: int, wide: int, width: int) -> None:
        super().__init__()
        self.conv2d_s1 = nn.Conv2d(2, wide, patch, stride=patch)
        self.s1_embed = nn.Parameter(torch.zeros(1, wide))
        self.projection = TokenProjection(wide, width)

    def forward(self, pixels_NCYX: Tensor) -> Tensor:
        """Return tokens (N, L, F)."""
        x_NLV = self.conv2d_s1(pixels_NCYX).flatten(2).transpose(1, 2) + self.s1_embed
        out: Tensor = self.projection(x_NLV)
        return out


class TerraFmNetwork(nn.Module):
    """The encoder, under the names of the published file."""

    def __init__(self, patches: RadarPatches, cells: int, hidden: int, depth: int) -> None:
        super().__init__()
        width = patches.projection.proj3.out_features
        self.patch_embed = patches
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + cells, width))
        self.blocks = plain_blocks(depth, width, hidden)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    @classmethod
    def of(cls, found: Tensors, path: Path) -> TerraFmNetwork:
        """Return the network of a file.

        Raises:
            BenchError: It is of another model.
        """
        first = "patch_embed.conv2d_s1.weight"
        wide, patch = width_of(found, first, 0, path), width_of(found, first, 2, path)
        patches = RadarPatches(patch, wide, width_of(found, "pos_embed", 2, path))
        cells = width_of(found, "pos_embed", 1, path) - 1
        hidden = width_of(found, "blocks.0.mlp.fc1.weight", 0, path)
        return filled(cls(patches, cells, hidden, depth_of(found, "blocks.", path)), found, path)

    @property
    def edge(self) -> int:
        """Rows and columns of pictures."""
        return math.isqrt(self.pos_embed.shape[1] - 1) * self.patch_embed.conv2d_s1.stride[0]

    def forward(self, pixels_NCYX: Tensor) -> Look:
        """Return class token and cells."""
        x_NLF = with_class(self.cls_token, self.patch_embed(pixels_NCYX)) + self.pos_embed
        for block in self.blocks:
            x_NLF = block(x_NLF)
        x_NLF = self.norm(x_NLF)
        return Look(x_NLF[:, 0], x_NLF[:, 1:])


class TerraFm(Frozen):
    """TerraFM-B.

    Args:
        sheet: What is known of it.
        network: The encoder.
        given: Names the device.
    """

    def __init__(self, sheet: Sheet, network: TerraFmNetwork, given: Given) -> None:
        super().__init__(sheet.named(given), network, given)
        self.edge = network.edge

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a file.

        Raises:
            BenchError: It is absent, damaged, or of another model.
        """
        sheet = Sheet.read("terrafm")
        path = sheet.file(given)
        return cls(sheet, TerraFmNetwork.of(read_tensors(path), path), given)

    def inputs(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return co- and cross-polarisation, in this order."""
        return torch.from_numpy(np.stack([pair(tile, self.edge) for tile in tiles]))

    def look(self, pixels_NCYX: Tensor) -> Look:
        """Return class token and cells."""
        seen: Look = self.network(pixels_NCYX)
        return seen
