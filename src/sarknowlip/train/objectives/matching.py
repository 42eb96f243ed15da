"""Do a text and an image belong together? Asked of pairs, and of hard negatives for each.

Shapes: R rows that are asked, three a pair.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sarknowlip.data.loader import Batch
from sarknowlip.losses.across import Totals
from sarknowlip.losses.chunks import by_chunks
from sarknowlip.losses.matching import matching, pooled_negatives
from sarknowlip.train.objectives.config import MatchingConfig
from sarknowlip.train.objectives.terms import Seen


class Matching:
    """Binary cross-entropy of the fusion encoder; negatives as in `losses.matching`.

    Args:
        config: How negatives are found.
    """

    chances: int = 2
    reads: bool = True
    compares: bool = True
    looks: bool = True

    def __init__(self, config: MatchingConfig) -> None:
        self.config = config

    def __call__(self, seen: Seen, drawn: Tensor) -> Tensor:
        """Return the mean over pairs and negatives."""
        text_BLD, image_BE, text_BE = seen.text_BLD, seen.image_BE, seen.text_BE
        assert seen.image_BKD is not None
        assert text_BLD is not None
        assert image_BE is not None
        assert text_BE is not None
        model, group_B = seen.model, seen.batch.group

        def logits(part: slice) -> Tensor:
            with torch.autocast(image_BE.device.type, enabled=False):
                scale = model.scale * self.config.hardness
                return scale * image_BE[part].float() @ text_BE[part].float().T

        own_B = torch.arange(group_B.shape[0], device=group_B.device)
        pool = self.config.pool or group_B.shape[0]
        text_B, image_B = pooled_negatives(logits, group_B, drawn.T, pool)
        texts_R, images_R = torch.cat([own_B, text_B, own_B]), torch.cat([own_B, own_B, image_B])

        def ask(text: Tensor, mask: Tensor, image: Tensor, labels: Tensor) -> Totals:
            return matching(model.match(text, mask, image).float(), labels)

        asked = by_chunks(
            ask,
            seen.chunk,
            text_BLD[texts_R],
            seen.batch.texts["attention_mask"][texts_R],
            seen.image_BKD[images_R],
            group_B[texts_R] == group_B[images_R],
        )
        return Totals(*asked).mean(seen.across)

    def elements(self, batch: Batch) -> None:
        """Return None: as many are asked of each pair."""
