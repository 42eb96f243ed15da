"""Generating 64 tokens with a cache: beside no cache, and beside `transformers`' own `generate`.

The decoder is that of the size `tiny` with a vocabulary of 2,048 and 64 image tokens. Without a
cache, greedy search passes all tokens so far through the same decoder at each step. The peer is a
Pegasus decoder, the same computation in another library: pre-norm, tied table, learned positions;
it gets our weights and the same image tokens as its encoder's outputs. Neither side may end a text,
so that each writes 64 tokens. Both must write the same tokens before anything is timed. Rounds are
interleaved; ratios are the other's time by ours.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import PegasusConfig, PegasusForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from sarknowlip.models.config import SIZES, SarKnowLIPConfig
from sarknowlip.models.decoder import Cache
from sarknowlip.models.generate import Generation, generate
from sarknowlip.models.model import SarKnowLIP

ROUNDS, LENGTH, VOCABULARY, PLACES = 7, 64, 2048, 64
NEVER = 2


def ours() -> SarKnowLIP:
    model = SarKnowLIP.fresh(SIZES["tiny"], VOCABULARY).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.decoder.named_parameters():
            if weight.dim() == 2:
                weight.normal_(std=3.0 if "positions" in name else 0.25, generator=draw)
        model.text.tokens.weight.normal_(std=2.0 * 192**-0.5, generator=draw)
        model.text.tokens.weight[NEVER] = 0.0
    return model


def peer_of(model: SarKnowLIP, config: SarKnowLIPConfig) -> PegasusForConditionalGeneration:
    """Return the peer with the weights of our decoder."""
    width = config.text_width
    peer = PegasusForConditionalGeneration(
        PegasusConfig(
            vocab_size=VOCABULARY, d_model=width, encoder_layers=1, scale_embedding=False,
            encoder_attention_heads=config.text_heads, encoder_ffn_dim=4 * width,
            decoder_layers=config.decoder_depth, decoder_attention_heads=config.text_heads,
            decoder_ffn_dim=4 * width, max_position_embeddings=config.text_tokens,
            activation_function="gelu", decoder_start_token_id=1, pad_token_id=0,
            eos_token_id=None, bos_token_id=None, forced_eos_token_id=None,
        )
    ).eval()  # fmt: skip
    own, weights = model.decoder, {}
    for index, block in enumerate(own.blocks):
        at = f"layers.{index}."
        modules = {
            "self_attn.out_proj": block.out, "encoder_attn.out_proj": block.cross.out,
            "encoder_attn.q_proj": block.cross.q, "fc1": block.mlp[0], "fc2": block.mlp[2],
            "self_attn_layer_norm": block.norm_attention, "final_layer_norm": block.norm_mlp,
            "encoder_attn_layer_norm": block.norm_cross,
        }  # fmt: skip
        for kind in ("weight", "bias"):
            for name, module in modules.items():
                weights[f"{at}{name}.{kind}"] = getattr(module, kind)
            for name, part in zip("qkv", getattr(block.qkv, kind).chunk(3), strict=True):
                weights[f"{at}self_attn.{name}_proj.{kind}"] = part
            for name, part in zip("kv", getattr(block.cross.kv, kind).chunk(2), strict=True):
                weights[f"{at}encoder_attn.{name}_proj.{kind}"] = part
    for kind in ("weight", "bias"):
        weights[f"layer_norm.{kind}"] = getattr(own.norm, kind)
    weights["embed_positions.weight"] = own.positions.weight
    weights["embed_tokens.weight"] = model.text.tokens.weight
    with torch.no_grad():
        absent = peer.model.decoder.load_state_dict(weights, strict=False)
        peer.lm_head.weight.copy_(model.text.tokens.weight)
        peer.final_logits_bias[0, NEVER] = -1e9
    assert not absent.missing_keys
    assert not absent.unexpected_keys
    return peer


def with_cache(model: SarKnowLIP, image: Tensor, beams: int) -> list[list[int]]:
    def step(ids: Tensor, mask: Tensor, cache: Cache) -> Tensor:
        logits = model.caption_logits(ids, mask, image, cache)
        logits[:, :, NEVER] -= 1e9
        return logits

    begin = torch.ones(len(image), 1, dtype=torch.int64)
    how = Generation(max_new_tokens=LENGTH, num_beams=beams)
    cache = Cache(model.config.decoder_depth, LENGTH + 1)
    return generate(step, begin, begin, how, cache=cache, end=NEVER)


@torch.no_grad()
def without_cache(model: SarKnowLIP, image: Tensor) -> list[list[int]]:
    ids = torch.ones(len(image), 1, dtype=torch.int64)
    for _ in range(LENGTH):
        logits = model.caption_logits(ids, None, image)[:, -1]
        logits[:, NEVER] -= 1e9
        ids = torch.cat([ids, logits.argmax(1, keepdim=True)], dim=1)
    return ids[:, 1:].tolist()


def by_peer(peer: PegasusForConditionalGeneration, image: Tensor, beams: int) -> list[list[int]]:
    ids = peer.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=image), max_new_tokens=LENGTH,
        num_beams=beams, do_sample=False, use_cache=True,
    )  # fmt: skip
    return ids[:, 1:].tolist()


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.parametrize(("batch", "beams"), [(1, 1), (16, 1), (1, 4), (4, 4)])
def test_generate(record, batch: int, beams: int) -> None:
    model = ours()
    peer = peer_of(model, model.config)
    draw = torch.Generator().manual_seed(batch)
    image = torch.randn(batch, PLACES, model.config.image_width, generator=draw)
    ways: dict[str, Callable[[], list[list[int]]]] = {
        "ours": lambda: with_cache(model, image, beams),
        "peer": lambda: by_peer(peer, image, beams),
    }
    if beams == 1:
        ways["uncached"] = lambda: without_cache(model, image)
    written = {name: way() for name, way in ways.items()}
    assert all(len(row) == LENGTH for row in written["ours"])
    assert len({token for row in written["ours"] for token in row}) > 4
    assert all(text == written["ours"] for text in written.values())
    rounds = [{name: timed(way) for name, way in ways.items()} for _ in range(ROUNDS)]
    values = {"batch": batch, "beams": beams, "tokens": LENGTH, "rounds": ROUNDS}
    for name in ("peer", "uncached"):
        ratios = sorted(took[name] / took["ours"] for took in rounds) if name in ways else []
        values |= {
            f"{name}_ratio": f"{statistics.median(ratios):.2f}" if ratios else "",
            f"{name}_low": f"{ratios[0]:.2f}" if ratios else "",
            f"{name}_high": f"{ratios[-1]:.2f}" if ratios else "",
        }
    seconds = statistics.median(took["ours"] for took in rounds)
    record(
        "generate",
        **values,
        tokens_per_s=f"{batch * LENGTH / seconds:.0f}",
        threads=torch.get_num_threads(),
    )
