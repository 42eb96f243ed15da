"""Image encoders of `transformers` at small sizes: the tower that takes them gives their tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from sarknowlip.models.config import ModelSize
from sarknowlip.models.model import SarKnowLIP, without_bars
from sarknowlip.models.transfer.transfer import from_checkpoint

WIDTH, DEPTH, HEADS, PATCH, SIDE = 32, 3, 2, 8, 4
SIZE = ModelSize(
    image_px=PATCH * SIDE,
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
    "image_size": PATCH * SIDE,
}
TOLERANCE = 1e-4


class NoGeo(nn.Module):
    """In place of geographic tokens, which no public encoder has."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, geo_B8: Tensor) -> Tensor:
        return geo_B8.new_zeros(geo_B8.shape[0], 0, self.width)


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every weight, also biases, norms and tokens, a value of its own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter + 0.15 * noise if parameter.ndim == 1 else 0.2 * noise)
    return model.eval()


def grey(seed: int = 1, px: int = PATCH * SIDE) -> Tensor:
    return torch.randn(2, 1, px, px, generator=torch.Generator().manual_seed(seed))


def our_tokens(path: Path, size: ModelSize, pixels: Tensor, keep: Tensor | None = None) -> Tensor:
    """Return the tokens of a fresh model that starts from a checkpoint, without geography."""
    transfer = from_checkpoint(path, size)
    model = SarKnowLIP.fresh(transfer.size, 300, seed=5).eval()
    transfer.load(model)
    model.image.geo = NoGeo(size.image_width)
    ids = torch.full((len(pixels), pixels.shape[1]), 2)
    with torch.no_grad():
        return model.image_tokens(pixels, ids, torch.full((len(pixels),), 10.0), keep=keep)


def saved(model: Any, folder: Path) -> Path:
    with without_bars():
        model.save_pretrained(folder)
    return folder


def clip() -> Any:
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**SHAPES))


def clip_gelu() -> Any:
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**SHAPES, hidden_act="gelu"))


def siglip() -> Any:
    return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**SHAPES))


def vit() -> Any:
    return transformers.ViTModel(transformers.ViTConfig(**SHAPES))


def dinov2() -> Any:
    return transformers.Dinov2Model(transformers.Dinov2Config(**SHAPES))


def dinov2_registers() -> Any:
    return transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**SHAPES))


def dinov3() -> Any:
    config = transformers.DINOv3ViTConfig(**SHAPES, num_register_tokens=4)
    return transformers.DINOv3ViTModel(config)


def clip_tokens(model: Any, rgb: Tensor) -> Tensor:
    """CLIP norms only its class token; ours are the patches after the same norm."""
    return model.post_layernorm(model(pixel_values=rgb).last_hidden_state[:, 1:])


def last_tokens(before: int) -> Callable[[Any, Tensor], Tensor]:
    return lambda model, rgb: model(pixel_values=rgb).last_hidden_state[:, before:]


SOURCES: dict[str, tuple[Callable[[], Any], Callable[[Any, Tensor], Tensor]]] = {
    "clip": (clip, clip_tokens),
    "clip-gelu": (clip_gelu, clip_tokens),
    "siglip": (siglip, last_tokens(0)),
    "vit": (vit, last_tokens(1)),
    "dinov2": (dinov2, last_tokens(1)),
    "dinov2-registers": (dinov2_registers, last_tokens(5)),
    "dinov3": (dinov3, last_tokens(5)),
}


@pytest.mark.parametrize("name", SOURCES)
def test_tokens_are_those_of_the_source_on_a_grey_image(name: str, tmp_path: Path) -> None:
    make, tokens_of = SOURCES[name]
    source = shaken(make())
    pixels = grey()
    with torch.no_grad():
        theirs = tokens_of(source, pixels.expand(-1, 3, -1, -1))
    ours = our_tokens(saved(source, tmp_path), SIZE, pixels)
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)
