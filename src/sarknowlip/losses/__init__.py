"""Rung 4: losses, pure functions of tensors, and the table of those that compare images with texts.

To add one of these, write its module and a line here (docs/add-a-loss.md). A loss is a function
(image_BD, text_BD, scale, group_B) → scalar: images and texts as unit vectors, the factor on
cosines, and a number per pair that is equal exactly where two texts are equal.

The others (`matching`, `captioning`, `masked`) judge samples one by one and give `across.Totals`.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.distributed import ProcessGroup

from sarknowlip.core.lazy import LazyTable

LOSSES = LazyTable(
    "loss",
    {
        "contrastive": "sarknowlip.losses.contrastive:contrastive",
        "sigmoid": "sarknowlip.losses.sigmoid:sigmoid",
    },
)
"""Losses of pairs by name."""


class PairLoss(Protocol):
    """What every loss of the table is."""

    def __call__(
        self,
        image_BD: Tensor,
        text_BD: Tensor,
        scale: Tensor,
        group_B: Tensor,
        *,
        bias: Tensor | None = None,
        chunk: int | None = None,
        across: ProcessGroup | None = None,
    ) -> Tensor:
        """Return the mean loss of a batch, a scalar, 0 at the best.

        Args:
            image_BD: Images, unit length.
            text_BD: Texts, unit length.
            scale: Factor on cosines.
            group_B: Equal exactly where two texts are equal.
            bias: Added to all logits.
            chunk: Rows compared at a time, which changes memory and no result.
            across: Processes whose batches make one; the mean over processes of values and
                gradients is then that of one process with the joint batch.
        """
        ...
