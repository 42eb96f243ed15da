"""MAE (He et al., CVPR 2022): its encoder, nothing masked.

Of a picture: the class token after the last norm, as in its linear evaluation; of cells: their
tokens after it.
"""

from __future__ import annotations

from typing import Self

from transformers import ViTModel

from sarknowlip.bench.adapters.dino import DinoForm
from sarknowlip.bench.adapters.hub import folder_of, pretrained
from sarknowlip.bench.adapters.sheet import Given, Sheet


class Mae(DinoForm):
    """MAE ViT-B/16.

    It is read as a plain ViT, whose weights have the same names: `ViTMAEModel` puts cells into a
    random order.
    """

    card_name = "mae"

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a folder.

        Raises:
            BenchError: It is absent, damaged or incomplete.
        """
        sheet = Sheet.read(cls.card_name)
        network = pretrained(ViTModel, folder_of(sheet, given), add_pooling_layer=False)
        return cls(sheet, network, given)
