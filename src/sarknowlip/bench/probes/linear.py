"""Linear probe: multinomial logistic regression on frozen features.

The loss is the mean cross-entropy of the training rows plus λF/2 times the squared length of all
weights, biases free, over features standardised by `Standard`; with F in it, a λ means the same
whatever the width. It is convex. L-BFGS (Liu and Nocedal 1989) minimises it, products in float32,
in coordinates in which its curvature is about the same in all directions: the Hessian is at most
½ · covariance of features (Böhning 1992) plus λF, so that weights are written in eigenvectors of
the covariance, each scaled by (¼ · eigenvalue + λF)^−½. Features of neural networks are so alike
that without this hundreds of steps are needed. C of scikit-learn's LogisticRegression is 1 / (λFN).

The strength λ is chosen within the training rows by cross-validation over whole groups: the one
with most rows right, of several the one with the least loss. All strengths are fitted from strong
to weak, each beginning with the last.

Legend of array names: N rows, F width of features, K classes, L strengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.metrics import Floats
from sarknowlip.bench.probes.folds import splits
from sarknowlip.bench.probes.standard import Standard
from sarknowlip.core.config import Config

Wholes = npt.NDArray[np.int64]

UNSEEN = -1e4
"""Logit of a class that no training row of a fold shows."""

MEMORY = 10
"""Steps that L-BFGS remembers."""

FLOOR = 1e-9
"""Share of the loss below which a step counts as none: the rounding of float32 sums."""

ROWS = 1024
"""Rows taken through both products together, so that the second finds them in the cache."""


class LinearConfig(Config):
    """How the probe is fitted; the same for every model.

    Attributes:
        strengths: Candidates of λ, from strong to weak; one alone is taken without choice.
        alone: λ where training rows are of one group, so that nothing can be chosen.
        folds: Parts of the groups for the choice.
        iterations: Most steps of L-BFGS for one strength.
        tolerance: Largest entry of the gradient, in the scaled coordinates, at which it ends.
    """

    strengths: tuple[float, ...] = Field((1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7), min_length=1)
    alone: float = Field(1e-4, gt=0.0)
    folds: int = Field(5, ge=2)
    iterations: int = Field(100, ge=1)
    tolerance: float = Field(1e-4, gt=0.0)


@dataclass(frozen=True)
class Linear:
    """A fitted probe.

    Attributes:
        standard: Of the training rows.
        weight: Of standardised features, (K, F) float32; 0 for classes without training rows.
        bias: (K,) float32; −∞ for classes without training rows.
        strength: λ that was taken.
    """

    standard: Standard
    weight: Floats32
    bias: Floats32
    strength: float

    def scores(self, x_NF: Floats32) -> Floats32:
        """Return logits (N, K), −∞ for classes without training rows."""
        return np.asarray(self.standard(x_NF) @ self.weight.T + self.bias, dtype=np.float32)

    def classes(self, x_NF: Floats32) -> Wholes:
        """Return the most likely class of each row (N,), the first of equally likely ones."""
        return np.asarray(self.scores(x_NF).argmax(axis=1), dtype=np.int64)


def fit_linear(
    x_NF: Floats32,
    labels_N: Wholes,
    groups: Sequence[str],
    *,
    classes: int,
    config: LinearConfig | None = None,
) -> Linear:
    """Fit the probe; the same arguments give the same one.

    Args:
        x_NF: Features of training rows, at least one.
        labels_N: Class of each, 0 … classes − 1.
        groups: Group of each.
        classes: Number of classes; not all need training rows.
        config: Settings.
    """
    settings = config or LinearConfig()
    standard = Standard.fit(x_NF)
    turned = _Turned.of(torch.from_numpy(standard(x_NF)))
    present_K, own_N = np.unique(labels_N, return_inverse=True)
    own_N = own_N.astype(np.int64)
    strengths = settings.strengths
    if len(strengths) > 1:
        strengths = _up_to_the_best(turned, own_N, groups, settings)
    problem = _Problem(turned, turned.x, torch.from_numpy(own_N), settings)
    weight, bias = problem.path(strengths)[-1]
    weight_KF = np.zeros((classes, x_NF.shape[1]), dtype=np.float32)
    bias_K = np.full(classes, -np.inf, dtype=np.float32)
    weight_KF[present_K], bias_K[present_K] = turned.back(weight).numpy(), bias.numpy()
    return Linear(standard, weight_KF, bias_K, strengths[-1])


@dataclass(frozen=True)
class _Turned:
    """Training rows in coordinates that are no more than they are, and how they are spread.

    With fewer rows than features the minimum lies in the span of the rows, so that coordinates in
    it are enough.

    Attributes:
        x: Rows (N, C).
        span: Orthonormal rows that turn coordinates into features (C, F); None if they are these.
        width: F.
        spread: Eigenvalues of the covariance of `x` (C,), float64.
        axes: Eigenvectors, columns (C, C).
    """

    x: Tensor
    span: Tensor | None
    width: int
    spread: Tensor
    axes: Tensor

    @classmethod
    def of(cls, x_NF: Tensor) -> _Turned:
        count, width = x_NF.shape
        x, span = x_NF, None
        if count < width:
            columns, upper = torch.linalg.qr(x_NF.T)
            x, span = upper.T.contiguous(), columns.T
        spread, axes = torch.linalg.eigh((x.T @ x).double() / count)
        return cls(x, span, width, spread.clamp(min=0.0), axes.float())

    def back(self, weight: Tensor) -> Tensor:
        """Return weights (K, F) of features."""
        return weight if self.span is None else weight @ self.span


def _up_to_the_best(
    turned: _Turned, labels_N: Wholes, groups: Sequence[str], settings: LinearConfig
) -> tuple[float, ...]:
    """Return the strengths from the first to the one that does best on groups left out."""
    right_L = np.zeros(len(settings.strengths))
    loss_L = np.zeros(len(settings.strengths))
    looked, count = 0, int(labels_N.max()) + 1
    for learn, look in splits(groups, labels_N, settings.folds):
        seen = np.unique(labels_N[learn])
        own_N = torch.from_numpy(np.searchsorted(seen, labels_N[learn]))
        problem = _Problem(turned, turned.x[torch.from_numpy(learn)], own_N, settings)
        x_look, y_look = turned.x[torch.from_numpy(look)], torch.from_numpy(labels_N[look])
        looked += len(look)
        for place, (weight, bias) in enumerate(problem.path(settings.strengths)):
            logits = torch.full((len(look), count), UNSEEN)
            logits[:, torch.from_numpy(seen)] = x_look @ weight.T + bias
            right_L[place] += int((logits.argmax(dim=1) == y_look).sum())
            loss_L[place] += float(functional.cross_entropy(logits, y_look, reduction="sum"))
    if not looked:
        return (settings.alone,)
    best = int(np.lexsort((loss_L, -right_L))[0])
    return settings.strengths[: best + 1]


class _Problem:
    """Rows of which every class has some, ready for any strength.

    Args:
        turned: Where coordinates come from.
        x: Some of its rows (N, C).
        y: Class of each (N,).
        settings: Steps and tolerance.
    """

    def __init__(self, turned: _Turned, x: Tensor, y: Tensor, settings: LinearConfig) -> None:
        self.turned, self.x, self.y, self.settings = turned, x, y, settings

    def path(self, strengths: Sequence[float]) -> list[tuple[Tensor, Tensor]]:
        """Return weights (K, C) and biases (K,) of each strength."""
        share = torch.bincount(self.y) / len(self.y)
        weight = torch.zeros(len(share), self.x.shape[1])
        bias = share.log() - share.log().mean()
        found = []
        for strength in (self.turned.width * value for value in strengths):
            scale = (0.25 * self.turned.spread + strength).rsqrt().float()
            inner = weight @ self.turned.axes / scale
            inner, bias = self._descend(inner, bias, scale, strength)
            weight = (inner * scale) @ self.turned.axes.T
            found.append((weight, bias))
        return found

    def _descend(
        self, inner: Tensor, bias: Tensor, scale: Tensor, strength: float
    ) -> tuple[Tensor, Tensor]:
        """Minimise from weights in scaled eigenvectors."""
        axes, cut = self.turned.axes, inner.numel()

        def value(point: Floats) -> tuple[float, Floats]:
            at = torch.from_numpy(point).float()
            weight = (at[:cut].view_as(inner) * scale) @ axes.T
            loss, by_weight, by_bias = self._loss(weight, at[cut:])
            by_inner = ((by_weight + strength * weight) @ axes) * scale
            slope = torch.cat([by_inner.flatten(), by_bias]).double()
            return loss + 0.5 * strength * float(weight.square().sum()), slope.numpy()

        options = {
            "maxiter": self.settings.iterations,
            "gtol": self.settings.tolerance,
            "ftol": FLOOR,
            "maxcor": MEMORY,
        }
        start = torch.cat([inner.flatten(), bias]).double().numpy()
        found = minimize(value, start, jac=True, method="L-BFGS-B", options=options)
        end = torch.from_numpy(found.x).float()
        return end[:cut].view_as(inner), end[cut:]

    def _loss(self, weight: Tensor, bias: Tensor) -> tuple[float, Tensor, Tensor]:
        """Return mean cross-entropy and its gradients, rows taken in parts."""
        loss = 0.0
        by_weight, by_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        column = bias[:, None]
        for x, y in zip(torch.split(self.x, ROWS), torch.split(self.y, ROWS), strict=True):
            error = torch.log_softmax(torch.addmm(column, weight, x.T), dim=0)
            loss -= float(error.gather(0, y[None]).sum())
            error.exp_()
            error[y, torch.arange(len(y))] -= 1.0
            by_weight.addmm_(error, x)
            by_bias += error.sum(dim=1)
        total = len(self.y)
        return loss / total, by_weight / total, by_bias / total
