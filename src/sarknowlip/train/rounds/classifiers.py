"""Classifiers of texts whose fitted form is plain numbers, and the choice among them.

scikit-learn fits them; what it found is kept as JSON, so that no pickle is ever read.

Shapes: N texts, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from sarknowlip.core.config import Config
from sarknowlip.train.rounds.calibration import (
    Bools,
    Floats,
    Isotonic,
    Platt,
    brier_score,
    log_loss,
)

FOLDS = 5
"""Parts of cross-validation; fewer where there are fewer bad or good texts."""
STRENGTHS = (0.003, 0.03, 0.3, 3.0)
"""Inverse strengths of the penalty that are tried."""
TREES_FROM = 150
"""Labels from which on trees are tried."""
ISOTONIC_FROM = 150
"""Labels from which on a free calibration is tried."""

Wholes = npt.NDArray[np.int64]


class Linear(Config):
    """A weighted sum: logistic regression before its sigmoid.

    Attributes:
        crossed: Whether products of scores and levels are among the features.
        weights: Of each feature.
        offset: Of all.
    """

    kind: Literal["logistic"] = "logistic"
    crossed: bool
    weights: tuple[float, ...]
    offset: float

    def decision(self, features_NF: Floats) -> Floats:
        """Return log-odds that are not calibrated yet."""
        return np.asarray(features_NF @ np.array(self.weights) + self.offset, dtype=np.float64)


class Tree(Config):
    """A regression tree: where feature ≤ threshold to the left, else to the right.

    Attributes:
        feature: Of each node, negative at a leaf.
        threshold: Of each node.
        left: Node to the left.
        right: Node to the right.
        value: Of each node.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def __call__(self, features_NF: npt.NDArray[np.float32]) -> Floats:
        """Return the value of the leaf of each text."""
        feature, threshold = np.array(self.feature), np.array(self.threshold)
        left, right = np.array(self.left), np.array(self.right)
        node_N = np.zeros(len(features_NF), dtype=np.int64)
        rows = np.arange(len(features_NF))
        while (inner_N := feature[node_N] >= 0).any():
            goes_left_N = features_NF[rows, feature[node_N].clip(0)] <= threshold[node_N]
            next_N = np.where(goes_left_N, left[node_N], right[node_N])
            node_N = np.where(inner_N, next_N, node_N)
        return np.asarray(np.array(self.value)[node_N], dtype=np.float64)


class Trees(Config):
    """Gradient boosting (Friedman 2001): a sum of trees."""

    kind: Literal["boosting"] = "boosting"
    crossed: Literal[False] = False
    offset: float
    rate: float
    trees: tuple[Tree, ...]

    def decision(self, features_NF: Floats) -> Floats:
        """Return log-odds that are not calibrated yet."""
        narrow = features_NF.astype(np.float32)  # as scikit-learn compares
        found_N = np.full(len(features_NF), self.offset)
        for tree in self.trees:
            found_N = found_N + self.rate * tree(narrow)
        return found_N


Classifier = Annotated[Linear | Trees, Field(discriminator="kind")]
Calibrator = Annotated[Platt | Isotonic, Field(discriminator="kind")]


@dataclass(frozen=True)
class Labelled:
    """Texts that were looked at.

    Attributes:
        plain_NF: Features.
        crossed_NF: Features with products of scores and levels.
        bad_N: Labels.
        tiles: Tile of each text.
    """

    plain_NF: Floats  # noqa: N815
    crossed_NF: Floats  # noqa: N815
    bad_N: Bools  # noqa: N815
    tiles: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.bad_N)

    def rows(self, rows: Wholes) -> Labelled:
        """Return some of the texts."""
        tiles = tuple(self.tiles[row] for row in rows)
        return Labelled(self.plain_NF[rows], self.crossed_NF[rows], self.bad_N[rows], tiles)

    def features(self, *, crossed: bool) -> Floats:
        """Return the features of a classifier."""
        return self.crossed_NF if crossed else self.plain_NF


Fit = Callable[[Labelled], Linear | Trees]


def fit_linear(labelled: Labelled, strength: float, *, crossed: bool) -> Linear:
    """Return a logistic regression with a squared penalty; `strength` is its inverse weight."""
    model = LogisticRegression(C=strength, max_iter=2000)
    model.fit(labelled.features(crossed=crossed), labelled.bad_N)
    weights = tuple(model.coef_[0].tolist())
    return Linear(crossed=crossed, weights=weights, offset=float(model.intercept_[0]))


def fit_trees(labelled: Labelled) -> Trees:
    """Return boosted trees of depth 2: pairs of features may act together."""
    model = GradientBoostingClassifier(
        n_estimators=60, max_depth=2, learning_rate=0.1, min_samples_leaf=10, random_state=0
    )
    model.fit(labelled.plain_NF, labelled.bad_N)
    share = float(labelled.bad_N.mean())
    return Trees(
        offset=float(np.log(share / (1.0 - share))),
        rate=0.1,
        trees=tuple(_tree(found.tree_) for found in model.estimators_[:, 0]),
    )


def candidates(labelled: Labelled) -> list[Fit]:
    """Return what is tried on so many labels, the simplest first."""
    found: list[Fit] = []
    shapes = (
        (False, True) if labelled.crossed_NF.shape[1] > labelled.plain_NF.shape[1] else (False,)
    )
    for crossed in shapes:
        for strength in STRENGTHS:
            found.append(
                lambda some, s=strength, c=crossed: fit_linear(some, s, crossed=c)  # type: ignore[misc]
            )
    if len(labelled) >= TREES_FROM:
        found.append(fit_trees)
    return found


def splits(labelled: Labelled, seed: int = 0) -> list[tuple[Wholes, Wholes]]:
    """Return training and held-out rows of each part; texts of a tile stay together if they can.

    Every part holds, and leaves, bad and good texts, if there are two of each.
    """
    least = int(min(labelled.bad_N.sum(), (~labelled.bad_N).sum()))
    count = max(2, min(FOLDS, least))
    rows = np.zeros((len(labelled), 1))
    grouped = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    if len(set(labelled.tiles)) >= count:
        found = [
            (np.asarray(train), np.asarray(held))
            for train, held in grouped.split(rows, labelled.bad_N, np.array(labelled.tiles))
        ]
        if all(0 < labelled.bad_N[train].sum() < len(train) and len(held) for train, held in found):
            return found
    mixed = StratifiedKFold(count, shuffle=True, random_state=seed)
    return [(np.asarray(t), np.asarray(h)) for t, h in mixed.split(rows, labelled.bad_N)]


def chosen(labelled: Labelled) -> tuple[Linear | Trees, Platt | Isotonic]:
    """Return the classifier of least held-out log-loss, fitted on all, and its calibration.

    The calibration is fitted on held-out decisions, which are less extreme than those on texts
    that a classifier has seen.
    """
    parts, tried = splits(labelled), []
    for fit in candidates(labelled):
        decision_N = np.empty(len(labelled))
        for train, held in parts:
            model = fit(labelled.rows(train))
            decision_N[held] = model.decision(labelled.features(crossed=model.crossed)[held])
        probability_N = Platt.fitted(decision_N, labelled.bad_N)(decision_N)
        tried.append((log_loss(probability_N, labelled.bad_N), fit, decision_N))
    _, fit, decision_N = min(tried, key=lambda one: one[0])
    return fit(labelled), _calibrated(decision_N, labelled)


def held_out_probabilities(labelled: Labelled) -> Floats:
    """Return P(bad) of each text by `chosen` on the other parts: choice and calibration too."""
    found_N = np.empty(len(labelled))
    for train, held in splits(labelled, seed=1):
        model, calibrator = chosen(labelled.rows(train))
        features_NF = labelled.features(crossed=model.crossed)[held]
        found_N[held] = calibrator(model.decision(features_NF))
    return found_N


def _calibrated(decision_N: Floats, labelled: Labelled) -> Platt | Isotonic:
    """Return the map of less held-out squared error; of few texts Platt's."""
    kinds: Sequence[type[Platt] | type[Isotonic]] = (Platt, Isotonic)
    if len(labelled) < ISOTONIC_FROM:
        return Platt.fitted(decision_N, labelled.bad_N)
    parts, errors = splits(labelled, seed=2), []
    for kind in kinds:
        found_N = np.empty(len(labelled))
        for train, held in parts:
            fitted = kind.fitted(decision_N[train], labelled.bad_N[train])
            found_N[held] = fitted(decision_N[held])
        errors.append(brier_score(found_N, labelled.bad_N))
    return kinds[int(np.argmin(errors))].fitted(decision_N, labelled.bad_N)


def _tree(tree: Any) -> Tree:
    return Tree(
        feature=tuple(tree.feature.tolist()),
        threshold=tuple(tree.threshold.tolist()),
        left=tuple(tree.children_left.tolist()),
        right=tuple(tree.children_right.tolist()),
        value=tuple(tree.value[:, 0, 0].tolist()),
    )
