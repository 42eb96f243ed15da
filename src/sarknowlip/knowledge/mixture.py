"""Two populations in one histogram: are there two, and where do they part.

A mixture of two normal distributions is fitted to decibels by expectation–maximisation on the
histogram. It counts as bimodal by Ashman's D (Ashman, Bird and Zepf, "Detecting bimodality in
astronomical datasets", Astron. J. 108, 1994), as in the hierarchical split-based approach of Chini
et al., "A hierarchical split-based approach for parametric thresholding of SAR images", IEEE TGRS
55(12), 2017. The threshold is that of least error (Kittler and Illingworth, "Minimum error
thresholding", Pattern Recognition 19(1), 1986), which Martinis, Twele and Voigt, NHESS 9, 2009,
and Twele et al., IJRS 37(13), 2016, use for water.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sarknowlip.knowledge.windows import Floats

BINS = 128
ITERATIONS = 60
LEAST_SIGMA_DB = 0.3
LEAST_PIXELS = 256


@dataclass(frozen=True)
class Mixture:
    """Two normal populations; index 0 is the darker.

    Attributes:
        share: Weights, sum 1.
        mean: Means in dB.
        sigma: Standard deviations in dB.
        threshold: Where the two densities are equal, dB.
    """

    share: tuple[float, float]
    mean: tuple[float, float]
    sigma: tuple[float, float]
    threshold: float

    @property
    def ashman(self) -> float:
        """Ashman's D: separation of the means in units of the combined spread."""
        spread = float(np.hypot(*self.sigma))
        return float(np.sqrt(2.0)) * (self.mean[1] - self.mean[0]) / spread


def fit_mixture(values_db: npt.NDArray[np.floating]) -> Mixture | None:
    """Fit two populations to decibels.

    Args:
        values_db: Finite values, any shape.

    Returns:
        The mixture, or None when there are fewer than `LEAST_PIXELS` values, all are equal, or one
        population dies out.
    """
    values = np.asarray(values_db, dtype=np.float64).ravel()
    if values.size < LEAST_PIXELS or values.max() - values.min() < LEAST_SIGMA_DB:
        return None
    counts, edges = np.histogram(values, bins=BINS)
    centre = (edges[:-1] + edges[1:]) / 2
    weight = counts / counts.sum()
    share, mean, sigma = _split(centre, weight)
    for _ in range(ITERATIONS):
        density = _densities(centre, share, mean, sigma)
        responsibility = density / np.maximum(density.sum(axis=0), 1e-300) * weight
        share = responsibility.sum(axis=1)
        if share.min() < 1e-3:
            return None
        mean = (responsibility * centre).sum(axis=1) / share
        variance = (responsibility * (centre - mean[:, None]) ** 2).sum(axis=1) / share
        sigma = np.maximum(LEAST_SIGMA_DB, np.sqrt(variance))
    if mean[0] >= mean[1]:
        return None
    between = np.linspace(mean[0], mean[1], 512)
    dark, bright = _densities(between, share, mean, sigma)
    crossed = bright > dark
    threshold = float(between[crossed.argmax()]) if crossed.any() else float(mean[1])
    return Mixture(_pair(share), _pair(mean), _pair(sigma), threshold)


def _split(centre: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Return starting values: the split of greatest between-class variance (Otsu 1979)."""
    below = np.cumsum(weight)[:-1]
    first = np.cumsum(weight * centre)[:-1]
    total = float((weight * centre).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (total * below - first) ** 2 / (below * (1.0 - below))
    cut = int(np.nanargmax(between))
    share = np.array([below[cut], 1.0 - below[cut]])
    mean = np.array([first[cut], total - first[cut]]) / share
    spread = float(np.sqrt((weight * (centre - total) ** 2).sum()))
    return share, mean, np.full(2, max(LEAST_SIGMA_DB, spread / 2))


def _densities(x: Floats, share: Floats, mean: Floats, sigma: Floats) -> Floats:
    standard = (x - mean[:, None]) / sigma[:, None]
    density: Floats = (share / sigma)[:, None] * np.exp(-0.5 * standard**2)
    return density


def _pair(values: Floats) -> tuple[float, float]:
    return float(values[0]), float(values[1])
