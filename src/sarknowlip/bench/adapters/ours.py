"""Our own model, and the same architecture before training.

Of a picture: the mean of its tokens; of cells: the tokens. All polarisations are taken, each under
its own identifier; place and acquisition too, where a tile tells them.

Legend of tensor names: N pictures, L cells, F width, T tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from sarknowlip.bench.adapter import Adapter, AdapterCard, Floats32
from sarknowlip.bench.adapters.colour import require_known
from sarknowlip.bench.adapters.frozen import array
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.trainable import Trainable
from sarknowlip.infer.encoder import ModelEncoder, model_folder
from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import SarProcessor
from sarknowlip.sar.tile import TileImage

NEW_TOKENS = 64


class Ours(Adapter):
    """A `SarKnowLIP` model.

    Args:
        card: What it is.
        encoder: The model and its processor.
    """

    def __init__(self, card: AdapterCard, encoder: ModelEncoder) -> None:
        self.card, self.encoder = card, encoder
        nn.Module.eval(encoder.model)
        self.model: Any = encoder.model
        self.device = next(self.model.parameters()).device

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read a training run or a model folder.

        Raises:
            SarKnowlipError: None is given, or it cannot be read.
        """
        folder = _folder(given)
        encoder = ModelEncoder.load(folder, device=given.device)
        return cls(_card("ours", given, folder, encoder.model), encoder)

    def features(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return the mean of tokens."""
        return array(self._tokens(tiles).mean(dim=1))

    def patches(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return tokens."""
        tokens_NLF = self._tokens(tiles)
        side = self.model.config.image_px // self.model.config.patch_px
        return array(tokens_NLF).reshape(len(tiles), side, side, -1)

    def images(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return pictures in the common space."""
        with torch.inference_mode():
            return array(self.model.encode_image(**self._inputs(tiles)))

    def texts(self, texts: Sequence[str]) -> Floats32:
        """Return texts in the common space."""
        return self.encoder.texts(texts)

    def captions(self, tiles: Sequence[TileImage]) -> list[str]:
        """Return the likeliest words, one after the other."""
        return self._told(self._inputs(tiles), None, None)

    def answers(self, tiles: Sequence[TileImage], questions: Sequence[str]) -> list[str]:
        """Return how texts go on that begin with the question; of long ones the end is cut off."""
        room = self.model.config.text_tokens // 2
        asked = self.encoder.processor.texts(list(questions))
        ids_NT = asked["input_ids"][:, :room].to(self.device)
        mask_NT = asked["attention_mask"][:, :room].to(self.device)
        mask_NT = mask_NT * (ids_NT != self.model.config.eos_token_id)
        return self._told(self._inputs(tiles), ids_NT, mask_NT)

    def trainable(self) -> Trainable:
        """Return the model's copy, with the mean of tokens."""
        model = copy.deepcopy(self.model)
        return Trainable(
            module=model,
            inputs=self._inputs,
            features=lambda inputs: model.image_tokens(**inputs).float().mean(dim=1),
        )

    def _inputs(self, tiles: Sequence[TileImage]) -> dict[str, Tensor]:
        for tile in tiles:
            require_known(tile)
        told = self.encoder.processor.images(list(tiles))
        return {name: tensor.to(self.device) for name, tensor in told.items()}

    def _tokens(self, tiles: Sequence[TileImage]) -> Tensor:
        with torch.inference_mode():
            tokens_NLF: Tensor = self.model.image_tokens(**self._inputs(tiles)).float()
        return tokens_NLF

    def _told(
        self, inputs: dict[str, Tensor], ids_NT: Tensor | None, mask_NT: Tensor | None
    ) -> list[str]:
        # the same room whatever the longest question, so that rows do not depend on each other
        before = 1 if ids_NT is None else self.model.config.text_tokens // 2
        longest = min(NEW_TOKENS, self.model.config.text_tokens - before)
        rows = self.model.generate(
            **inputs, prompt_ids=ids_NT, prompt_mask=mask_NT, max_new_tokens=longest
        )
        return [text.strip() for text in self.encoder.processor.batch_decode(rows)]


class Untrained(Ours):
    """Random weights in the architecture of a model; its processor and tokenizer are taken."""

    @classmethod
    def make(cls, given: Given) -> Self:
        """Draw weights; the global random state is left as it was.

        Raises:
            SarKnowlipError: No model is given, or its folder cannot be read.
        """
        folder = model_folder(_folder(given))
        config = SarKnowLIPConfig.from_pretrained(folder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(given.seed)
            model = SarKnowLIP(config)
        nn.Module.to(model, given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        encoder = ModelEncoder(model, SarProcessor.from_pretrained(folder))
        return cls(_card("untrained", given, folder, model), encoder)


def _folder(given: Given) -> Path:
    if given.weights is None:
        raise BenchError("no model is given", "give the folder of a training run, or a model's")
    return given.weights


def _card(name: str, given: Given, folder: Path, model: SarKnowLIP) -> AdapterCard:
    counted = sum(parameter.numel() for parameter in model.image.parameters())
    update = {"parameters": counted, "source": str(folder)}
    return Sheet.read(name).named(given).model_copy(update=update)
