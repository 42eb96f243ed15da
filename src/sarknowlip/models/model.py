"""The model: two encoders that meet in one space (CLIP, Radford et al. 2021).

Before its projection each encoder's vector goes through batch normalisation without weights, as in
the heads of MoCo v3 (Chen et al. 2021): it takes away what all inputs share. Without it training on
few tiles with short captions often stays where all embeddings are equal and the loss is log B.
In evaluation running statistics are used, so that an embedding does not depend on its batch.

Shapes: B batch, C channels, Y × X pixels, L tokens, D width of the joint space.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging
from transformers.utils.generic import ModelOutput

from sarknowlip.models.block import ScaledLinear
from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.text import TextEncoder
from sarknowlip.models.vit import ImageEncoder

MAX_SCALE = 100.0
"""Largest factor on cosines, as in CLIP: keeps training stable."""
FIRST_SCALE = 5.0
"""Factor on cosines of an untrained model."""


@dataclass
class SarKnowLIPOutput(ModelOutput):
    """What a forward pass gives.

    Attributes:
        image_embeds: Images, (B, D), unit length.
        text_embeds: Texts, (B, D), unit length.
        scale: Factor on cosines, scalar, at most `MAX_SCALE`.
    """

    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
    scale: Tensor | None = None


class SarKnowLIP(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Image and text encoder for radar.

    Attributes:
        logit_scale: Logarithm of the factor on cosines, learned.
    """

    config_class = SarKnowLIPConfig
    base_model_prefix = "sarknowlip"
    main_input_name = "pixel_values"

    def __init__(self, config: SarKnowLIPConfig) -> None:
        super().__init__(config)
        self.image = ImageEncoder(config)
        self.text = TextEncoder(config)
        self.image_norm = nn.BatchNorm1d(config.image_width, affine=False)
        self.text_norm = nn.BatchNorm1d(config.text_width, affine=False)
        self.image_projection = nn.Linear(config.image_width, config.embed_dim, bias=False)
        self.text_projection = nn.Linear(config.text_width, config.embed_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.post_init()  # type: ignore[no-untyped-call]

    def encode_image(self, pixel_values: Tensor, channel_ids: Tensor, gsd_m: Tensor) -> Tensor:
        """Return images as unit vectors (B, D).

        Args:
            pixel_values: Normalised pixels (B, C, Y, X), Y = X = `config.image_px`, 1–4 channels.
            channel_ids: Identifiers of channels (B, C), 0 where absent.
            gsd_m: Ground sample distance of these pixels (B,), metres.
        """
        pooled_BD = self.image_norm(self.image(pixel_values, channel_ids, gsd_m))
        return functional.normalize(self.image_projection(pooled_BD).float(), dim=-1)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return texts as unit vectors (B, D).

        Args:
            input_ids: Token ids (B, L), L at most `config.text_tokens`.
            attention_mask: 1 for a real token, 0 for padding (B, L).
        """
        pooled_BD = self.text_norm(self.text(input_ids, attention_mask))
        return functional.normalize(self.text_projection(pooled_BD).float(), dim=-1)

    def forward(
        self,
        pixel_values: Tensor,
        channel_ids: Tensor,
        gsd_m: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
    ) -> SarKnowLIPOutput:
        """Encode images and texts; arguments as in `encode_image` and `encode_text`."""
        return SarKnowLIPOutput(
            image_embeds=self.encode_image(pixel_values, channel_ids, gsd_m),
            text_embeds=self.encode_text(input_ids, attention_mask),
            scale=self.logit_scale.exp().clamp(max=MAX_SCALE),
        )

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> SarKnowLIP:
        """Load a model; arguments are those of `PreTrainedModel.from_pretrained`.

        Weights are copied out of the file: mapped ones start at odd addresses, where kernels add in
        another order, and the last bit of an embedding would depend on how the model came about.
        """
        model: SarKnowLIP = super().from_pretrained(*args, **kwargs)
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()
        return model

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        from transformers import initialization as init

        from sarknowlip.models.vit import gsd_frequencies, sine_positions

        if isinstance(module, nn.Linear):
            gain = module.gain if isinstance(module, ScaledLinear) else 1.0
            init.normal_(module.weight, std=gain * module.in_features**-0.5)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(
                module.weight, std=0.02 if module is self.text.positions else self.config.table_std
            )
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, ImageEncoder):
            init.copy_(module.position_LD, sine_positions(module.side, self.config.image_width))
            init.copy_(module.octave_G, gsd_frequencies())
        elif isinstance(module, SarKnowLIP):
            init.constant_(module.logit_scale, math.log(FIRST_SCALE))


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Keep `transformers` from drawing progress bars of its own while files are read or written."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


AutoConfig.register(SarKnowLIPConfig.model_type, SarKnowLIPConfig, exist_ok=True)
AutoModel.register(SarKnowLIPConfig, SarKnowLIP, exist_ok=True)
