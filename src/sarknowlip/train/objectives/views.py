"""Views of the same tile, made on the device, that are lawful radar images (`data.augment`).

- Turn: one of the eight quarter turns and mirrorings.
- Speckle: power times a gamma variable of mean 1 and variance 1/L in half of the views, 2 to 16
  looks L drawn evenly in their logarithm, independent in each pixel and channel.
- Window: a square of whole patches; nothing is resized, so that a pixel keeps its size.

No change of brightness. A view says nothing of geography: heading and side of look are not those of
a turned image, and the place alone would tell the views of one tile from those of all others.

The noise of a view follows from one number by a hash (Wellons, "lowbias32", 2018): numbers for all
pixels of the joint batch of all processes would take more room than the images.

Shapes: B batch, C channels, Y × X pixels, L patches, K patches seen.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sarknowlip.models.processing import LIMIT
from sarknowlip.train.objectives.masked import spread_db

CHANCES = 8
"""Uniform numbers a view takes: three for the turn, three for speckle, two for the window."""
SPECKLED = 0.5
LOOKS = (2.0, 16.0)
LEAST_ROOT = 0.05
"""Of the cube root of speckle: −39 dB."""


def turned(pixels_BCYX: Tensor, drawn_B3: Tensor) -> Tensor:
    """Return square images turned and mirrored, each in one of eight ways.

    Args:
        pixels_BCYX: Images, Y = X.
        drawn_B3: Uniform numbers: exchange rows and columns, upside down, left to right.
    """
    change = (drawn_B3 < 0.5)[:, :, None, None, None].unbind(1)
    pixels_BCYX = torch.where(change[0], pixels_BCYX.transpose(2, 3), pixels_BCYX)
    pixels_BCYX = torch.where(change[1], pixels_BCYX.flip(2), pixels_BCYX)
    return torch.where(change[2], pixels_BCYX.flip(3), pixels_BCYX)


def speckled(pixels_BCYX: Tensor, ids_BC: Tensor, drawn_B3: Tensor) -> Tensor:
    """Return images of which some have more speckle; what has no data stays so.

    The cube root of a gamma variable is nearly normal (Wilson and Hilferty 1931): of L looks the
    mean is 1 − (9 L)⁻³.

    Args:
        pixels_BCYX: Normalised decibels, 0 for no data.
        ids_BC: Identifiers of channels.
        drawn_B3: Uniform numbers: whether, looks, noise.
    """
    low, high = (math.log(looks) for looks in LOOKS)
    looks_B = (low + (high - low) * drawn_B3[:, 1]).exp()
    e_B111 = (1.0 / (9.0 * looks_B))[:, None, None, None]
    normal = math.sqrt(2.0) * torch.erfinv(2.0 * noise(drawn_B3[:, 2], pixels_BCYX[0]) - 1.0)
    root = (1.0 - e_B111 + e_B111.sqrt() * normal).clamp_min(LEAST_ROOT)
    gain_BCYX = 30.0 * root.log10() / spread_db(ids_BC.device)[ids_BC][:, :, None, None]
    moved = (pixels_BCYX + gain_BCYX).clamp(-LIMIT, LIMIT).to(pixels_BCYX.dtype)
    whether = (drawn_B3[:, 0] < SPECKLED)[:, None, None, None]
    return torch.where(whether & (pixels_BCYX != 0), moved, pixels_BCYX)


def noise(drawn_B: Tensor, like: Tensor) -> Tensor:
    """Return uniform numbers in (0, 1), float32 (B, …), that follow from one a row.

    Args:
        drawn_B: Uniform numbers in [0, 1), of which 24 bits count.
        like: Of the shape wanted for a row.
    """
    low = 0xFFFFFFFF
    place = torch.arange(like.numel(), device=drawn_B.device).reshape(like.shape)
    seed = (drawn_B.double() * 2**24).long().reshape(-1, *(1 for _ in like.shape))
    x = _mixed(_mixed(seed) ^ place) & low
    return ((x >> 9).float() + 0.5) / 2**23


def _mixed(x: Tensor) -> Tensor:
    """Return 32 bits that look like chance, of 32 bits in int64; products overflow harmlessly."""
    low = 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & low
    x = ((x ^ (x >> 15)) * 0x846CA68B) & low
    return x ^ (x >> 16)


def window(drawn_B2: Tensor, side: int, edge: int) -> Tensor:
    """Return the patches (B, edge²) of random windows, ascending, int64.

    Args:
        drawn_B2: Uniform numbers: row and column of the first patch.
        side: Patches along an image.
        edge: Patches along a window, at most `side`.
    """
    first_B2 = (drawn_B2 * (side - edge + 1)).long().clamp_max(side - edge)
    step = torch.arange(edge, device=drawn_B2.device)
    rows_BE, columns_BE = (first_B2[:, axis, None] + step for axis in (0, 1))
    return (rows_BE[:, :, None] * side + columns_BE[:, None, :]).flatten(1)
