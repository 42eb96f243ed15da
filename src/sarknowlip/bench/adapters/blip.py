"""BLIP (Li et al., ICML 2022): one folder a task, of which the first must be there.

`itm` (Salesforce/blip-itm-base-coco) gives features, cells and the common space of pictures and
texts; `captioning` (Salesforce/blip-image-captioning-base) and `vqa` (Salesforce/blip-vqa-base), if
they are there, captions and answers. A model declares what is there. Of a picture: the class token
after the last norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional
from transformers import (
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipForQuestionAnswering,
)

from sarknowlip.bench.adapter import Ability, Floats32
from sarknowlip.bench.adapters.frozen import Frozen, Look, array, coloured
from sarknowlip.bench.adapters.hub import Words, folder_of, pretrained
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.sar.tile import TileImage

TEXT_TOKENS = 35
"""Longest text: what the authors take of captions and questions."""
NEW_TOKENS = 30
PARTS: dict[Ability, tuple[str, Any]] = {
    "captions": ("captioning", BlipForConditionalGeneration),
    "answers": ("vqa", BlipForQuestionAnswering),
}
"""Folder and class of what can be left out, by ability."""


class Blip(Frozen):
    """BLIP, base size.

    Args:
        sheet: What is known of it.
        folder: Holds its parts.
        given: Names the device.

    Raises:
        BenchError: A part is damaged.
    """

    network: Any

    def __init__(self, sheet: Sheet, folder: Path, given: Given) -> None:
        card = sheet.named(given)
        network = pretrained(BlipForImageTextRetrieval, folder / "itm")
        self.words = Words(folder / "itm", TEXT_TOKENS)
        self.parts: dict[Ability, Any] = {}
        for ability, (name, kind) in PARTS.items():
            if (folder / name).is_dir():
                self.parts[ability] = pretrained(kind, folder_of(sheet, given, name)).eval()
        lacking = frozenset(PARTS) - frozenset(self.parts)
        card = card.model_copy(update={"abilities": card.abilities - lacking})
        super().__init__(card, network, given)
        for part in self.parts.values():
            torch.nn.Module.to(part, self.device)
        assert sheet.colours is not None
        self.colours = sheet.colours
        self.edge = int(network.config.vision_config.image_size)

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a folder.

        Raises:
            BenchError: `itm` is absent, or a part is damaged or incomplete.
        """
        sheet = Sheet.read("blip")
        return cls(sheet, folder_of(sheet, given, "itm").parent, given)

    def inputs(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return pictures by the colour rule."""
        return coloured(tiles, self.edge, self.colours)

    def look(self, pixels_NCYX: Tensor) -> Look:
        """Return class token and cells."""
        tokens_NLF = self.network.vision_model(pixel_values=pixels_NCYX).last_hidden_state
        return Look(tokens_NLF[:, 0], tokens_NLF[:, 1:])

    def images(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return pictures in the common space."""
        with torch.inference_mode():
            rows_ND = self.network.vision_proj(self._look(tiles).whole_NF)
            return array(functional.normalize(rows_ND, dim=-1))

    def texts(self, texts: Sequence[str]) -> Floats32:
        """Return texts in the common space; too long ones are cut off."""
        with torch.inference_mode():
            told = self.network.text_encoder(**self.words(list(texts), self.device))
            rows_ND = self.network.text_proj(told.last_hidden_state[:, 0])
            return array(functional.normalize(rows_ND, dim=-1))

    def captions(self, tiles: Sequence[TileImage]) -> list[str]:
        """Return the likeliest words, one after the other."""
        if "captions" not in self.parts:
            raise self._cannot("captions")
        with torch.inference_mode():
            rows = self.parts["captions"].generate(
                pixel_values=self.inputs(tiles).to(self.device),
                max_new_tokens=NEW_TOKENS,
                num_beams=1,
                do_sample=False,
            )
        return self.words.texts(rows[:, 1:])  # without the mark of begin, unknown to the tokenizer

    def answers(self, tiles: Sequence[TileImage], questions: Sequence[str]) -> list[str]:
        """Return the likeliest words, one after the other."""
        if "answers" not in self.parts:
            raise self._cannot("answers")
        told = []
        with torch.inference_mode():
            pixels_NCYX = self.inputs(tiles).to(self.device)
            # one by one: the library's decoder would also look at the padding of shorter questions
            for row, question in enumerate(questions):
                rows = self.parts["answers"].generate(
                    **self.words([question], self.device),
                    pixel_values=pixels_NCYX[row : row + 1],
                    max_new_tokens=NEW_TOKENS,
                    num_beams=1,
                    do_sample=False,
                )
                told += self.words.texts(rows[:, 1:])
        return told
