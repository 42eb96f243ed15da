"""Image encoder: a ViT (Dosovitskiy et al. 2021) for any set of radar channels.

Each channel's patches go through one shared projection, are scaled and shifted by what is learned
for the channel's polarisation and band (as in FiLM, Perez et al. 2018), pass a nonlinearity and
are averaged over the channels present. The average keeps the number of tokens, unlike ChannelViT
(Bao et al. 2024), and makes the result independent of the order of channels; the nonlinearity
before it keeps it from being a function of the mean image only. Polarisation and band are learned
apart, so that a combination unseen in training has parts that were seen. The ground sample distance
enters as Fourier features of its logarithm, added to all tokens. Positions are fixed
2-D sine waves. Geographic tokens (`geo`) take part in attention and are not returned. Of a masked
image only the patches kept are encoded, as in MAE (He et al. 2022).

`config.ImageStyle` makes the encoder compute what those of other families do, so that it can start
from their weights: learned or rotary positions, class token and registers, a norm before the first
block, another activation, a patch path with a linear part, and geography that is added.

Shapes: B batch, C channels, Y × X pixels, L patches, K patches kept, P pixels of a patch, D width,
E = 2 D, G features, H width of a head, T tokens before those of patches.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sarknowlip.models.block import Block, Positions, ScaledLinear
from sarknowlip.models.channels import ABSENT, BANDS, POLARIZATIONS
from sarknowlip.models.config import ImageStyle, SarKnowLIPConfig
from sarknowlip.models.geo import GEO_FEATURES, GeoTokens

GSD_OCTAVES = (-3.0, 8.0)
"""Ground sample distances told apart: 2^−3 … 2^8 metres."""
GSD_FEATURES = 16

POSITION_SCALE = 0.2
GSD_GAIN = 0.1
"""What all images of a batch share starts small: where it dominates the mean token, all embeddings
begin nearly equal and contrastive training can stay there."""


class ChannelScale(nn.Module):
    """What is learned for a channel: a factor and a shift (FiLM, Perez et al. 2018).

    Args:
        width: Width D of what is scaled.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.polarization = nn.Embedding(len(POLARIZATIONS), 2 * width)
        self.band = nn.Embedding(len(BANDS), 2 * width)

    def forward(self, x_BCLD: Tensor, ids_BC: Tensor) -> Tensor:
        """Return x · (1 + factor) + shift, same shape (C or L of `x_BCLD` may be 1).

        Args:
            x_BCLD: Tokens of channels.
            ids_BC: Identifiers of channels; what becomes of absent ones means nothing.
        """
        place_BC = (ids_BC - 1).clamp_min(0)
        learned_BCE = self.polarization(place_BC % len(POLARIZATIONS)) + self.band(
            torch.div(place_BC, len(POLARIZATIONS), rounding_mode="floor")
        )
        scale_BC1D, shift_BC1D = learned_BCE.unsqueeze(2).chunk(2, dim=-1)
        scaled_BCLD: Tensor = x_BCLD * (1 + scale_BC1D) + shift_BC1D
        return scaled_BCLD


class ChannelPatches(nn.Module):
    """From pixels of 1–4 channels to one token a patch.

    Args:
        patch_px: Edge of a patch.
        width: Width D of tokens.
        residual: Whether what is mixed is added to the mean over channels, a linear path.
    """

    def __init__(self, patch_px: int, width: int, *, residual: bool = False) -> None:
        super().__init__()
        self.patch_px, self.residual = patch_px, residual
        self.project = nn.Linear(patch_px * patch_px, width)
        self.channel = ChannelScale(width)
        self.mix = nn.Linear(width, width)

    def forward(self, pixels_BCYX: Tensor, ids_BC: Tensor, keep_BK: Tensor | None = None) -> Tensor:
        """Return tokens (B, K, D), in the order of `keep_BK`; all, rows first, without it.

        Args:
            pixels_BCYX: Normalised pixels; what absent channels hold is ignored.
            ids_BC: Identifiers of channels, 0 where absent.
            keep_BK: Patches seen.
        """
        patches_BCLP = to_patches(pixels_BCYX, self.patch_px).to(self.project.weight.dtype)
        if keep_BK is not None:
            B, C, _, P = patches_BCLP.shape
            patches_BCLP = patches_BCLP.gather(
                2, keep_BK[:, None, :, None].expand(B, C, keep_BK.shape[1], P)
            )
        told_BCLD = self.channel(self.project(patches_BCLP), ids_BC)
        tokens_BLD: Tensor = self.mix(mean_present(functional.gelu(told_BCLD), ids_BC))
        return tokens_BLD + mean_present(told_BCLD, ids_BC) if self.residual else tokens_BLD


class ImageEncoder(nn.Module):
    """Radar pixels to tokens.

    Args:
        config: Shapes.
    """

    position_LD: Tensor | None  # noqa: N815

    def __init__(self, config: SarKnowLIPConfig) -> None:
        super().__init__()
        width, side = config.image_width, config.image_px // config.patch_px
        style = ImageStyle.model_validate(config.image_style or {})
        self.side, self.patch_px, self.head_width = (
            side,
            config.patch_px,
            width // config.image_heads,
        )
        self.rotary_base = style.rotary_base if style.positions == "rotary" else None
        self.patches = ChannelPatches(
            config.patch_px, width, residual=style.patch_path == "residual"
        )
        self.gsd = nn.Sequential(
            nn.Linear(2 * GSD_FEATURES, width), nn.GELU(), ScaledLinear(width, width, GSD_GAIN)
        )
        self.geo = GeoTokens(width, config.geo_dropout)
        self.geo_added = ScaledLinear(width, width, GSD_GAIN) if style.geo == "added" else None
        self.extra = nn.Embedding(style.extra_tokens, width) if style.extra_tokens else None
        self.first_norm = nn.LayerNorm(width, eps=style.norm_eps) if style.first_norm else None
        self.blocks = nn.ModuleList(
            Block(
                width,
                config.image_heads,
                config.image_depth,
                activation=style.activation,
                norm_eps=style.norm_eps,
            )
            for _ in range(config.image_depth)
        )
        self.norm = nn.LayerNorm(width, eps=style.norm_eps)
        self.positions = Positions(side**2, width) if style.positions == "learned" else None
        waves_LD = sine_positions(side, width) if style.positions == "sine" else None
        self.register_buffer("position_LD", waves_LD, persistent=False)

    def forward(
        self,
        pixels_BCYX: Tensor,
        ids_BC: Tensor,
        gsd_B: Tensor,
        geo_B8: Tensor | None = None,
        keep_BK: Tensor | None = None,
    ) -> Tensor:
        """Return the tokens (B, K, D) of patches after the last norm, in the order of `keep_BK`.

        Args:
            pixels_BCYX: Normalised pixels, Y = X = image_px, 1–4 channels.
            ids_BC: Identifiers of channels, 0 where absent.
            gsd_B: Ground sample distance of these pixels, metres.
            geo_B8: Features of `geo.geo_features`; None for all unknown.
            keep_BK: Patches seen, rows-first index, none twice in a row; None for all.

        Raises:
            ValueError: Pixels of another size.
        """
        edge = self.side * self.patch_px
        if pixels_BCYX.shape[2:] != (edge, edge):
            got = tuple(pixels_BCYX.shape[2:])
            raise ValueError(f"pixels of shape {got}: the encoder takes {edge} × {edge}")
        x_BLD = self.patches(pixels_BCYX, ids_BC, keep_BK)
        position_LD = self.position_LD if self.positions is None else self.positions.weight
        if position_LD is not None:
            x_BLD = x_BLD + (position_LD if keep_BK is None else position_LD[keep_BK])
        x_BLD = x_BLD + self.gsd(self._gsd_features(gsd_B)).unsqueeze(1)
        if geo_B8 is None:
            geo_B8 = gsd_B.new_full((gsd_B.shape[0], GEO_FEATURES), math.nan, dtype=torch.float32)
        first_BTD = self.geo(geo_B8).to(x_BLD.dtype)
        if self.geo_added is not None:
            x_BLD = x_BLD + self.geo_added(first_BTD.mean(dim=1, keepdim=True))
            first_BTD = first_BTD[:, :0]
        if self.extra is not None:
            extra_BTD = self.extra.weight.to(x_BLD.dtype).expand(x_BLD.shape[0], -1, -1)
            first_BTD = torch.cat([extra_BTD, first_BTD], dim=1)
        x_BLD = torch.cat([first_BTD, x_BLD], dim=1)
        if self.first_norm is not None:
            x_BLD = self.first_norm(x_BLD)
        turns = self._turns(first_BTD.shape[1], keep_BK, x_BLD.device)
        for block in self.blocks:
            x_BLD = block(x_BLD) if turns is None else block(x_BLD, turns=turns)
        patches_BKD: Tensor = self.norm(x_BLD[:, first_BTD.shape[1] :])
        return patches_BKD

    def _turns(
        self, before: int, keep_BK: Tensor | None, device: torch.device
    ) -> tuple[Tensor, Tensor] | None:
        """Return cosine and sine for `Block`, none for other positions than rotary."""
        if self.rotary_base is None:
            return None
        angle_LH = rotary_angles(self.side, self.head_width, self.rotary_base, device)
        angle = angle_LH if keep_BK is None else angle_LH[keep_BK].unsqueeze(1)
        angle = functional.pad(angle, (0, 0, before, 0))  # tokens before patches are not turned
        return angle.cos(), angle.sin()

    def _gsd_features(self, gsd_B: Tensor) -> Tensor:
        low, high = GSD_OCTAVES
        unit_B = (torch.log2(gsd_B.float()).clamp(low, high) - low) / (high - low)
        angle_BG = unit_B[:, None] * gsd_frequencies(unit_B.device)
        waves_BG = torch.cat([angle_BG.sin(), angle_BG.cos()], dim=1)
        return waves_BG.to(self.norm.weight.dtype)


def mean_present(x_BCLD: Tensor, ids_BC: Tensor) -> Tensor:
    """Return the mean (B, L, D) over channels that are present."""
    present_BC = ids_BC != ABSENT
    total_BLD = x_BCLD.masked_fill(~present_BC[:, :, None, None], 0.0).sum(dim=1)
    return total_BLD / present_BC.sum(dim=1).clamp_min(1)[:, None, None]


def to_patches(pixels_BCYX: Tensor, patch_px: int) -> Tensor:
    """Return the patches (B, C, L, P) of an image, rows of patches first, rows of pixels first."""
    B, C, Y, X = pixels_BCYX.shape
    return (
        pixels_BCYX.reshape(B, C, Y // patch_px, patch_px, X // patch_px, patch_px)
        .permute(0, 1, 2, 4, 3, 5)
        .reshape(B, C, -1, patch_px * patch_px)
    )


def gsd_frequencies(device: torch.device) -> Tensor:
    """Return angular frequencies (G,), a half to sixteen turns over the range, geometric.

    They are no buffer: a model turned to bfloat16 would round them.
    """
    return math.pi * torch.logspace(
        0, 5, GSD_FEATURES, base=2.0, device=device, dtype=torch.float32
    )


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


def rotary_angles(side: int, head_width: int, base: float, device: torch.device) -> Tensor:
    """Return the angles (side², H) of 2-D rotary positions, rows first, as in DINOv3.

    Centres of patches lie in −1…1, whatever their number (Siméoni et al. 2025). They are no buffer:
    see `gsd_frequencies`.
    """
    share = torch.arange(0, 1, 4 / head_width, device=device, dtype=torch.float32)
    centre = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) / side * 2 - 1
    row, column = torch.meshgrid(centre, centre, indexing="ij")
    place_L2 = torch.stack([row.reshape(-1), column.reshape(-1)], dim=1)
    angle_L2Q = 2 * math.pi * place_L2[:, :, None] / base**share
    return angle_L2Q.flatten(1).tile(2)
