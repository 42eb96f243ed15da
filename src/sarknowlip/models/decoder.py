"""Text decoder: from an image and the words so far to the next word.

A causal transformer whose blocks look at the image's tokens. Without an image they look at one
learned token instead: how likely a text is unconditionally, so that a caption can be judged by what
the image adds. The output table is the text encoder's table of tokens (Press and Wolf 2017), whose
first entries are of size 1/√D: an untrained decoder is unsure of everything, and small changes of
the table tell. Entries of size 1 and logits divided by √D, as in T5, give the same first logits but
learn far slower with Adam, whose changes have one size (dev/LOG.md, 2026-11-26).

Shapes: B batch, L tokens of this call, T tokens of all calls, D width, K tokens of the image, M
their width, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sarknowlip.models.block import Block, BlockCache, Positions
from sarknowlip.models.config import SarKnowLIPConfig


class Cache:
    """What a decoder keeps between calls.

    Args:
        depth: Blocks of the decoder.
        room: Most tokens it can hold, padding too.

    Attributes:
        blocks: Keys and values of each block.
        real_BT: True for each token held that is no padding; None before the first call.
    """

    def __init__(self, depth: int, room: int) -> None:
        self.blocks = [BlockCache(room) for _ in range(depth)]
        self.real_BT: Tensor | None = None

    def extend(self, real_BL: Tensor) -> Tensor:
        """Add which of further tokens are real; return it for all tokens (B, T)."""
        parts = [real_BL] if self.real_BT is None else [self.real_BT, real_BL]
        self.real_BT = torch.cat(parts, dim=1)
        return self.real_BT

    def expand(self, count: int) -> None:
        """Repeat each row of the batch `count` times, copies side by side."""
        if self.real_BT is not None:
            self.real_BT = self.real_BT.repeat_interleave(count, dim=0)
        for block in self.blocks:
            block.expand(count)

    def reorder(self, rows_B: Tensor) -> None:
        """Take other rows of the batch; a row may only go where its own image was.

        Args:
            rows_B: Row to take for each place, int64.
        """
        if self.real_BT is not None:
            self.real_BT = self.real_BT.index_select(0, rows_B)
        for block in self.blocks:
            block.reorder(rows_B)


class TextDecoder(nn.Module):
    """Words so far to logits of the next word.

    Args:
        config: Shapes.
    """

    def __init__(self, config: SarKnowLIPConfig) -> None:
        super().__init__()
        width, depth = config.text_width, config.decoder_depth
        self.positions = Positions(config.text_tokens, width)
        self.no_image = nn.Embedding(1, config.image_width)
        self.blocks = nn.ModuleList(
            Block(width, config.text_heads, depth, config.image_width) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        ids_BL: Tensor,
        mask_BL: Tensor | None,
        image_BKM: Tensor | None,
        tokens: nn.Embedding,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return logits (B, L, V): at each token, those of the token after it.

        Padding may stand anywhere; what is returned at padding means nothing. Positions count real
        tokens only.

        Args:
            ids_BL: Token ids; with `cache`, those that come after what it holds.
            mask_BL: 1 for a real token, 0 for padding; None if all are real, which is faster and
                right for texts padded at their end too, since no token sees what comes later.
            image_BKM: Tokens of the image encoder, after its last norm; None for no image. With
                `cache` the first call decides.
            tokens: Table of tokens (V, D), shared with the text encoder.
            cache: What earlier calls left; these tokens are added. Not for training.

        Raises:
            ValueError: More tokens than positions, or than the cache has room for.
        """
        L, places = ids_BL.shape[1], self.positions.num_embeddings
        if places < L:
            raise ValueError(f"{L} tokens: the decoder takes {places}")
        keep_B1LT, place_BL = None, torch.arange(L, device=ids_BL.device)[None]
        if mask_BL is not None or cache is not None:
            real_BL = torch.ones_like(ids_BL).bool() if mask_BL is None else mask_BL.bool()
            real_BT = real_BL if cache is None else cache.extend(real_BL)
            keep_B1LT = causal_keep(real_BT, L)[:, None]
            place_BL = (real_BT.cumsum(dim=1)[:, -L:] - 1).clamp_min(0)
        if image_BKM is None:
            image_BKM = self.no_image.weight.expand(ids_BL.shape[0], 1, -1)
        x_BLD = tokens(ids_BL) + self.positions(place_BL)
        for index, block in enumerate(self.blocks):
            x_BLD = block(
                x_BLD,
                keep_B1LT,
                image_BKM,
                causal=keep_B1LT is None,
                cache=None if cache is None else cache.blocks[index],
            )
        logits_BLV: Tensor = nn.functional.linear(self.norm(x_BLD), tokens.weight)
        return logits_BLV

    def without_image(self, image_BKM: Tensor, without_B: Tensor) -> Tensor:
        """Return images some of which are taken away, of the same shape.

        K times the learned token is the same to attention as the token once, so a batch may mix
        texts with and without image: how the decoder learns to do without.

        Args:
            image_BKM: Tokens of the image encoder.
            without_B: True for those to take away.
        """
        return torch.where(without_B[:, None, None], self.no_image.weight, image_BKM)


def causal_keep(real_BT: Tensor, last: int) -> Tensor:
    """Return whom the last L of T tokens may look at, bool (B, L, T).

    Each token sees the real ones up to itself, and itself even if it is padding: attention to
    nothing is no number.

    Args:
        real_BT: True where a token is no padding.
        last: L.
    """
    place_T = torch.arange(real_BT.shape[1], device=real_BT.device)
    place_L1 = place_T[-last:, None]
    return (real_BT[:, None, :] & (place_T <= place_L1)) | (place_T == place_L1)
