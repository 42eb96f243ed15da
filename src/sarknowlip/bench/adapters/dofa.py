"""DOFA (Xiong et al., arXiv:2403.15356), first version: a ViT whose first map is made from waves.

For each channel a small transformer turns its wavelength into the kernels that look at it: the
wavelength as sines and cosines, a residual layer, then one transformer layer over learned tokens,
the channels and one more token, which gives the bias. The rest is MAE's encoder. Of a picture: the
mean of its cells, to mean 0 and variance 1 (the norm that the authors put there is not in their
file); of cells: their tokens as they leave the last block.

It was trained on VH and VV of Sentinel-1 in 8 bits, each less its mean and divided by its standard
deviation; normalised decibels have the same centre and spread. The authors give 5.405 for both
channels, which is the frequency in GHz; so it is here, whatever the band: other values were never
seen.

Legend of tensor names: N pictures, C channels, Y × X pixels, L = G × G cells, F width, P edge of a
patch, W width of a wave, S length of a sequence.
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

from sarknowlip.bench.adapters.blocks import plain_blocks, with_class
from sarknowlip.bench.adapters.colour import pair
from sarknowlip.bench.adapters.frozen import Frozen, Look
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.bench.adapters.weights import Tensors, depth_of, filled, read_tensors, width_of
from sarknowlip.sar.tile import TileImage

WAVES = (5.405, 5.405)
"""Of VH and VV."""
WAVE_HEADS = 4
SCALE = 0.01
"""Factor on the kernels and biases that are made."""


class WaveLayer(nn.Module):
    """A residual layer of two maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, width)
        self.w2 = nn.Linear(width, width)

    def forward(self, x_CW: Tensor) -> Tensor:
        """Return waves of the same shape."""
        return x_CW + functional.relu(self.w2(functional.relu(self.w1(x_CW))))


class KernelMaker(nn.Module):
    """From waves to kernels and one bias, under the names of the published file."""

    def __init__(self, waves: int, tokens: int, hidden: int, numbers: tuple[int, int]) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(waves, WAVE_HEADS, hidden, 0.0, "gelu")
        self.transformer_encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc_weight = nn.Linear(waves, numbers[0])
        self.fc_bias = nn.Linear(waves, numbers[1])
        self.weight_tokens = nn.Parameter(torch.zeros(tokens, waves))
        self.bias_token = nn.Parameter(torch.zeros(1, waves))

    def forward(self, waves_CW: Tensor) -> tuple[Tensor, Tensor]:
        """Return kernels (C, P · P · F), rows first and widths last, and the bias (F,)."""
        sequence_SW = torch.cat([self.weight_tokens, waves_CW, self.bias_token])
        seen_SW = self.transformer_encoder(sequence_SW)
        kernels = self.fc_weight(seen_SW[len(self.weight_tokens) : -1] + waves_CW)
        return kernels, self.fc_bias(seen_SW[-1])


class DofaPatches(nn.Module):
    """Patch embedding with kernels made from waves."""

    def __init__(self, maker: KernelMaker, width: int, patch: int) -> None:
        super().__init__()
        self.width, self.patch = width, patch
        self.weight_generator = maker
        self.fclayer = WaveLayer(maker.bias_token.shape[1])

    def forward(self, pixels_NCYX: Tensor, waves_C: Tensor) -> Tensor:
        """Return tokens (N, L, F)."""
        waves_CW = self.fclayer(wave_features(waves_C * 1000.0, self.fclayer.w1.in_features))
        kernels, bias_F = self.weight_generator(waves_CW)
        kernels_CPPF = kernels.reshape(len(waves_C), self.patch, self.patch, self.width)
        # the padding of one pixel is the authors': cells lie a pixel further up and left
        seen_NFGG = functional.conv2d(
            pixels_NCYX,
            SCALE * kernels_CPPF.permute(3, 0, 1, 2),
            SCALE * bias_F,
            stride=self.patch,
            padding=1,
        )
        return seen_NFGG.flatten(2).transpose(1, 2)


class DofaNetwork(nn.Module):
    """The encoder, under the names of the published file."""

    def __init__(self, patches: DofaPatches, cells: int, hidden: int, depth: int) -> None:
        super().__init__()
        self.patch_embed = patches
        self.cls_token = nn.Parameter(torch.zeros(1, 1, patches.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + cells, patches.width))
        self.blocks = plain_blocks(depth, patches.width, hidden)

    @classmethod
    def of(cls, found: Tensors, path: Path) -> DofaNetwork:
        """Return the network of a file.

        Raises:
            BenchError: It is of another model.
        """
        maker = "patch_embed.weight_generator."
        tokens = width_of(found, f"{maker}weight_tokens", 0, path)
        waves = width_of(found, f"{maker}weight_tokens", 1, path)
        numbers = width_of(found, f"{maker}fc_weight.weight", 0, path)
        hidden = width_of(found, f"{maker}transformer_encoder.layers.0.linear1.weight", 0, path)
        width = width_of(found, "pos_embed", 2, path)
        kernels = KernelMaker(waves, tokens, hidden, (numbers, width))
        patches = DofaPatches(kernels, width, math.isqrt(numbers // width))
        cells = width_of(found, "pos_embed", 1, path) - 1
        inner = width_of(found, "blocks.0.mlp.fc1.weight", 0, path)
        return filled(cls(patches, cells, inner, depth_of(found, "blocks.", path)), found, path)

    @property
    def edge(self) -> int:
        """Rows and columns of pictures."""
        return math.isqrt(self.pos_embed.shape[1] - 1) * self.patch_embed.patch

    def forward(self, pixels_NCYX: Tensor) -> Look:
        """Return the pooled picture and its cells."""
        waves_C = torch.tensor(WAVES, device=pixels_NCYX.device)
        x_NLF = with_class(self.cls_token, self.patch_embed(pixels_NCYX, waves_C))
        x_NLF = x_NLF + self.pos_embed
        for block in self.blocks:
            x_NLF = block(x_NLF)
        cells_NLF = x_NLF[:, 1:]
        mean_NF = cells_NLF.mean(dim=1)
        return Look(functional.layer_norm(mean_NF, mean_NF.shape[-1:], eps=1e-6), cells_NLF)


def wave_features(waves_C: Tensor, width: int) -> Tensor:
    """Return sines, then cosines, of a wave times 10000^(−k / half), k = 0 … half − 1: (C, W)."""
    half = width // 2
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float32, device=waves_C.device) / half)
    angles = waves_C[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Dofa(Frozen):
    """DOFA ViT-B/16.

    Args:
        sheet: What is known of it.
        network: The encoder.
        given: Names the device.
    """

    def __init__(self, sheet: Sheet, network: DofaNetwork, given: Given) -> None:
        super().__init__(sheet.named(given), network, given)
        self.edge = network.edge

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a file.

        Raises:
            BenchError: It is absent, damaged, or of another model.
        """
        sheet = Sheet.read("dofa")
        path = sheet.file(given)
        return cls(sheet, DofaNetwork.of(read_tensors(path), path), given)

    def inputs(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return cross- and co-polarisation, in this order."""
        return torch.from_numpy(np.stack([pair(tile, self.edge)[::-1] for tile in tiles]))

    def look(self, pixels_NCYX: Tensor) -> Look:
        """Return the pooled picture and its cells."""
        seen: Look = self.network(pixels_NCYX)
        return seen
