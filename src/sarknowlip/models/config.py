"""Sizes of the model, and the configuration that lies beside its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from transformers import AutoConfig, PretrainedConfig

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.models.tokenizer import Marks, load_tokenizer

Positive = Annotated[int, Field(ge=1)]


class ImageStyle(Config):
    """Where families of image encoders differ beyond their shapes.

    The default is our own. `transfer` sets what a public checkpoint needs.

    Attributes:
        activation: Nonlinearity of the MLPs, by its name in `transformers`.
        norm_eps: Added to variances in layer norms.
        positions: Fixed sine waves, learned vectors, or rotations of queries and keys.
        rotary_base: Longest over shortest period of rotations, as in DINOv3.
        patch_path: From pixels of a channel to the mean over channels: "gelu" has a nonlinearity in
            between, "residual" adds that to a linear path.
        extra_tokens: Learned tokens that take part in attention and are not returned: class token
            and registers (Darcet et al. 2024).
        first_norm: Layer norm before the first block, as in CLIP.
        geo: What becomes of geographic tokens: "tokens" take part in attention; of "added" ones a
            map of their mean is added to the tokens of patches, which can start without effect.
    """

    activation: Literal["gelu", "quick_gelu", "gelu_pytorch_tanh"] = "gelu"
    norm_eps: Annotated[float, Field(gt=0.0)] = 1e-5
    positions: Literal["sine", "learned", "rotary"] = "sine"
    rotary_base: Annotated[float, Field(gt=1.0)] = 100.0
    patch_path: Literal["gelu", "residual"] = "gelu"
    extra_tokens: Annotated[int, Field(ge=0)] = 0
    first_norm: bool = False
    geo: Literal["tokens", "added"] = "tokens"


class ModelSize(Config):
    """Everything that fixes the shapes of a model, except its vocabulary.

    Attributes:
        image_px: Edge of the square the encoder sees.
        patch_px: Edge of a patch; divides `image_px`.
        image_width: Width of image tokens; divisible by 4 and by `image_heads`.
        image_depth: Transformer blocks of the image encoder.
        image_heads: Attention heads of the image encoder.
        image_style: What else makes it like encoders of other families.
        text_width: Width of text tokens; divisible by `text_heads`.
        text_depth: Transformer blocks of the text encoder.
        text_heads: Attention heads of the text encoder.
        text_tokens: Longest text, tokens; what is longer is cut off.
        embed_dim: Width of the space in which images and texts meet.
        fusion_depth: Transformer blocks of the fusion encoder, of the text's width.
        decoder_depth: Transformer blocks of the text decoder, of the text's width.
        pixel_width: Width of the image decoder; divisible by 4 and by `image_heads`.
        pixel_depth: Transformer blocks of the image decoder.
        pixel_features: Numbers predicted per patch and channel; null for a patch's pixels.
        geo_dropout: Share of samples whose geographic tokens are all unknown in training; each
            token of the others is unknown with the same chance.
        text_init: Local folder of a text encoder in the format of Hugging Face, with its own
            tokenizer; then width, depth and heads of the text follow from it. Null for our own.
    """

    image_px: Positive
    patch_px: Positive
    image_width: Positive
    image_depth: Positive
    image_heads: Positive
    image_style: ImageStyle = ImageStyle()
    text_width: Positive
    text_depth: Positive
    text_heads: Positive
    text_tokens: Annotated[int, Field(ge=4)] = 256
    embed_dim: Positive
    fusion_depth: Positive = 1
    decoder_depth: Positive = 1
    pixel_width: Positive = 32
    pixel_depth: Positive = 1
    pixel_features: Positive | None = None
    geo_dropout: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    text_init: str | None = None

    def model_post_init(self, context: object, /) -> None:
        """Check what does not divide.

        Raises:
            ConfigError: Sizes that do not fit each other.
        """
        for whole, part in (
            ("image_px", "patch_px"),
            ("image_width", "image_heads"),
            ("text_width", "text_heads"),
            ("pixel_width", "image_heads"),
        ):
            values = getattr(self, whole), getattr(self, part)
            if values[0] % values[1]:
                raise ConfigError(
                    f"{whole}={values[0]} is no multiple of {part}={values[1]}",
                    f"change model.{whole} or model.{part}",
                )
        for name in ("image_width", "pixel_width"):
            if getattr(self, name) % 4:
                raise ConfigError(
                    f"{name}={getattr(self, name)} is no multiple of 4", f"change model.{name}"
                )
        if self.image_style.positions == "rotary" and self.image_width // self.image_heads % 4:
            raise ConfigError(
                f"heads {self.image_width // self.image_heads} wide are no multiple of 4",
                "change model.image_heads or model.image_style.positions",
            )


SIZES = {
    "nano": ModelSize(
        image_px=64,
        patch_px=8,
        image_width=80,
        image_depth=3,
        image_heads=2,
        text_width=64,
        text_depth=2,
        text_heads=2,
        embed_dim=64,
        fusion_depth=1,
        decoder_depth=1,
        pixel_width=40,
        pixel_depth=1,
    ),
    "tiny": ModelSize(
        image_px=128,
        patch_px=16,
        image_width=192,
        image_depth=5,
        image_heads=3,
        text_width=192,
        text_depth=2,
        text_heads=3,
        embed_dim=192,
        fusion_depth=1,
        decoder_depth=2,
        pixel_width=96,
        pixel_depth=2,
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
        fusion_depth=4,
        decoder_depth=4,
        pixel_width=192,
        pixel_depth=4,
    ),
    "base": ModelSize(
        image_px=224,
        patch_px=16,
        image_width=768,
        image_depth=12,
        image_heads=12,
        text_width=512,
        text_depth=8,
        text_heads=8,
        embed_dim=512,
        fusion_depth=6,
        decoder_depth=6,
        pixel_width=384,
        pixel_depth=4,
    ),
    "large": ModelSize(
        image_px=224,
        patch_px=16,
        image_width=1024,
        image_depth=24,
        image_heads=16,
        text_width=768,
        text_depth=12,
        text_heads=12,
        embed_dim=768,
        fusion_depth=6,
        decoder_depth=6,
        pixel_width=512,
        pixel_depth=4,
    ),
}
"""Sizes by name: with a vocabulary of 2,048 they have 0.7, 6, 56, 178 and 531 million parameters.
The image encoders of the last three are as deep and wide as ViT-S/16, B/16 and L/16."""


_NOT_SHAPES = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}


class SarKnowLIPConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Configuration in the form that `transformers` stores as config.json.

    Attributes are those of `ModelSize` and:
        vocab_size: Tokens of the vocabulary.
        pad_token_id: Id of padding.
        bos_token_id: Id of a text's first token.
        eos_token_id: Id of a text's last token.
        text_config: Shapes of a foreign text encoder, as `transformers` stores them; None for ours.
        run: What `card.RunFacts` says of the training; None before.
    """

    model_type = "sarknowlip"

    image_px: int = 128
    patch_px: int = 16
    image_width: int = 192
    image_depth: int = 5
    image_heads: int = 3
    image_style: dict[str, Any] | None = None
    text_width: int = 192
    text_depth: int = 2
    text_heads: int = 3
    text_tokens: int = 256
    embed_dim: int = 192
    fusion_depth: int = 1
    decoder_depth: int = 2
    pixel_width: int = 96
    pixel_depth: int = 2
    pixel_features: int | None = None
    geo_dropout: float = 0.3
    vocab_size: int = 2048
    pad_token_id: int = 0
    bos_token_id: int = 1
    eos_token_id: int = 2
    text_init: str | None = None
    text_config: dict[str, Any] | None = None
    run: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Take further values as `transformers` does.

        Raises:
            ConfigError: They are of a model from before 2026-11-26, which read its table of tokens
                in another way.
        """
        if "table_std" in kwargs:
            raise ConfigError(
                "the configuration has table_std: these weights are from before 2026-11-26"
                " and would be read wrongly",
                "train the model again",
            )
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    @classmethod
    def of(cls, size: ModelSize, vocab_size: int) -> SarKnowLIPConfig:
        """Return the configuration of a size with a vocabulary.

        Args:
            size: Shapes. With `text_init` its folder is read, and named without its path.
            vocab_size: Tokens of the tokenizer.

        Raises:
            ConfigError: No text encoder in the folder, or it takes fewer tokens.
        """
        values = size.model_dump()
        if size.text_init is None:
            return cls(**values, vocab_size=vocab_size)
        return cls(**values | foreign_text(Path(size.text_init), size.text_tokens, vocab_size))


def foreign_text(folder: Path, text_tokens: int, vocab_size: int) -> dict[str, Any]:
    """Return what a folder's text encoder settles of a `SarKnowLIPConfig`.

    Args:
        folder: In the format of Hugging Face, with tokenizer.json.
        text_tokens: Longest text wanted.
        vocab_size: Tokens of the tokenizer in use, the folder's.

    Raises:
        ConfigError: No text encoder in the folder, or it takes fewer tokens or knows fewer words.
    """
    try:
        found = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no text encoder at {folder}: {error}", "give a local folder in Hugging Face format"
        ) from error
    longest = getattr(found, "max_position_embeddings", text_tokens)
    for name, wanted, limit in (
        ("text_tokens", text_tokens, longest),
        ("vocab_size", vocab_size, found.vocab_size),
    ):
        if wanted > limit:
            raise ConfigError(f"{name}={wanted}, but {folder} takes {limit}", f"lower {name}")
    marks = Marks.of(load_tokenizer(folder))
    stored = found.to_diff_dict()
    shapes = {key: value for key, value in stored.items() if key not in _NOT_SHAPES}
    return {
        "text_init": folder.name,
        "text_config": shapes | {"model_type": found.model_type},
        "text_width": found.hidden_size,
        "text_depth": found.num_hidden_layers,
        "text_heads": found.num_attention_heads,
        "vocab_size": found.vocab_size,
        "pad_token_id": marks.pad,
        "bos_token_id": marks.begin,
        "eos_token_id": marks.end,
    }
