"""Captions: which sentences a tile has, and how some of them make one caption.

The caption of a visit is a random non-empty subset of at most `MOST` of the tile's sentences in
random order, drawn from a counter-based generator (Philox, Salmon et al. 2011) keyed by seed, epoch
and index: it is the same whichever process asks, and in whatever order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sarknowlip.annotate.store import read_texts

STREAM = 1
"""Tells captions from other draws of the same seed."""
MOST = 8
"""Sentences of a drawn caption: more than a text encoder reads would only be cut off."""


@dataclass(frozen=True)
class Captions:
    """What a tile can be called.

    Attributes:
        sentences: Its sentence-level texts in file order, at least one.
        whole: What it is called where nothing is drawn: its paragraph, else all its sentences.
    """

    sentences: tuple[str, ...]
    whole: str


def read_captions(annotation_folder: Path) -> dict[str, Captions]:
    """Return the captions of each tile that has a sentence, by tile.

    Args:
        annotation_folder: One version, as `annotate.store.annotation_folder` gives it.

    Raises:
        CorpusError: The file is absent or damaged.
    """
    sentences: dict[str, list[str]] = {}
    paragraphs: dict[str, str] = {}
    for text in read_texts(annotation_folder):
        if text.level == "sentence":
            sentences.setdefault(text.tile_id, []).append(text.text)
        elif text.level == "paragraph":
            paragraphs.setdefault(text.tile_id, text.text)
    return {
        tile_id: Captions(tuple(said), paragraphs.get(tile_id) or whole_caption(said))
        for tile_id, said in sentences.items()
    }


def whole_caption(sentences: Sequence[str]) -> str:
    """Return all sentences in order, joined by a space."""
    return " ".join(sentences)


def drawn_caption(sentences: Sequence[str], *, seed: int, epoch: int, index: int) -> str:
    """Return a random non-empty subset of sentences in random order.

    The number of sentences is uniform from one to all of them, or to `MOST`.

    Args:
        sentences: Sentences of one tile, at least one.
        seed: Of the run, not negative.
        epoch: Of the visit.
        index: Position of the tile in its split.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, STREAM], counter=[0, 0, epoch, index]))
    count = int(rng.integers(1, min(MOST, len(sentences)) + 1))
    return whole_caption([sentences[i] for i in rng.permutation(len(sentences))[:count]])
