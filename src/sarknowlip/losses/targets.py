"""What masked patches are to be told: normalised decibels, or gradients that speckle does not move.

Decibels: each patch's pixels less their mean, divided by their standard deviation (MAE, He et al.
2022).

Gradients: SAR-JEPA ("Predicting Gradient is Better", Li et al., ISPRS Journal 2024) has a masked
encoder predict multi-scale gradients by ratio instead of pixels, most of which is speckle. The
gradient by ratio (Dellinger et al., SAR-SIFT, IEEE TGRS 2015; means with exponential weights:
Fjørtoft et al., IEEE TGRS 1998) is the logarithm of the ratio of the mean power on both sides of a
pixel. Speckle multiplies power by a random factor whose law does not depend on the mean. So does
the ratio's: the rate at which speckle alone exceeds a threshold is the same at any brightness
(constant false-alarm rate), and edges of equal contrast give equal responses. A difference of means
has neither property. Here the gradient is in units of the standard deviation that single-look
speckle gives it, has a sign and both components, and is averaged over a grid of cells in a patch.

Shapes: B batch, C channels, Y × X pixels, L patches (rows first), F numbers of a patch, G cells a
side.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Target = Literal["db", "gradient"]

REACHES_PX = (4, 6, 8)
"""Pixels on either side of the gradient: windows of 9, 13 and 17 pixels as in SAR-JEPA."""
CELLS = 4
"""Cells along the edge of a patch."""
LEAST_VALID = 0.5
"""Share of the weight on each side, and of a cell, that must hold data."""
EPSILON = 1e-4
"""Added to a patch's variance, normalised decibels squared: patches without contrast."""


def target_features(target: Target, patch_px: int) -> int:
    """Return how many numbers F a target has per patch and channel.

    Args:
        target: Kind.
        patch_px: Edge of a patch; for gradients a multiple of `CELLS`.

    Raises:
        ValueError: A patch that cannot be divided into cells.
    """
    if target == "db":
        return patch_px**2
    if patch_px % CELLS:
        raise ValueError(f"patches of {patch_px} pixels: gradients need a multiple of {CELLS}")
    return 2 * len(REACHES_PX) * CELLS**2


def db_target(pixels_BCYX: Tensor, patch_px: int, valid_BCYX: Tensor) -> tuple[Tensor, Tensor]:
    """Return each patch's pixels with mean 0 and variance 1.

    Args:
        pixels_BCYX: Normalised decibels.
        patch_px: Edge of a patch.
        valid_BCYX: True for pixels with data; others don't count in mean and variance.

    Returns:
        Targets float32 (B, C, L, F), 0 where not valid, and where they are, bool (B, C, L, F);
        F = patch_px², rows first.
    """
    patches_BCLF = _patches(pixels_BCYX.float(), patch_px)
    valid_BCLF = _patches(valid_BCYX, patch_px)
    patches_BCLF = patches_BCLF.masked_fill(~valid_BCLF, 0.0)
    count_BCL1 = valid_BCLF.sum(dim=-1, keepdim=True).clamp_min(1)
    mean_BCL1 = patches_BCLF.sum(dim=-1, keepdim=True) / count_BCL1
    centred_BCLF = (patches_BCLF - mean_BCL1).masked_fill(~valid_BCLF, 0.0)
    variance_BCL1 = centred_BCLF.square().sum(dim=-1, keepdim=True) / count_BCL1
    return centred_BCLF * (variance_BCL1 + EPSILON).rsqrt(), valid_BCLF


def gradient_target(power_BCYX: Tensor, patch_px: int, valid_BCYX: Tensor) -> tuple[Tensor, Tensor]:
    """Return multi-scale gradients by ratio, averaged over cells.

    In cells of an even edge every second pixel is looked at, which takes less than half the time;
    in pure single-look speckle the means correlate with those of all pixels by 0.92 to 0.96.

    Args:
        power_BCYX: Linear power in any unit, positive where valid.
        patch_px: Edge of a patch, a multiple of `CELLS`.
        valid_BCYX: True for pixels with data.

    Returns:
        Targets float32 (B, C, L, F), 0 where not valid, and where they are, bool (B, C, L, F); F in
        the order reach, component (along rows of pixels, then along columns), row, column of cells.
    """
    edge = patch_px // CELLS
    every_px = 2 if edge % 2 == 0 else 1
    values, valids = [], []
    for reach_px in REACHES_PX:
        gradient_BC2YX, valid_BC2YX = gradient_by_ratio(power_BCYX, valid_BCYX, reach_px, every_px)
        weight_BC2YX = valid_BC2YX.float().flatten(0, 1)
        share_BC2GG = functional.avg_pool2d(weight_BC2YX, edge // every_px)
        mean_BC2GG = functional.avg_pool2d(gradient_BC2YX.flatten(0, 1), edge // every_px)
        values.append(mean_BC2GG / share_BC2GG.clamp_min(LEAST_VALID))
        valids.append(share_BC2GG >= LEAST_VALID)
    B, C = power_BCYX.shape[:2]
    value_BCSYX, valid_BCSYX = (
        torch.cat(part, dim=1).reshape(B, C, -1, *part[0].shape[2:]) for part in (values, valids)
    )
    valid_BCLF = _patches(valid_BCSYX, CELLS)
    return _patches(value_BCSYX, CELLS).masked_fill(~valid_BCLF, 0.0), valid_BCLF


def gradient_by_ratio(
    power_BCYX: Tensor, valid_BCYX: Tensor, reach_px: int, every_px: int = 1
) -> tuple[Tensor, Tensor]:
    """Return ln(mean power after / mean power before) at each pixel, along rows and columns.

    Means have weights exp(−2 distance/reach) up to the reach, on the side of the pixel along the
    gradient and on both sides across it; the pixel's own line belongs to neither side.

    Args:
        power_BCYX: Linear power in any unit, positive where valid.
        valid_BCYX: True for pixels with data.
        reach_px: How far means go.
        every_px: Distance between pixels looked at, along rows and columns; divides Y and X.

    Returns:
        Gradients float32 (B, C, 2, Y / every_px, X / every_px), positive where power rises to the
        right and downwards, in units of the standard deviation in single-look speckle,
        approximately; 0 where not valid. Where they are, bool, same shape: on both sides enough
        pixels have data.
    """
    images_2BCYX = torch.stack(
        [power_BCYX.float().masked_fill(~valid_BCYX, 0.0), valid_BCYX.float()]
    )
    around, before = _weights(reach_px)
    after = before[::-1]
    noise = math.sqrt(2.0 * sum(w * w for w in around) * sum(w * w for w in before))
    values, valids = [], []
    for axis in (-1, -2):
        images = images_2BCYX.transpose(-1, axis)
        device, (rows, columns) = images.device, images.shape[-2:]
        smooth = _windows(around, rows, every_px, device) @ images
        first, first_share = (smooth @ _windows(before, columns, every_px, device).T).unbind(0)
        second, second_share = (smooth @ _windows(after, columns, every_px, device).T).unbind(0)
        valid = (torch.minimum(first_share, second_share) >= LEAST_VALID) & (
            torch.minimum(first, second) > 0
        )
        ratio = (second / second_share) / (first / first_share)
        values.append(torch.where(valid, ratio, 1.0).log().transpose(-1, axis) / noise)
        valids.append(valid.transpose(-1, axis))
    return torch.stack(values, dim=2), torch.stack(valids, dim=2)


def _patches(image: Tensor, edge: int) -> Tensor:
    """Return (B, C, L, …) patches of (B, C, …, Y, X), rows of patches and of pixels first."""
    Y, X = image.shape[-2:]
    parts = image.reshape(*image.shape[:-2], Y // edge, edge, X // edge, edge)
    return parts.movedim((-4, -2), (2, 3)).flatten(4).flatten(2, 3)


def _weights(reach_px: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return weights by distance −reach … reach, sum 1: around a pixel, and of those before it."""
    places = range(-reach_px, reach_px + 1)
    around = [math.exp(-2.0 * abs(place) / reach_px) for place in places]
    before = [weight * (place < 0) for weight, place in zip(around, places, strict=True)]
    return tuple(w / sum(around) for w in around), tuple(w / sum(before) for w in before)


@lru_cache(maxsize=64)
def _windows(
    weights: tuple[float, ...], length: int, every_px: int, device: torch.device
) -> Tensor:
    """Return a matrix of `length` columns: each row holds the weights around a pixel looked at.

    It is kept, so that it goes to a device once and not at each step.
    """
    reach = len(weights) // 2
    place = torch.arange(length, device=device)
    offset = place[None, :] - place[every_px // 2 :: every_px, None]
    table = torch.tensor(weights, device=device, dtype=torch.float32)
    return torch.where(offset.abs() <= reach, table[(offset + reach).clamp(0, 2 * reach)], 0.0)
