"""Rung 4: the transformer block, alone, with a memory and with a cache."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sarknowlip.models.block import Block, BlockCache

WIDTH, HEADS, MEMORY = 24, 3, 20


def block(memory: int | None = MEMORY, seed: int = 0) -> Block:
    torch.manual_seed(seed)
    made = Block(WIDTH, HEADS, 2, memory).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


def tokens(count: int, length: int, width: int = WIDTH, seed: int = 1) -> Tensor:
    return torch.randn(count, length, width, generator=torch.Generator().manual_seed(seed))


def by_hand(made: Block, x: Tensor, keep: Tensor, memory: Tensor | None) -> Tensor:
    """Return what the block should, with a loop over heads and a softmax written out."""

    def attend(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
        parts = []
        for q_h, k_h, v_h in zip(*(part.chunk(HEADS, -1) for part in (q, k, v)), strict=True):
            weight = q_h @ k_h.transpose(1, 2) / (WIDTH // HEADS) ** 0.5
            parts.append(weight.masked_fill(~keep, -torch.inf).softmax(-1) @ v_h)
        return torch.cat(parts, -1)

    x = x + made.out(attend(*made.qkv(made.norm_attention(x)).chunk(3, -1), keep))
    if memory is not None:
        k, v = made.cross.kv(memory).chunk(2, -1)
        all_seen = torch.ones(len(x), 1, memory.shape[1], dtype=torch.bool)
        x = x + made.cross.out(attend(made.cross.q(made.norm_cross(x)), k, v, all_seen))
    return x + made.mlp(made.norm_mlp(x))


@pytest.mark.parametrize("with_memory", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_equals_attention_written_out(with_memory: bool, causal: bool) -> None:
    made, x = block(MEMORY if with_memory else None), tokens(2, 7)
    memory = tokens(2, 5, MEMORY, seed=2) if with_memory else None
    keep = torch.ones(7, 7, dtype=torch.bool)
    keep = keep.tril() if causal else keep
    wanted = by_hand(made, x, keep.expand(2, 7, 7), memory)
    assert torch.allclose(made(x, None, memory, causal=causal), wanted, atol=1e-5)
    assert torch.allclose(made(x, keep[None, None], memory), wanted, atol=1e-5)


@torch.no_grad()
def test_what_is_masked_does_not_matter() -> None:
    made, x, memory = block(), tokens(2, 6), tokens(2, 5, MEMORY)
    keep = torch.tensor([1, 1, 0, 1, 1, 0]).bool().expand(2, 1, 1, 6)
    memory_keep = torch.tensor([1, 0, 1, 1, 0]).bool().expand(2, 1, 1, 5)
    other_x, other_memory = x.clone(), memory.clone()
    other_x[:, [2, 5]] = 9.0
    other_memory[:, [1, 4]] = 9.0
    seen = [0, 1, 3, 4]
    out = made(x, keep, memory, memory_keep)
    assert torch.equal(out[:, seen], made(other_x, keep, other_memory, memory_keep)[:, seen])
    assert torch.allclose(out[:, seen], made(x[:, seen], None, memory[:, [0, 2, 3]]), atol=1e-6)


@pytest.mark.parametrize("pieces", [[7], [1] * 7, [3, 1, 1, 2]])
@torch.no_grad()
def test_pieces_with_a_cache_equal_the_whole(pieces: list[int]) -> None:
    made, x, memory = block(), tokens(2, 7), tokens(2, 5, MEMORY)
    cache, out, start = BlockCache(9), [], 0
    for length in pieces:
        stop = start + length
        keep = torch.ones(stop, stop, dtype=torch.bool).tril()[start:]
        read = memory if start == 0 else torch.full_like(memory, torch.nan)
        out.append(made(x[:, start:stop], keep[None, None], read, cache=cache))
        start = stop
    assert torch.allclose(torch.cat(out, 1), made(x, None, memory, causal=True), atol=1e-5)
    assert cache.length == 7


@torch.no_grad()
def test_rows_of_a_cache_can_be_repeated_and_exchanged() -> None:
    made, x, memory = block(), tokens(2, 4), tokens(2, 5, MEMORY)
    cache = BlockCache(5)
    made(x[:, :3], torch.ones(3, 3).bool().tril()[None, None], memory, cache=cache)
    cache.expand(2)
    twice = x.repeat_interleave(2, dim=0)
    last = made(twice[:, 3:], None, memory.repeat_interleave(2, dim=0), cache=cache)
    wanted = made(x, None, memory, causal=True)[:, 3:]
    assert torch.allclose(last, wanted.repeat_interleave(2, dim=0), atol=1e-5)
    assert cache.seen is not None
    before = cache.seen[0].clone()
    cache.reorder(torch.tensor([1, 1, 3, 2]))
    assert torch.equal(cache.seen[0][..., :4, :], before[[1, 1, 3, 2]][..., :4, :])


@torch.no_grad()
def test_a_full_cache_is_refused() -> None:
    cache = BlockCache(3)
    made, memory = block(), tokens(1, 2, MEMORY)
    made(tokens(1, 3), None, memory, cache=cache)
    with pytest.raises(ValueError, match="4 tokens in a cache that has room for 3"):
        made(tokens(1, 1), None, memory, cache=cache)


def test_checkpointing_changes_no_gradient() -> None:
    made, x, memory = block(), tokens(2, 6), tokens(2, 5, MEMORY)
    made.train()

    def gradients() -> list[Tensor]:
        seen = [x.clone().requires_grad_(), memory.clone().requires_grad_()]
        made.zero_grad()
        made(seen[0], None, seen[1], causal=True).square().sum().backward()
        return [given.grad for given in [*seen, *made.parameters()]]

    plain = gradients()
    made.gradient_checkpointing = True
    calls = []

    def counted(*args: object) -> object:
        calls.append(1)
        return checkpoint(*args, use_reentrant=False)

    made._gradient_checkpointing_func = partial(counted)
    for wanted, got in zip(plain, gradients(), strict=True):
        assert torch.equal(wanted, got)
    assert calls


def test_compiles_in_one_graph() -> None:
    made, x, memory = block(), tokens(2, 6), tokens(2, 5, MEMORY)
    keep = torch.tensor([1, 1, 1, 1, 1, 0]).bool().expand(2, 1, 1, 6)
    whole = torch.compile(made, backend="aot_eager", fullgraph=True)
    for args in ((x,), (x, keep), (x, keep, memory), (x, None, memory, keep[..., :5])):
        made.zero_grad()
        out = whole(*args)
        assert torch.allclose(out, made(*args), atol=1e-5)
        out.sum().backward()
        assert made.qkv.weight.grad is not None
