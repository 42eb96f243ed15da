"""Image–text retrieval, both ways, with honest ties and exact chance.

Text → image: each caption of a picture asks for it; all pictures with the same caption are right.
Image → text: each picture asks for one of its captions among the *distinct* captions of the test
part; a caption that several pictures share is right for all of them. The rank of a query is one
more than the number of wrong items that score at least as high as the best right one
(`infer.ranking`): ties count against the model. A picture counts once in each direction: its
captions' hits are averaged.

Legend of array names: N test pictures, T distinct captions, Q queries, G items searched, D width,
K depths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from sarknowlip.bench.adapter import Adapter, Floats32
from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import Captions
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.tasks.asked import Asked, asked, spec_beside
from sarknowlip.infer.ranking import CHUNK_SCORES, TIE, hits

Wholes = npt.NDArray[np.int64]


class SearchSpec(TaskSpec):
    """What search measures.

    Attributes:
        k: Depths of recall, ascending.
    """

    k: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """Rank of every query, from 1.

    Attributes:
        by_text: Of each distinct caption (T,), in order of first occurrence.
        by_image: Of each picture (N,).
    """

    by_text: Wholes
    by_image: Wholes


@dataclass(frozen=True)
class _Question:
    """Who describes whom.

    Attributes:
        test: Pictures and their captions.
        texts: Distinct captions (T,).
        texts_of: Captions of each picture (N,), places in `texts`, distinct.
        images_of: Pictures of each caption (T,).
    """

    test: Asked[Captions]
    texts: tuple[str, ...]
    texts_of: tuple[Wholes, ...]
    images_of: tuple[Wholes, ...]


class SearchTask(Task):
    """Predictions are `Found`."""

    spec: ClassVar[SearchSpec] = spec_beside(__file__, SearchSpec)

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> Found:
        """Rank pictures by captions and captions by pictures."""
        question = self._question(data)
        embedded = Embedded(adapter, asking)
        images_ND = embedded.images(question.test.examples, source=source_of(data, "test"))
        texts_TD = embedded.texts(question.texts)
        if images_ND.shape[1] != texts_TD.shape[1]:
            raise BenchError(
                f"{adapter.name}: pictures have {images_ND.shape[1]} numbers, texts "
                f"{texts_TD.shape[1]}",
                "both must be embedded into one space",
            )
        return Found(
            ranks(texts_TD, images_ND, question.images_of),
            ranks(images_ND, texts_TD, question.texts_of),
        )

    def measure(self, data: DataSet, predictions: Found) -> Measure:
        """Return recall at each depth, text → image and then image → text, after their mean."""
        question = self._question(data)
        by_text_TK = hits(predictions.by_text, self.spec.k)
        by_image_NK = hits(predictions.by_image, self.spec.k)
        values_NK = self._values(question, by_text_TK, by_image_NK)
        return Measure.of_means(self.spec.metrics, question.test.groups, values_NK)

    def perfect(self, data: DataSet) -> Found:
        """Return rank 1 for every query."""
        question = self._question(data)
        ones = np.ones(max(len(question.texts), len(question.texts_of)), dtype=np.int64)
        return Found(ones[: len(question.texts)], ones[: len(question.texts_of)])

    def random(self, data: DataSet, seed: int) -> Found:
        """Return the ranks that random orders of the items searched give."""
        question = self._question(data)
        generator = np.random.Generator(np.random.PCG64(seed))

        def drawn(right: Sequence[Wholes], size: int) -> Wholes:
            first = [generator.choice(size, len(own), replace=False).min() for own in right]
            return np.array(first, dtype=np.int64) + 1

        by_text = drawn(question.images_of, len(question.texts_of))
        return Found(by_text, drawn(question.texts_of, len(question.texts)))

    def chance(self, data: DataSet) -> Floats:
        """Return the expected recall of random orders, exactly (hypergeometric)."""
        question = self._question(data)

        def expected(right: Sequence[Wholes], size: int) -> Floats:
            many_Q = np.array([len(own) for own in right])
            depths_K = np.minimum(self.spec.k, size)
            return np.asarray(hypergeom.sf(0, size, many_Q[:, None], depths_K[None, :]))

        by_text_TK = expected(question.images_of, len(question.texts_of))
        by_image_NK = expected(question.texts_of, len(question.texts))
        values_NK = self._values(question, by_text_TK, by_image_NK)
        return np.asarray(values_NK.mean(axis=0), dtype=np.float64)

    def item_scores(self, data: DataSet, predictions: Found) -> Floats:
        """Return the mean recall of each picture."""
        question = self._question(data)
        by_text_TK = hits(predictions.by_text, self.spec.k)
        by_image_NK = hits(predictions.by_image, self.spec.k)
        return self._values(question, by_text_TK, by_image_NK)[:, 0]

    def told(self, data: DataSet, predictions: Found, row: int) -> str:
        """Return the ranks of a picture, both ways."""
        question = self._question(data)
        own = ", ".join(str(predictions.by_text[text]) for text in question.texts_of[row])
        return (
            f"rank of the picture, asked with each of its captions: {own} of "
            f"{len(question.texts_of)}; rank of its first caption found: "
            f"{predictions.by_image[row]} of {len(question.texts)}"
        )

    def _values(self, question: _Question, by_text_TK: Floats, by_image_NK: Floats) -> Floats:
        """Return each picture's values, in the order of the metrics."""
        own_NK = np.stack([by_text_TK[texts].mean(axis=0) for texts in question.texts_of])
        both = np.concatenate([own_NK, by_image_NK], axis=1)
        return np.concatenate([both.mean(axis=1, keepdims=True), both], axis=1)

    def _question(self, data: DataSet) -> _Question:
        test = asked(data, self.spec.name, "test", Captions)
        place: dict[str, int] = {}
        texts_of = tuple(
            np.unique([place.setdefault(text, len(place)) for text in truth.texts])
            for truth in test.truths
        )
        images_of: list[list[int]] = [[] for _ in place]
        for number, texts in enumerate(texts_of):
            for text in texts:
                images_of[text].append(number)
        return _Question(test, tuple(place), texts_of, tuple(np.array(own) for own in images_of))


def ranks(query_QD: Floats32, gallery_GD: Floats32, right: Sequence[Wholes]) -> Wholes:
    """Return the rank of the best right item of each query (Q,).

    As `infer.ranking.retrieval_ranks`, for right items that no label tells.

    Args:
        query_QD: Finite.
        gallery_GD: Finite.
        right: Places in the gallery of each query's right items, at least one.
    """
    gallery = gallery_GD.astype(np.float64)
    rank = np.empty(len(query_QD), dtype=np.int64)
    step = max(1, CHUNK_SCORES // len(gallery))
    for start in range(0, len(query_QD), step):
        scores = query_QD[start : start + step].astype(np.float64) @ gallery.T
        for query, row in enumerate(scores, start):
            own = row[right[query]]
            bar = own.max() - TIE * max(1.0, abs(own.max()))
            rank[query] = 1 + np.count_nonzero(row >= bar) - np.count_nonzero(own >= bar)
    return rank
