"""Rung 4: the model."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModel

import sarknowlip.models.auto  # noqa: F401
from data.bench.make import SIZE
from sarknowlip.core.errors import ConfigError
from sarknowlip.models.channels import CHANNELS
from sarknowlip.models.config import SIZES, SarKnowLIPConfig
from sarknowlip.models.geo import GEO_FEATURES
from sarknowlip.models.model import FIRST_BIAS, FIRST_SCALE, MAX_SCALE, SarKnowLIP


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
        there, here = (everything(m, batch(), KEEP, WORDS, MASK) for m in (again, model))
        assert all(torch.equal(there[name], here[name]) for name in here)


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


CHANNEL_IDS = torch.tensor([[1, 2], [19, 0], [4, 3]])
KEEP = torch.tensor([[3, 9, 0, 14], [1, 2, 15, 8], [5, 12, 6, 7]])
WORDS = torch.tensor([[1, 40, 41, 42, 2], [1, 43, 2, 7, 7], [1, 44, 45, 2, 7]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])


def batch() -> dict[str, torch.Tensor]:
    pixels, _, gsd = images(3, 2)
    geo = torch.randn(3, GEO_FEATURES, generator=torch.Generator().manual_seed(4))
    geo[1, 3:] = math.nan
    geo[2] = math.nan
    return {"pixel_values": pixels, "channel_ids": CHANNEL_IDS, "gsd_m": gsd, "geo": geo}


def everything(
    model: SarKnowLIP,
    inputs: dict[str, torch.Tensor],
    keep: torch.Tensor | None,
    words: torch.Tensor,
    mask: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Pass all parts, as a step with all objectives does."""
    image, text = model.image_tokens(**inputs, keep=keep), model.text_tokens(words, mask)
    return {
        "image": model.project_image(image),
        "text": model.project_text(text, mask),
        "match": model.match(text, mask, image),
        "caption": model.caption_logits(words, mask, image),
        "unconditional": model.caption_logits(words, mask, None),
        "patches": model.predict_patches(image, keep, inputs["channel_ids"]),
        "told": model.predict_patches(image, keep, inputs["channel_ids"], text, mask),
        "scale": model.scale,
        "bias": model.bias,
    }


@pytest.mark.parametrize("keep", [None, KEEP])
@torch.no_grad()
def test_no_part_looks_at_other_rows_of_the_batch(
    model: SarKnowLIP, keep: torch.Tensor | None
) -> None:
    inputs = batch()
    together = everything(model, inputs, keep, WORDS, MASK)
    for row in range(3):
        one = slice(row, row + 1)
        own = {name: value[one] for name, value in inputs.items()}
        length = int(MASK[row].sum())
        alone = everything(
            model, own, None if keep is None else keep[one], WORDS[one, :length], MASK[one, :length]
        )
        for name, value in alone.items():
            whole = together[name] if value.ndim == 0 else together[name][one]
            if name in {"caption", "unconditional"}:
                whole = whole[:, :length]
            assert torch.allclose(whole, value, atol=1e-5), name


@torch.no_grad()
def test_shapes_of_all_parts(model: SarKnowLIP) -> None:
    out = everything(model, batch(), KEEP, WORDS, MASK)
    assert {name: tuple(value.shape) for name, value in out.items()} == {
        "image": (3, 24),
        "text": (3, 24),
        "match": (3,),
        "caption": (3, 5, 300),
        "unconditional": (3, 5, 300),
        "patches": (3, 2, 16, 64),
        "told": (3, 2, 16, 64),
        "scale": (),
        "bias": (),
    }
    assert float(out["bias"]) == FIRST_BIAS


@torch.no_grad()
def test_masked_patches_are_not_seen(model: SarKnowLIP) -> None:
    inputs = batch()
    seen = model.image_tokens(**inputs, keep=KEEP)
    hidden = torch.ones(3, 16, dtype=torch.bool).scatter(1, KEEP, value=False)
    hidden = hidden.reshape(3, 1, 4, 1, 4, 1).expand(3, 2, 4, 8, 4, 8).reshape(3, 2, 32, 32)
    for value in (100.0, math.nan):
        inputs["pixel_values"] = batch()["pixel_values"].masked_fill(hidden, value)
        assert torch.equal(seen, model.image_tokens(**inputs, keep=KEEP))
    inputs["pixel_values"] = batch()["pixel_values"].masked_fill(~hidden, 0.0)
    assert not torch.allclose(seen, model.image_tokens(**inputs, keep=KEEP), atol=1e-3)


@torch.no_grad()
def test_keep_names_places_in_any_order(model: SarKnowLIP) -> None:
    inputs = batch()
    whole = model.image_tokens(**inputs)
    assert whole.shape == (3, 16, 32)
    order = torch.stack(
        [torch.randperm(16, generator=torch.Generator().manual_seed(row)) for row in range(3)]
    )
    shuffled = model.image_tokens(**inputs, keep=order)
    expected = whole.gather(1, order.unsqueeze(-1).expand_as(whole))
    assert torch.allclose(shuffled, expected, atol=1e-5)
    same = model.image_tokens(**inputs, keep=torch.arange(16).expand(3, -1))
    assert torch.allclose(same, whole, atol=1e-6)
    place = model.image_tokens(**inputs, keep=KEEP[:, [1, 0, 3, 2]])[:, [1, 0, 3, 2]]
    assert torch.allclose(place, model.image_tokens(**inputs, keep=KEEP), atol=1e-5)


@torch.no_grad()
def test_geography_is_used_and_works_unknown(model: SarKnowLIP) -> None:
    inputs = batch()
    told = model.encode_image(**inputs)
    inputs["geo"] = torch.full((3, GEO_FEATURES), math.nan)
    unknown = model.encode_image(**inputs)
    del inputs["geo"]
    assert torch.equal(unknown, model.encode_image(**inputs))
    assert torch.equal(told[2], unknown[2])
    for row in (0, 1):
        assert not torch.allclose(told[row], unknown[row], atol=1e-5)


@torch.no_grad()
def test_image_and_words_change_what_is_made_of_both(model: SarKnowLIP) -> None:
    inputs = batch()
    image, text = model.image_tokens(**inputs), model.text_tokens(WORDS, MASK)
    turned = image.roll(1, dims=0)
    assert not torch.allclose(
        model.match(text, MASK, image), model.match(text, MASK, turned), atol=1e-4
    )
    logits = model.caption_logits(WORDS, MASK, image)
    assert not torch.allclose(logits, model.caption_logits(WORDS, MASK, turned), atol=1e-3)
    assert not torch.allclose(logits, model.caption_logits(WORDS, MASK, None), atol=1e-3)


def trained(**changes: object) -> SarKnowLIP:
    made = SarKnowLIP.fresh(SIZE.model_copy(update={"geo_dropout": 0.0} | changes), 300)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "head" in name:
                weight.normal_(std=0.2)
    return made.train()


def gradients(model: SarKnowLIP, out: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    draw = torch.Generator().manual_seed(5)
    sum(
        (value.float() * torch.randn(value.shape, generator=draw)).mean() for value in out.values()
    ).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_every_weight_has_a_gradient() -> None:
    model = trained()
    found = gradients(model, everything(model, batch(), KEEP, WORDS, MASK))
    assert found.keys() == dict(model.named_parameters()).keys()
    for name, gradient in found.items():
        assert torch.isfinite(gradient).all(), name
        assert gradient.any(), name


def test_checkpointing_saves_memory_and_changes_no_gradient() -> None:
    model = trained(image_depth=6)
    plain = everything(model, batch(), KEEP, WORDS, MASK)
    expected, kept = gradients(model, plain), saved_numbers(model)
    model.gradient_checkpointing_enable()
    again = gradients(model, everything(model, batch(), KEEP, WORDS, MASK))
    assert again.keys() == expected.keys()
    for name, gradient in again.items():
        assert torch.equal(gradient, expected[name]), name
    assert saved_numbers(model) < 0.5 * kept
    model.gradient_checkpointing_disable()
    assert saved_numbers(model) == kept


def saved_numbers(model: SarKnowLIP) -> int:
    """Return how many numbers autograd keeps for backward, weights left out."""
    own = {p.data_ptr() for p in model.parameters()}
    seen: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            seen[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = everything(model, batch(), None, WORDS, MASK)
    total = sum(seen.values())
    del out
    return total


@pytest.mark.parametrize("checkpointing", [False, True])
def test_all_parts_compile_without_a_break(*, checkpointing: bool) -> None:
    torch._dynamo.reset()
    model = trained(image_depth=1, text_depth=1)
    if checkpointing:
        model.gradient_checkpointing_enable()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    expected = everything(model, batch(), KEEP, WORDS, MASK)
    wanted = gradients(model, expected)
    model.load_state_dict(state)
    compiled = torch.compile(everything, fullgraph=True, backend="eager")
    got = compiled(model, batch(), KEEP, WORDS, MASK)
    for name, value in expected.items():
        assert torch.allclose(got[name], value, atol=1e-5), name
    for name, value in gradients(model, got).items():
        assert torch.allclose(value, wanted[name], atol=1e-4), name


def test_geographic_dropout_compiles() -> None:
    torch._dynamo.reset()
    model = SarKnowLIP.fresh(SIZE.model_copy(update={"geo_dropout": 0.5}), 300).train()
    compiled = torch.compile(model.image_tokens, fullgraph=True, backend="eager")
    geo = torch.randn(3, GEO_FEATURES, generator=torch.Generator().manual_seed(4))
    inputs = batch() | {"geo": geo}
    torch.manual_seed(0)
    drawn = [compiled(**inputs) for _ in range(6)]
    assert any(not torch.equal(drawn[0], other) for other in drawn)


@torch.no_grad()
def test_half_precision_is_near(model: SarKnowLIP) -> None:
    exact = everything(model, batch(), KEEP, WORDS, MASK)
    half = copy.deepcopy(model).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = everything(model, batch(), KEEP, WORDS, MASK)
    for out in (mixed, everything(half, batch(), KEEP, WORDS, MASK)):
        for name in ("image", "text"):
            assert out[name].dtype == torch.float32
            cosine = torch.nn.functional.cosine_similarity(out[name], exact[name])
            assert (cosine > 0.999).all(), name
        for name in ("caption", "patches", "told"):
            error = (out[name].float() - exact[name]).square().mean() / exact[name].square().mean()
            assert error < 1e-3, name


def test_first_weights_follow_from_the_seed_alone() -> None:
    torch.manual_seed(11)
    one = SarKnowLIP.fresh(SIZE, 300, seed=3).state_dict()
    before = torch.get_rng_state()
    other = SarKnowLIP.fresh(SIZE, 300, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    third = SarKnowLIP.fresh(SIZE, 300, seed=4).state_dict()
    name = "image.patches.mix.weight"
    assert not torch.equal(third[name], one[name])


@torch.no_grad()
def test_generate_is_the_decoder_step_by_step(model: SarKnowLIP) -> None:
    inputs = batch()
    image = model.image_tokens(**inputs)
    texts = model.generate(**inputs, max_new_tokens=6)
    for row, text in enumerate(texts):
        ids = torch.tensor([[model.config.bos_token_id]])
        expected: list[int] = []
        while len(expected) < 6:
            logits = model.caption_logits(ids, None, image[row : row + 1])
            token = int(logits[0, -1].argmax())
            if token == model.config.eos_token_id:
                break
            expected.append(token)
            ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
        assert text == expected
    with pytest.raises(ValueError, match="may be 17, the decoder takes 16"):
        model.generate(**inputs, max_new_tokens=16)
    with pytest.raises(ConfigError, match="beams"):
        model.generate(**inputs, beams=3)
    again = [
        model.generate(
            **inputs, max_new_tokens=6, top_p=0.9, generator=torch.Generator().manual_seed(1)
        )
        for _ in range(2)
    ]
    assert again[0] == again[1]


def test_wrong_shapes_are_refused(model: SarKnowLIP) -> None:
    with pytest.raises(ValueError, match="the encoder takes 32 × 32"):
        model.encode_image(torch.zeros(1, 1, 64, 64), torch.ones(1, 1).long(), torch.ones(1))


@pytest.mark.parametrize("name", ["nano", "tiny"])
@torch.no_grad()
def test_an_untrained_model_is_unsure_of_words_and_knows_them_apart(name: str) -> None:
    model = SarKnowLIP.fresh(SIZES[name], vocab_size=1000, seed=0).eval()
    ids = torch.randint(3, 1000, (4, 24), generator=torch.Generator().manual_seed(0))
    table = model.text.tokens.weight
    assert float(table.std()) == pytest.approx(SIZES[name].text_width ** -0.5, rel=0.02)
    tokens = model.text_tokens(ids, torch.ones_like(ids))
    cosines = nn.functional.cosine_similarity(tokens[:, :, None], tokens[:, None], dim=-1)
    apart = ~torch.eye(24, dtype=torch.bool)
    assert float(cosines[:, apart].mean()) < 0.5  # 0.63 where vectors are read as they are told
    for image in (None, torch.randn(4, 5, SIZES[name].image_width)):
        logits = model.caption_logits(ids, None, image)[:, :-1]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        assert math.log(1000) < float(loss) < math.log(1000) + 0.8
