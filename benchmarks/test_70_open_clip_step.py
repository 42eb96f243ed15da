"""A contrastive training step beside that of open_clip with towers of the same sizes.

Both have a ViT and a text transformer of equal width, depth, heads, patches, tokens and vocabulary,
mean pooling over as many patches, the same batch, and AdamW in its fused form with the same groups.
open_clip's image has three channels, as its patch embedding wants; ours is grey, one channel of
radar, with geographic tokens, ground sample distance and channel on top. Ours masks padding, as the
engine always does; open_clip's text is causal, without padding. Ours runs the engine's `TrainStep`
with its contrastive objective.

The two blocks are the same function: with weights copied they give the same tokens. On equal
embeddings the two losses and their gradients are equal. Both are tested before anything is timed.
Steps are interleaved in one process, first in turn; processor time; the ratio is open_clip's time
by ours, the median over rounds.

    OMP_NUM_THREADS=1 pytest -q benchmarks/test_70_open_clip_step.py -s
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from clip_peers import open_clip_or_skip
from torch import Tensor, nn
from torch.nn import functional

from sarknowlip.data.loader import Batch
from sarknowlip.losses.contrastive import contrastive
from sarknowlip.models.block import Block
from sarknowlip.models.config import SIZES, ModelSize
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.train.objectives.config import ObjectiveConfig
from sarknowlip.train.objectives.kinds import contrastive as contrastive_objective
from sarknowlip.train.optim import OptimConfig, make_optimizer
from sarknowlip.train.step import TrainStep

VOCABULARY, TOKENS, GATE = 2048, 64, 1.0
CASES = {"tiny": (16, 31), "small": (4, 7)}
"""Pairs a batch, and rounds, by size of model."""


def peer_model(open_clip: ModuleType, size: ModelSize) -> nn.Module:
    """Return open_clip's model with towers of a size of ours."""
    vision = {
        "layers": size.image_depth,
        "width": size.image_width,
        "head_width": size.image_width // size.image_heads,
        "patch_size": size.patch_px,
        "image_size": size.image_px,
        "pool_type": "avg",
        "final_ln_after_pool": False,
    }
    text = {
        "context_length": TOKENS,
        "vocab_size": VOCABULARY,
        "width": size.text_width,
        "heads": size.text_heads,
        "layers": size.text_depth,
    }
    torch.manual_seed(0)
    made: nn.Module = open_clip.CLIP(size.embed_dim, vision, text)
    return made.train()


def our_model(size: ModelSize) -> SarKnowLIP:
    """Return our model; what contrast does not train is frozen, open_clip has no such parts."""
    model = SarKnowLIP.fresh(size, VOCABULARY).train()
    for part in (model.fusion, model.decoder, model.pixels):
        part.requires_grad_(requires_grad=False)
    model.bias.requires_grad_(requires_grad=False)
    return model


def make_batch(size: ModelSize, count: int) -> Batch:
    """Return pairs of grey images and texts without padding, each told in words of its own."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randn(count, 1, size.image_px, size.image_px, generator=draw)
    ids = torch.randint(3, VOCABULARY, (count, TOKENS), generator=draw)
    ids[:, -1] = VOCABULARY - 1  # open_clip reads the text at its largest token
    return Batch(
        images={
            "pixel_values": pixels,
            "channel_ids": torch.full((count, 1), 17),
            "gsd_m": torch.full((count,), 10.0),
            "geo": torch.randn(count, 8, generator=draw),
        },
        texts={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        group=torch.arange(count),
    )


def our_step(model: SarKnowLIP, size: ModelSize, batch: Batch) -> Callable[[], float]:
    """Return a training step of the engine's module."""
    module = TrainStep(model, contrastive_objective(ObjectiveConfig(), size), "fp32").train()
    optimizer, generator = make_optimizer(module, OptimConfig()), torch.Generator().manual_seed(0)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss, _ = module(batch, generator)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def peer_step(open_clip: ModuleType, model: nn.Module, batch: Batch) -> Callable[[], float]:
    """Return a training step as open_clip's `train_one_epoch` takes it."""
    pixels, ids = batch.images["pixel_values"].expand(-1, 3, -1, -1), batch.texts["input_ids"]
    optimizer, loss_of = make_optimizer(model, OptimConfig()), open_clip.loss.ClipLoss()

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(*model(pixels, ids))
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)
        return float(loss.detach())

    return step


def same_block(peer: nn.Module, ours: Block) -> None:
    """Copy the weights of open_clip's block into ours."""
    names = {
        "norm_attention": peer.ln_1,
        "out": peer.attn.out_proj,
        "norm_mlp": peer.ln_2,
        "mlp.0": peer.mlp.c_fc,
        "mlp.2": peer.mlp.c_proj,
    }
    for name, module in names.items():
        ours.get_submodule(name).load_state_dict(module.state_dict())
    ours.qkv.load_state_dict({"weight": peer.attn.in_proj_weight, "bias": peer.attn.in_proj_bias})


@pytest.mark.parametrize("name", CASES)
def test_blocks_of_equal_weights_are_equal(name: str) -> None:
    size, open_clip = SIZES[name], open_clip_or_skip()
    peer, block = peer_model(open_clip, size), our_model(size).image.blocks[0]
    same_block(peer.visual.transformer.resblocks[0], block)
    tokens = torch.randn(2, 9, size.image_width, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(block(tokens), peer.visual.transformer.resblocks[0](tokens), atol=1e-5)


def test_losses_of_equal_embeddings_are_equal() -> None:
    peer = open_clip_or_skip().loss.ClipLoss()
    draw = torch.Generator().manual_seed(0)
    image, text = functional.normalize(torch.randn(2, 32, 64, generator=draw), dim=-1)
    scale, group = torch.tensor(14.0), torch.arange(32)

    def with_gradients(loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> list[Tensor]:
        leaves = [x.clone().requires_grad_() for x in (image, text, scale)]
        value = loss(*leaves)
        value.backward()
        return [value.detach(), *(leaf.grad for leaf in leaves)]

    ours = with_gradients(lambda i, t, s: contrastive(i, t, s, group))
    for one, other in zip(ours, with_gradients(peer), strict=True):
        assert torch.allclose(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_step_beside_open_clip(name: str, record: Callable[..., None]) -> None:
    open_clip = open_clip_or_skip()
    size, (count, rounds) = SIZES[name], CASES[name]
    batch, peer, model = make_batch(size, count), peer_model(open_clip, size), our_model(size)
    steps = {"ours": our_step(model, size, batch), "peer": peer_step(open_clip, peer, batch)}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spent: dict[str, list[float]] = {one: [] for one in steps}
    losses: dict[str, list[float]] = {one: [] for one in steps}
    for number in range(rounds + 1):
        for one in sorted(steps, reverse=bool(number % 2)):
            start = time.process_time()
            losses[one].append(steps[one]())
            spent[one].append(time.process_time() - start)
    torch.set_num_threads(threads)
    assert all(found[-1] < found[0] for found in losses.values()), "a step does not train"
    pairs = zip(spent["peer"][1:], spent["ours"][1:], strict=True)
    ratios = [theirs / ours for theirs, ours in pairs]
    low, _, high = statistics.quantiles(ratios, n=4)
    ratio = statistics.median(ratios)
    record(
        "open_clip_step",
        peer=f"open_clip {open_clip.__version__}",
        size=name,
        batch=count,
        text_tokens=TOKENS,
        our_parameters=trained(model),
        peer_parameters=trained(peer),
        our_ms=round(1000 * statistics.median(spent["ours"][1:]), 1),
        peer_ms=round(1000 * statistics.median(spent["peer"][1:]), 1),
        speed_ratio=round(ratio, 3),
        quartiles=f"{low:.3f}-{high:.3f}",
        rounds=rounds,
        clock="cpu",
        threads=1,
        torch=torch.__version__,
    )
    assert ratio >= GATE


def trained(model: nn.Module) -> int:
    """Return how many weights are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
