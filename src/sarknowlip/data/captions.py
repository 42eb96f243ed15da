"""Captions: which sentences a tile has, and how some of them make one caption.

The caption of a visit is a random non-empty subset of the tile's sentences in random order, drawn
from a counter-based generator (Philox, Salmon et al. 2011) keyed by seed, epoch and index: it is
the same whichever process asks, and in whatever order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sarknowlip.annotate.store import read_texts

STREAM = 1
"""Tells captions from other draws of the same seed."""


def read_sentences(annotation_folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the sentence-level texts of each tile in file order.

    Args:
        annotation_folder: One version, as `annotate.store.annotation_folder` gives it.

    Raises:
        CorpusError: The file is absent or damaged.
    """
    found: dict[str, list[str]] = {}
    for text in read_texts(annotation_folder):
        if text.level == "sentence":
            found.setdefault(text.tile_id, []).append(text.text)
    return {tile_id: tuple(sentences) for tile_id, sentences in found.items()}


def whole_caption(sentences: Sequence[str]) -> str:
    """Return all sentences in order, joined by a space."""
    return " ".join(sentences)


def drawn_caption(sentences: Sequence[str], *, seed: int, epoch: int, index: int) -> str:
    """Return a random non-empty subset of sentences in random order.

    The number of sentences is uniform from one to all of them.

    Args:
        sentences: Sentences of one tile, at least one.
        seed: Of the run, not negative.
        epoch: Of the visit.
        index: Position of the tile in its split.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, STREAM], counter=[0, 0, epoch, index]))
    count = int(rng.integers(1, len(sentences) + 1))
    return whole_caption([sentences[i] for i in rng.permutation(len(sentences))[:count]])
