"""From a public checkpoint to the first weights of our image encoder.

The encoder takes the style of the source (`config.ImageStyle`), so that it computes what the source
does on a grey image: class token and registers become extra tokens, LayerScale is folded into the
map before it, kernels of colours are added up. What only we have starts without effect: ground
sample distance, geography, factors and shifts of channels, the nonlinear patch path. The pooling
and projection of the source are not taken: ours reads the mean of patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sarknowlip.core.errors import ConfigError
from sarknowlip.models.channels import BANDS, POLARIZATIONS
from sarknowlip.models.config import ImageStyle, ModelSize
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.transfer import take
from sarknowlip.models.transfer.files import read_checkpoint
from sarknowlip.models.transfer.layouts import Found, find_encoder
from sarknowlip.models.transfer.report import TransferReport
from sarknowlip.models.transfer.style import Told, told_by

IMAGE = "image."
"""Prefix of the image encoder's weights in the model."""
CHANNELS = {"polarization": len(POLARIZATIONS), "band": len(BANDS)}
RANDOM = ("what lies before maps without effect", "all but the image encoder")


@dataclass(frozen=True)
class Transfer:
    """First weights of an image encoder.

    Attributes:
        size: With the style of the source.
        weights: Weights of `SarKnowLIP` by name, float32.
        report: What became of the checkpoint.
    """

    size: ModelSize
    weights: dict[str, Tensor]
    report: TransferReport

    @torch.no_grad()
    def load(self, model: SarKnowLIP) -> None:
        """Put the weights into a model of `size`."""
        own = dict(model.named_parameters())
        for name, value in self.weights.items():
            own[name].copy_(value)


def from_checkpoint(path: str | Path, size: ModelSize) -> Transfer:
    """Return first weights from a public checkpoint.

    Args:
        path: File or folder on this machine: open_clip; CLIP, SigLIP, ViT, ViTMAE, DINOv2 or DINOv3
            of transformers; ViT, CLIP, SigLIP, DINOv2 or DINOv3 of timm; DINOv2, DINOv3 and MAE as
            their authors published them.
        size: Its width, depth and heads must be those of the checkpoint; patches and grid of
            positions are resampled. Its activation counts only where the checkpoint tells none.

    Raises:
        ConfigError: It cannot be read, is of no known format, has blocks of another kind, or does
            not fit.
    """
    found = find_encoder(read_checkpoint(Path(path)))
    told = told_by(found)
    _require_fit(found, told, size)
    parts = take.Parts()
    take.take_patches(found, size, parts)
    take.take_tokens(found, size, parts)
    if told.rotary_base is not None:
        width = size.image_width // size.image_heads
        take.take_rotary(found, told.rotary_base, width, parts)
    take.take_norms(found, parts)
    take.take_blocks(found, size.image_width, parts)
    take.start_neutral(size, CHANNELS, parts)
    style = ImageStyle(
        activation=told.activation or size.image_style.activation,
        norm_eps=told.norm_eps,
        **parts.style,
    )
    report = _report(found, told, size, parts)
    weights = {IMAGE + name: value.contiguous() for name, value in parts.weights.items()}
    return Transfer(size.model_copy(update={"image_style": style}), weights, report)


def _require_fit(found: Found, told: Told, size: ModelSize) -> None:
    width = len(found.required(found.block(0, "norm_attention", "weight"), "norm before attention"))
    hidden = len(found.required(found.block(0, "up", "weight"), "MLP of two maps"))
    back = found.required(found.block(0, "down", "weight"), "MLP of two maps").shape[1]
    file = found.checkpoint.path
    for name, theirs, ours in (
        ("image_width", width, size.image_width),
        ("image_depth", found.depth, size.image_depth),
        ("image_heads", told.heads or size.image_heads, size.image_heads),
    ):
        if theirs != ours:
            raise ConfigError(
                f"{file} has {name}={theirs}, the model has {ours}",
                f"set model.{name}={theirs}, or take a checkpoint that fits",
            )
    if hidden != 4 * width or back != hidden:
        kind = f"{hidden} wide" if back == hidden else f"gated, {hidden} to {back} wide"
        raise ConfigError(
            f"{file} has an MLP {kind}, the model one of {4 * width}",
            "take a checkpoint whose MLP is four times as wide as its tokens",
        )


def _report(found: Found, told: Told, size: ModelSize, parts: take.Parts) -> TransferReport:
    checkpoint = found.checkpoint
    assumed = {}
    if told.heads is None:
        assumed["heads"] = f"{size.image_heads}, as configured"
    if told.activation is None:
        assumed["activation"] = f"{size.image_style.activation}, as configured"
    elif told.assumed:
        assumed["activation"] = f"{told.activation}, usual there"
    if told.assumed:
        assumed["norm_eps"] = f"{told.norm_eps:g}, usual there"
    unused = found.unused()
    numbers, whole = found.numbers()
    return TransferReport(
        file="/".join(checkpoint.path.parts[-2:]),
        sha256=checkpoint.sha256,
        layout=found.layout.title + (f" under {checkpoint.part}" if checkpoint.part else ""),
        numbers_taken=numbers,
        numbers=whole,
        taken=parts.taken,
        adapted=parts.adapted,
        neutral=parts.neutral,
        random=list(RANDOM),
        unused=unused,
        assumed=assumed,
    )
