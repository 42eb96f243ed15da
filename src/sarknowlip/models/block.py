"""The transformer block that both encoders share: pre-norm, SDPA attention, GELU.

Shapes: B batch, L tokens, D width, N heads, H width of a head.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


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


class Block(nn.Module):
    """Pre-norm transformer block (Vaswani et al. 2017; Xiong et al. 2020).

    Args:
        width: Width D of tokens.
        heads: Attention heads N.
        depth: Blocks of the stack it belongs to.
    """

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.heads = heads
        gain = (2 * depth) ** -0.5  # GPT-2, Radford et al. 2019: sums do not grow with depth
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = ScaledLinear(width, width, gain)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), ScaledLinear(4 * width, width, gain)
        )

    def forward(self, x_BLD: Tensor, keep_B11L: Tensor | None = None) -> Tensor:
        """Return tokens of the same shape.

        Args:
            x_BLD: Tokens.
            keep_B11L: True where a token may be looked at; None for all.
        """
        B, L, D = x_BLD.shape
        qkv_3BNLH = (
            self.qkv(self.norm_attention(x_BLD))
            .reshape(B, L, 3, self.heads, D // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        q_BNLH, k_BNLH, v_BNLH = qkv_3BNLH.unbind(0)
        seen_BNLH = functional.scaled_dot_product_attention(
            q_BNLH, k_BNLH, v_BNLH, attn_mask=keep_B11L
        )
        x_BLD = x_BLD + self.out(seen_BNLH.transpose(1, 2).reshape(B, L, D))
        mixed_BLD: Tensor = x_BLD + self.mlp(self.norm_mlp(x_BLD))
        return mixed_BLD
