"""Whether the model, asked what it sees, says what the text says.

Shapes: B batch, L tokens, T = L − 1 tokens after the first, K tokens of an image, M their width,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sarknowlip.annotate.claim import Text
from sarknowlip.infer.encoder import evaluating
from sarknowlip.train.rounds.regenerate import Regenerator, continued, sentences_of
from sarknowlip.train.rounds.signals.agreement import agreement, best_agreement, words_of
from sarknowlip.train.rounds.signals.rows import Rows, fixed_rows
from sarknowlip.train.rounds.signals.signal import Scores, View


class Regeneration:
    """Agreement with regenerated texts, 0…1 (`signals.agreement`).

    - `agreement`: ROUGE-L F with the sentence most like it of all captions of the tile; mean over
      the sentences of the text. NaN for answers.
    - `recall`: The same with the share of its words: what tells of phrases and tags.
    - `continued`: A text is begun for the model up to the token at which the image matters most;
      ROUGE-L F of what the model goes on with, and as many tokens of the text. An answer is asked
      for by its question. Of the tokens after the first it is the one whose distribution with image
      is farthest from that without (Kullback–Leibler), whatever the text says there. NaN for tags.

    Args:
        view: Model, tiles, number and length of what is regenerated.
    """

    columns: ClassVar[tuple[str, ...]] = ("agreement", "recall", "continued")

    def __init__(self, view: View) -> None:
        self._view = view
        self._regenerator = Regenerator(view)

    def key(self) -> Any:
        """Return what scores depend on."""
        return [self._regenerator.key, self._view.config.continued_tokens]

    def score(self, texts: Sequence[Text]) -> Scores:
        """Return the columns, a row a text."""
        scores = np.full((len(texts), len(self.columns)), np.nan)
        self._captions(texts, scores)
        with evaluating(self._view.model):
            for rows in fixed_rows(texts, self._view):
                scores[rows.own, 2] = self._continued(rows)
        tags = [place for place, text in enumerate(texts) if text.level == "tag"]
        scores[tags, 2] = np.nan  # there is nothing to begin
        return scores

    def _captions(self, texts: Sequence[Text], scores: Scores) -> None:
        told = [
            place
            for place, text in enumerate(texts)
            if text.level not in ("question-answer", "grounding")
        ]
        captions = self._regenerator.captions([texts[place].tile_id for place in told])
        cut: dict[str, list[list[str]]] = {}
        for place, said in zip(told, captions, strict=True):
            text = texts[place]
            if text.tile_id not in cut:
                found = {part: None for caption in said for part in sentences_of(caption)}
                cut[text.tile_id] = [words_of(part) for part in found]
            parts = [words_of(part) for part in sentences_of(text.text)]
            best = [best_agreement(part, cut[text.tile_id]) for part in parts]
            scores[place, :2] = np.mean(best, axis=0)

    def _continued(self, rows: Rows) -> list[float]:
        """Return the agreement of each text with how the model ends it."""
        view, longest = self._view, self._view.model.config.text_tokens
        image_BKM = view.images.tokens(rows.tiles)
        new = min(view.config.continued_tokens, longest - 1)
        # a text that leaves no room is begun up to an earlier token
        start_B = self._starts(rows, image_BKM).clamp(max=longest - new)
        place_L = torch.arange(rows.ids_BL.shape[1], device=start_B.device)
        mask_BL = (place_L < start_B[:, None]).long()
        begun = slice(0, longest - new)
        said = continued(view, rows.ids_BL[:, begun], mask_BL[:, begun], image_BKM, new)
        ids, starts = rows.ids_BL.tolist(), start_B.tolist()
        ends = rows.mask_BL.sum(dim=1).tolist()
        told = [
            row[start : min(start + new, end)]
            for row, start, end in zip(ids, starts, ends, strict=True)
        ]
        decode, own = view.processor.batch_decode, len(rows.own)
        pairs = zip(decode(told[:own]), decode(said[:own]), strict=True)
        words = [(words_of(text), words_of(other)) for text, other in pairs]
        return [agreement(text, other)[0] if text else np.nan for text, other in words]

    def _starts(self, rows: Rows, image_BKM: Tensor) -> Tensor:
        """Return the token (B,) from which on the model goes on."""
        model, asked_B = self._view.model, rows.prefix_B > 1
        seen_BLV = model.caption_logits(rows.ids_BL, None, image_BKM).float().log_softmax(dim=2)
        blind_BLV = model.caption_logits(rows.ids_BL, None, None).float().log_softmax(dim=2)
        apart_BT = (seen_BLV.exp() * (seen_BLV - blind_BLV)).sum(dim=2)[:, :-1]
        place_T = torch.arange(1, rows.ids_BL.shape[1], device=apart_BT.device)
        told_BT = rows.mask_BL[:, 1:].bool() & (place_T > rows.prefix_B[:, None])
        farthest_B = 1 + apart_BT.masked_fill(~told_BT, -torch.inf).argmax(dim=1)
        return torch.where(asked_B, rows.prefix_B, farthest_B)
