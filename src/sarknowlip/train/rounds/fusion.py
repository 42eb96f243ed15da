"""From the signals of a text to the probability that it is bad.

Calibrated on a small trusted set, texts that a person looked at: logistic regression on scaled
scores, with or without products of scores and levels, or boosted trees where labels are many
enough. What is chosen, how strongly it is held back, and its calibration follow from
cross-validation inside the trusted set. Texts of one tile stay in one part.

The scale of scores comes from all scored texts (`features`), for which no labels are needed.

Probabilities are those of texts like the trusted ones: draw these at random from what is scored.
With twice as many bad ones among them as there are, P(bad) is too large everywhere, though the
order of texts is as good.

Without a trusted set `Fusion.unsupervised` guesses (see there); what it gives is an order of texts
rather than a probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, ValidationError
from sklearn.mixture import GaussianMixture

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import read_json, write_json
from sarknowlip.train.rounds.calibration import (
    Bools,
    Floats,
    Platt,
    auroc,
    auroc_interval,
    brier_score,
    calibration_error,
)
from sarknowlip.train.rounds.classifiers import (
    Calibrator,
    Classifier,
    Labelled,
    Linear,
    chosen,
    held_out_probabilities,
)
from sarknowlip.train.rounds.features import Features

FEWEST = 20
"""Trusted texts below which nothing is fitted."""
FEWEST_OF_A_KIND = 3
"""Bad ones, and good ones, below which nothing is fitted."""
NEVER = -7.0
"""Log-odds of being bad where nothing stands apart: below 0.001."""


class FusionReport(Config):
    """How well a fusion tells bad texts of the trusted set, each by parts that did not see it.

    Attributes:
        labels: Trusted texts that were scored.
        bad: Bad ones among them.
        absent: Trusted texts that were not scored, and not used.
        classifier: What was chosen, "logistic", "logistic by level" or "boosting".
        calibration: "platt" or "isotonic".
        auroc: Probability that a bad text has a larger P(bad) than a good one.
        auroc_low: Lower end of its 95 % bootstrap interval; tiles are drawn.
        auroc_high: Upper end.
        brier: Mean squared error of P(bad).
        brier_constant: The same if all texts had the share of bad ones: what must be beaten.
        calibration_error: Expected calibration error, ten bins of equal size.
    """

    labels: int
    bad: int
    absent: int
    classifier: str
    calibration: str
    auroc: float
    auroc_low: float
    auroc_high: float
    brier: float
    brier_constant: float
    calibration_error: float


class Fusion(Config):
    """P(bad) of texts; make it with `fit` or `unsupervised`. It is JSON as it stands.

    Attributes:
        kind: Whether labels were used.
        use: Signals that are used.
        features: How scores are scaled.
        classifier: From features to a decision.
        calibrator: From a decision to a probability.
        report: How well it does on the trusted set; None without one.
    """

    kind: Literal["trusted", "unsupervised"]
    use: tuple[str, ...]
    features: Features
    classifier: Classifier = Field()
    calibrator: Calibrator = Field()
    report: FusionReport | None = None

    @classmethod
    def fit(
        cls, table: pa.Table, bad: Mapping[str, bool], *, use: Sequence[str] | None = None
    ) -> Fusion:
        """Return a fusion that is calibrated on trusted texts.

        Args:
            table: What `TextScorer.score` returns, of all texts, those that were looked at among
                them; tables of several models joined, if each has a column `fold`.
            bad: By identifier of a text whether it is bad; 20 at least, better 100–400.
            use: Names of signals; None for all of the table.

        Raises:
            ConfigError: Too few trusted texts are in the table or all are of one kind; a signal is
                not in the table.
        """
        place = {text_id: row for row, text_id in enumerate(table["text_id"].to_pylist())}
        found = sorted(text_id for text_id in bad if text_id in place)
        bad_N = np.array([bad[text_id] for text_id in found], dtype=np.bool_)
        _require(bad_N, len(bad) - len(found))
        features = Features.of(table, use)
        rows = table.take([place[text_id] for text_id in found])
        labelled = Labelled(
            features.matrix(rows),
            features.matrix(rows, crossed=True),
            bad_N,
            tuple(rows["tile_id"].to_pylist()),
        )
        classifier, calibrator = chosen(labelled)
        fusion = cls(
            kind="trusted",
            use=_signals(features),
            features=features,
            classifier=classifier,
            calibrator=calibrator,
        )
        report = fusion._reported(labelled, held_out_probabilities(labelled), len(bad) - len(found))
        return fusion.model_copy(update={"report": report})

    @classmethod
    def unsupervised(cls, table: pa.Table, *, use: Sequence[str] | None = None) -> Fusion:
        """Return a guess without any trusted text.

        Scaled scores are averaged within each signal and then over signals, evidence as one of
        them. The averages are taken for a mixture of two normal distributions of one spread, good
        texts and fewer bad ones; P(bad) is the share of the worse one. If one distribution explains
        them as well (Bayesian information criterion), or the worse one is the larger, nothing is
        called bad.

        What is bad in most texts is not found, and good but unusual texts may be called bad:
        look at some twenty texts and use `fit`.

        Args:
            table: Scores of all texts; 20 at least.
            use: Names of signals; None for all of the table.

        Raises:
            ConfigError: Too few texts, or a signal is not in the table.
        """
        if table.num_rows < FEWEST:
            raise ConfigError(
                f"{table.num_rows} texts are too few to see which ones stand apart",
                f"score at least {FEWEST}, or give a trusted set",
            )
        features = Features.of(table, use)
        classifier = _average(features)
        decision_N = classifier.decision(features.matrix(table))
        return cls(
            kind="unsupervised",
            use=_signals(features),
            features=features,
            classifier=classifier,
            calibrator=_apart(decision_N),
        )

    def probability(self, table: pa.Table) -> Floats:
        """Return P(bad) of each text (N,), 0…1.

        It depends on the text's own row alone.

        Args:
            table: What `TextScorer.score` returns.

        Raises:
            ConfigError: The table lacks a signal.
        """
        features_NF = self.features.matrix(table, crossed=self.classifier.crossed)
        return self.calibrator(self.classifier.decision(features_NF))

    def save(self, path: Path) -> None:
        """Write the fusion as JSON.

        Raises:
            StorageError: The file cannot be written.
        """
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: Path) -> Fusion:
        """Read a fusion; it gives the same probabilities.

        Raises:
            ConfigError: The file is no fusion.
            SarKnowlipError: The file is absent or no JSON.
        """
        remedy = "delete it and fit again"
        try:
            return cls.model_validate(read_json(path, remedy))
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"{path} holds no fusion: {first['msg']}", remedy) from error

    def _reported(self, labelled: Labelled, held_out_N: Floats, absent: int) -> FusionReport:
        bad_N = labelled.bad_N
        low, high = auroc_interval(held_out_N, bad_N, labelled.tiles)
        by_level = " by level" if self.classifier.crossed else ""
        return FusionReport(
            labels=len(bad_N),
            bad=int(bad_N.sum()),
            absent=absent,
            classifier=self.classifier.kind + by_level,
            calibration=self.calibrator.kind,
            auroc=auroc(held_out_N, bad_N),
            auroc_low=low,
            auroc_high=high,
            brier=brier_score(held_out_N, bad_N),
            brier_constant=brier_score(np.full(len(bad_N), bad_N.mean()), bad_N),
            calibration_error=calibration_error(held_out_N, bad_N),
        )


def _require(bad_N: Bools, absent: int) -> None:
    """Refuse labels from which nothing can be learned.

    Raises:
        ConfigError: They are too few, or of one kind.
    """
    way_out = (
        f"look at more texts ({FEWEST} at least, better 100 to 400, drawn at random from what is"
        " scored), or give no trusted set"
    )
    if len(bad_N) < FEWEST:
        gone = f"; {absent} more are of texts that were not scored" if absent else ""
        raise ConfigError(f"{len(bad_N)} trusted texts are too few{gone}", way_out)
    bad, good = int(bad_N.sum()), int((~bad_N).sum())
    if min(bad, good) < FEWEST_OF_A_KIND:
        raise ConfigError(
            f"of the trusted texts {bad} are bad and {good} good:"
            f" {FEWEST_OF_A_KIND} of each are needed",
            way_out,
        )


def _signals(features: Features) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.partition(".")[0] for name in features.columns))


def _average(features: Features) -> Linear:
    """Return the mean over signals of the mean over their columns, larger for worse."""
    signals = [name.partition(".")[0] for name in features.columns]
    names = set(signals)
    weights = [-1.0 / (signals.count(signal) * len(names)) for signal in signals]
    further = [0.0] * (len(features.marked) + len(features.levels))
    return Linear(crossed=False, weights=(*weights, *further), offset=0.0)


def _apart(decision_N: Floats) -> Platt:
    """Return the share of the worse of two normal distributions of one spread: a sigmoid."""
    values_N1 = decision_N[:, None]
    one, two = (
        GaussianMixture(count, covariance_type="tied", n_init=3, random_state=0).fit(values_N1)
        for count in (1, 2)
    )
    good, worse = np.argsort(two.means_[:, 0])
    share = float(two.weights_[worse])
    if one.bic(values_N1) <= two.bic(values_N1) or share > 0.5:
        return Platt(slope=0.0, offset=NEVER)
    means = two.means_[:, 0]
    slope = float((means[worse] - means[good]) / two.covariances_[0, 0])
    middle = float(means[worse] + means[good]) / 2
    return Platt(slope=slope, offset=float(np.log(share / (1.0 - share))) - slope * middle)
