"""How much text there is, and how varied it is.

- *distinct-2*: different pairs of neighbouring tokens over all pairs (Li et al., "A Diversity-
  Promoting Objective Function for Neural Conversation Models", NAACL 2016);
- *self-BLEU*: mean BLEU-4 of a text against the others as references (Zhu et al., "Texygen", SIGIR
  2018), of a sample of sentences, with smoothing method 1 (Chen and Cherry, "A Systematic
  Comparison of Smoothing Techniques for Sentence-Level BLEU", WMT 2014); BLEU after Papineni et
  al., ACL 2002;
- *unique share*: different texts over all texts.

Tokens are lower-case words, numbers and marks. The table is read batch by batch; texts are
remembered as digests of eight bytes, pairs of tokens as pairs of numbers.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.grammar import packaged_grammar
from sarknowlip.annotate.pattern import Draw
from sarknowlip.annotate.store import read_claims, read_texts
from sarknowlip.core.config import Config
from sarknowlip.core.hashing import unit_interval

SAMPLE, ORDER = 200, 4
"""Sentences of the sample for self-BLEU; longest n-gram."""
_TOKEN = re.compile(r"\d+(?:\.\d+)?|\w+|[^\w\s]")


class Variety(Config):
    """How varied some texts are.

    Attributes:
        texts: Texts.
        vocabulary: Different tokens.
        distinct_2: Different pairs of tokens over all pairs, 0…1; None without a pair.
        unique_share: Different texts over all texts, 0…1; None without a text.
        duplicates: Texts that repeat an earlier one.
        self_bleu: Mean BLEU-4 against the others of the sample, 0…1; None for fewer than two.
        sample: Texts in that sample.
        lengths: Texts by number of tokens, in bins of ten, "0-9".
    """

    texts: int
    vocabulary: int
    distinct_2: float | None
    unique_share: float | None
    duplicates: int
    self_bleu: float | None
    sample: int
    lengths: dict[str, int]


class AnnotationStats(Config):
    """What a version of annotations holds.

    Attributes:
        tiles: Tiles with a text.
        per_tile: Texts a tile.
        dimensions: Texts a tile by dimension.
        levels: Texts a tile by level.
        topics: Questions by topic.
        sentences: Variety of sentences.
        template: The same with one fixed wording for each predicate.
        seed: Of the samples.
    """

    tiles: int
    per_tile: float
    dimensions: dict[str, float]
    levels: dict[str, float]
    topics: dict[str, int]
    sentences: Variety
    template: Variety
    seed: int


def annotation_stats(folder: Path, *, seed: int = 0) -> AnnotationStats:
    """Return statistics of a version of annotations.

    Args:
        folder: The version, as `annotate.store.annotation_folder` gives it.
        seed: Of the samples.

    Raises:
        CorpusError: A table is absent or damaged.
    """
    dimensions, levels, topics = Counter[str](), Counter[str](), Counter[str]()
    sentences, template = VarietyMeter(seed), VarietyMeter(seed)
    tiles, last = 0, None
    for text in read_texts(folder):
        tiles, last = tiles + (text.tile_id != last), text.tile_id
        dimensions[text.dimension] += 1
        levels[text.level] += 1
        if text.topic is not None:
            topics[text.topic] += 1
        if text.level == "sentence":
            sentences.add(text.id, text.text)
    for key, words in template_sentences(read_claims(folder)):
        template.add(key, words)
    each = max(1, tiles)
    return AnnotationStats(
        tiles=tiles,
        per_tile=round(sum(levels.values()) / each, 3),
        dimensions={key: round(n / each, 3) for key, n in sorted(dimensions.items())},
        levels={key: round(n / each, 3) for key, n in sorted(levels.items())},
        topics=dict(sorted(topics.items())),
        sentences=sentences.result(),
        template=template.result(),
        seed=seed,
    )


def template_sentences(claims: Iterable[Claim], language: str = "en") -> Iterator[tuple[str, str]]:
    """Yield identifier and sentence of claims, said by one fixed wording for each predicate."""
    grammar = packaged_grammar(language)
    for claim in claims:
        yield claim.id, grammar.sentence(claim, _first())


def _first() -> Draw:
    """Return choices that are always the first."""
    draw = Draw()
    draw.state = 0
    return draw


class VarietyMeter:
    """Measures the variety of texts one by one.

    Args:
        seed: Of the sample.
        sample: Texts in the sample for self-BLEU; 0: it is not measured.
    """

    def __init__(self, seed: int = 0, sample: int = SAMPLE) -> None:
        self._seed, self._most = str(seed), sample
        self._tokens: dict[str, int] = {}
        self._pairs: set[tuple[int, int]] = set()
        self._seen: set[bytes] = set()
        self._lengths: Counter[int] = Counter()
        self._total = self._all_pairs = 0
        self._sample: list[tuple[float, str, tuple[int, ...]]] = []

    def add(self, key: str, words: str) -> None:
        """Take a text in.

        Args:
            key: Its identifier, by which the sample is drawn.
            words: The text.
        """
        numbers = tuple(
            self._tokens.setdefault(token, len(self._tokens)) for token in tokens(words)
        )
        pairs = list(itertools.pairwise(numbers))
        self._pairs.update(pairs)
        self._all_pairs += len(pairs)
        self._total += 1
        self._lengths[len(numbers) // 10] += 1
        self._seen.add(hashlib.blake2b(words.encode(), digest_size=8).digest())
        entry = (-unit_interval(self._seed, key), key, numbers)
        if len(self._sample) < self._most:
            heapq.heappush(self._sample, entry)
        elif self._sample and entry > self._sample[0]:
            heapq.heapreplace(self._sample, entry)

    def result(self) -> Variety:
        """Return what was measured."""
        bleu = self_bleu([numbers for _, _, numbers in sorted(self._sample, reverse=True)])
        return Variety(
            texts=self._total,
            vocabulary=len(self._tokens),
            distinct_2=_share(len(self._pairs), self._all_pairs),
            unique_share=_share(len(self._seen), self._total),
            duplicates=self._total - len(self._seen),
            self_bleu=bleu,
            sample=len(self._sample),
            lengths={f"{10 * n}-{10 * n + 9}": self._lengths[n] for n in sorted(self._lengths)},
        )


def tokens(words: str) -> list[str]:
    """Return lower-case words, numbers and marks."""
    return _TOKEN.findall(words.lower())


def self_bleu(texts: Sequence[Sequence[object]]) -> float | None:
    """Return the mean BLEU-4 of each text against all others, 0…1; None for fewer than two."""
    if len(texts) < 2:
        return None
    scores = [bleu(text, [*texts[:place], *texts[place + 1 :]]) for place, text in enumerate(texts)]
    return round(math.fsum(scores) / len(scores), 5)


def bleu(text: Sequence[object], references: Sequence[Sequence[object]]) -> float:
    """Return BLEU-4 with uniform weights, 0…1.

    A count of zero matches is replaced by 0.1 (smoothing method 1); orders for which the text is
    too short have one n-gram that does not match. The brevity penalty takes the reference whose
    length is closest, the shorter of two.
    """
    if not text:
        return 0.0
    logs = 0.0
    for order in range(1, ORDER + 1):
        said = _grams(text, order)
        most: dict[tuple[object, ...], int] = defaultdict(int)
        for reference in references:
            for gram, count in _grams(reference, order).items():
                if gram in said:
                    most[gram] = max(most[gram], count)
        matches = sum(min(count, most[gram]) for gram, count in said.items())
        if order == 1 and not matches:
            return 0.0
        logs += math.log((matches or 0.1) / max(1, sum(said.values())))
    closest = min((abs(len(r) - len(text)), len(r)) for r in references)[1]
    penalty = 1.0 if len(text) >= closest else math.exp(1 - closest / len(text))
    return penalty * math.exp(logs / ORDER)


def _grams(text: Sequence[object], order: int) -> Counter[tuple[object, ...]]:
    return Counter(tuple(text[i : i + order]) for i in range(len(text) - order + 1))


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 5) if whole else None
