"""Bright pixels with a constant false-alarm rate.

Cell-averaging CFAR: a pixel's power is compared with the mean of a square ring around it, between a
guard window that keeps an extended target out of its own background and an outer window. The
multiplier follows from the clutter model and the false-alarm rate:

- gamma speckle of L looks: pixel over mean of N background looks is F(2L, 2N) distributed, exact
  for cell averaging of exponential or gamma clutter (Gandhi and Kassam, "Analysis of CFAR
  processors in nonhomogeneous background", IEEE TAES 24(4), 1988);
- K distribution: the same speckle times a gamma texture of shape ν, where the ring's coefficient of
  variation exceeds that of speckle; ν by moments, (1 + c²) = (1 + 1/ν)(1 + 1/L) (Ward, "Compound
  representation of high resolution sea clutter", Electronics Letters 17(16), 1981; Crisp, "The
  state-of-the-art in ship detection in SAR imagery", DSTO-RR-0272, 2004).

Detected pixels are taken out of the background and the test is repeated, so that neighbouring
targets do not hide each other (Barboy et al., "Cell-averaging CFAR for multiple-target situations",
IEE Proc. F 133(2), 1986). The first background is without all pixels that gamma clutter would not
hold, since several strong targets look like rough clutter; those that turn out to be clutter count
again from the second pass on. At edges of clutter, where the means of opposite sides of the ring
differ by more than `EDGE_RATIO` as in the variability-index CFAR (Smith and Varshney, "Intelligent
CFAR processor based on data variability", IEEE TAES 36(3), 2000), the mean hides targets of the
darker side; there an order statistic decides (see `ordered`). Pixels connected to a detection that
pass at the lower "grow" rate belong to the target.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass

import numpy as np
from pydantic import Field
from scipy.ndimage import binary_dilation, label
from scipy.special import gammaincc, gammaln
from scipy.stats import f as f_distribution

from sarknowlip.core.config import Config
from sarknowlip.knowledge.ordered import ordered_threshold
from sarknowlip.knowledge.windows import Floats, Mask, box_mean, box_sums

EIGHT = np.ones((3, 3), dtype=bool)
LEAST_BACKGROUND = 64
PASSES = 3
EDGE_RATIO = 1.806
"""Smith and Varshney's threshold of the mean ratio test."""
WAYS = [(dr, dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1) if dr or dc]
_SHAPES = np.geomspace(0.2, 200.0, 25)
"""Texture shapes for which K multipliers are tabulated; above the last, clutter is gamma."""


class CfarConfig(Config):
    """Settings of the detector.

    Attributes:
        pfa: False-alarm rate per pixel of a detection.
        grow_pfa: Rate at which a pixel beside a detection still belongs to it.
        guard_m: Half width of the guard window, metres on the ground.
        background_m: Width of the background ring, metres.
        guard_px: Least and greatest half width of the guard window, pixels.
        background_px: Least and greatest width of the ring, pixels.
    """

    pfa: float = Field(1e-6, gt=0.0, lt=0.5)
    grow_pfa: float = Field(1e-3, gt=0.0, lt=0.5)
    guard_m: float = 150.0
    background_m: float = 100.0
    guard_px: tuple[int, int] = (4, 32)
    background_px: tuple[int, int] = (6, 24)

    def windows(self, gsd_m: float) -> tuple[int, int]:
        """Return the half widths of the guard and the outer window in pixels."""
        guard = int(np.clip(round(self.guard_m / gsd_m), *self.guard_px))
        ring = int(np.clip(round(self.background_m / gsd_m), *self.background_px))
        return guard, guard + ring


@dataclass(frozen=True)
class Detections:
    """What the detector found.

    Attributes:
        labels: 0 for background, else the number of the target, 1…count; shape (rows, columns).
        count: Number of targets.
        background: Mean power of the ring, NaN where it has too few pixels.
    """

    labels: np.ndarray[tuple[int, int], np.dtype[np.int32]]
    count: int
    background: Floats


def detect(
    power: Floats, valid: Mask, looks: float, gsd_m: float, config: CfarConfig | None = None
) -> Detections:
    """Find pixels too bright for the clutter around them and join them to targets.

    Args:
        power: Linear power, any scale, shape (rows, columns).
        valid: Pixels that count.
        looks: Equivalent number of looks.
        gsd_m: Pixel size on the ground, metres.
        config: Settings.
    """
    config = config or CfarConfig()
    windows = config.windows(gsd_m)
    background, shape, cells = _clutter(power, valid, looks, windows)
    gamma = multiplier(looks, np.full_like(shape, np.inf), cells, config.pfa)
    exceeds = grown = _ratio(power, background, valid) > gamma
    for _ in range(PASSES):
        before = exceeds
        clutter = valid & ~binary_dilation(grown, EIGHT) if grown.any() else valid
        background, shape, cells = _clutter(power, clutter, looks, windows)
        ratio = _ratio(power, background, valid)
        exceeds = ratio > multiplier(looks, shape, cells, config.pfa)
        near = exceeds | (ratio > multiplier(looks, shape, cells, config.grow_pfa))
        grown = _connected(near, exceeds)
        if np.array_equal(exceeds, before):
            break
    edge = _on_edge(power, clutter, windows)
    if edge.any():
        ordered = [
            edge & valid & (power > ordered_threshold(power, clutter, looks, windows, rate))
            for rate in (config.pfa, config.grow_pfa)
        ]
        exceeds = np.where(edge, ordered[0], exceeds)
        grown = _connected(np.where(edge, ordered[1], near) | exceeds, exceeds)
    labels, count = label(grown, EIGHT)
    return Detections(labels.astype(np.int32), int(count), background)


def multiplier(looks: float, shape: Floats, cells: Floats, pfa: float) -> Floats:
    """Return by how much a pixel must exceed the background mean.

    Args:
        looks: Equivalent number of looks L.
        shape: Texture shape ν of each pixel's clutter; infinite for gamma clutter.
        cells: Number of background pixels.
        pfa: False-alarm rate.
    """
    level = _rounded_down(looks)
    table = _k_multipliers(level, pfa)
    gamma = float(f_distribution.isf(pfa, 2 * looks, 2 * looks * max(1.0, float(np.median(cells)))))
    position = np.log(np.clip(shape, _SHAPES[0], _SHAPES[-1]))
    textured = np.interp(position, np.log(_SHAPES), table)
    return np.where(shape >= _SHAPES[-1], gamma, np.maximum(textured, gamma))


def _ratio(power: Floats, background: Floats, valid: Mask) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(valid, power / background, np.nan)


def _clutter(
    power: Floats, clutter: Mask, looks: float, windows: tuple[int, int]
) -> tuple[Floats, Floats, Floats]:
    """Return mean, texture shape and number of pixels of the ring around each pixel."""
    sums = []
    for values in (power, power**2):
        inner, inside = box_sums(values, clutter, windows[0])
        outer, whole = box_sums(values, clutter, windows[1])
        sums.append(outer - inner)
        cells = whole - inside
    enough = cells >= LEAST_BACKGROUND
    count = np.maximum(cells, 1.0)
    mean = np.where(enough, sums[0] / count, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        squared = np.maximum(sums[1] / count / mean**2 - 1.0, 0.0)
        texture = (1.0 + squared) / (1.0 + 1.0 / looks) - 1.0
        shape = np.where(texture > 1.0 / _SHAPES[-1], 1.0 / texture, np.inf)
    return mean, shape, cells


def _on_edge(power: Floats, clutter: Mask, windows: tuple[int, int]) -> Mask:
    """Return the darker side of edges: opposite sides of the ring differ, most nearby is dark."""
    guard, outer = windows
    half = (outer - guard) // 2
    mean = np.pad(box_mean(power, clutter, half), outer, constant_values=np.nan)
    rows, columns = power.shape

    def beside(dr: int, dc: int) -> Floats:
        return np.asarray(mean[outer + dr : outer + dr + rows, outer + dc : outer + dc + columns])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no clutter on any side
        near = np.nanmedian([beside(*(guard * step for step in way)) for way in WAYS], axis=0)
    far = guard + half + 1
    edge = np.zeros(power.shape, dtype=bool)
    for dr, dc in ((0, far), (far, 0), (far, far), (far, -far)):
        one, two = beside(dr, dc), beside(-dr, -dc)
        dark, bright = np.fmin(one, two), np.fmax(one, two)
        edge |= (bright > EDGE_RATIO * dark) & (near < EDGE_RATIO * dark)
    return edge


def _connected(near: Mask, seeds: Mask) -> Mask:
    labels, count = label(near, EIGHT)
    keep = np.zeros(count + 1, dtype=bool)
    keep[labels[seeds]] = True
    keep[0] = False
    return np.asarray(keep[labels])


def _rounded_down(looks: float) -> float:
    """Return looks on a grid of quarter octaves, so that few tables are made; down is cautious."""
    return float(2.0 ** (math.floor(4.0 * math.log2(max(looks, 0.25))) / 4.0))


@functools.lru_cache(maxsize=64)
def _k_multipliers(looks: float, pfa: float) -> Floats:
    """Return the multiplier at each of `_SHAPES` for K clutter of known mean.

    P(x > T) = ∫ Q(L, L·T/τ) p(τ; ν) dτ with texture τ ~ Gamma(ν, 1/ν), by the trapezoid rule in
    ln τ; T by interpolation in ln P.
    """
    log_tau = np.linspace(np.log(1e-4), np.log(200.0), 321)
    step = log_tau[1] - log_tau[0]
    tau = np.exp(log_tau)
    threshold = np.geomspace(0.5, 2000.0, 160)
    exceed = gammaincc(looks, looks * threshold[:, None] / tau)
    result = []
    for shape in _SHAPES:
        log_density = shape * (np.log(shape) + log_tau - tau) - gammaln(shape)
        tail = np.maximum(exceed @ (np.exp(log_density) * step), 1e-300)
        result.append(np.exp(np.interp(-np.log(pfa), -np.log(tail), np.log(threshold))))
    return np.asarray(result)
