"""Rung 4: the text decoder."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.decoder import Cache, TextDecoder, causal_keep

VOCABULARY = 40
CONFIG = SarKnowLIPConfig(
    text_width=24, text_heads=3, text_tokens=32, image_width=20, decoder_depth=2
)


class Toy(nn.Module):
    """A decoder with its table."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.decoder = TextDecoder(CONFIG)
        self.tokens = nn.Embedding(VOCABULARY, 24)
        nn.init.normal_(self.tokens.weight, std=24**-0.5)

    def forward(
        self, ids: Tensor, mask: Tensor | None, image: Tensor | None, cache: Cache | None = None
    ) -> Tensor:
        logits: Tensor = self.decoder(ids, mask, image, self.tokens, cache)
        return logits


@pytest.fixture
def toy() -> Toy:
    return Toy().eval()


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def words(count: int, length: int, seed: int = 1) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (count, length), generator=source)


def padded(rows: list[Tensor], length: int, side: str) -> tuple[Tensor, Tensor]:
    """Return rows with padding that is no harmless token, and the mask."""
    ids = torch.full((len(rows), length), 7)
    mask = torch.zeros(len(rows), length, dtype=torch.int64)
    for index, row in enumerate(rows):
        here = slice(length - len(row), None) if side == "left" else slice(len(row))
        ids[index, here], mask[index, here] = row, 1
    return ids, mask


@torch.no_grad()
def test_logits_know_no_later_word(toy: Toy) -> None:
    ids, image = words(2, 8), draw(2, 5, 20)
    out = toy(ids, None, image)
    assert out.shape == (2, 8, VOCABULARY)
    for cut in range(1, 8):
        other = ids.clone()
        other[:, cut:] = (other[:, cut:] + 1) % VOCABULARY
        changed = (toy(other, None, image) - out).abs().amax(dim=(0, 2))
        assert (changed[:cut] < 1e-6).all()
        assert (changed[cut:] > 1e-4).all()


@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_padding_does_not_matter_on_either_side(toy: Toy, side: str) -> None:
    rows, image = [words(1, n, seed=n)[0] for n in (3, 8, 5)], draw(3, 5, 20)
    ids, mask = padded(rows, 10, side)
    out = toy(ids, mask, image)
    assert out.isfinite().all()
    for index, row in enumerate(rows):
        alone = toy(row[None], None, image[index : index + 1])[0]
        assert torch.allclose(out[index][mask[index].bool()], alone, atol=1e-5)


@torch.no_grad()
def test_padding_at_the_end_needs_no_mask(toy: Toy) -> None:
    rows, image = [words(1, n, seed=n)[0] for n in (3, 8)], draw(2, 5, 20)
    ids, mask = padded(rows, 8, "right")
    real = mask.bool()
    with_mask, without = toy(ids, mask, image)[real], toy(ids, None, image)[real]
    assert torch.allclose(with_mask, without, atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pieces", [[1] * 6, [2, 1, 3]])
@torch.no_grad()
def test_cached_logits_equal_uncached_ones(toy: Toy, side: str, pieces: list[int]) -> None:
    prompts, image = [words(1, n, seed=n)[0] for n in (2, 6, 4)], draw(3, 5, 20)
    further = words(3, 6, seed=9)
    cache = Cache(2, 12)
    ids, mask = padded(prompts, 6, side)
    parts, masks = [ids], [mask]
    out = [toy(ids, mask, image, cache)]
    for piece in further.split(pieces, dim=1):
        parts.append(piece)
        masks.append(torch.ones_like(piece))
        out.append(toy(piece, None, None, cache))
    whole = toy(torch.cat(parts, 1), torch.cat(masks, 1), image)
    real = torch.cat(masks, 1).bool()
    assert (torch.cat(out, 1)[real] - whole[real]).abs().max() < 1e-5
    for index, prompt in enumerate(prompts):
        row = torch.cat([prompt, further[index]])
        alone = toy(row[None], None, image[index : index + 1])[0, -6:]
        assert (whole[index, -6:] - alone).abs().max() < 1e-5


@torch.no_grad()
def test_rows_of_a_cache_can_be_repeated_and_exchanged(toy: Toy) -> None:
    prompts, image = [words(1, n, seed=n)[0] for n in (2, 5)], draw(1, 5, 20).expand(2, -1, -1)
    ids, mask = padded(prompts, 6, "left")
    cache = Cache(2, 8)
    toy(ids, mask, image, cache)
    cache.expand(2)
    cache.reorder(torch.tensor([3, 0, 1, 1]))
    last = words(4, 2, seed=5)
    out = toy(last, None, None, cache)
    for row, prompt in enumerate((1, 0, 0, 0)):
        alone = torch.cat([prompts[prompt], last[row]])
        assert torch.allclose(out[row], toy(alone[None], None, image[:1])[0, -2:], atol=1e-5)


@torch.no_grad()
def test_image_and_no_image(toy: Toy) -> None:
    ids, image = words(3, 6), draw(3, 5, 20)
    seen, unseen = toy(ids, None, image), toy(ids, None, None)
    assert not torch.allclose(seen, unseen, atol=1e-3)
    without = torch.tensor([True, False, True])
    mixed = toy(ids, None, toy.decoder.without_image(image, without))
    assert torch.allclose(mixed, torch.where(without[:, None, None], unseen, seen), atol=1e-5)


def test_gradient_reaches_table_image_and_no_image(toy: Toy) -> None:
    ids, image = words(2, 6), draw(2, 5, 20).requires_grad_()
    known = toy.decoder.without_image(image, torch.tensor([True, False]))
    logits = toy(ids, None, known)
    functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    assert image.grad is not None
    assert (image.grad[0] == 0).all()
    assert (image.grad[1] != 0).any()
    for parameter in toy.parameters():
        assert parameter.grad is not None
        assert (parameter.grad != 0).any()


@torch.no_grad()
def test_an_untrained_decoder_is_unsure(toy: Toy) -> None:
    ids = words(8, 20)
    logits = toy(ids, None, draw(8, 5, 20))
    loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    # logits of variance 1 cost half a nat
    assert abs(float(loss) - math.log(VOCABULARY)) < 0.8


def test_learns_to_tell_images_apart(toy: Toy) -> None:
    image, ids = draw(6, 5, 20), words(6, 8)
    ids[:, 0] = 1
    optimizer = torch.optim.AdamW(toy.parameters(), lr=3e-3)
    for _ in range(120):
        logits = toy(ids[:, :-1], None, image)
        loss = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (toy(ids[:, :-1], None, image).argmax(-1) == ids[:, 1:]).all()
    assert not (toy(ids[:, :-1], None, image.flip(0)).argmax(-1) == ids[:, 1:]).all()


def test_too_long_is_refused(toy: Toy) -> None:
    with pytest.raises(ValueError, match="33 tokens: the decoder takes 32"):
        toy(words(1, 33), None, None)
    with pytest.raises(ValueError, match="room for 4"), torch.no_grad():
        toy(words(1, 5), None, None, Cache(2, 4))


def test_compiles_in_one_graph(toy: Toy) -> None:
    whole = torch.compile(toy, backend="aot_eager", fullgraph=True)
    ids, image = words(2, 6), draw(2, 5, 20)
    mask = (torch.arange(6) < torch.tensor([[6], [3]])).long()
    for args in ((ids, mask, image), (ids, None, image), (ids, mask, None)):
        toy.zero_grad()
        out = whole(*args)
        assert torch.allclose(out, toy(*args), atol=1e-5)
        out.sum().backward()
        assert toy.tokens.weight.grad is not None


def test_who_sees_whom() -> None:
    real = torch.tensor([[0, 1, 1, 0, 1]]).bool()
    wanted = torch.tensor(
        [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 0, 1]]
    ).bool()
    assert torch.equal(causal_keep(real, 5)[0], wanted)
    assert torch.equal(causal_keep(real, 2)[0], wanted[3:])
