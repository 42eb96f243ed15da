"""How alike two texts are, by the longest sequence of words that both have in this order.

ROUGE-L (Lin 2004): recall is the share of a text's words that are in the sequence, precision that
of the other's, F their harmonic mean.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+", re.UNICODE)


def words_of(text: str) -> list[str]:
    """Return the words and numbers of a text in lower case."""
    return WORD.findall(text.lower())


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    Bits of an integer stand for places in `one`, so that a step handles them all (Hyyrö 2004).
    """
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    row = full = (1 << len(one)) - 1
    for word in other:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & full
    return len(one) - row.bit_count()


def agreement(text: Sequence[str], other: Sequence[str]) -> tuple[float, float]:
    """Return F and recall of the words of a text among those of another; 0 where one is empty."""
    common = longest_common(text, other)
    if not common:
        return 0.0, 0.0
    return 2 * common / (len(text) + len(other)), common / len(text)


def best_agreement(text: Sequence[str], others: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Return the largest F and the largest recall over other texts; 0 if there is none."""
    found = [agreement(text, other) for other in others]
    return max((f for f, _ in found), default=0.0), max((r for _, r in found), default=0.0)
