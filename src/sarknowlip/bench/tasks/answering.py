"""Visual question answering by the model's own decoder, or by probes over features and questions.

A model that declares "answers" speaks for itself, without having seen the set. For any other there
is one linear probe for each kind of question, whose classes are the answers that training gives to
that kind. It sees the picture's features, the question's words (`hashed_words`), and the products
of the words with the leading principal components of the features, so that what a picture shows
can matter in another way for another question. The notes say which way was taken; scores of the
two ways don't compare.

Answers are right if they are the same words (`captions.words_of`): "Yes." is "yes", "2" is not
"two". What training never answers a probe cannot say; it counts as wrong.

Legend of array names: N questions, F width of features, C components, W words, K answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.linalg import eigh

from sarknowlip.bench.adapter import Adapter, Floats32
from sarknowlip.bench.captions import words_of
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.example import Answer, Truth
from sarknowlip.bench.measure import Measure
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.probes.linear import fit_linear
from sarknowlip.bench.probes.referring import hashed_words
from sarknowlip.bench.probes.standard import Standard
from sarknowlip.bench.task import Asking, Task, TaskSpec
from sarknowlip.bench.tasks.asked import Asked, asked, spec_beside

Wholes = npt.NDArray[np.int64]

OWN = "answers are those of the model's own decoder, which has not seen the set"
PROBED = "answers are those of linear probes, chosen from the answers of training"


class AnsweringSpec(TaskSpec):
    """What answering measures.

    Attributes:
        words: Places that words are hashed to.
        components: Of the features, that are multiplied with words.
    """

    words: int = Field(ge=1)
    components: int = Field(ge=1)


@dataclass(frozen=True)
class Said:
    """What was answered to each question of test.

    Attributes:
        texts: One a question.
        notes: How they came about.
    """

    texts: tuple[str, ...]
    notes: tuple[str, ...] = ()


class AnsweringTask(Task):
    """Predictions are `Said`."""

    spec: ClassVar[AnsweringSpec] = spec_beside(__file__, AnsweringSpec)

    def predict(self, adapter: Adapter, data: DataSet, asking: Asking) -> Said:
        """Ask the model's decoder about test, or train probes on train."""
        test = self._asked(data, "test")
        embedded = Embedded(adapter, asking)
        if "answers" in adapter.card.abilities:
            return Said(tuple(embedded.answers(test.examples)), (OWN,))
        train = self._asked(data, "train")
        x_train = embedded.features(train.examples, source=source_of(data, "train"))
        x_test = embedded.features(test.examples, source=source_of(data, "test"))
        said = [""] * len(test.truths)
        by_kind, learnt, possible = _by_kind(test), _by_kind(train), _answers(train)
        for kind in by_kind.keys() & learnt.keys():
            learn, look = learnt[kind], by_kind[kind]
            names = possible[kind]
            place = {plain(name): number for number, name in enumerate(names)}
            labels = np.array([place[plain(train.truths[row].text)] for row in learn])
            asked_train = [train.truths[row].question for row in learn]
            asked_test = [test.truths[row].question for row in look]
            view = _View.fit(x_train[learn], asked_train, self.spec)
            probe = fit_linear(
                view(x_train[learn], asked_train),
                labels,
                [train.groups[row] for row in learn],
                classes=len(names),
            )
            for row, told in zip(look, probe.classes(view(x_test[look], asked_test)), strict=True):
                said[row] = names[told]
        return Said(tuple(said), (PROBED, *self._unanswerable(train, test)))

    def measure(self, data: DataSet, predictions: Said) -> Measure:
        """Return the share right, and the mean over kinds of questions of their shares."""
        test = self._asked(data, "test")
        return _measure(self.spec.metrics, test, self.item_scores(data, predictions))

    def item_scores(self, data: DataSet, predictions: Said) -> Floats:
        """Return 1 where the answer is right."""
        test = self._asked(data, "test")
        if len(predictions.texts) != len(test.truths):
            raise BenchError(
                f"{len(predictions.texts)} answers to {len(test.truths)} questions", "give one each"
            )
        right = [
            plain(said) == plain(truth.text)
            for said, truth in zip(predictions.texts, test.truths, strict=True)
        ]
        return np.array(right, dtype=np.float64)

    def told(self, data: DataSet, predictions: Said, row: int) -> Truth:
        """Return the answer."""
        asked_row = self._asked(data, "test").truths[row]
        return replace(asked_row, text=predictions.texts[row])

    def perfect(self, data: DataSet) -> Said:
        """Return the true answers."""
        return Said(tuple(truth.text for truth in self._asked(data, "test").truths))

    def random(self, data: DataSet, seed: int) -> Said:
        """Return answers drawn from those that training gives to the kind, all alike."""
        test, possible = self._asked(data, "test"), _answers(self._asked(data, "train"))
        generator = np.random.Generator(np.random.PCG64(seed))
        said = [
            names[generator.integers(len(names))] if (names := possible.get(truth.kind)) else ""
            for truth in test.truths
        ]
        return Said(tuple(said))

    def chance(self, data: DataSet) -> Floats:
        """Return the expected scores of such draws, exactly."""
        test, possible = self._asked(data, "test"), _answers(self._asked(data, "train"))
        plain_of = {kind: {plain(name) for name in names} for kind, names in possible.items()}
        share_N = np.array(
            [
                float(plain(truth.text) in plain_of.get(truth.kind, ()))
                / max(1, len(plain_of.get(truth.kind, ())))
                for truth in test.truths
            ]
        )
        return _measure(self.spec.metrics, test, share_N).whole()

    def _asked(self, data: DataSet, part: Part) -> Asked[Answer]:
        return asked(data, self.spec.name, part, Answer)

    def _unanswerable(self, train: Asked[Answer], test: Asked[Answer]) -> tuple[str, ...]:
        known = {(truth.kind, plain(truth.text)) for truth in train.truths}
        lost = sum((truth.kind, plain(truth.text)) not in known for truth in test.truths)
        total = len(test.truths)
        return (f"{lost} of {total} true answers never occur in training",) if lost else ()


def plain(answer: str) -> str:
    """Return an answer's words, which must agree; its marks where it has no words."""
    return " ".join(words_of(answer)) or answer.strip()


@dataclass(frozen=True)
class _View:
    """What a probe sees of features and questions.

    Attributes:
        standard: Of training features.
        axes: Leading principal components (F, C).
        used: Places of words that training questions use (W,), of `words`.
        words: Places that words are hashed to.
    """

    standard: Standard
    axes: Floats32
    used: Wholes
    words: int

    @classmethod
    def fit(cls, x_NF: Floats32, questions: Sequence[str], spec: AnsweringSpec) -> _View:
        standard = Standard.fit(x_NF)
        x, width = standard(x_NF).astype(np.float64), x_NF.shape[1]
        first = max(0, width - spec.components)
        _, axes = eigh(x.T @ x, subset_by_index=[first, width - 1])
        used = np.flatnonzero(hashed_words(questions, spec.words).any(axis=0))
        return cls(standard, axes.astype(np.float32), used, spec.words)

    def __call__(self, x_NF: Floats32, questions: Sequence[str]) -> Floats32:
        words_NW = hashed_words(questions, self.words)[:, self.used]
        inner_NC = self.standard(x_NF) @ self.axes
        products = (words_NW[:, :, None] * inner_NC[:, None, :]).reshape(len(x_NF), -1)
        return np.concatenate([x_NF, words_NW, products], axis=1)


def _by_kind(some: Asked[Answer]) -> dict[str, Wholes]:
    kinds = np.array([truth.kind for truth in some.truths])
    return {str(kind): np.flatnonzero(kinds == kind) for kind in np.unique(kinds)}


def _answers(train: Asked[Answer]) -> dict[str, tuple[str, ...]]:
    """Return the distinct answers to each kind of question, each as it is written most often."""
    written: dict[str, dict[str, Counter[str]]] = {}
    for truth in train.truths:
        own = written.setdefault(truth.kind, {}).setdefault(plain(truth.text), Counter())
        own[truth.text] += 1
    return {
        kind: tuple(own[name].most_common(1)[0][0] for name in sorted(own))
        for kind, own in written.items()
    }


def _measure(names: tuple[str, ...], test: Asked[Answer], right_N: Floats) -> Measure:
    kind_N = np.unique([truth.kind for truth in test.truths], return_inverse=True)[1]

    def values(weights_N: Floats) -> Floats:
        total_K = np.bincount(kind_N, weights_N)
        right_K = np.bincount(kind_N, weights_N * right_N)
        drawn = total_K > 0.0
        if not drawn.any():
            return np.full(2, np.nan)
        by_kind = right_K[drawn] / total_K[drawn]
        return np.array([right_K.sum() / total_K.sum(), by_kind.mean()])

    return Measure(names, test.groups, values)
