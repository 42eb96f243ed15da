"""Weights of another grid: positions for another number of patches, patches of another edge."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def single_channel(kernel_DCPP: Tensor) -> Tensor:
    """Return the kernel (D, P, P) that gives on one channel what this one gives on a grey image.

    In a grey image all channels are equal, so kernels add up; channels of ours are averaged.
    """
    kernel_DPP: Tensor = kernel_DCPP.sum(dim=1)
    return kernel_DPP


def resized_kernel(kernel_DPP: Tensor, edge: int) -> Tensor:
    """Return kernels for patches of another edge (D, edge, edge).

    The result gives on an enlarged patch what the kernel gives on the patch itself, as nearly as
    can be: the pseudo-inverse of the enlargement (FlexiViT, Beyer et al. 2023).
    """
    old = kernel_DPP.shape[-1]
    if old == edge:
        return kernel_DPP
    units = torch.eye(old * old, dtype=torch.float64).reshape(old * old, 1, old, old)
    enlarged = functional.interpolate(
        units, size=(edge, edge), mode="bicubic", antialias=True, align_corners=False
    )
    back = torch.linalg.pinv(enlarged.reshape(old * old, edge * edge))
    flat = kernel_DPP.reshape(len(kernel_DPP), -1).double()
    resized_DPP: Tensor = (flat @ back.T).reshape(-1, edge, edge).to(kernel_DPP.dtype)
    return resized_DPP


def resized_positions(position_LD: Tensor, side: int) -> Tensor:
    """Return positions of a square grid of another side (side², D), bicubic.

    Args:
        position_LD: Rows first; L is a square.
        side: Patches along an edge.
    """
    old = math.isqrt(len(position_LD))
    if old == side:
        return position_LD
    grid_1DYX = position_LD.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    new_1DYX = functional.interpolate(
        grid_1DYX, size=(side, side), mode="bicubic", antialias=True, align_corners=False
    )
    return new_1DYX.permute(0, 2, 3, 1).reshape(side * side, -1)
