"""The model: two encoders that meet in one space (CLIP, Radford et al. 2021), and what reads them.

A fusion encoder says whether a text and an image belong together, a text decoder tells an image in
words, a light image decoder fills in masked patches. Tokens are computed once by `image_tokens` and
`text_tokens` and shared by all of them.

Before its projection each encoder's vector goes through batch normalisation without weights, as in
the heads of MoCo v3 (Chen et al. 2021): it takes away what all inputs share. Without it training on
few tiles with short captions often stays where all embeddings are equal and the loss is log B.
In evaluation running statistics are used, so that an embedding does not depend on its batch.

Shapes: B batch, C channels, Y × X pixels, L tokens or patches, K patches seen, D width of tokens,
E width of the joint space, F numbers a patch, V vocabulary.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import logging as transformers_logging
from transformers.utils.generic import ModelOutput

from sarknowlip.core.files import write_bytes
from sarknowlip.core.settings import checked
from sarknowlip.models.block import Positions, ScaledLinear, TokenTable
from sarknowlip.models.card import CARD, RunFacts, model_card
from sarknowlip.models.config import ModelSize, SarKnowLIPConfig
from sarknowlip.models.decoder import Cache, TextDecoder
from sarknowlip.models.fusion import FusionEncoder
from sarknowlip.models.generate import Generation, evaluating, generate
from sarknowlip.models.norm import JointBatchNorm
from sarknowlip.models.pixels import PixelDecoder
from sarknowlip.models.text import ForeignTextEncoder, make_text_encoder, masked_mean
from sarknowlip.models.vit import ImageEncoder, sine_positions

MAX_SCALE = 100.0
"""Largest factor on cosines, as in CLIP: keeps training stable."""
FIRST_STD = 0.3
"""Standard deviation of first vectors that are looked up, but for tokens and positions."""
FIRST_SCALE = 5.0
"""Factor on cosines of an untrained model."""
FIRST_BIAS = -10.0
"""Bias of an untrained model, as in SigLIP (Zhai et al. 2023)."""


@dataclass
class SarKnowLIPOutput(ModelOutput):
    """What a forward pass gives.

    Attributes:
        image_embeds: Images, (B, E), unit length.
        text_embeds: Texts, (B, E), unit length.
        scale: Factor on cosines, scalar, at most `MAX_SCALE`.
    """

    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
    scale: Tensor | None = None


class SarKnowLIP(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Encoders of images and texts, fusion encoder, text decoder, light image decoder.

    Attributes:
        logit_scale: Logarithm of the factor on cosines, learned.
        bias: Added to scaled cosines by the pairwise sigmoid loss, learned.
    """

    config: SarKnowLIPConfig
    config_class = SarKnowLIPConfig
    base_model_prefix = "sarknowlip"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True

    def __init__(self, config: SarKnowLIPConfig) -> None:
        super().__init__(config)
        self.image = ImageEncoder(config)
        self.text = make_text_encoder(config)
        self.image_norm = JointBatchNorm(config.image_width)
        self.text_norm = JointBatchNorm(config.text_width)
        self.image_projection = nn.Linear(config.image_width, config.embed_dim, bias=False)
        self.text_projection = nn.Linear(config.text_width, config.embed_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.bias = nn.Parameter(torch.tensor(FIRST_BIAS))
        self.fusion = FusionEncoder(config)
        self.decoder = TextDecoder(config)
        self.pixels = PixelDecoder(config)
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def fresh(cls, size: ModelSize, vocab_size: int, seed: int = 0) -> SarKnowLIP:
        """Return a model before training; the same arguments give the same weights.

        The global random state is left as it was.

        Args:
            size: Shapes; the weights of its `text_init`, if any, are read.
            vocab_size: Tokens of the tokenizer.
            seed: Of the weights.

        Raises:
            ConfigError: `text_init` cannot be read, or does not fit.
        """
        config = SarKnowLIPConfig.of(size, vocab_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(config)
        if size.text_init is not None:
            assert isinstance(model.text, ForeignTextEncoder)
            with without_bars():
                model.text.load(Path(size.text_init))
        return model

    @property
    def scale(self) -> Tensor:
        """Factor on cosines, scalar, at most `MAX_SCALE`."""
        return self.logit_scale.exp().clamp(max=MAX_SCALE)

    def image_tokens(
        self,
        pixel_values: Tensor,
        channel_ids: Tensor,
        gsd_m: Tensor,
        geo: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Return the tokens (B, K, D_image) of the patches kept, in the order of `keep`.

        Args:
            pixel_values: Normalised pixels (B, C, Y, X), Y = X = `config.image_px`, 1–4 channels.
            channel_ids: Identifiers of channels (B, C), 0 where absent.
            gsd_m: Ground sample distance of these pixels (B,), metres.
            geo: Features of `geo.geo_features` (B, 8), NaN where unknown; None for all unknown.
            keep: Patches seen (B, K), int64, rows-first index, none twice; None for all in order.

        Raises:
            ValueError: Pixels of another size.
        """
        tokens_BKD: Tensor = self.image(pixel_values, channel_ids, gsd_m, geo, keep)
        return tokens_BKD

    def text_tokens(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the tokens (B, L, D_text); at padding they mean nothing.

        Args:
            input_ids: Token ids (B, L), L at most `config.text_tokens`.
            attention_mask: 1 for a real token, 0 for padding (B, L); one real token a row at least.
        """
        tokens_BLD: Tensor = self.text(input_ids, attention_mask)
        return tokens_BLD

    def project_image(self, tokens_BKD: Tensor) -> Tensor:
        """Return images as unit vectors (B, E), float32, from `image_tokens`."""
        pooled_BD = self.image_norm(tokens_BKD.mean(dim=1))
        return functional.normalize(self.image_projection(pooled_BD).float(), dim=-1)

    def project_text(self, tokens_BLD: Tensor, attention_mask: Tensor) -> Tensor:
        """Return texts as unit vectors (B, E), float32, from `text_tokens`."""
        pooled_BD = self.text_norm(masked_mean(tokens_BLD, attention_mask))
        return functional.normalize(self.text_projection(pooled_BD).float(), dim=-1)

    def encode_image(
        self,
        pixel_values: Tensor,
        channel_ids: Tensor,
        gsd_m: Tensor,
        geo: Tensor | None = None,
    ) -> Tensor:
        """Return images as unit vectors (B, E); arguments as in `image_tokens`."""
        return self.project_image(self.image_tokens(pixel_values, channel_ids, gsd_m, geo))

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return texts as unit vectors (B, E); arguments as in `text_tokens`."""
        return self.project_text(self.text_tokens(input_ids, attention_mask), attention_mask)

    def get_image_features(
        self,
        pixel_values: Tensor,
        channel_ids: Tensor,
        gsd_m: Tensor,
        geo: Tensor | None = None,
    ) -> BaseModelOutputWithPooling:
        """Return tokens and joint vectors of images in the form of `CLIPModel` of `transformers`.

        Unlike there, `pooler_output` (B, E) has unit length; it is what `encode_image` returns.
        `last_hidden_state` (B, L, D_image) is what `image_tokens` returns, and takes its arguments.
        """
        tokens_BLD = self.image_tokens(pixel_values, channel_ids, gsd_m, geo)
        return BaseModelOutputWithPooling(
            last_hidden_state=tokens_BLD, pooler_output=self.project_image(tokens_BLD)
        )

    def get_text_features(
        self, input_ids: Tensor, attention_mask: Tensor
    ) -> BaseModelOutputWithPooling:
        """Return tokens and joint vectors of texts in the form of `CLIPModel` of `transformers`.

        Unlike there, `pooler_output` (B, E) has unit length; it is what `encode_text` returns.
        `last_hidden_state` (B, L, D_text) is what `text_tokens` returns, and takes its arguments.
        """
        tokens_BLD = self.text_tokens(input_ids, attention_mask)
        return BaseModelOutputWithPooling(
            last_hidden_state=tokens_BLD,
            pooler_output=self.project_text(tokens_BLD, attention_mask),
        )

    def match(self, tokens_BLD: Tensor, attention_mask: Tensor, image_BKD: Tensor) -> Tensor:
        """Return the logit (B,) that text and image belong together.

        Args:
            tokens_BLD: From `text_tokens`.
            attention_mask: 1 for a real token, 0 for padding (B, L).
            image_BKD: From `image_tokens`.
        """
        logit_B: Tensor = self.fusion(tokens_BLD, attention_mask, image_BKD)
        return logit_B

    def caption_logits(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        image_BKD: Tensor | None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return logits (B, L, V): at each token those of the next one.

        Args:
            input_ids: Token ids (B, L); with `cache` those that follow what it holds.
            attention_mask: 1 for a real token, 0 for padding (B, L); None if all are real.
            image_BKD: From `image_tokens`; None for the likelihood without an image.
            cache: What earlier calls left.

        Raises:
            ValueError: More tokens than `config.text_tokens`.
        """
        logits_BLV: Tensor = self.decoder(
            input_ids, attention_mask, image_BKD, self.text.tokens, cache
        )
        return logits_BLV

    @torch.no_grad()
    def generate(
        self,
        pixel_values: Tensor,
        channel_ids: Tensor,
        gsd_m: Tensor,
        geo: Tensor | None = None,
        *,
        prompt_ids: Tensor | None = None,
        prompt_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        **settings: Any,
    ) -> list[list[int]]:
        """Return a text for each image: token ids without prompt, begin and end.

        A model in training mode writes what it writes in evaluation mode, and stays in its mode.

        Args:
            pixel_values: As the other images' arguments, see `image_tokens`.
            channel_ids: Identifiers of channels.
            gsd_m: Ground sample distance.
            geo: Geographic features.
            prompt_ids: How the texts begin (B, P), the begin token too; None for that alone.
            prompt_mask: 1 for a real token, 0 for padding (B, P); None if all are real.
            generator: Source of chance for `top_p`.
            settings: Of `Generation`: max_new_tokens, num_beams, length_penalty, top_p,
                temperature.

        Raises:
            ConfigError: Settings that do not go together.
            ValueError: Prompt and new tokens are more than `config.text_tokens`.
        """
        how = checked(Generation, settings, "setting of generate", "see models.generate.Generation")
        if prompt_ids is None:
            prompt_ids = channel_ids.new_full((len(channel_ids), 1), self.config.bos_token_id)
        if prompt_mask is None:
            prompt_mask = torch.ones_like(prompt_ids)
        room = prompt_ids.shape[1] + how.max_new_tokens
        if room > self.config.text_tokens:
            raise ValueError(
                f"prompt and new tokens may be {room}, the decoder takes {self.config.text_tokens}"
            )
        with evaluating(self):
            image_BKD = self.image_tokens(pixel_values, channel_ids, gsd_m, geo)
            return generate(
                lambda ids, mask, cache: self.caption_logits(ids, mask, image_BKD, cache),
                prompt_ids,
                prompt_mask,
                how,
                cache=Cache(self.config.decoder_depth, room),
                end=self.config.eos_token_id,
                generator=generator,
            )

    def predict_patches(
        self,
        image_BKD: Tensor,
        keep: Tensor | None,
        channel_ids: Tensor,
        text_BLD: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Return predictions (B, C, L, F) for all L patches; zeros for absent channels.

        Args:
            image_BKD: From `image_tokens`.
            keep: Patches these tokens are of (B, K), as there; None for all.
            channel_ids: Identifiers of channels (B, C), 0 where absent.
            text_BLD: From `text_tokens`; None for no text.
            attention_mask: 1 for a real token, 0 for padding; None if all are real.
        """
        predicted_BCLF: Tensor = self.pixels(image_BKD, keep, channel_ids, text_BLD, attention_mask)
        return predicted_BCLF

    def forward(
        self,
        pixel_values: Tensor,
        channel_ids: Tensor,
        gsd_m: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        *,
        geo: Tensor | None = None,
    ) -> SarKnowLIPOutput:
        """Encode images and texts; arguments as in `encode_image` and `encode_text`."""
        return SarKnowLIPOutput(
            image_embeds=self.encode_image(pixel_values, channel_ids, gsd_m, geo),
            text_embeds=self.encode_text(input_ids, attention_mask),
            scale=self.scale,
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

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[Any],
        *args: Any,
        run: RunFacts | None = None,
        **kwargs: Any,
    ) -> None:
        """Write config.json, weights and a model card, README.md.

        Args:
            save_directory: Folder.
            args: As the named ones, those of `PreTrainedModel.save_pretrained`.
            run: What to say of the training; None keeps what the configuration says.
            kwargs: See `args`.

        Raises:
            StorageError: The card cannot be written.
        """
        if run is not None:
            self.config.run = run.model_dump(mode="json")
        super().save_pretrained(save_directory, *args, **kwargs)
        card = model_card(self.config, sum(p.numel() for p in self.parameters()))
        write_bytes(Path(save_directory) / CARD, card.encode())

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        from transformers import initialization as init

        if isinstance(module, nn.Linear):
            gain = module.gain if isinstance(module, ScaledLinear) else 1.0
            init.normal_(module.weight, std=gain * module.in_features**-0.5)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            std = Positions.STD if isinstance(module, Positions) else FIRST_STD
            if isinstance(module, TokenTable):
                std = module.embedding_dim**-0.5
            init.normal_(module.weight, std=std)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, JointBatchNorm):
            init.zeros_(module.running_mean)
            init.ones_(module.running_var)
        elif isinstance(module, (ImageEncoder, PixelDecoder)):
            if module.position_LD is not None:
                width = module.position_LD.shape[1]
                init.copy_(module.position_LD, sine_positions(module.side, width))
        elif isinstance(module, SarKnowLIP):
            init.constant_(module.logit_scale, math.log(FIRST_SCALE))
            init.constant_(module.bias, FIRST_BIAS)


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
