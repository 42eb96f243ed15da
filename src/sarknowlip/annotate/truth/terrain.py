"""Verdicts on relief, heights and slopes, by the heights of the world."""

from __future__ import annotations

import numpy as np

from sarknowlip.annotate.truth import tolerance
from sarknowlip.annotate.truth.report import UNDECIDED, Verdict
from sarknowlip.annotate.truth.scene import Scene
from sarknowlip.annotate.truth.things import Arguments

FLAT_M, TILTED_DEG = 30.0, 5.0
SLOPES = {"flat": (0.0, 0.05), "rolling": (0.0, 0.15), "hilly": (0.15, 0.3), "steep": (0.3, 9.0)}
"""Mean slopes, metres of rise a metre, of the words for relief (FAO 2006); flat ground has less
relief than `FLAT_M` (Hammond), other ground has no less."""


def relief(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the range of heights, at least of nine tenths of the ground, at most of all."""
    if not scene.heights.size:
        return UNDECIDED
    low, least, most, high = np.percentile(scene.heights, [0, 5, 95, 100])
    claimed = float(claim["relief_m"])
    slack = max(tolerance.RELIEF_M, tolerance.SIZE * (high - low))
    right = most - least - slack <= claimed <= high - low + slack
    slope = float(scene.slope().mean())
    right = right and _fits(str(claim["relief"]), slope, most - least, high - low)
    return Verdict(bool(right), f"{most - least:.0f} to {high - low:.0f} m, slope {slope:.0%}")


def elevation(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the mean height above the ellipsoid."""
    if not scene.heights.size:
        return UNDECIDED
    true = float(scene.heights.mean())
    right = abs(float(claim["height_m"]) - true) <= max(tolerance.RELIEF_M, 0.1 * abs(true))
    return Verdict(right, f"{true:.1f} m")


def slopes(scene: Scene, claim: Arguments) -> Verdict:
    """Judge the shares of ground tilted by more than 5° towards the radar and away from it."""
    if scene.look is None:
        return UNDECIDED
    rise = np.degrees(np.arctan(scene.slope(scene.look)))
    facing, away = float((rise > TILTED_DEG).mean()), float((rise < -TILTED_DEG).mean())
    pairs = (("facing_pct", facing), ("away_pct", away))
    right = all(tolerance.share(float(claim[name]) / 100.0, true, true) for name, true in pairs)
    return Verdict(right, f"{facing:.1%} and {away:.1%}")


def _fits(word: str, slope: float, least_m: float, most_m: float) -> bool:
    """Return whether a word for relief is right, limits being soft."""
    gentle, steep = SLOPES.get(word, (1.0, 0.0))
    soft = 1.0 + tolerance.SLOPE
    high = least_m <= soft * FLAT_M if word == "flat" else most_m >= FLAT_M / soft
    return high and gentle / soft <= slope <= steep * soft
