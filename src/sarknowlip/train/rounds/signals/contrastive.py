"""Whether a text is nearer to its tile than to other tiles, in the space of both encoders.

Shapes: B batch, E width of the joint space, R tiles of reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sarknowlip.annotate.claim import Text
from sarknowlip.infer.encoder import evaluating
from sarknowlip.train.rounds.signals.rows import Rows, fixed_rows
from sarknowlip.train.rounds.signals.signal import Scores, View


class Contrastive:
    """Cosine, and its standing among the cosines of fixed tiles of reference.

    Only images are compared, never other texts, so that a score changes with no other text.

    - `cosine`: of text and own tile, −1…1.
    - `percentile`: Share of the other tiles that are less like the text, ties by half, 0…1.
    - `margin`: Cosine less the mean over the other tiles, in their standard deviations.

    The last two are NaN with fewer than two other tiles.

    Args:
        view: Model, tiles and how many of them are a reference.
    """

    columns: ClassVar[tuple[str, ...]] = ("cosine", "percentile", "margin")

    def __init__(self, view: View) -> None:
        self._view = view

    def key(self) -> Any:
        """Return what scores depend on."""
        return [self._view.images.key, self._view.config.references]

    def score(self, texts: Sequence[Text]) -> Scores:
        """Return the columns, a row a text."""
        scores = np.full((len(texts), len(self.columns)), np.nan)
        images = self._view.images
        with evaluating(self._view.model):
            # one more: the own tile may be among them
            places = images.reference(self._view.config.references + 1)
            reference_RE = images.embeds(places)
            for rows in fixed_rows(texts, self._view):
                rows.fill(scores, self._columns(rows, torch.from_numpy(places), reference_RE))
        return scores

    def _columns(self, rows: Rows, places_R: Tensor, reference_RE: Tensor) -> list[Tensor]:
        model, limit = self._view.model, self._view.config.references
        text_BE = model.encode_text(rows.ids_BL, rows.mask_BL)
        own_BE = self._view.images.embeds(rows.tiles)
        cosine_B = (text_BE * own_BE).sum(dim=1)
        cosine_BR = text_BE @ reference_RE.T
        other_BR = (places_R[None, :] != torch.from_numpy(rows.tiles)[:, None]).to(cosine_BR.device)
        other_BR &= other_BR.cumsum(dim=1) <= limit
        count_B = other_BR.sum(dim=1)
        few_B = count_B < 2
        below_BR = (cosine_BR < cosine_B[:, None]).double()
        below_BR += 0.5 * (cosine_BR == cosine_B[:, None])
        share_B = (below_BR * other_BR).sum(dim=1) / count_B
        mean_B = (cosine_BR * other_BR).sum(dim=1) / count_B
        apart_BR = (cosine_BR - mean_B[:, None]) * other_BR
        spread_B = (apart_BR.square().sum(dim=1) / (count_B - 1)).sqrt().clamp_min(1e-6)
        margin_B = (cosine_B - mean_B) / spread_B
        return [
            cosine_B,
            share_B.masked_fill(few_B, torch.nan),
            margin_B.masked_fill(few_B, torch.nan),
        ]
