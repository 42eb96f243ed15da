"""Rung 4: the light image decoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.pixels import PixelDecoder

CONFIG = SarKnowLIPConfig(
    image_px=32, patch_px=8, image_width=24, image_heads=2, text_width=20, pixel_width=16
)
L, F = 16, 64


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def decoder() -> PixelDecoder:
    torch.manual_seed(0)
    return PixelDecoder(CONFIG).eval()


IDS = torch.tensor([[1, 2, 0], [7, 0, 0]])
KEEP = torch.tensor([[3, 11, 0, 7], [5, 2, 15, 8]])


@torch.no_grad()
def test_shape_follows_channels_and_features(decoder: PixelDecoder) -> None:
    out = decoder(draw(2, 4, 24), KEEP, IDS)
    assert out.shape == (2, 3, L, F)
    assert (out[IDS == 0] == 0).all()
    assert (out[IDS != 0] != 0).any(dim=2).all()
    wide = PixelDecoder(SarKnowLIPConfig(**CONFIG.to_dict() | {"pixel_features": 9}))
    assert wide(draw(2, 4, 24), KEEP, IDS).shape == (2, 3, L, 9)


@torch.no_grad()
def test_order_of_seen_tokens_does_not_matter_but_their_places_do(decoder: PixelDecoder) -> None:
    tokens, turned = draw(2, 4, 24), torch.tensor([2, 0, 3, 1])
    out = decoder(tokens, KEEP, IDS)
    assert torch.allclose(out, decoder(tokens[:, turned], KEEP[:, turned], IDS), atol=1e-6)
    assert not torch.allclose(out, decoder(tokens, KEEP[:, turned], IDS), atol=1e-3)


@torch.no_grad()
def test_all_seen_equals_no_mask(decoder: PixelDecoder) -> None:
    tokens = draw(2, L, 24)
    whole = torch.arange(L).expand(2, L)
    assert torch.equal(decoder(tokens, whole, IDS), decoder(tokens, None, IDS))


@torch.no_grad()
def test_masked_places_and_channels_are_told_apart(decoder: PixelDecoder) -> None:
    out = decoder(draw(2, 4, 24), KEEP, IDS)
    assert not torch.allclose(out[0, 0, 4], out[0, 0, 5], atol=1e-3)
    assert not torch.allclose(out[0, 0], out[0, 1], atol=1e-3)
    swapped = decoder(draw(2, 4, 24), KEEP, IDS[:, [1, 0, 2]])
    assert torch.allclose(swapped[0, 0], out[0, 1], atol=1e-6)


@torch.no_grad()
def test_text_is_looked_at_and_its_padding_is_not(decoder: PixelDecoder) -> None:
    tokens, text = draw(2, 4, 24), draw(2, 5, 20, seed=2)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    out = decoder(tokens, KEEP, IDS, text, mask)
    assert not torch.allclose(out, decoder(tokens, KEEP, IDS), atol=1e-3)
    other = text.masked_fill((mask == 0).unsqueeze(-1), 9.0)
    assert torch.equal(out, decoder(tokens, KEEP, IDS, other, mask))
    assert not torch.allclose(out[0], decoder(tokens, KEEP, IDS, text)[0], atol=1e-3)


def test_every_weight_learns_with_and_without_text(decoder: PixelDecoder) -> None:
    for text in (None, draw(2, 5, 20)):
        decoder.zero_grad()
        decoder(draw(2, 4, 24), KEEP, IDS, text).square().sum().backward()
        still = [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.any()]
        assert still == ([] if text is None else ["no_text.weight"])
