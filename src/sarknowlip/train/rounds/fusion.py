"""From the signals of a text to the probability that it is bad.

Calibrated on a small trusted set, texts that a person looked at: logistic regression on scaled
scores, with or without products of scores and levels, or boosted trees where labels are many
enough. What is chosen, how strongly it is held back, and its calibration follow from
cross-validation inside the trusted set. Texts of one tile stay in one part.

The scale of scores comes from all scored texts (`features`), for which no labels are needed.

Probabilities are those of texts like the trusted ones: draw these at random from what is scored.
With twice as many bad ones among them as there are, P(bad) is too large everywhere, though the
order of texts is as good. Of texts that were mended since, fewer are bad: `Fusion.at_share_of`.

Of a trusted set with hardly any bad text nothing can be learned but that: all texts are then as
likely bad as it says.

Without a trusted set `Fusion.unsupervised` guesses (see there, and `views`); what it gives is an
order of texts rather than a probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, ValidationError
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

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
from sarknowlip.train.rounds.views import (
    EVIDENCE,
    Views,
    apart,
    average,
    evidence_speaks,
    joined,
    support_of,
)

FEWEST = 20
"""Trusted texts below which nothing is fitted."""
FEWEST_OF_A_KIND = 3
"""Bad ones, and good ones, below which nothing is fitted."""


class FusionReport(Config):
    """How well a fusion tells bad texts of the trusted set, each by parts that did not see it.

    Attributes:
        labels: Trusted texts that were scored.
        bad: Bad ones among them.
        absent: Trusted texts that were not scored, and not used.
        classifier: What was chosen, "logistic", "logistic by level" or "boosting"; "constant" where
            too few are bad.
        calibration: "platt" or "isotonic".
        auroc: Probability that a bad text has a larger P(bad) than a good one.
        auroc_low: Lower end of its 95 % bootstrap interval; tiles are drawn.
        auroc_high: Upper end.
        brier: Mean squared error of P(bad).
        brier_constant: The same if all texts had the share of bad ones: what must be beaten.
        calibration_error: Expected calibration error, ten bins of equal size.
        share: Share of bad ones among the texts that probabilities are of, 0…1: the trusted ones,
            or those of `Fusion.at_share_of`.
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
    share: float


class Fusion(Config):
    """P(bad) of texts; make it with `fit` or `unsupervised`. It is JSON as it stands.

    Attributes:
        kind: Whether labels were used.
        use: Signals that are used.
        features: How scores are scaled.
        classifier: From features to a decision.
        calibrator: From a decision to a probability; with `views` where evidence is silent.
        views: The same where evidence speaks; None if it is a signal as others are.
        shift: Added to the log-odds of that probability.
        report: How well it does on the trusted set; None without one.
    """

    kind: Literal["trusted", "unsupervised"]
    use: tuple[str, ...]
    features: Features
    classifier: Classifier = Field()
    calibrator: Calibrator = Field()
    views: Views | None = None
    shift: float = 0.0
    report: FusionReport | None = None

    @classmethod
    def fit(
        cls, table: pa.Table, bad: Mapping[str, bool], *, use: Sequence[str] | None = None
    ) -> Fusion:
        """Return a fusion that is calibrated on trusted texts.

        Args:
            table: What `TextScorer.score` returns, of all texts, those that were looked at among
                them; tables of several models joined, if each has a column `fold`.
            bad: By identifier of a text whether it is bad; 20 at least, better 100–400. Of fewer
                than 3 bad ones P(bad) is (bad + 1) / (labels + 2) for all texts.
            use: Names of signals; None for all of the table.

        Raises:
            ConfigError: Too few trusted texts, or too few good ones, are in the table; a signal is
                not in the table.
        """
        place = {text_id: row for row, text_id in enumerate(table["text_id"].to_pylist())}
        found = sorted(text_id for text_id in bad if text_id in place)
        bad_N = np.array([bad[text_id] for text_id in found], dtype=np.bool_)
        absent = len(bad) - len(found)
        require_labels(bad_N, absent)
        features = Features.of(table, use)
        if bad_N.sum() < FEWEST_OF_A_KIND:
            return cls._constant(features, bad_N, absent)
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
        report = fusion._reported(labelled, held_out_probabilities(labelled), absent)
        return fusion.model_copy(update={"report": report})

    @classmethod
    def unsupervised(cls, table: pa.Table, *, use: Sequence[str] | None = None) -> Fusion:
        """Return a guess without any trusted text.

        Where evidence speaks it is joined with the average of the models' signals, and believed
        unless they speak clearly against it; where it is silent, texts whose average stands apart
        are called bad. What is assumed is told in `views`.

        Without evidence what is bad in most texts is not found, and good but unusual texts may be
        called bad; with it, good texts that it contradicts may. Look at some twenty texts and use
        `fit`.

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
        told = evidence_speaks(table, use)
        features = Features.of_models(table, use) if told else Features.of(table, use)
        classifier = average(features)
        average_N = classifier.decision(features.matrix(table))
        if told:
            asked_N = np.asarray(np.isfinite(features.scaled(table)).any(axis=1), dtype=np.bool_)
            silent, views = joined(average_N, support_of(table), asked_N)
        else:
            silent, views = apart(average_N), None
        return cls(
            kind="unsupervised",
            use=_signals(features) + ((EVIDENCE,) if told else ()),
            features=features,
            classifier=classifier,
            calibrator=silent,
            views=views,
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
        decision_N = self.classifier.decision(features_NF)
        found_N = self.calibrator(decision_N)
        if self.views is not None:
            found_N = self.views(decision_N, support_of(table), found_N)
        return found_N if self.shift == 0.0 else np.asarray(expit(logit(found_N) + self.shift))

    def at_share_of(self, table: pa.Table) -> Fusion:
        """Return the fusion for texts of which more or fewer are bad than of the trusted ones.

        Bad texts are taken to score like the trusted bad ones, good ones like the good ones. Of all
        shares of bad ones that of largest likelihood is taken, and log-odds are moved to it
        (Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori
        probabilities", Neural Computation 2002). Where all texts are equally likely bad, or there
        was no trusted set, nothing is known of the share, and nothing moves.

        Args:
            table: Scores of the texts, trusted ones not among them; drawn as they come.

        Raises:
            ConfigError: The table lacks a signal.
        """
        if self.report is None or table.num_rows == 0:
            return self
        before = self.model_copy(update={"shift": 0.0})
        probability_N = before.probability(table)
        if np.ptp(probability_N) == 0.0:
            return self
        was = float(expit(logit(self.report.share) - self.shift))
        share = _likeliest_share(probability_N, was)
        report = self.report.model_copy(update={"share": share})
        shift = float(logit(share) - logit(was))
        return self.model_copy(update={"shift": shift, "report": report})

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

    @classmethod
    def _constant(cls, features: Features, bad_N: Bools, absent: int) -> Fusion:
        """Return what knows but the share of bad texts: hardly any are."""
        labels, bad = len(bad_N), int(bad_N.sum())
        share = (bad + 1) / (labels + 2)
        brier = brier_score(np.full(labels, share), bad_N)
        return cls(
            kind="trusted",
            use=_signals(features),
            features=features,
            classifier=Linear(
                crossed=False, weights=(0.0,) * len(average(features).weights), offset=0.0
            ),
            calibrator=Platt(slope=0.0, offset=float(logit(share))),
            report=FusionReport(
                labels=labels, bad=bad, absent=absent, classifier="constant", calibration="platt",
                auroc=0.5, auroc_low=0.0, auroc_high=1.0, brier=brier, brier_constant=brier,
                calibration_error=abs(share - bad / labels), share=share,
            ),
        )  # fmt: skip

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
            share=float(bad_N.mean()),
        )


def require_labels(bad_N: Bools, absent: int = 0) -> None:
    """Refuse labels from which nothing can be learned.

    Args:
        bad_N: Whether each trusted text is bad.
        absent: Trusted texts that were not scored.

    Raises:
        ConfigError: They are too few, or too few are good.
    """
    way_out = (
        f"look at more texts ({FEWEST} at least, better 100 to 400, drawn at random from what is"
        " scored), or give no trusted set"
    )
    if len(bad_N) < FEWEST:
        gone = f"; {absent} more are of texts that were not scored" if absent else ""
        raise ConfigError(f"{len(bad_N)} trusted texts are too few{gone}", way_out)
    bad, good = int(bad_N.sum()), int((~bad_N).sum())
    fewest = FEWEST if bad < FEWEST_OF_A_KIND else FEWEST_OF_A_KIND
    if good < fewest:
        raise ConfigError(
            f"of the trusted texts {bad} are bad and {good} good: {fewest} good ones are needed",
            way_out,
        )


def _signals(features: Features) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.partition(".")[0] for name in features.columns))


def _likeliest_share(probability_N: Floats, was: float) -> float:
    """Return the share of bad texts under which what they score is likeliest.

    Args:
        probability_N: P(bad) of each, if the share were `was`.
        was: A share between 0 and 1.
    """
    bad_N, good_N = probability_N / was, (1.0 - probability_N) / (1.0 - was)
    edge = 1.0 / (len(probability_N) + 2)

    def unlikely(share: float) -> float:
        return -float(np.log(share * bad_N + (1.0 - share) * good_N).mean())

    return float(minimize_scalar(unlikely, bounds=(edge, 1.0 - edge), method="bounded").x)
