"""Rung 4: the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from data.bench.make import SIZE
from sarknowlip.core.errors import ConfigError
from sarknowlip.models.channels import CHANNELS
from sarknowlip.models.config import SIZES, ModelSize, SarKnowLIPConfig
from sarknowlip.models.model import FIRST_SCALE, MAX_SCALE, SarKnowLIP


@pytest.fixture(scope="module")
def model() -> SarKnowLIP:
    torch.manual_seed(0)
    made = SarKnowLIP(SarKnowLIPConfig.of(SIZE, 300)).eval()
    with torch.no_grad():
        for table in (made.image.patches.channel.polarization, made.image.patches.channel.band):
            table.weight.normal_(std=0.5)
        for norm in (made.image_norm, made.text_norm):
            norm.running_mean.normal_(std=0.1)
            norm.running_var.uniform_(0.5, 2.0)
    return made


def images(count: int, channels: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randn(count, channels, 32, 32, generator=draw)
    ids = torch.stack(
        [torch.randperm(CHANNELS - 1, generator=draw)[:channels] + 1 for _ in range(count)]
    )
    return pixels, ids, torch.rand(count, generator=draw) * 20 + 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@torch.no_grad()
def test_any_channels_in_any_order(model: SarKnowLIP, channels: int) -> None:
    pixels, ids, gsd = images(3, channels)
    out = model.encode_image(pixels, ids, gsd)
    assert out.shape == (3, 24)
    assert torch.allclose(out.norm(dim=1), torch.ones(3), atol=1e-6)
    turned = torch.arange(channels).flip(0)
    assert torch.allclose(
        out, model.encode_image(pixels[:, turned], ids[:, turned], gsd), atol=1e-6
    )


@torch.no_grad()
def test_mixed_batch_equals_single_ones(model: SarKnowLIP) -> None:
    pixels, ids, gsd = torch.full((4, 4, 32, 32), 7.0), torch.zeros(4, 4, dtype=torch.int64), []
    singles = []
    for row, channels in enumerate((1, 2, 3, 4)):
        own, own_ids, own_gsd = images(1, channels, seed=row)
        pixels[row, :channels], ids[row, :channels] = own[0], own_ids[0]
        gsd.append(own_gsd)
        singles.append(model.encode_image(own, own_ids, own_gsd))
    together = model.encode_image(pixels, ids, torch.cat(gsd))
    assert torch.allclose(together, torch.cat(singles), atol=1e-6)


@torch.no_grad()
def test_channel_identity_gsd_and_contrast_between_channels_matter(model: SarKnowLIP) -> None:
    pixels, ids, gsd = images(1, 2)
    out = model.encode_image(pixels, ids, gsd)
    assert not torch.allclose(out, model.encode_image(pixels, ids.flip(1), gsd), atol=1e-4)
    assert not torch.allclose(out, model.encode_image(pixels, ids, gsd * 4), atol=1e-4)
    same_mean = pixels + torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1)
    assert not torch.allclose(out, model.encode_image(same_mean, ids, gsd), atol=1e-4)


@torch.no_grad()
def test_every_pixel_and_word_counts(model: SarKnowLIP) -> None:
    pixels, ids, gsd = images(1, 1)
    with torch.enable_grad():
        seen = pixels.clone().requires_grad_()
        model.encode_image(seen, ids, gsd)[0, 0].backward()
    assert seen.grad is not None
    assert (seen.grad != 0).all()
    words = torch.arange(3, 11)[None]
    mask = torch.ones_like(words)
    text = model.encode_text(words, mask)
    assert not torch.allclose(text, model.encode_text(words.flip(1), mask), atol=1e-4)


@torch.no_grad()
def test_padding_of_texts_does_not_matter(model: SarKnowLIP) -> None:
    words = torch.arange(3, 11)[None]
    short = model.encode_text(words, torch.ones_like(words))
    padded = torch.cat([words, torch.full((1, 6), 9)], dim=1)
    mask = (torch.arange(14) < 8).long()[None]
    assert torch.allclose(short, model.encode_text(padded, mask), atol=1e-6)
    assert torch.allclose(short.norm(dim=1), torch.ones(1), atol=1e-6)


@torch.no_grad()
def test_saved_model_gives_the_same_bits(model: SarKnowLIP, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    inputs = images(3, 2)
    for kind in (SarKnowLIP, AutoModel):
        again = kind.from_pretrained(tmp_path)
        assert isinstance(again, SarKnowLIP)
        assert not again.training
        assert torch.equal(again.encode_image(*inputs), model.encode_image(*inputs))
        words = torch.arange(3, 11)[None]
        mask = torch.ones_like(words)
        assert torch.equal(again.encode_text(words, mask), model.encode_text(words, mask))
        assert torch.equal(again.logit_scale, model.logit_scale)


@torch.no_grad()
def test_forward_bounds_the_scale(model: SarKnowLIP) -> None:
    words = torch.arange(3, 11)[None].expand(3, -1)
    out = model(*images(3, 2), words, torch.ones_like(words))
    assert out.image_embeds.shape == out.text_embeds.shape == (3, 24)
    assert float(out.scale) == pytest.approx(FIRST_SCALE)
    before = model.logit_scale.clone()
    model.logit_scale.fill_(50.0)
    assert model(*images(3, 2), words, torch.ones_like(words)).scale == MAX_SCALE
    model.logit_scale.copy_(before)


def test_sizes_are_as_said() -> None:
    millions = {}
    for name, size in SIZES.items():
        with torch.device("meta"):
            made = SarKnowLIP(SarKnowLIPConfig.of(size, 2048))
        millions[name] = round(sum(p.numel() for p in made.parameters()) / 1e6)
    assert millions == {"tiny": 6, "small": 56, "base": 178, "large": 531}


def test_wrong_shapes_are_refused(model: SarKnowLIP) -> None:
    with pytest.raises(ValueError, match="the encoder takes 32 × 32"):
        model.encode_image(torch.zeros(1, 1, 64, 64), torch.ones(1, 1).long(), torch.ones(1))
    with pytest.raises(ConfigError, match="image_px=30 is no multiple of patch_px=8"):
        ModelSize(**SIZE.model_dump() | {"image_px": 30})
    with pytest.raises(ConfigError, match="image_width=30 is no multiple of 4"):
        ModelSize(**SIZE.model_dump() | {"image_width": 30})
