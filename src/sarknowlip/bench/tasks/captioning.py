"""Captioning by the model's own decoder, or with the caption of the nearest training picture.

A model that declares "captions" speaks for itself, without having seen the set. Any other borrows
the first caption of the training picture whose standardised features have the largest cosine with
its own. The notes of the predictions say which way was taken; scores of the two ways don't compare.

**cider** is CIDEr-D, the mean over pictures, over that of the pictures' own captions: of each
picture the one of its captions that does best against all of them. With one caption a picture, of
four words or more and each its own, that is CIDEr-D / 10. With several it is above, and a caption
that agrees with many may have more than 1. Document frequencies come from the whole test part, also
in draws. **bleu4** is BLEU-4 of the corpus, **rouge_l** the mean of ROUGE-L (`bench.captions`).

Legend of array names: N test pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.captions import bleu_counts, cider, rouge_l
from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import Captions, Truth
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import Floats
from sarknowlip.bench.probes.neighbours import Neighbours
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.tasks.asked import Asked, asked, spec_beside

OWN = "captions are those of the model's own decoder, which has not seen the set"
BORROWED = "captions are those of the training picture of nearest features"


@dataclass(frozen=True)
class Told:
    """What was said of each test picture.

    Attributes:
        texts: One a picture.
        notes: How they came about.
    """

    texts: tuple[str, ...]
    notes: tuple[str, ...] = ()


class CaptioningTask(Task):
    """Predictions are `Told`."""

    spec: ClassVar[TaskSpec] = spec_beside(__file__, TaskSpec)

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> Told:
        """Ask the model's decoder about test, or look for near pictures in train."""
        test = self._test(data)
        embedded = Embedded(adapter, asking)
        if "captions" in adapter.card.abilities:
            return Told(tuple(embedded.captions(test.examples)), (OWN,))
        train = asked(data, self.spec.name, "train", Captions)
        x_train = embedded.features(train.examples, source=source_of(data, "train"))
        x_test = embedded.features(test.examples, source=source_of(data, "test"))
        places = Neighbours.fit(x_train).nearest(x_test, 1)[0][:, 0]
        return Told(tuple(train.truths[place].texts[0] for place in places), (BORROWED,))

    def measure(self, data: DataSet, predictions: Told) -> Measure:
        """Return relative CIDEr-D, BLEU-4 and ROUGE-L."""
        test = self._test(data)
        references = [truth.texts for truth in test.truths]
        said = list(predictions.texts)
        cider_N, rouge_N = cider(said, references), rouge_l(said, references)
        best_N = _best_of_own(references)[1]
        counts = bleu_counts(said, references)

        def values(weights_N: Floats) -> Floats:
            total, best = weights_N.sum(), weights_N @ best_N
            if total == 0.0:
                return np.full(3, np.nan)
            relative = weights_N @ cider_N / best if best > 0.0 else np.nan
            return np.array([relative, counts.score(weights_N)[3], weights_N @ rouge_N / total])

        return Measure(self.spec.metrics, test.groups, values)

    def perfect(self, data: DataSet) -> Told:
        """Return of each picture the caption that does best against all of its own."""
        return Told(_best_of_own([truth.texts for truth in self._test(data).truths])[0])

    def random(self, data: DataSet, seed: int) -> Told:
        """Return captions drawn from those of training, all alike."""
        train = asked(data, self.spec.name, "train", Captions)
        pool = [text for truth in train.truths for text in truth.texts]
        count = len(self._test(data).examples)
        drawn = np.random.Generator(np.random.PCG64(seed)).integers(len(pool), size=count)
        return Told(tuple(pool[place] for place in drawn))

    def chance(self, data: DataSet) -> Floats:
        """Return NaN: there is no closed form."""
        return np.full(len(self.spec.metrics), np.nan)

    def item_scores(self, data: DataSet, predictions: Told) -> Floats:
        """Return CIDEr-D over that of the picture's own best caption, 1 at most."""
        references = [truth.texts for truth in self._test(data).truths]
        best_N = _best_of_own(references)[1]
        share_N = np.full(len(references), np.nan)
        said_N = np.asarray(cider(list(predictions.texts), references), dtype=np.float64)
        np.divide(said_N, best_N, out=share_N, where=best_N > 0.0)
        return np.asarray(np.minimum(share_N, 1.0), dtype=np.float64)

    def told(self, data: DataSet, predictions: Told, row: int) -> Truth:
        """Return the caption."""
        del data
        return Captions((predictions.texts[row],))

    def _test(self, data: DataSet) -> Asked[Captions]:
        return asked(data, self.spec.name, "test", Captions)


def _best_of_own(references: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], Floats]:
    """Return of each picture the caption of largest CIDEr-D, and its score (N,)."""
    texts = [own[0] for own in references]
    best_N = np.full(len(references), -np.inf)
    for place in range(max(map(len, references))):
        some = [own[min(place, len(own) - 1)] for own in references]
        for number, score in enumerate(cider(some, references)):
            if score > best_N[number]:
                texts[number], best_N[number] = some[number], score
    return tuple(texts), best_N
