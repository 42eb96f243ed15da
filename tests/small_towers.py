"""Small image encoders of other families, and ours that starts from them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from sarknowlip.models.config import ModelSize
from sarknowlip.models.model import SarKnowLIP, without_bars
from sarknowlip.models.transfer.transfer import from_checkpoint

WIDTH, DEPTH, HEADS, PATCH, SIDE = 32, 3, 2, 8, 4
PIXELS = PATCH * SIDE
SIZE = ModelSize(
    image_px=PIXELS,
    patch_px=PATCH,
    image_width=WIDTH,
    image_depth=DEPTH,
    image_heads=HEADS,
    text_width=16,
    text_depth=1,
    text_heads=2,
    embed_dim=16,
    pixel_width=16,
)
SHAPES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": HEADS,
    "intermediate_size": 4 * WIDTH,
    "patch_size": PATCH,
    "image_size": PIXELS,
}
"""Of `transformers`' configurations."""


def shaken(model: Any, spread: float = 0.2) -> Any:
    """Give every weight, also biases, norms and tokens, a value of its own."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter + 0.15 * noise if parameter.ndim == 1 else spread * noise)
    return model.eval()


def grey(seed: int = 1, px: int = PIXELS) -> Tensor:
    """Return two images of one channel."""
    return torch.randn(2, 1, px, px, generator=torch.Generator().manual_seed(seed))


def coloured(grey_B1YX: Tensor) -> Tensor:
    return grey_B1YX.expand(-1, 3, -1, -1).contiguous()


def started(path: Path, size: ModelSize = SIZE, seed: int = 5) -> SarKnowLIP:
    """Return a model that starts from a checkpoint, in evaluation."""
    transfer = from_checkpoint(path, size)
    model = SarKnowLIP.fresh(transfer.size, 300, seed=seed).eval()
    transfer.load(model)
    return model


def our_tokens(path: Path, pixels: Tensor, size: ModelSize = SIZE) -> Tensor:
    """Return the tokens of a model that starts from a checkpoint."""
    return tokens_of(started(path, size), pixels)


def tokens_of(model: SarKnowLIP, pixels: Tensor, keep: Tensor | None = None) -> Tensor:
    ids = torch.arange(1, 1 + pixels.shape[1]).expand(len(pixels), -1)
    with torch.no_grad():
        return model.image_tokens(pixels, ids, torch.full((len(pixels),), 10.0), keep=keep)


def saved(model: Any, folder: Path) -> Path:
    """Write a model of `transformers`; return its folder."""
    with without_bars():
        model.save_pretrained(folder)
    return folder


def library_or_skip(name: str) -> ModuleType:
    """Return timm or open_clip; the test is skipped, with the reason, where it is absent.

    Beside a CPU build of torch they need `pip install --no-deps timm==1.0.31 open_clip_torch==3.3.0
    torchvision==0.28.0 ftfy wcwidth`, and what conftest.py does for torchvision.
    """
    return pytest.importorskip(name, reason=f"{name} is absent; see tests/small_towers.py")
