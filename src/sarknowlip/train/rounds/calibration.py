"""From a classifier's decisions to probabilities, and how good probabilities are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.special import expit
from scipy.stats import rankdata
from sklearn import metrics
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from sarknowlip.core.config import Config

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BINS = 10
"""Parts of equal size in which calibration is measured."""
RESAMPLES = 1000
LEVEL = 0.95
"""Coverage of intervals."""
SURE = 1e-4
"""Probabilities are kept this far from 0 and 1."""


class Platt(Config):
    """P = 1 / (1 + exp(−slope · decision − offset)) (Platt 1999)."""

    kind: Literal["platt"] = "platt"
    slope: float
    offset: float

    @classmethod
    def fitted(cls, decision_N: Floats, bad_N: Bools) -> Platt:
        """Return the map of largest likelihood, with targets drawn in as Platt does.

        Where larger decisions do not go with bad texts it is the same probability for all.
        """
        # each text as both outcomes, weighted: logistic regression on targets that are not 0 or 1
        bad, good = int(bad_N.sum()), int((~bad_N).sum())
        target_N = np.where(bad_N, (bad + 1) / (bad + 2), 1 / (good + 2))
        twice = np.concatenate([decision_N, decision_N])[:, None]
        outcome = np.repeat([True, False], len(decision_N))
        model = LogisticRegression(C=1e6, max_iter=1000)
        model.fit(twice, outcome, np.concatenate([target_N, 1.0 - target_N]))
        slope = float(model.coef_[0, 0])
        if slope <= 0.0:
            return cls(slope=0.0, offset=float(np.log((bad + 1) / (good + 1))))
        return cls(slope=slope, offset=float(model.intercept_[0]))

    def __call__(self, decision_N: Floats) -> Floats:
        """Return P(bad)."""
        return np.asarray(expit(self.slope * decision_N + self.offset), dtype=np.float64)


class Isotonic(Config):
    """P rises with the decision, straight between nodes (Zadrozny & Elkan 2002)."""

    kind: Literal["isotonic"] = "isotonic"
    decisions: tuple[float, ...] = Field(min_length=1)
    probabilities: tuple[float, ...]

    @classmethod
    def fitted(cls, decision_N: Floats, bad_N: Bools) -> Isotonic:
        """Return the rising map of least squared error."""
        edge = 1.0 / (len(bad_N) + 2)
        model = IsotonicRegression(y_min=edge, y_max=1.0 - edge, out_of_bounds="clip")
        model.fit(decision_N, bad_N.astype(np.float64))
        return cls(
            decisions=tuple(model.X_thresholds_.tolist()),
            probabilities=tuple(model.y_thresholds_.tolist()),
        )

    def __call__(self, decision_N: Floats) -> Floats:
        """Return P(bad)."""
        found = np.interp(decision_N, self.decisions, self.probabilities)
        return np.asarray(found, dtype=np.float64)


def log_loss(probability_N: Floats, bad_N: Bools) -> float:
    """Return the mean negative log-likelihood, nats."""
    kept_N = np.clip(probability_N, SURE, 1.0 - SURE)
    return float(metrics.log_loss(bad_N, kept_N, labels=[False, True]))


def brier_score(probability_N: Floats, bad_N: Bools) -> float:
    """Return the mean squared error (Brier 1950), 0…1."""
    return float(metrics.brier_score_loss(bad_N, probability_N, pos_label=True))


def calibration_error(probability_N: Floats, bad_N: Bools, bins: int = BINS) -> float:
    """Return the expected calibration error, 0…1, over bins of equal size (Naeini et al. 2015).

    It is not 0 for perfect probabilities of few texts: with 100 texts about 0.1.
    """
    order = np.argsort(probability_N, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(p) * abs(probability_N[p].mean() - bad_N[p].mean()) for p in parts]
    return float(sum(gaps) / len(order))


def auroc(score_N: Floats, bad_N: Bools) -> float:
    """Return the probability that a bad text scores above a good one, ties by half.

    That is the Mann–Whitney statistic over its largest value. Both kinds must be there.
    """
    # as sklearn.metrics.roc_auc_score, in a small part of its time: a bootstrap asks often
    bad = int(bad_N.sum())
    above = rankdata(score_N)[bad_N].sum() - bad * (bad + 1) / 2
    return float(above / (bad * (len(bad_N) - bad)))


def auroc_interval(
    score_N: Floats, bad_N: Bools, clusters: Sequence[str], *, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of `auroc`, drawing whole clusters.

    Args:
        score_N: Larger for worse.
        bad_N: Labels, both kinds among them.
        clusters: What depends on each other: the tile of each text.
        seed: Of the draws.
    """
    names, member = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    rows = [np.flatnonzero(member == cluster) for cluster in range(len(names))]
    rng = np.random.Generator(np.random.PCG64(seed))
    found: list[float] = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rows[n] for n in rng.integers(len(names), size=len(names))])
        if 0 < bad_N[drawn].sum() < len(drawn):
            found.append(auroc(score_N[drawn], bad_N[drawn]))
    if not found:
        return 0.0, 1.0
    low, high = np.quantile(found, [(1.0 - LEVEL) / 2, (1.0 + LEVEL) / 2])
    return float(low), float(high)
