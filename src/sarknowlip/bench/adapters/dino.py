"""DINOv2 (Oquab et al., TMLR 2024) and DINOv3 of satellite pictures (Siméoni et al., 2025).

Of a picture: the class token after the last norm; of cells: their tokens after it; registers are
left out. DINOv2 is given 224 × 224 pixels as in its evaluation, its positions are interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from torch import Tensor
from transformers import Dinov2Model, DINOv3ViTModel

from sarknowlip.bench.adapters.frozen import Frozen, Look, coloured
from sarknowlip.bench.adapters.hub import folder_of, pretrained
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.sar.tile import TileImage


class DinoForm(Frozen):
    """A model of DINO's form; `card_name` names its sheet, `kind` its class of `transformers`.

    Args:
        sheet: What is known of it.
        network: The model.
        given: Names the device.
    """

    network: Any
    card_name: ClassVar[str]
    kind: ClassVar[Any]

    def __init__(self, sheet: Sheet, network: Any, given: Given) -> None:
        super().__init__(sheet.named(given), network, given)
        assert sheet.colours is not None
        self.colours = sheet.colours
        self.edge = sheet.colours.edge or int(network.config.image_size)
        self.others = 1 + int(getattr(network.config, "num_register_tokens", 0))

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a folder.

        Raises:
            BenchError: It is absent, damaged or incomplete.
        """
        sheet = Sheet.read(cls.card_name)
        return cls(sheet, pretrained(cls.kind, folder_of(sheet, given)), given)

    def inputs(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return pictures by the colour rule."""
        return coloured(tiles, self.edge, self.colours)

    def look(self, pixels_NCYX: Tensor) -> Look:
        """Return class token and cells."""
        tokens_NLF = self.network(pixel_values=pixels_NCYX).last_hidden_state
        return Look(tokens_NLF[:, 0], tokens_NLF[:, self.others :])


class Dinov2(DinoForm):
    """DINOv2 ViT-B/14."""

    card_name = "dinov2"
    kind = Dinov2Model


class Dinov3Sat(DinoForm):
    """DINOv3 ViT-L/16 of satellite pictures."""

    card_name = "dinov3-sat"
    kind = DINOv3ViTModel
