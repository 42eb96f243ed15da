"""CLIP (Radford et al., ICML 2021), and models of its form.

Of a picture: the class token after the last norm, before the projection, which is what the paper's
linear probes take. Of cells: their tokens after the same norm. Pictures and texts in the common
space: as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPModel

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.adapters.frozen import Frozen, Look, array, coloured
from sarknowlip.bench.adapters.hub import Words, folder_of, pretrained
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.sar.tile import TileImage


class ClipForm(Frozen):
    """A model of CLIP's form.

    Args:
        sheet: What is known of it.
        network: A `CLIPModel` of `transformers`.
        words: Its tokenizer.
        given: Names the device.
    """

    network: Any

    def __init__(self, sheet: Sheet, network: Any, words: Words, given: Given) -> None:
        super().__init__(sheet.named(given), network, given)
        assert sheet.colours is not None
        self.colours, self.words = sheet.colours, words
        self.edge = int(network.config.vision_config.image_size)

    def inputs(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return pictures by the colour rule."""
        return coloured(tiles, self.edge, self.colours)

    def look(self, pixels_NCYX: Tensor) -> Look:
        """Return class token and cells, normed."""
        vision = self.network.vision_model
        tokens_NLF = vision.post_layernorm(vision(pixel_values=pixels_NCYX).last_hidden_state)
        return Look(tokens_NLF[:, 0], tokens_NLF[:, 1:])

    def images(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return pictures in the common space."""
        with torch.inference_mode():
            rows_ND = self.network.visual_projection(self._look(tiles).whole_NF)
            return array(functional.normalize(rows_ND, dim=-1))

    def texts(self, texts: Sequence[str]) -> Floats32:
        """Return texts in the common space; too long ones are cut off."""
        with torch.inference_mode():
            told = self.network.text_model(**self.words(list(texts), self.device))
            rows_ND = self.network.text_projection(told.pooler_output)
            return array(functional.normalize(rows_ND, dim=-1))


class Clip(ClipForm):
    """CLIP ViT-B/16 of OpenAI."""

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a folder.

        Raises:
            BenchError: It is absent, damaged or incomplete.
        """
        sheet = Sheet.read("clip")
        folder = folder_of(sheet, given)
        network = pretrained(CLIPModel, folder)
        words = Words(folder, network.config.text_config.max_position_embeddings)
        return cls(sheet, network, words, given)
