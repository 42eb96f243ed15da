"""What is bad where nobody looked: two views of a text, the models' signals and evidence.

The models' signals are scaled and averaged within each signal, then over signals. Alone, they call
bad what stands apart (`apart`). Where evidence speaks both views are joined (`joined`): a latent
class model (Dawid and Skene, "Maximum likelihood estimation of observer error-rates using the EM
algorithm", Applied Statistics 1979) of good and bad texts, in which evidence contradicts a text of
each class with some probability and the average is normal.

Evidence is held reliable beforehand, by Beta priors that weigh as much as all texts do: so it is
believed unless the models' signals speak clearly against it, and signals that see no difference
change nothing. Assumed are that within a class the two views know nothing of each other, and that
evidence is silent of good and bad texts alike. Where evidence errs and the signals see nothing,
good texts are called bad.

Shapes: N texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import logit
from sklearn.mixture import GaussianMixture

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.train.rounds.calibration import Bools, Floats, Platt
from sarknowlip.train.rounds.classifiers import Linear
from sarknowlip.train.rounds.doubts import SUPPORT
from sarknowlip.train.rounds.features import Features

EVIDENCE = SUPPORT.partition(".")[0]
NEVER = -7.0
"""Log-odds of being bad where nothing stands apart: below 0.001."""
FAINT = 0.01
"""Slope that keeps an order where nothing is called bad; averages lie within ±`features.LIMIT`."""
RIGHT = 0.997
"""How often evidence is right beforehand: precision of claims against the truth of three simulated
cities (docs/evidence.md, "How right it is")."""
LEAST = 0.01
"""Share of bad texts that is assumed at least, so that a few contradicted ones are believed."""
FEW = 20.0
"""Texts as many as which draw the mean of a class to that of all: a small class hardly has one."""
ENOUGH = 20
"""Texts below which nothing can be said to stand apart."""
STEPS = 1000
"""Most steps of expectation maximisation."""
SETTLED = 1e-6
"""Change of probabilities below which it ends."""
NOTHING, ORDERED = Platt(slope=0.0, offset=NEVER), Platt(slope=FAINT, offset=NEVER)
"""Nothing is bad; nothing is, but texts keep their order."""


class Views(Config):
    """P(bad) where evidence speaks, from the average of the models' signals.

    Attributes:
        supported: Of texts that evidence supports.
        contradicted: Of those that it contradicts.
    """

    supported: Platt
    contradicted: Platt

    def __call__(self, average_N: Floats, support_N: Floats, silent_N: Floats) -> Floats:
        """Return P(bad), 0…1.

        Args:
            average_N: What the models say, larger for worse.
            support_N: What evidence says, 1 supported … 0 contradicted, NaN where it is silent.
            silent_N: P(bad) where it is silent.
        """
        spoken_N = np.where(
            support_N < 0.5, self.contradicted(average_N), self.supported(average_N)
        )
        return np.where(np.isnan(support_N), silent_N, spoken_N)


class Classes(NamedTuple):
    """Good and bad texts as they look.

    Attributes:
        share: Of bad ones, 0…1.
        slope: Log-odds by the average; 0 where the models see no difference.
        middle: Average at which the models are of two minds.
        contradicted: Log-odds that evidence adds where it contradicts, above 0.
        supported: Log-odds that it adds where it supports, below 0.
    """

    share: float
    slope: float
    middle: float
    contradicted: float
    supported: float

    def views(self) -> Views:
        """Return P(bad) by what evidence says.

        Where most texts are bad only what evidence contradicts is called so.
        """
        return Views(
            supported=ORDERED if self.share > 0.5 else self._platt(self.supported),
            contradicted=self._platt(self.contradicted),
        )

    def bad(self, average_N: Floats, against_N: Bools) -> Floats:
        """Return P(bad), whatever the share of bad ones."""
        return np.where(
            against_N,
            self._platt(self.contradicted)(average_N),
            self._platt(self.supported)(average_N),
        )

    def _platt(self, evidence: float) -> Platt:
        offset = float(logit(self.share)) + evidence - self.slope * self.middle
        return Platt(slope=self.slope, offset=offset)

    @classmethod
    def likeliest(cls, bad_N: Floats, average_N: Floats, against_N: Bools) -> Classes:
        """Return the classes of largest posterior, if texts are bad with these probabilities."""
        count, bad = len(bad_N), float(bad_N.sum())
        good_N, good = 1.0 - bad_N, count - bad
        caught = (float(bad_N[against_N].sum()) + RIGHT * count) / (bad + count)
        wronged = (float(good_N[against_N].sum()) + (1.0 - RIGHT) * count) / (good + count)
        overall = float(average_N.mean())
        worse = (float(bad_N @ average_N) + FEW * overall) / (bad + FEW)
        better = (float(good_N @ average_N) + FEW * overall) / (good + FEW)
        spread = float(
            bad_N @ (average_N - worse) ** 2
            + good_N @ (average_N - better) ** 2
            + FEW * ((worse - overall) ** 2 + (better - overall) ** 2)
        )
        seen = worse > better and spread > 0.0
        return cls(
            share=min(max(bad / count, LEAST), 1.0 - LEAST),
            slope=(worse - better) * (count + 2) / spread if seen else 0.0,
            middle=(worse + better) / 2,
            contradicted=math.log(caught / wronged),
            supported=math.log((1.0 - caught) / (1.0 - wronged)),
        )


def joined(average_N: Floats, support_N: Floats, asked_N: Bools) -> tuple[Platt, Views]:
    """Return P(bad) of texts of which evidence says nothing, and of the others.

    The former is `apart` of the average of all texts that models were asked of; where that calls
    nothing bad, or most texts are bad, texts keep their order below 0.001. Texts of which evidence
    says nothing tell nothing of how far it errs, and do not count for the latter.

    Args:
        average_N: What the models say, larger for worse.
        support_N: What evidence says, 1 supported … 0 contradicted, NaN where it is silent; of some
            texts it must speak.
        asked_N: Whether models were asked of a text; of others the average is 0.
    """
    spoken_N = np.isfinite(support_N)
    classes = fitted(average_N[spoken_N], support_N[spoken_N] < 0.5)
    silent = NOTHING if classes.share > 0.5 else apart(average_N[asked_N])
    return ORDERED if silent == NOTHING else silent, classes.views()


def fitted(average_N: Floats, against_N: Bools) -> Classes:
    """Return the likeliest classes, by expectation maximisation that begins with evidence.

    Args:
        average_N: What the models say, larger for worse.
        against_N: Whether evidence contradicts a text; else it supports it.
    """
    bad_N = np.where(against_N, RIGHT, 1.0 - RIGHT)
    for _ in range(STEPS):
        classes = Classes.likeliest(bad_N, average_N, against_N)
        before_N, bad_N = bad_N, classes.bad(average_N, against_N)
        if np.abs(bad_N - before_N).max() < SETTLED:
            break
    return classes


def support_of(table: pa.Table) -> Floats:
    """Return what evidence says of texts (N,), 1 supported … 0 contradicted, NaN where nothing.

    Raises:
        ConfigError: The table lacks the column.
    """
    if SUPPORT not in table.column_names:
        raise ConfigError(
            f"the scores have no column {SUPPORT}",
            "score texts with the signals that the fusion was fitted with",
        )
    return np.asarray(table[SUPPORT].to_numpy(), dtype=np.float64)


def evidence_speaks(table: pa.Table, use: Sequence[str] | None) -> bool:
    """Return whether evidence is among the signals used, and says something of some text."""
    used = SUPPORT in table.column_names and (use is None or EVIDENCE in use)
    return used and bool(np.isfinite(support_of(table)).any())


def average(features: Features) -> Linear:
    """Return the mean over signals of the mean over their columns, larger for worse."""
    signals = [name.partition(".")[0] for name in features.columns]
    names = set(signals)
    weights = [-1.0 / (signals.count(signal) * len(names)) for signal in signals]
    further = [0.0] * (len(features.marked) + len(features.levels))
    return Linear(crossed=False, weights=(*weights, *further), offset=0.0)


def apart(decision_N: Floats) -> Platt:
    """Return the share of the worse of two normal distributions of one spread: a sigmoid.

    Nothing is called bad of fewer than 20 texts, if values do not differ, if one distribution
    explains them as well (Bayesian information criterion), if the two have but one mode together,
    as a skewed distribution has, or if the worse one is the larger.

    Args:
        decision_N: Larger for worse.
    """
    if len(decision_N) < ENOUGH or np.ptp(decision_N) == 0.0:
        return NOTHING
    values_N1 = decision_N[:, None]
    one, two = (
        GaussianMixture(count, covariance_type="tied", n_init=3, random_state=0).fit(values_N1)
        for count in (1, 2)
    )
    good, worse = np.argsort(two.means_[:, 0])
    share, means = float(two.weights_[worse]), two.means_[:, 0]
    distance = float((means[worse] - means[good]) / np.sqrt(two.covariances_[0, 0]))
    one_will_do = one.bic(values_N1) <= two.bic(values_N1)
    if one_will_do or share > 0.5 or not _two_modes(distance, share):
        return NOTHING
    slope = float((means[worse] - means[good]) / two.covariances_[0, 0])
    middle = float(means[worse] + means[good]) / 2
    return Platt(slope=slope, offset=float(np.log(share / (1.0 - share))) - slope * middle)


def _two_modes(distance: float, share: float) -> bool:
    """Return whether two normal distributions of one spread have two modes together.

    Holzmann and Vollmer, "A likelihood ratio test for bimodality in two-component mixtures", 2008.

    Args:
        distance: Of their means in standard deviations.
        share: Of one of them, between 0 and 1.
    """
    half = distance / 2
    if half <= 1.0:
        return False
    root = math.sqrt(half * half - 1.0)
    return bool(abs(logit(share)) <= 2 * math.log(half - root) + 2 * half * root)
