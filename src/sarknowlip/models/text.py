"""Text encoders: a small bidirectional transformer of our own, or one that was trained elsewhere.

The second is any encoder that `transformers` knows, from a local folder (all-MiniLM-L6-v2, for
instance). Its shapes become part of our configuration and its weights of our file, so that a model
needs the folder only at its start.

Shapes: B batch, L tokens, D width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from sarknowlip.core.errors import ConfigError
from sarknowlip.models.block import Block, Positions, TokenTable
from sarknowlip.models.config import SarKnowLIPConfig


class TextEncoder(nn.Module):
    """Token ids to tokens.

    Args:
        config: Shapes.

    Attributes:
        tokens: Table of token embeddings (vocabulary, D).
    """

    def __init__(self, config: SarKnowLIPConfig) -> None:
        super().__init__()
        self.tokens = TokenTable(config.vocab_size, config.text_width)
        self.positions = Positions(config.text_tokens, config.text_width)
        self.blocks = nn.ModuleList(
            Block(config.text_width, config.text_heads, config.text_depth)
            for _ in range(config.text_depth)
        )
        self.norm = nn.LayerNorm(config.text_width)

    def forward(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Return tokens (B, L, D) after the last norm.

        Args:
            ids_BL: Token ids, L at most `text_tokens`.
            mask_BL: 1 for a real token, 0 for padding; at least one real token a row.
        """
        keep_BL = mask_BL.bool()
        x_BLD = self.tokens.read(ids_BL) + self.positions(
            torch.arange(ids_BL.shape[1], device=ids_BL.device)
        )
        for block in self.blocks:
            x_BLD = block(x_BLD, keep_BL[:, None, None, :])
        normed_BLD: Tensor = self.norm(x_BLD)
        return normed_BLD


class ForeignTextEncoder(nn.Module):
    """Token ids to tokens, by an encoder of `transformers`.

    Args:
        config: With `text_config`.
    """

    def __init__(self, config: SarKnowLIPConfig) -> None:
        super().__init__()
        values = dict(config.text_config or {})
        shapes = AutoConfig.for_model(values.pop("model_type"), **values)
        self.encoder = AutoModel.from_config(shapes)  # type: ignore[no-untyped-call]
        _drop_pooler(self.encoder)

    @property
    def tokens(self) -> nn.Embedding:
        """Table of token embeddings (vocabulary, D)."""
        table: nn.Embedding = self.encoder.get_input_embeddings()
        return table

    def forward(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Return the last tokens (B, L, D); arguments as in `TextEncoder`."""
        tokens_BLD: Tensor = self.encoder(
            input_ids=ids_BL, attention_mask=mask_BL
        ).last_hidden_state
        return tokens_BLD

    def load(self, folder: Path) -> None:
        """Copy the weights of a local folder.

        Raises:
            ConfigError: They are absent, damaged or of other shapes.
        """
        remedy = "give a local folder of a text encoder in the format of Hugging Face"
        try:
            trained, about = AutoModel.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
            _drop_pooler(trained)
            self.encoder.load_state_dict(trained.state_dict())
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ConfigError(
                f"cannot read a text encoder from {folder}: {error}", remedy
            ) from error
        absent = sorted(set(about["missing_keys"]) & set(self.encoder.state_dict()))
        if absent:  # the library fills them with random numbers
            raise ConfigError(
                f"the text encoder at {folder} lacks {len(absent)} weights, the first {absent[0]}",
                remedy,
            )


def make_text_encoder(config: SarKnowLIPConfig) -> TextEncoder | ForeignTextEncoder:
    """Return the encoder that a configuration asks for, with first weights."""
    return TextEncoder(config) if config.text_config is None else ForeignTextEncoder(config)


def _drop_pooler(encoder: Any) -> None:
    """Take away what reads the first token: weights that no loss of ours would reach."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None


def masked_mean(x_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Return the mean (B, D) over real tokens.

    Args:
        x_BLD: Tokens.
        mask_BL: 1 for a real token, 0 for padding; at least one real token a row.
    """
    keep_BL1 = mask_BL.bool().unsqueeze(-1)
    return x_BLD.masked_fill(~keep_BL1, 0.0).sum(dim=1) / keep_BL1.sum(dim=1)
