"""The transformer block of all encoders and decoders: pre-norm, SDPA attention, GELU.

A block may also look at a memory, tokens of another encoder and of another width, between its
attention and its MLP (Vaswani et al. 2017), and may keep keys and values for later calls, so that a
text grows by one token at the cost of one token.

Shapes: B batch, L tokens, T tokens looked at, D width, K tokens of memory, M width of memory,
N heads, H width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer


class ScaledLinear(nn.Linear):
    """A linear map whose first weights are smaller than usual.

    Args:
        inputs: Width of inputs.
        outputs: Width of outputs.
        gain: Factor on the standard deviation 1/√inputs of the first weights.
    """

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__(inputs, outputs)
        self.gain = gain


class Positions(nn.Embedding):
    """Learned vectors of places in a text; they start small beside the vectors of tokens.

    Attributes:
        STD: Standard deviation of the first weights.
    """

    STD = 0.02


class TokenTable(nn.Embedding):
    """Vectors of tokens, read by encoder and decoder and, as the decoder's output, told.

    First entries have a standard deviation of 1/√D: logits of a normed vector then have variance 1,
    and small changes tell. What an encoder reads is larger (`read`), so that attention does not
    drown which token it was (as in Vaswani et al. 2017, whose gain is √D).

    Attributes:
        STD: Standard deviation of what an encoder reads at first.
    """

    STD = 0.3

    def read(self, ids: Tensor) -> Tensor:
        """Return vectors of tokens for an encoder, (..., D).

        Args:
            ids: Token ids, int64 (...).
        """
        vectors: Tensor = self(ids) * (self.STD * self.embedding_dim**0.5)
        return vectors


class BlockCache:
    """Keys and values that one block keeps between calls.

    Args:
        room: Most tokens it can hold.

    Attributes:
        seen: Keys and values (B, N, room, H) of tokens, None before the first call.
        memory: Keys and values (B, N, K, H) of the memory, None before the first call.
        length: Tokens it holds.
    """

    def __init__(self, room: int) -> None:
        self.room, self.length = room, 0
        self.seen: tuple[Tensor, Tensor] | None = None
        self.memory: tuple[Tensor, Tensor] | None = None

    def append(self, k_BNLH: Tensor, v_BNLH: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values of further tokens; return those of all tokens (B, N, T, H).

        Raises:
            ValueError: More tokens than it has room for.
        """
        start, stop = self.length, self.length + k_BNLH.shape[2]
        if stop > self.room:
            raise ValueError(f"{stop} tokens in a cache that has room for {self.room}")
        if self.seen is None:
            B, N, _, H = k_BNLH.shape
            self.seen = k_BNLH.new_empty(B, N, self.room, H), v_BNLH.new_empty(B, N, self.room, H)
        self.length = stop
        for held, new in zip(self.seen, (k_BNLH, v_BNLH), strict=True):
            held[:, :, start:stop] = new
        return self.seen[0][:, :, :stop], self.seen[1][:, :, :stop]

    def expand(self, count: int) -> None:
        """Repeat each row of the batch `count` times, copies side by side."""
        for name in ("seen", "memory"):
            pair = getattr(self, name)
            if pair is not None:
                setattr(self, name, tuple(held.repeat_interleave(count, dim=0) for held in pair))

    def reorder(self, rows_B: Tensor) -> None:
        """Take other rows of the batch, such that the memory of each place stays what it is."""
        if self.seen is not None:
            k_BNTH, v_BNTH = (held.index_select(0, rows_B) for held in self.seen)
            self.seen = k_BNTH, v_BNTH


class CrossAttention(nn.Module):
    """Attention of tokens to a memory.

    Args:
        width: Width D of tokens.
        heads: Attention heads N.
        memory_width: Width M of the memory.
        gain: Factor on the first weights of the output map.
    """

    def __init__(self, width: int, heads: int, memory_width: int, gain: float) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(memory_width, 2 * width)
        self.out = ScaledLinear(width, width, gain)

    def forward(
        self,
        x_BLD: Tensor,
        memory_BKM: Tensor,
        keep_B11K: Tensor | None = None,
        cache: BlockCache | None = None,
    ) -> Tensor:
        """Return what the tokens see, (B, L, D).

        Args:
            x_BLD: Tokens.
            memory_BKM: Memory; once `cache` holds its keys and values it is not read again.
            keep_B11K: True where the memory may be looked at; None for all.
            cache: Keys and values of earlier calls.
        """
        (q_BNLH,) = split_heads(self.q(x_BLD), self.heads, 1)
        if cache is not None and cache.memory is not None:
            k_BNKH, v_BNKH = cache.memory
        else:
            k_BNKH, v_BNKH = split_heads(self.kv(memory_BKM), self.heads, 2)
            if cache is not None:
                cache.memory = k_BNKH, v_BNKH
        seen_BNLH = functional.scaled_dot_product_attention(
            q_BNLH, k_BNKH, v_BNKH, attn_mask=keep_B11K
        )
        seen_BLD: Tensor = self.out(seen_BNLH.transpose(1, 2).reshape(x_BLD.shape))
        return seen_BLD


class Block(GradientCheckpointingLayer):  # type: ignore[no-untyped-call]
    """Pre-norm transformer block (Vaswani et al. 2017; Xiong et al. 2020).

    Args:
        width: Width D of tokens.
        heads: Attention heads N.
        depth: Blocks of the stack it belongs to.
        memory_width: Width M of the memory it looks at; None for a block without.
        activation: Nonlinearity of the MLP, by its name in `transformers`.
        norm_eps: Added to variances in layer norms.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        depth: int,
        memory_width: int | None = None,
        *,
        activation: str = "gelu",
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.heads = heads
        parts = 2 if memory_width is None else 3
        gain = (parts * depth) ** -0.5  # GPT-2, Radford et al. 2019: sums do not grow with depth
        self.norm_attention = nn.LayerNorm(width, eps=norm_eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = ScaledLinear(width, width, gain)
        if memory_width is not None:
            self.norm_cross = nn.LayerNorm(width, eps=norm_eps)
            self.cross = CrossAttention(width, heads, memory_width, gain)
        self.norm_mlp = nn.LayerNorm(width, eps=norm_eps)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU() if activation == "gelu" else ACT2FN[activation],
            ScaledLinear(4 * width, width, gain),
        )

    def forward(
        self,
        x_BLD: Tensor,
        keep_B1LT: Tensor | None = None,
        memory_BKM: Tensor | None = None,
        memory_keep_B11K: Tensor | None = None,
        *,
        causal: bool = False,
        cache: BlockCache | None = None,
        turns: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return tokens of the same shape.

        Args:
            x_BLD: Tokens.
            keep_B1LT: True where a token may look at another; a dimension may be 1, for all
                alike; each token must see at least one; None for all.
            memory_BKM: What a block with `memory_width` looks at; None skips that part.
            memory_keep_B11K: True where the memory may be looked at; None for all.
            causal: Each token sees itself and those before it; not together with `keep_B1LT`
                or `cache`.
            cache: Keys and values of earlier calls; these tokens are added. Not for training.
            turns: Cosine and sine (…, L, H) by which queries and keys of these tokens are rotated;
                None for no rotation.
        """
        B, L, D = x_BLD.shape
        q_BNLH, k_BNTH, v_BNTH = split_heads(self.qkv(self.norm_attention(x_BLD)), self.heads, 3)
        if turns is not None:
            q_BNLH, k_BNTH = rotated(q_BNLH, turns), rotated(k_BNTH, turns)
        if cache is not None:
            k_BNTH, v_BNTH = cache.append(k_BNTH, v_BNTH)
        seen_BNLH = functional.scaled_dot_product_attention(
            q_BNLH, k_BNTH, v_BNTH, attn_mask=keep_B1LT, is_causal=causal
        )
        x_BLD = x_BLD + self.out(seen_BNLH.transpose(1, 2).reshape(B, L, D))
        if memory_BKM is not None:
            x_BLD = x_BLD + self.cross(self.norm_cross(x_BLD), memory_BKM, memory_keep_B11K, cache)
        mixed_BLD: Tensor = x_BLD + self.mlp(self.norm_mlp(x_BLD))
        return mixed_BLD


def split_heads(x_BLE: Tensor, heads: int, parts: int) -> tuple[Tensor, ...]:
    """Return `parts` tensors (B, N, L, H) that lie side by side in the last dimension."""
    B, L, E = x_BLE.shape
    return torch.unbind(
        x_BLE.reshape(B, L, parts, heads, E // parts // heads).permute(2, 0, 3, 1, 4), dim=0
    )


def rotated(x_BNLH: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Return heads with their first and second halves rotated as pairs (RoFormer, Su et al. 2021).

    Args:
        x_BNLH: Queries or keys, H even.
        turns: Cosine and sine (…, L, H) of the angles.
    """
    cosine, sine = turns
    first, second = x_BNLH.chunk(2, dim=-1)
    return (x_BNLH * cosine + torch.cat([-second, first], dim=-1) * sine).to(x_BNLH.dtype)
