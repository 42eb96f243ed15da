"""How much likelier a text becomes by its image, word by word.

Most words of a sentence are as likely without the image: grammar and choice of words. A word that
says what is seen becomes likelier if it is right and unlikelier if it is wrong, so that the worst
word of a text tells more of a wrong count or direction than the mean over all.

Shapes: B batch, L tokens, T = L − 1 tokens after the first, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sarknowlip.annotate.claim import Text
from sarknowlip.infer.encoder import evaluating
from sarknowlip.losses.captioning import token_nll
from sarknowlip.train.rounds.signals.rows import Rows, fixed_rows
from sarknowlip.train.rounds.signals.signal import Scores, View


class Reconstruction:
    """Log-likelihoods of the decoder, nats; of an answer, given its question.

    With g = log p(token | image, before) − log p(token | before) of each token:

    - `likelihood`: Mean of log p(token | image, before) over tokens.
    - `gain`: Mean of g over tokens.
    - `worst_token`: Least g.
    - `worst_word`: Least sum of g over the tokens of a word.
    - `unexpected`: Least log p(token | image, before) − log p(likeliest token | image, before).

    Args:
        view: Model and tiles.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "likelihood", "gain", "worst_token", "worst_word", "unexpected",
    )  # fmt: skip

    def __init__(self, view: View) -> None:
        self._view = view

    def key(self) -> Any:
        """Return what scores depend on."""
        return self._view.images.key

    def score(self, texts: Sequence[Text]) -> Scores:
        """Return the columns, a row a text."""
        scores = np.full((len(texts), len(self.columns)), np.nan)
        with evaluating(self._view.model):
            for rows in fixed_rows(texts, self._view):
                words_BT = self._words([texts[place].text for place in rows.own], rows)
                rows.fill(scores, self._columns(rows, words_BT))
        return scores

    def _columns(self, rows: Rows, words_BT: Tensor) -> list[Tensor]:
        model = self._view.model
        image_BKM = self._view.images.tokens(rows.tiles)
        seen_BLV = model.caption_logits(rows.ids_BL, None, image_BKM).float()
        blind_BLV = model.caption_logits(rows.ids_BL, None, None).float()
        seen_BT, told_BT = token_nll(seen_BLV, rows.ids_BL, rows.mask_BL, rows.prefix_B)
        blind_BT, _ = token_nll(blind_BLV, rows.ids_BL, rows.mask_BL, rows.prefix_B)
        likeliest_BT = seen_BLV[:, :-1].log_softmax(dim=2).amax(dim=2)
        gain_BT, count_B = blind_BT - seen_BT, told_BT.sum(dim=1)
        words_BW = torch.zeros_like(gain_BT).scatter_add(1, words_BT, gain_BT)
        known_BW = torch.zeros_like(gain_BT).scatter_add(1, words_BT, told_BT.float()) > 0
        return [
            -seen_BT.sum(dim=1) / count_B,
            gain_BT.sum(dim=1) / count_B,
            _least(gain_BT, told_BT),
            _least(words_BW, known_BW),
            _least(-seen_BT - likeliest_BT, told_BT),
        ]

    def _words(self, texts: Sequence[str], rows: Rows) -> Tensor:
        """Return the word that each token after the first belongs to (B, T), from 0.

        A token of no word, the end or a given one, is a word of its own.
        """
        words_BT = np.tile(np.arange(rows.ids_BL.shape[1] - 1), (len(rows.ids_BL), 1))
        encodings = self._view.processor.tokenizer.encode_batch(list(texts))
        starts, lengths = rows.prefix_B.tolist(), rows.mask_BL.sum(dim=1).tolist()
        for row, encoding in enumerate(encodings):
            first: dict[int, int] = {}
            own = encoding.word_ids[1:]
            for place in range(starts[row] - 1, lengths[row] - 1):
                word = own[place - starts[row] + 1]
                if word is not None:
                    words_BT[row, place] = first.setdefault(word, place)
        return torch.from_numpy(words_BT).to(rows.ids_BL.device)


def _least(values_BT: Tensor, known_BT: Tensor) -> Tensor:
    """Return the least (B,) of the known values."""
    return values_BT.masked_fill(~known_BT, torch.inf).amin(dim=1)
