"""Captions beside references: BLEU, ROUGE-L, CIDEr and CIDEr-D, without Java.

Values equal those of the COCO caption server's code (Chen et al., "Microsoft COCO Captions", arXiv
1504.00325, 2015) on the same tokens, but for one thing: that code adds 1e-15 to BLEU's matches and
1e-9 to its n-grams; here nothing is added, so that a perfect caption has exactly 1 and none in
common exactly 0.

**Tokens** are near those of the server (Penn Treebank rules, lower case, marks dropped):

- lower case; words joined by hyphens or slashes stay whole ("two-storey", "and/or"); the clitics
  n't, 's, 'm, 'd, 'll, 're and 've are words ("ship's" gives "ship", "'s");
- numbers keep separators and a leading sign ("1,234.5", "-12"); abbreviations of single letters
  keep their points ("u.s.");
- stops, commas, colons, quotation marks, brackets, dashes and other marks of punctuation are
  dropped; other signs are words ("%", "°").

Where it differs from Stanford's tokenizer 3.4.1, which the server runs: no list of abbreviations
("approx. Mr." loses its points), none of contractions ("cannot" is one word), units stay on their
numbers and powers on their units ("1.5km²"), brackets are dropped (there "-lrb-" is left over),
and the minus sign U+2212 is read as a hyphen.

METEOR and SPICE are left out. Both are defined by Java programs with tables of their own: METEOR
1.5 by paraphrases and tuned weights, SPICE by a trained parser of scenes. A rewriting that differs
a little has other values under the same name.

Legend of array names: N captions.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.metrics import BenchError

Floats = npt.NDArray[np.float64]
Wholes = npt.NDArray[np.int64]
Grams = Counter[tuple[str, ...]]

ORDER = 4
"""Longest n-gram of BLEU and CIDEr."""

RECALL_WEIGHT = 1.2
"""β of ROUGE-L, as in the COCO caption server."""

SIGMA = 6.0
"""Spread of CIDEr-D's penalty on a difference in length, in words."""

_CLITIC = re.compile(r"(?<=\w)(n't|'(?:s|m|d|ll|re|ve))(?!\w)")
_TOKEN = re.compile(
    r"n't|'(?:s|m|d|ll|re|ve)(?!\w)"
    r"|(?:[^\W\d_]\.){2,}"
    r"|(?:(?<!\w)[-+](?=\d))?\w+(?:[-/+&']\w+|[.,:](?<=\d.)(?=\d)\w+)*"
    r"|[^\w\s]"
)
_DROPPED = frozenset(".,:;?!'\"`…-–—()[]{}<>«»“”„‚‹›·•")


def words_of(text: str) -> list[str]:
    """Return the tokens of a caption; see the module's docstring."""
    plain = text.lower().replace("’", "'").replace("‘", "'").replace("−", "-")
    found = _TOKEN.findall(_CLITIC.sub(r" \1", plain))
    return [word for word in found if word not in _DROPPED]


@dataclass(frozen=True)
class BleuCounts:
    """What corpus BLEU sums, caption by caption, so that a resample needs no new counting.

    Attributes:
        matched: Clipped matches of n-grams of length 1…4, shape (N, 4).
        total: N-grams of the candidate, shape (N, 4).
        length: Words of the candidate, and of the reference nearest in length (the shorter of two
            equally near), shape (N, 2).
    """

    matched: Wholes
    total: Wholes
    length: Wholes

    def score(self, draw: npt.ArrayLike | None = None) -> Floats:
        """Return BLEU-1…4 of the corpus, each 0…1, shape (4,) or (..., 4).

        BLEU-n is the brevity penalty times the geometric mean of the precisions up to n, over
        sums of all captions (Papineni et al., "BLEU", ACL 2002, §2.3). It is 0 when an order has
        no match, so also when every candidate is shorter than n words.

        Args:
            draw: How often each caption is drawn, shape (N,) or (..., N); None takes each once.
        """
        times = np.ones(len(self.matched)) if draw is None else np.asarray(draw, np.float64)
        matched, total, length = (times @ part for part in (self.matched, self.total, self.length))
        with np.errstate(divide="ignore"):  # log 0: an order without a match
            logs = np.log(matched / np.maximum(total, 1.0))
            brevity = np.minimum(0.0, 1.0 - length[..., 1:] / np.maximum(length[..., :1], 1.0))
        mean = np.cumsum(logs, axis=-1) / np.arange(1, ORDER + 1)
        return np.asarray(np.exp(mean + brevity), dtype=np.float64)


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """Return corpus BLEU-1…4, shape (4,); see `BleuCounts.score`.

    Args:
        candidates: One caption an item.
        references: At least one reference an item.

    Raises:
        BenchError: Numbers of items differ, or an item has no reference.
    """
    return bleu_counts(candidates, references).score()


def bleu_counts(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> BleuCounts:
    """Return what BLEU sums, caption by caption; arguments and errors as in `bleu`."""
    _check(candidates, references)
    matched = np.zeros((len(candidates), ORDER), dtype=np.int64)
    total = np.zeros_like(matched)
    length = np.zeros((len(candidates), 2), dtype=np.int64)
    for item, (candidate, own) in enumerate(zip(candidates, references, strict=True)):
        words = words_of(candidate)
        others = [words_of(reference) for reference in own]
        most: Grams = Counter()
        for other in others:
            most |= _grams(other)
        for gram, count in _grams(words).items():
            matched[item, len(gram) - 1] += min(count, most[gram])
        total[item] = [max(0, len(words) - n) for n in range(ORDER)]
        nearest = min(others, key=lambda other: (abs(len(other) - len(words)), len(other)))
        length[item] = len(words), len(nearest)
    return BleuCounts(matched, total, length)


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """Return ROUGE-L of every caption, each 0…1, shape (N,).

    F of the longest common subsequence, recall weighing β² as much as precision (Lin, "ROUGE", ACL
    workshop 2004, §3); best precision and best recall over the references are taken apart, as in
    the COCO caption server. Arguments and errors as in `bleu`.
    """
    _check(candidates, references)
    return np.fromiter(
        (
            _rouge_l(words_of(one), [words_of(text) for text in own])
            for one, own in zip(candidates, references, strict=True)
        ),
        dtype=np.float64,
        count=len(candidates),
    )


def cider(
    candidates: Sequence[str], references: Sequence[Sequence[str]], *, penalised: bool = True
) -> Floats:
    """Return CIDEr-D (or CIDEr) of every caption, each 0…10, shape (N,).

    Mean cosine of tf-idf vectors over references and over n-grams of length 1…4, times 10 (Vedantam
    et al., "CIDEr", CVPR 2015). A document is an item with all its references;
    frequencies come from the references given, so that scores of different sets don't compare. No
    stemming, as in the authors' code. The corpus' score is the mean.

    A caption equal to its only reference has 10 where it has at least four words and, for every
    length, an n-gram that some item lacks; each length without one takes away 2.5. So a set of one
    item, or of items that all say the same, scores 0.

    Args:
        candidates: One caption an item.
        references: At least one reference an item.
        penalised: CIDEr-D: matches are clipped to the reference's counts, and lengths that differ
            by d words cost exp(−d² / 2σ²).

    Raises:
        BenchError: Numbers of items differ, or an item has no reference.
    """
    _check(candidates, references)
    seen: Grams = Counter()
    for own in references:
        seen.update({gram for text in own for gram in _grams(words_of(text))})
    rarity = {gram: math.log(len(references) / count) for gram, count in seen.items()}
    unseen = math.log(max(1, len(references)))

    def cooked(text: str) -> _Weighted:
        words = words_of(text)
        return _Weighted.of(_grams(words), len(words), rarity, unseen)

    scores = np.empty(len(candidates))
    for item, (text, own) in enumerate(zip(candidates, references, strict=True)):
        candidate = cooked(text)
        likeness = [candidate.likeness(cooked(reference), penalised) for reference in own]
        scores[item] = 10.0 * sum(likeness) / len(own)
    return scores


@dataclass(frozen=True)
class _Weighted:
    """The tf-idf vectors of one text, one of each length of n-grams."""

    weight: dict[tuple[str, ...], float]
    norm: list[float]
    length: int

    @classmethod
    def of(
        cls, grams: Grams, length: int, rarity: dict[tuple[str, ...], float], unseen: float
    ) -> _Weighted:
        weight = {gram: count * rarity.get(gram, unseen) for gram, count in grams.items()}
        square = [0.0] * ORDER
        for gram, value in weight.items():
            square[len(gram) - 1] += value * value
        return cls(weight, [math.sqrt(value) for value in square], length)

    def likeness(self, reference: _Weighted, penalised: bool) -> float:
        """Return the mean cosine over lengths of n-grams, 0…1."""
        dot = [0.0] * ORDER
        for gram, value in self.weight.items():
            other = reference.weight.get(gram, 0.0)
            dot[len(gram) - 1] += (min(value, other) if penalised else value) * other
        total = 0.0
        for product, one, two in zip(dot, self.norm, reference.norm, strict=True):
            total += product / (one * two) if one and two else 0.0
        gap = self.length - reference.length if penalised else 0
        return total / ORDER * math.exp(-(gap**2) / (2 * SIGMA**2))


def _grams(words: Sequence[str]) -> Grams:
    return Counter(
        tuple(words[start : start + n])
        for n in range(1, ORDER + 1)
        for start in range(len(words) - n + 1)
    )


def _rouge_l(words: list[str], references: Iterable[list[str]]) -> float:
    precision = recall = 0.0
    for other in references:
        shared = _longest_common(words, other)
        precision = max(precision, shared / max(1, len(words)))
        recall = max(recall, shared / max(1, len(other)))
    if not precision:
        return 0.0
    square = RECALL_WEIGHT**2
    return (1 + square) * precision * recall / (recall + square * precision)


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, a row of the table at a time.

    A row is one whole number, a bit a word of `one`; zeros mark where the row grows (Hyyrö,
    "Bit-parallel LCS-length computation revisited", AWOCA 2004).
    """
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(one)) - 1
    row = full
    for word in other:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & full
    return len(one) - row.bit_count()


def _check(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if len(candidates) != len(references):
        raise BenchError(
            f"{len(candidates)} captions for {len(references)} items with references",
            "give one caption an item",
        )
    for item, own in enumerate(references):
        if isinstance(own, str) or not own:
            raise BenchError(f"item {item} has no list of references", "give at least one an item")
