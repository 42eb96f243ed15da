"""Image encoder: a ViT (Dosovitskiy et al. 2021) for any set of radar channels.

Each channel's patches go through one shared projection, are scaled and shifted by what is learned
for the channel's polarisation and band (as in FiLM, Perez et al. 2018), pass a nonlinearity and
are averaged over the channels present. The average keeps the number of tokens, unlike ChannelViT
(Bao et al. 2024), and makes the result independent of the order of channels; the nonlinearity
before it keeps it from being a function of the mean image only. Polarisation and band are learned
apart, so that a combination unseen in training has parts that were seen. The ground sample distance
enters as Fourier features of its logarithm, added to all tokens. Positions are fixed
2-D sine waves.

Shapes: B batch, C channels, Y × X pixels, L patches, P pixels of a patch, D width, G features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sarknowlip.models.block import Block, ScaledLinear
from sarknowlip.models.channels import ABSENT, BANDS, POLARIZATIONS
from sarknowlip.models.config import SarKnowLIPConfig

GSD_OCTAVES = (-3.0, 8.0)
"""Ground sample distances told apart: 2^−3 … 2^8 metres."""
GSD_FEATURES = 16

POSITION_SCALE = 0.2
GSD_GAIN = 0.1
"""What all images of a batch share starts small: where it dominates the mean token, all embeddings
begin nearly equal and contrastive training can stay there."""


class ChannelPatches(nn.Module):
    """From pixels of 1–4 channels to one token a patch.

    Args:
        patch_px: Edge of a patch.
        width: Width D of tokens.
    """

    def __init__(self, patch_px: int, width: int) -> None:
        super().__init__()
        self.patch_px = patch_px
        self.project = nn.Linear(patch_px * patch_px, width)
        self.polarization = nn.Embedding(len(POLARIZATIONS), 2 * width)
        self.band = nn.Embedding(len(BANDS), 2 * width)
        self.mix = nn.Linear(width, width)

    def forward(self, pixels_BCYX: Tensor, ids_BC: Tensor) -> Tensor:
        """Return tokens (B, L, D), rows of patches first.

        Args:
            pixels_BCYX: Normalised pixels; what absent channels hold is ignored.
            ids_BC: Identifiers of channels, 0 where absent.
        """
        B, C, Y, X = pixels_BCYX.shape
        p = self.patch_px
        patches_BCLP = (
            pixels_BCYX.reshape(B, C, Y // p, p, X // p, p)
            .permute(0, 1, 2, 4, 3, 5)
            .reshape(B, C, -1, p * p)
        )
        present_BC = ids_BC != ABSENT
        place_BC = (ids_BC - 1).clamp_min(0)
        learned_BCE = self.polarization(place_BC % len(POLARIZATIONS)) + self.band(
            torch.div(place_BC, len(POLARIZATIONS), rounding_mode="floor")
        )
        scale_BC1D, shift_BC1D = learned_BCE.unsqueeze(2).chunk(2, dim=-1)
        seen_BCLD = functional.gelu(self.project(patches_BCLP) * (1 + scale_BC1D) + shift_BC1D)
        seen_BCLD = seen_BCLD.masked_fill(~present_BC[:, :, None, None], 0.0)
        count_B11 = present_BC.sum(dim=1).clamp_min(1)[:, None, None]
        tokens_BLD: Tensor = self.mix(seen_BCLD.sum(dim=1) / count_B11)
        return tokens_BLD


class ImageEncoder(nn.Module):
    """Radar pixels to one vector.

    Args:
        config: Shapes.
    """

    position_LD: Tensor  # noqa: N815
    octave_G: Tensor  # noqa: N815

    def __init__(self, config: SarKnowLIPConfig) -> None:
        super().__init__()
        width, side = config.image_width, config.image_px // config.patch_px
        self.side, self.patch_px = side, config.patch_px
        self.patches = ChannelPatches(config.patch_px, width)
        self.gsd = nn.Sequential(
            nn.Linear(2 * GSD_FEATURES, width), nn.GELU(), ScaledLinear(width, width, GSD_GAIN)
        )
        self.blocks = nn.ModuleList(
            Block(width, config.image_heads, config.image_depth) for _ in range(config.image_depth)
        )
        self.norm = nn.LayerNorm(width)
        self.register_buffer("position_LD", sine_positions(side, width), persistent=False)
        self.register_buffer("octave_G", gsd_frequencies(), persistent=False)

    def forward(self, pixels_BCYX: Tensor, ids_BC: Tensor, gsd_B: Tensor) -> Tensor:
        """Return the mean token (B, D) after the last norm.

        Args:
            pixels_BCYX: Normalised pixels, Y = X = image_px, 1–4 channels.
            ids_BC: Identifiers of channels, 0 where absent.
            gsd_B: Ground sample distance of these pixels, metres.
        """
        edge = self.side * self.patch_px
        if pixels_BCYX.shape[2:] != (edge, edge):
            got = tuple(pixels_BCYX.shape[2:])
            raise ValueError(f"pixels of shape {got}: the encoder takes {edge} × {edge}")
        x_BLD = self.patches(pixels_BCYX, ids_BC) + self.position_LD
        x_BLD = x_BLD + self.gsd(self._gsd_features(gsd_B)).unsqueeze(1)
        for block in self.blocks:
            x_BLD = block(x_BLD)
        mean_BD: Tensor = self.norm(x_BLD).mean(dim=1)
        return mean_BD

    def _gsd_features(self, gsd_B: Tensor) -> Tensor:
        low, high = GSD_OCTAVES
        unit_B = (torch.log2(gsd_B.float()).clamp(low, high) - low) / (high - low)
        angle_BG = unit_B[:, None] * self.octave_G
        return torch.cat([angle_BG.sin(), angle_BG.cos()], dim=1)


def gsd_frequencies() -> Tensor:
    """Return angular frequencies (G,), a half to sixteen turns over the range, geometric."""
    return math.pi * torch.logspace(0, 5, GSD_FEATURES, base=2.0)


def sine_positions(side: int, width: int) -> Tensor:
    """Return 2-D sine–cosine positions (side², width), rows first (MoCo v3, Chen et al. 2021)."""
    omega = 10_000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    row, column = torch.meshgrid(
        torch.arange(side, dtype=torch.float64),
        torch.arange(side, dtype=torch.float64),
        indexing="ij",
    )
    waves = [
        f(axis.reshape(-1, 1) * omega) for axis in (row, column) for f in (torch.sin, torch.cos)
    ]
    return POSITION_SCALE * torch.cat(waves, dim=1).float()
