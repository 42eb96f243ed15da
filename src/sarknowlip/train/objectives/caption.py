"""Texts told from images, word by word."""

from __future__ import annotations

from torch import Tensor

from sarknowlip.data.loader import Batch
from sarknowlip.losses.across import Totals
from sarknowlip.losses.captioning import caption_nll, told_tokens
from sarknowlip.losses.chunks import by_chunks
from sarknowlip.train.objectives.config import CaptionTermConfig
from sarknowlip.train.objectives.terms import Seen


class Caption:
    """Negative log-likelihood a token.

    Args:
        config: How often there is no image.
    """

    chances: int = 1
    reads: bool = False
    compares: bool = False
    looks: bool = True

    def __init__(self, config: CaptionTermConfig) -> None:
        self.config = config

    def __call__(self, seen: Seen, drawn: Tensor) -> Tensor:
        """Return the mean over all tokens of the batch."""
        model = seen.model
        assert seen.image_BKD is not None
        image_BKD = model.decoder.without_image(
            seen.image_BKD, drawn[:, 0] < self.config.without_image
        )

        ids, mask = seen.batch.texts["input_ids"], seen.batch.texts["attention_mask"]
        rows = [ids, mask, image_BKD]
        if seen.batch.prefix is not None:
            rows.append(seen.batch.prefix)

        def tell(ids: Tensor, mask: Tensor, image: Tensor, *prefix: Tensor) -> Totals:
            # texts are padded at their ends, which no token before them sees
            return caption_nll(model.caption_logits(ids, None, image).float(), ids, mask, *prefix)

        return Totals(*by_chunks(tell, seen.chunk, *rows)).mean(seen.across)

    def elements(self, batch: Batch) -> Tensor:
        """Return the number of tokens told."""
        return told_tokens(batch.texts["attention_mask"], batch.prefix).sum()
