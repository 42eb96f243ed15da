"""What speaks most against a text, in words: the reason that a person reads beside a change."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SUPPORT = "evidence.support"

Floats = npt.NDArray[np.float64]


def doubts(features: dict[str, Floats], groups: Sequence[str]) -> list[str]:
    """Return for each text what speaks most against it.

    Evidence that contradicts it comes first. Else it is the score that is farthest below the mean
    of texts of the same group, in their standard deviations. Equal words are one string.

    Args:
        features: Scores (N,) by name, larger is better, NaN where unknown.
        groups: Of texts that may be compared: of one form, scored by one model.
    """
    count = len(groups)
    names = [name for name in sorted(features) if not name.startswith("evidence.")]
    kinds = np.unique(np.asarray(groups), return_inverse=True)[1]
    apart_NF = np.full((count, len(names)), np.inf)
    for place, name in enumerate(names):
        for kind in range(int(kinds.max(initial=-1)) + 1):
            own = kinds == kind
            apart_NF[own, place] = _standard(features[name][own])
    contradicted = features.get(SUPPORT, np.full(count, np.nan)) == 0.0
    found = []
    for row in range(count):
        if contradicted[row]:
            found.append("it does not follow from evidence")
            continue
        least = int(apart_NF[row].argmin()) if names else 0
        value = apart_NF[row, least] if names else np.inf
        if value < 0:
            said = f"{names[least]} is {-value:.1f} standard deviations below the mean"
            found.append(sys.intern(said))
        else:
            found.append("")
    return found


def _standard(values: Floats) -> Floats:
    """Return values in standard deviations from their mean, infinite where unknown."""
    known = np.isfinite(values)
    if known.sum() < 2 or np.ptp(values[known]) == 0:
        return np.full(len(values), np.inf)
    standard = (values - values[known].mean()) / values[known].std()
    return np.asarray(np.where(known, standard, np.inf))
