"""Texts as batches of few shapes.

The last bits of a product of matrices depend on their shapes. So that scores depend on no other
text, texts are padded to one of few lengths and the last batch of a length is filled up to a
multiple of `STEP`. Batches of 4 to 32 texts gave the same bits on a CPU (float32, one thread); on
other machines the number of texts beside a text may tell in the last bits.

Shapes: B batch, L tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from sarknowlip.annotate.claim import Text
from sarknowlip.train.rounds.images import Places
from sarknowlip.train.rounds.signals.signal import TOLD, Scores, View

STEP = 4
"""Texts of a batch are a multiple of this: for single rows libraries have other kernels."""
SHORTEST = 8
"""Texts are padded to this many tokens at least."""


class Rows(NamedTuple):
    """A batch of texts.

    Attributes:
        own: Positions of the texts among those given, at most B; further rows only fill up.
        tiles: Positions of their tiles, (B,).
        ids_BL: Token ids; of a question and its answer in one.
        mask_BL: 1 for a real token, 0 for padding.
        prefix_B: First tokens of each that are given.
    """

    own: Places
    tiles: Places
    ids_BL: Tensor  # noqa: N815
    mask_BL: Tensor  # noqa: N815
    prefix_B: Tensor  # noqa: N815

    def fill(self, scores: Scores, columns: Sequence[Tensor]) -> None:
        """Write columns (B,) of numbers into the rows of the texts."""
        for column, values_B in enumerate(columns):
            scores[self.own, column] = values_B[: len(self.own)].double().cpu().numpy()


def fixed_rows(texts: Sequence[Text], view: View) -> Iterator[Rows]:
    """Yield the texts that a model can judge as batches of few shapes.

    Args:
        texts: Any texts.
        view: Model, processor, tiles and size of batches.

    Raises:
        CorpusError: A text is about another tile.
    """
    chosen = [place for place, text in enumerate(texts) if text.level in TOLD]
    if not chosen:
        return
    texts = [texts[place] for place in chosen]
    tiles = view.images.places([text.tile_id for text in texts])
    tokens, prefix = view.processor.asked(
        [text.question or "" for text in texts], [text.text for text in texts]
    )
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    lengths = mask.sum(dim=1).numpy()
    limits = np.array(padded_lengths(view.processor.config.text_tokens))
    padded = limits[np.searchsorted(limits, lengths)]
    size, device, place = view.config.batch, view.model.device, np.array(chosen)
    for length in np.unique(padded).tolist():
        of_length = np.flatnonzero(padded == length)
        for start in range(0, len(of_length), size):
            own = of_length[start : start + size]
            full = np.concatenate([own, np.repeat(own[:1], -len(own) % STEP)])
            rows = torch.from_numpy(full)
            yield Rows(
                place[own],
                tiles[full],
                _cut(ids[rows], length, view.processor.marks.pad).to(device),
                _cut(mask[rows], length, 0).to(device),
                prefix[rows].to(device),
            )


def padded_lengths(longest: int) -> list[int]:
    """Return the lengths to which texts are padded, 8, 16, 24, 32, 48, 64, 96 … `longest`."""
    steps = [2**power * third for power in range(2, 31) for third in (2, 3)]
    lengths = [step for step in steps if SHORTEST <= step < longest and step != 12]
    return [*lengths, longest]


def _cut(rows_BL: Tensor, length: int, value: int) -> Tensor:
    return pad(rows_BL[:, :length], (0, max(0, length - rows_BL.shape[1])), value=value)
