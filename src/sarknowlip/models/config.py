"""Sizes of the model, and the configuration that lies beside its weights."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from transformers import PretrainedConfig

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError

Positive = Annotated[int, Field(ge=1)]


class ModelSize(Config):
    """Everything that fixes the shapes of a model, except its vocabulary.

    Attributes:
        image_px: Edge of the square the encoder sees.
        patch_px: Edge of a patch; divides `image_px`.
        image_width: Width of image tokens; divisible by 4 and by `image_heads`.
        image_depth: Transformer blocks of the image encoder.
        image_heads: Attention heads of the image encoder.
        text_width: Width of text tokens; divisible by `text_heads`.
        text_depth: Transformer blocks of the text encoder.
        text_heads: Attention heads of the text encoder.
        text_tokens: Longest text, tokens; what is longer is cut off.
        embed_dim: Width of the space in which images and texts meet.
    """

    image_px: Positive
    patch_px: Positive
    image_width: Positive
    image_depth: Positive
    image_heads: Positive
    text_width: Positive
    text_depth: Positive
    text_heads: Positive
    text_tokens: Annotated[int, Field(ge=4)] = 256
    embed_dim: Positive

    def model_post_init(self, context: object, /) -> None:
        """Check what does not divide.

        Raises:
            ConfigError: Sizes that do not fit each other.
        """
        for whole, part in (
            ("image_px", "patch_px"),
            ("image_width", "image_heads"),
            ("text_width", "text_heads"),
        ):
            values = getattr(self, whole), getattr(self, part)
            if values[0] % values[1]:
                raise ConfigError(
                    f"{whole}={values[0]} is no multiple of {part}={values[1]}",
                    f"change model.{whole} or model.{part}",
                )
        if self.image_width % 4:
            raise ConfigError(
                f"image_width={self.image_width} is no multiple of 4", "change model.image_width"
            )


SIZES = {
    "tiny": ModelSize(
        image_px=128,
        patch_px=16,
        image_width=192,
        image_depth=8,
        image_heads=3,
        text_width=192,
        text_depth=4,
        text_heads=3,
        embed_dim=192,
    ),
    "small": ModelSize(
        image_px=256,
        patch_px=16,
        image_width=384,
        image_depth=12,
        image_heads=6,
        text_width=384,
        text_depth=6,
        text_heads=6,
        embed_dim=384,
    ),
}
"""Sizes by name: with a vocabulary of 2,048, tiny has 6 and small 34 million parameters."""


class SarKnowLIPConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Configuration in the form that `transformers` stores as config.json.

    Attributes are those of `ModelSize`, the size of the vocabulary and the id of padding.
    """

    model_type = "sarknowlip"

    image_px: int = 128
    patch_px: int = 16
    image_width: int = 192
    image_depth: int = 8
    image_heads: int = 3
    text_width: int = 192
    text_depth: int = 4
    text_heads: int = 3
    text_tokens: int = 256
    embed_dim: int = 192
    vocab_size: int = 2048
    pad_token_id: int = 0
    table_std: float = 0.3

    @classmethod
    def of(cls, size: ModelSize, vocab_size: int) -> SarKnowLIPConfig:
        """Return the configuration of a size with a vocabulary."""
        return cls(**size.model_dump(), vocab_size=vocab_size)
