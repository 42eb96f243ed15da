"""SigLIP 2 (Tschannen et al., arXiv:2502.14786), of fixed resolution.

Of a picture: what its attention pooling makes, which is also its row in the common space. Of cells:
their tokens after the last norm. Texts are in lower case and padded to 64 tokens, as in training;
the published tokenizer does the first only under another name of its class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional
from transformers import SiglipModel

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.adapters.frozen import Frozen, Look, array, coloured
from sarknowlip.bench.adapters.hub import Words, folder_of, pretrained
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.sar.tile import TileImage


class Siglip2(Frozen):
    """SigLIP 2 ViT-B/16.

    Args:
        sheet: What is known of it.
        network: A `SiglipModel` of `transformers`.
        words: Its tokenizer.
        given: Names the device.
    """

    network: Any

    def __init__(self, sheet: Sheet, network: Any, words: Words, given: Given) -> None:
        super().__init__(sheet.named(given), network, given)
        assert sheet.colours is not None
        self.colours, self.words = sheet.colours, words
        self.edge = int(network.config.vision_config.image_size)

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a folder.

        Raises:
            BenchError: It is absent, damaged or incomplete.
        """
        sheet = Sheet.read("siglip2")
        folder = folder_of(sheet, given)
        network = pretrained(SiglipModel, folder)
        words = Words(folder, network.config.text_config.max_position_embeddings)
        return cls(sheet, network, words, given)

    def inputs(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return pictures by the colour rule."""
        return coloured(tiles, self.edge, self.colours)

    def look(self, pixels_NCYX: Tensor) -> Look:
        """Return the pooled picture and its cells."""
        seen = self.network.vision_model(pixel_values=pixels_NCYX)
        return Look(seen.pooler_output, seen.last_hidden_state)

    def images(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return pictures in the common space."""
        with torch.inference_mode():
            return array(functional.normalize(self._look(tiles).whole_NF, dim=-1))

    def texts(self, texts: Sequence[str]) -> Floats32:
        """Return texts in the common space; too long ones are cut off."""
        with torch.inference_mode():
            lower = [text.lower() for text in texts]
            # padding takes part in attention, as it did in training
            ids_NT = self.words(lower, self.device, padded=True)["input_ids"]
            rows_ND = self.network.text_model(input_ids=ids_NT).pooler_output
            return array(functional.normalize(rows_ND, dim=-1))
