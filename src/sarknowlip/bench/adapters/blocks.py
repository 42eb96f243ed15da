"""Transformer blocks under the names that timm, MAE, DINO and their descendants give weights.

Legend of tensor names: B pictures, L tokens, F width, H heads, D width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_WIDTH = 64
"""Of all public ViTs of this family: heads = width / 64."""
NORM_EPS = 1e-6


class Mlp(nn.Module):
    """Two maps with GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x_BLF: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(x_BLF)))
        return out


class Attention(nn.Module):
    """Self-attention, to whose scores a subclass may add (`bias`)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BLF: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        B, L, F = x_BLF.shape
        qkv = self.qkv(x_BLF).reshape(B, L, 3, self.heads, F // self.heads)
        q_BHLD, k_BHLD, v_BHLD = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        out_BHLD = functional.scaled_dot_product_attention(
            q_BHLD, k_BHLD, v_BHLD, attn_mask=self.bias(q_BHLD)
        )
        out: Tensor = self.proj(out_BHLD.transpose(1, 2).reshape(B, L, F))
        return out

    def bias(self, q_BHLD: Tensor) -> Tensor | None:
        """Return what is added to scores, broadcast to (B, H, L, L); None for nothing."""
        del q_BHLD
        return None


class Block(nn.Module):
    """Attention and MLP, each after a norm and beside a shortcut.

    Args:
        width: Of tokens.
        hidden: Of the MLP.
        attention: With its own width and heads.
    """

    def __init__(self, width: int, hidden: int, attention: Attention) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = attention
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, hidden)

    def forward(self, x_BLF: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        x_BLF = x_BLF + self.attn(self.norm1(x_BLF))
        out: Tensor = x_BLF + self.mlp(self.norm2(x_BLF))
        return out


def plain_blocks(depth: int, width: int, hidden: int) -> nn.ModuleList:
    """Return the blocks of a plain ViT."""
    heads = max(1, width // HEAD_WIDTH)
    return nn.ModuleList(Block(width, hidden, Attention(width, heads)) for _ in range(depth))


def with_class(class_11F: Tensor, x_BLF: Tensor) -> Tensor:
    """Return tokens with the class token before them."""
    return torch.cat([class_11F.expand(len(x_BLF), -1, -1), x_BLF], dim=1)
