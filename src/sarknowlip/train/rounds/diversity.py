"""Whether a loop is collapsing: how varied its texts are, and how many dimensions it still uses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.text_stats import VarietyMeter
from sarknowlip.core.config import Config
from sarknowlip.train.rounds.config import FloorConfig


class Diversity(Config):
    """How varied a round is.

    Attributes:
        texts: Texts judged.
        vocabulary: Different tokens.
        distinct_2: Different pairs of neighbouring tokens over all pairs, 0…1 (Li et al., NAACL
            2016).
        rank: Effective rank of held-out embeddings; None if they were not looked at.
    """

    texts: int
    vocabulary: int
    distinct_2: float
    rank: float | None = None


def text_diversity(texts: Iterable[Text]) -> Diversity:
    """Return how varied texts are."""
    meter = VarietyMeter(sample=0)
    for text in texts:
        meter.add(text.id, text.text)
    found = meter.result()
    return Diversity(
        texts=found.texts, vocabulary=found.vocabulary, distinct_2=found.distinct_2 or 0.0
    )


def effective_rank(rows_ND: npt.ArrayLike) -> float:
    """Return the effective rank of embeddings, 1…min(N, D).

    exp of the entropy of the singular values as shares of their sum (Roy and Vetterli, "The
    effective rank", EUSIPCO 2007), the mean of the rows taken off.

    Args:
        rows_ND: N rows of width D, N ≥ 2.
    """
    rows = np.asarray(rows_ND, dtype=np.float64)
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
    total = float(values.sum())
    if total == 0.0:
        return 1.0
    shares = values / total
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def fallen(now: Diversity, first: Diversity, floor: FloorConfig) -> str | None:
    """Return what fell below its floor, in words; None if nothing did.

    Args:
        now: Of a round.
        first: Of the first round.
        floor: Shares of what `first` had.
    """
    for name in ("vocabulary", "distinct_2", "rank"):
        have, had = getattr(now, name), getattr(first, name)
        if have is None or had is None:
            continue
        least = getattr(floor, name) * had
        if have < least:
            return f"{name} fell to {have:.4g}, below {least:.4g}"
    return None
