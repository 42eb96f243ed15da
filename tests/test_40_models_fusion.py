"""Rung 4: the fusion encoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.fusion import FusionEncoder

CONFIG = SarKnowLIPConfig(text_width=24, text_heads=3, image_width=20, fusion_depth=2)


def fusion() -> FusionEncoder:
    torch.manual_seed(0)
    return FusionEncoder(CONFIG).eval()


def inputs(count: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    text = torch.randn(count, 6, 24, generator=draw)
    mask = (torch.arange(6) < torch.tensor([6, 4, 1])[:count, None]).long()
    return text, mask, torch.randn(count, 5, 20, generator=draw)


@torch.no_grad()
def test_one_logit_a_pair_from_text_and_image() -> None:
    made, (text, mask, image) = fusion(), inputs()
    out = made(text, mask, image)
    assert out.shape == (3,)
    assert not torch.allclose(out, made(text, mask, image.flip(0)), atol=1e-4)
    assert not torch.allclose(out, made(text.flip(0), mask, image), atol=1e-4)
    assert made.tokens(text, mask, image).shape == text.shape


@torch.no_grad()
def test_padding_and_other_rows_do_not_matter() -> None:
    made, (text, mask, image) = fusion(), inputs()
    out = made(text, mask, image)
    other = torch.where(mask.bool()[..., None], text, torch.full_like(text, 9.0))
    assert torch.equal(out, made(other, mask, image))
    for row, length in enumerate((6, 4, 1)):
        alone = made(
            text[row : row + 1, :length], mask[row : row + 1, :length], image[row : row + 1]
        )
        assert torch.allclose(out[row], alone[0], atol=1e-5)


@torch.no_grad()
def test_the_order_of_image_tokens_does_not_matter() -> None:
    made, (text, mask, image) = fusion(), inputs()
    assert torch.allclose(
        made(text, mask, image), made(text, mask, image[:, [3, 1, 4, 0, 2]]), atol=1e-5
    )


def test_gradient_reaches_both_encoders() -> None:
    made, (text, mask, image) = fusion(), inputs()
    text.requires_grad_()
    image.requires_grad_()
    made(text, mask, image).sum().backward()
    assert text.grad is not None
    assert image.grad is not None
    real = mask.bool()
    assert (text.grad[real].abs().sum(-1) > 0).all()
    assert (text.grad[~real] == 0).all()
    assert (image.grad.abs().sum(-1) > 0).all()


def test_learns_which_text_belongs_to_which_image() -> None:
    made = fusion().train()
    draw = torch.Generator().manual_seed(2)
    text, image = torch.randn(8, 4, 24, generator=draw), torch.randn(8, 5, 20, generator=draw)
    mask = torch.ones(8, 4)
    optimizer = torch.optim.AdamW(made.parameters(), lr=3e-3)
    first, second = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    label = (first == second).float().flatten()
    weight = torch.where(label > 0, 7.0, 1.0)
    for _ in range(60):
        logit = made(text[first.flatten()], mask[first.flatten()], image[second.flatten()])
        loss = functional.binary_cross_entropy_with_logits(logit, label, weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ((logit > 0) == label.bool()).all()


def test_compiles_in_one_graph() -> None:
    made = fusion()
    whole = torch.compile(made, backend="aot_eager", fullgraph=True)
    out = whole(*inputs())
    assert torch.allclose(out, made(*inputs()), atol=1e-5)
    out.sum().backward()
