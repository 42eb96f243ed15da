"""Rung 4: the table of losses; to add one, write its module and a line here (docs/add-a-loss.md).

A loss is a function (image_BD, text_BD, scale, group_B) → scalar: images and texts as unit vectors,
the factor on cosines, and a number per pair that is equal exactly where two texts are equal.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from sarknowlip.core.lazy import LazyTable

LOSSES = LazyTable("loss", {"contrastive": "sarknowlip.losses.contrastive:contrastive"})
"""Losses by name."""


class PairLoss(Protocol):
    """What every loss of the table is."""

    def __call__(self, image_BD: Tensor, text_BD: Tensor, scale: Tensor, group_B: Tensor) -> Tensor:
        """Return the mean loss of a batch, a scalar, 0 at the best."""
        ...
