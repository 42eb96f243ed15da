"""Images and texts in one space: softmax over the batch, or a yes or no for each pair."""

from __future__ import annotations

import torch
from torch import Tensor

from sarknowlip.data.loader import Batch
from sarknowlip.losses import LOSSES, PairLoss
from sarknowlip.train.objectives.terms import Seen


class Pairs:
    """A loss of the table of losses of pairs. It computes in float32.

    Args:
        loss: Its name.

    Raises:
        ConfigError: There is none.
    """

    chances: int = 0
    reads: bool = True
    compares: bool = True
    looks: bool = True

    def __init__(self, loss: str) -> None:
        self._loss: PairLoss = LOSSES[loss]

    def __call__(self, seen: Seen, drawn: Tensor) -> Tensor:
        """Return the loss."""
        del drawn
        assert seen.image_BE is not None
        assert seen.text_BE is not None
        with torch.autocast(seen.image_BE.device.type, enabled=False):
            return self._loss(
                seen.image_BE.float(),
                seen.text_BE.float(),
                seen.model.scale,
                seen.batch.group,
                bias=seen.model.bias,
                chunk=seen.chunk,
                across=seen.across,
            )

    def elements(self, batch: Batch) -> None:
        """Return None: pairs."""
