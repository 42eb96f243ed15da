"""How each part of a public image encoder becomes a part of ours.

Shapes: D width, L patches of the source, P pixels of a patch's edge, C colours, T extra tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from sarknowlip.core.errors import ConfigError
from sarknowlip.models.config import ModelSize
from sarknowlip.models.transfer.layouts import Found
from sarknowlip.models.transfer.resample import resized_kernel, resized_positions, single_channel

COLOURS = 3
PERIOD_TOLERANCE = 0.01
"""Periods of rotary positions are rounded to bfloat16 in files."""


@dataclass
class Parts:
    """What was taken.

    Attributes:
        weights: By name inside the image encoder.
        style: Of `ImageStyle`, what the parts ask for.
        taken: Parts taken as they are.
        adapted: Parts taken after a change, and which.
        neutral: Parts that start without effect.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    style: dict[str, Any] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    neutral: list[str] = field(default_factory=list)


def take_patches(found: Found, size: ModelSize, parts: Parts) -> None:
    """Take the patch embedding: one kernel for a channel, which acts as on a grey image."""
    kernel_DCPP = found.required(found.top("patches", "weight"), "patch embedding")
    if kernel_DCPP.ndim == 2:  # SigLIP 2 of any aspect ratio: colours of a pixel side by side
        edge = math.isqrt(kernel_DCPP.shape[1] // COLOURS)
        kernel_DCPP = kernel_DCPP.reshape(-1, edge, edge, COLOURS).permute(0, 3, 1, 2)
    colours, edge = kernel_DCPP.shape[1:3]
    kernel_DPP = resized_kernel(single_channel(kernel_DCPP), size.patch_px)
    bias_D = found.top("patches", "bias")
    parts.weights["patches.project.weight"] = kernel_DPP.flatten(1)
    parts.weights["patches.project.bias"] = (
        torch.zeros(len(kernel_DPP)) if bias_D is None else bias_D
    )
    resampled = f", {edge} px resampled to {size.patch_px}" if edge != size.patch_px else ""
    parts.adapted["patches"] = f"{colours} colours summed to one channel{resampled}"
    parts.style["patch_path"] = "residual"


def take_tokens(found: Found, size: ModelSize, parts: Parts) -> None:
    """Take class token, registers and learned positions."""
    named = {name: found.top(name) for name in ("class", "registers")}
    extra = {k: v.reshape(-1, size.image_width) for k, v in named.items() if v is not None}
    tokens_TD = torch.cat([torch.zeros(0, size.image_width), *extra.values()])
    positions = found.top("positions")
    before = 0
    if positions is not None:
        flat_LD = positions.reshape(-1, size.image_width)
        before = _before(found, len(flat_LD), [0, *accumulate(map(len, extra.values()))])
        tokens_TD[:before] += flat_LD[:before]
        _take_positions(flat_LD[before:], size, parts)
    for name, value in extra.items():
        count = "an extra token" if len(value) == 1 else f"{len(value)} extra tokens"
        placed = before >= len(value) if name == "class" else before == len(tokens_TD)
        parts.adapted[name] = count + (" with its position" if placed and before else "")
    if len(tokens_TD):
        parts.weights["extra.weight"] = tokens_TD
    parts.style["extra_tokens"] = len(tokens_TD)


def take_rotary(found: Found, base: float, head_width: int, parts: Parts) -> None:
    """Take rotary positions, which have no weights.

    Raises:
        ConfigError: The file has periods of another kind.
    """
    periods = found.top("periods")
    if periods is not None:
        usual = base ** torch.arange(0, 1, 4 / head_width)
        fits = periods.shape == usual.shape
        if not fits or ((periods - usual).abs() > PERIOD_TOLERANCE * usual).any():
            raise ConfigError(
                f"{found.checkpoint.path} has rotary periods that are not powers of {base:g} over"
                f" {head_width // 4} steps",
                "set model.image_heads as there, or take another checkpoint",
            )
    parts.adapted["positions"] = f"rotary, base {base:g}, computed for our grid"
    parts.style |= {"positions": "rotary", "rotary_base": base}


def take_norms(found: Found, parts: Parts) -> None:
    """Take the norms before the first and after the last block."""
    for name in ("first_norm", "norm"):
        weight, bias = (found.top(name, kind) for kind in ("weight", "bias"))
        if weight is None:
            continue
        parts.weights[f"{name}.weight"] = weight
        parts.weights[f"{name}.bias"] = found.required(bias, f"bias of {name}")
        parts.taken.append(name)
    parts.style["first_norm"] = "first_norm.weight" in parts.weights
    if "norm.weight" not in parts.weights:
        parts.neutral.append("norm, which the file lacks")


def take_blocks(found: Found, width: int, parts: Parts) -> None:
    """Take the blocks; LayerScale is folded into the map before it.

    Raises:
        ConfigError: A block lacks what ours need.
    """
    scaled = keyless = False
    for number in range(found.depth):
        own = f"blocks.{number}."
        for name in ("norm_attention", "norm_mlp"):
            for kind in ("weight", "bias"):
                what = f"{kind} of {name} in block {number}"
                value = found.required(found.block(number, name, kind), what)
                parts.weights[f"{own}{name}.{kind}"] = value
        weight, bias, keyless = _qkv(found, number, width)
        parts.weights |= {f"{own}qkv.weight": weight, f"{own}qkv.bias": bias}
        for ours, theirs, scale in (
            ("out", "out", "scale_attention"),
            ("mlp.0", "up", ""),
            ("mlp.2", "down", "scale_mlp"),
        ):
            weight, bias = _linear(found, number, theirs)
            factor = found.block(number, scale) if scale else None
            if factor is not None:
                scaled = True
                weight, bias = weight * factor.reshape(-1, 1), bias * factor.reshape(-1)
            parts.weights |= {f"{own}{ours}.weight": weight, f"{own}{ours}.bias": bias}
    parts.taken.append(f"{found.depth} blocks")
    if scaled:
        parts.adapted["LayerScale"] = "folded into the maps before it"
    if keyless:
        parts.adapted["bias of keys"] = "zero, as the source has none"


def start_neutral(size: ModelSize, channels: dict[str, int], parts: Parts) -> None:
    """Let what only we have start without effect.

    Args:
        size: Of the model.
        channels: Rows of the tables of channels, by name.
        parts: Gets zeros.
    """
    width = size.image_width
    for name, rows in channels.items():
        parts.weights[f"patches.channel.{name}.weight"] = torch.zeros(rows, 2 * width)
    parts.style["geo"] = "added"
    for name in ("patches.mix", "gsd.2", "geo_added"):
        parts.weights[f"{name}.weight"] = torch.zeros(width, width)
        parts.weights[f"{name}.bias"] = torch.zeros(width)
    parts.neutral += [
        "factors and shifts of channels",
        "nonlinear patch path",
        "ground sample distance",
        "geography",
    ]


def _take_positions(position_LD: Tensor, size: ModelSize, parts: Parts) -> None:
    old, side = math.isqrt(len(position_LD)), size.image_px // size.patch_px
    parts.weights["positions.weight"] = resized_positions(position_LD, side)
    parts.style["positions"] = "learned"
    if old == side:
        parts.taken.append("positions")
    else:
        parts.adapted["positions"] = f"{old} × {old} to {side} × {side}, bicubic"


def _before(found: Found, count: int, options: list[int]) -> int:
    """Return how many of the positions belong to tokens before patches: a square is left."""
    square = [n for n in options if count > n and math.isqrt(count - n) ** 2 == count - n]
    if len(set(square)) != 1:
        raise ConfigError(
            f"{found.checkpoint.path} has {count} positions, which are no square grid of patches",
            "take a checkpoint of square images",
        )
    return square[0]


def _qkv(found: Found, number: int, width: int) -> tuple[Tensor, Tensor, bool]:
    """Return weight and bias of the joint map, and whether keys had no bias of their own."""
    whole = found.block(number, "qkv", "weight")
    if whole is None:
        maps = [_linear(found, number, name) for name in ("q", "k", "v")]
        whole, bias = (torch.cat(parts) for parts in zip(*maps, strict=True))
        return whole, bias, found.block(number, "k", "bias") is None
    given, mask = found.block(number, "qkv", "bias"), found.block(number, "qkv_mask")
    q_bias, v_bias = (found.block(number, name) for name in ("q_bias", "v_bias"))
    if q_bias is not None and v_bias is not None:
        return whole, torch.cat([q_bias, torch.zeros(width), v_bias]), True
    bias = torch.zeros(3 * width) if given is None else given
    if mask is not None:  # 0 for keys; what lies under it may be anything, even NaN
        bias = torch.where(mask == 0, 0.0, bias)
    return whole, bias, given is None or mask is not None


def _linear(found: Found, number: int, name: str) -> tuple[Tensor, Tensor]:
    weight = found.required(
        found.block(number, name, "weight"), f"weight of {name} in block {number}"
    )
    bias = found.block(number, name, "bias")
    return weight, torch.zeros(len(weight)) if bias is None else bias
