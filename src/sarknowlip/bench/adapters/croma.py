"""CROMA (Fuller, Millard and Green, NeurIPS 2023): its radar encoder.

A ViT without class token and without positions: attention scores lose, for each head, a slope times
the distance between two cells (2D-ALiBi, §3.1 and appendix). Slopes are those of ALiBi (Press et
al., ICLR 2022). Of a picture: the mean of its cells through the authors' norm and MLP for radar; of
cells: their tokens after the last norm.

It was trained on VV and VH of Sentinel-1 in decibels, clipped at two standard deviations around the
mean of each and brought to 0…1; the processor's centres and spreads are within 0.25 dB of the means
and standard deviations of that data set (SSL4EO-S12), and stand for them.

Legend of tensor names: N pictures, C channels, Y × X pixels, L = G × G cells, F width, H heads, D
width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sarknowlip.bench.adapters.colour import pair
from sarknowlip.bench.adapters.frozen import Frozen, Look
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.bench.adapters.weights import Tensors, depth_of, filled, read_tensors, width_of
from sarknowlip.sar.tile import TileImage

EDGE, PATCH, HEADS = 120, 8, 16
"""Of the base and the large model alike."""
SPREADS = 2.0
"""Standard deviations on either side that become 0…1."""


class CromaAttention(nn.Module):
    """Attention with its own norm, and distances between cells in its scores."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, x_NLF: Tensor, bias_HLL: Tensor) -> Tensor:
        """Return what is added to tokens."""
        N, L, F = x_NLF.shape
        parts = self.to_qkv(self.input_norm(x_NLF)).reshape(N, L, 3, HEADS, F // HEADS)
        q_NHLD, k_NHLD, v_NHLD = parts.permute(2, 0, 3, 1, 4).unbind(0)
        out_NHLD = functional.scaled_dot_product_attention(
            q_NHLD, k_NHLD, v_NHLD, attn_mask=bias_HLL
        )
        out: Tensor = self.to_out(out_NHLD.transpose(1, 2).reshape(N, L, F))
        return out


class CromaMlp(nn.Module):
    """MLP with its own norm; the third of its maps is a dropout without weights."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(width)
        self.net = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, width)
        )

    def forward(self, x_NLF: Tensor) -> Tensor:
        """Return what is added to tokens."""
        out: Tensor = self.net(self.input_norm(x_NLF))
        return out


class CromaLayers(nn.Module):
    """Pairs of attention and MLP, and a last norm."""

    def __init__(self, width: int, hidden: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList([CromaAttention(width), CromaMlp(width, hidden)]) for _ in range(depth)
        )
        self.norm_out = nn.LayerNorm(width)

    def forward(self, x_NLF: Tensor, bias_HLL: Tensor) -> Tensor:
        """Return tokens, normed."""
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            x_NLF = x_NLF + layer[0](x_NLF, bias_HLL)
            x_NLF = x_NLF + layer[1](x_NLF)
        out: Tensor = self.norm_out(x_NLF)
        return out


class CromaRadar(nn.Module):
    """Radar encoder and its head, under the names of the published file."""

    def __init__(self, width: int, hidden: int, depth: int) -> None:
        super().__init__()
        self.s1_encoder = nn.ModuleDict(
            {
                "linear_input": nn.Linear(2 * PATCH**2, width),
                "transformer": CromaLayers(width, hidden, depth),
            }
        )
        self.s1_GAP_FFN = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        )

    @classmethod
    def of(cls, found: Tensors, path: Path) -> CromaRadar:
        """Return the network of a file.

        Raises:
            BenchError: It is of another model.
        """
        width = width_of(found, "s1_encoder.linear_input.weight", 0, path)
        hidden = width_of(found, "s1_GAP_FFN.1.weight", 0, path)
        depth = depth_of(found, "s1_encoder.transformer.layers.", path)
        return filled(cls(width, hidden, depth), found, path)

    def forward(self, pixels_NCYX: Tensor) -> Look:
        """Return the pooled picture and its cells; Y = X, a multiple of the patch."""
        # a patch's numbers go channel by channel, rows first
        patches_NLC = functional.unfold(pixels_NCYX, PATCH, stride=PATCH).transpose(1, 2)
        bias_HLL = distance_bias(pixels_NCYX.shape[-1] // PATCH).to(pixels_NCYX.device)
        x_NLF = self.s1_encoder["linear_input"](patches_NLC)
        x_NLF = self.s1_encoder["transformer"](x_NLF, bias_HLL)
        return Look(self.s1_GAP_FFN(x_NLF.mean(dim=1)), x_NLF)


def distance_bias(side: int) -> Tensor:
    """Return what 2D-ALiBi adds to scores (H, L, L): minus slope times distance, in cells."""
    slopes_H = 2.0 ** (-8.0 / HEADS * torch.arange(1, HEADS + 1))
    at = torch.arange(side, dtype=torch.float32)
    places_L2 = torch.cartesian_prod(at, at)
    exact = "donot_use_mm_for_euclid_dist"
    return -slopes_H[:, None, None] * torch.cdist(places_L2, places_L2, compute_mode=exact)


class Croma(Frozen):
    """CROMA, radar only.

    Args:
        sheet: What is known of it.
        network: The encoder.
        given: Names the device.
    """

    def __init__(self, sheet: Sheet, network: CromaRadar, given: Given) -> None:
        super().__init__(sheet.named(given), network, given)

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a file.

        Raises:
            BenchError: It is absent, damaged, or of another model.
        """
        sheet = Sheet.read("croma")
        path = sheet.file(given)
        return cls(sheet, CromaRadar.of(read_tensors(path), path), given)

    def inputs(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return co- and cross-polarisation, 0…1."""
        level = torch.from_numpy(np.stack([pair(tile, EDGE) for tile in tiles]))
        return ((level + SPREADS) / (2.0 * SPREADS)).clamp(0.0, 1.0)

    def look(self, pixels_NCYX: Tensor) -> Look:
        """Return the pooled picture and its cells."""
        seen: Look = self.network(pixels_NCYX)
        return seen
