"""Whether the fusion encoder says that text and tile belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sarknowlip.annotate.claim import Text
from sarknowlip.infer.encoder import evaluating
from sarknowlip.train.rounds.images import Places
from sarknowlip.train.rounds.signals.rows import Rows, fixed_rows
from sarknowlip.train.rounds.signals.signal import Scores, View


class Matching:
    """Logit of text and own tile, and how far it is above those with fixed other tiles.

    - `logit`: That the two belong together.
    - `margin`: Logit less the mean over other tiles; NaN if there is none.

    Args:
        view: Model, tiles and how many others are asked about.
    """

    columns: ClassVar[tuple[str, ...]] = ("logit", "margin")

    def __init__(self, view: View) -> None:
        self._view = view

    def key(self) -> Any:
        """Return what scores depend on."""
        return [self._view.images.key, self._view.config.others]

    def score(self, texts: Sequence[Text]) -> Scores:
        """Return the columns, a row a text."""
        scores = np.full((len(texts), len(self.columns)), np.nan)
        others = self._view.images.reference(self._view.config.others + 1)
        with evaluating(self._view.model):
            for rows in fixed_rows(texts, self._view):
                rows.fill(scores, self._columns(rows, others))
        return scores

    def _columns(self, rows: Rows, others: Places) -> list[Tensor]:
        model, images = self._view.model, self._view.images
        tokens_BLD = model.text_tokens(rows.ids_BL, rows.mask_BL)
        asked = [rows.tiles, *_others(rows.tiles, others).T]
        logit, *other = (
            model.match(tokens_BLD, rows.mask_BL, images.tokens(places)).float() for places in asked
        )
        margin = logit - torch.stack(other).mean(dim=0) if other else logit * torch.nan
        return [logit, margin]


def _others(own: Places, drawn: Places) -> Places:
    """Return for each tile (B,) the first drawn ones (B, len(drawn) − 1) that it is not."""
    return np.stack([drawn[drawn != place][: len(drawn) - 1] for place in own.tolist()])
