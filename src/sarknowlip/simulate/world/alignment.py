"""Things in a row: at least three whose centroids lie on a line, close enough, and parallel."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.spatial import cKDTree

from sarknowlip.core.config import Config
from sarknowlip.simulate.frame import Floats

STARTS = 8
"""How many of its nearest neighbours a thing may start a row with."""


class Rows(Config):
    """What counts as a row; all numbers are chosen.

    Attributes:
        least: How many things make a row.
        tolerance_m: Greatest distance of a centroid from the best line (least squares of distances)
            through all.
        spacing_m: Greatest distance between neighbours along the row.
        heading_deg: Greatest angle between the axes of two of them, of 0…90°; things without a
            heading are parallel to all.
    """

    least: int = Field(3, ge=3)
    tolerance_m: float = Field(2.0, ge=0.0)
    spacing_m: float = Field(250.0, gt=0.0)
    heading_deg: float = Field(5.0, ge=0.0, le=90.0)


def rows_among(centres: Floats, headings: Floats, rules: Rows) -> list[tuple[int, ...]]:
    """Return the longest rows among things, most members first.

    A row starts from a thing and one of its `STARTS` nearest, and takes in the nearest thing with
    which it is still a row, as long as there is one. A row whose members all stand in a longer one
    is dropped; a thing may stand in several rows.

    Args:
        centres: Positions, metres, shape (n, 2).
        headings: Degrees, shape (n,); NaN for none.
        rules: What counts.

    Returns:
        Indices along each row, from its western end (southern, if it runs north).
    """
    if len(centres) < rules.least:
        return []
    tree = cKDTree(centres)
    around = tree.query_ball_point(centres, rules.spacing_m, return_sorted=True)
    found: dict[frozenset[int], tuple[int, ...]] = {}
    covered: set[tuple[int, int]] = set()
    for pair in _starts(tree, centres, rules.spacing_m):
        if pair in covered or not _parallel(headings[pair[0]], headings[pair[1:]], rules).all():
            continue
        row = _grown(pair, around, centres, headings, rules)
        if len(row) >= rules.least:
            found[frozenset(row)] = row
            covered.update(itertools.combinations(sorted(row), 2))
    whole = [row for key, row in found.items() if not any(key < other for other in found)]
    return sorted(whole, key=lambda row: (-len(row), row))


def _starts(tree: cKDTree, centres: Floats, spacing_m: float) -> list[tuple[int, int]]:
    count = min(STARTS + 1, len(centres))
    distance, nearest = tree.query(centres, k=count, distance_upper_bound=spacing_m * (1 + 1e-9))
    ends = np.argwhere((distance > 0.0) & np.isfinite(distance))
    return sorted(
        {(min(i, j), max(i, j)) for i, j in ((k, nearest[k, n]) for k, n in ends.tolist())}
    )


def _grown(
    pair: tuple[int, int], around: npt.NDArray[Any], centres: Floats, headings: Floats, rules: Rows
) -> tuple[int, ...]:
    """Return the row that grows from a pair, along it."""
    row = list(pair)
    others = {q for p in row for q in around[p]} - set(row)
    while others:
        near = np.array(sorted(others))
        distance = np.hypot(*np.moveaxis(centres[near, None] - centres[row], -1, 0)).min(axis=1)
        fits = distance > 0.0
        for member in row:
            fits &= _parallel(headings[member], headings[near], rules)
        fits[fits] = _misfit(centres[row], centres[near[fits]]) <= rules.tolerance_m
        if not fits.any():
            break
        best = int(near[fits][np.argmin(distance[fits])])
        row.append(best)
        # What does not fit now may fit a longer row, which turns as it grows.
        others = {q for p in row for q in around[p]} - set(row)
    along = centres[row] @ _axis(centres[row])
    return tuple(row[k] for k in np.argsort(along, kind="stable").tolist())


def _parallel(heading: float, others: Floats, rules: Rows) -> npt.NDArray[np.bool_]:
    apart = np.abs((others - heading + 90.0) % 180.0 - 90.0)
    return np.asarray(np.isnan(apart) | (apart <= rules.heading_deg))


def _misfit(row: Floats, more: Floats) -> Floats:
    """Return the greatest distance from the best line of a row and one more point, for each."""
    points = np.concatenate([np.broadcast_to(row, (len(more), *row.shape)), more[:, None]], axis=1)
    centred = points - points.mean(axis=1, keepdims=True)
    axis = _axis(centred)
    across = centred[..., 0] * axis[:, None, 1] - centred[..., 1] * axis[:, None, 0]
    return np.asarray(np.abs(across).max(axis=1))


def _axis(points: Floats) -> Floats:
    """Return the direction of the best line of points (…, n, 2): eastward, or due north."""
    centred = points - points.mean(axis=-2, keepdims=True)
    x, y = centred[..., 0], centred[..., 1]
    # Major axis of the second moments; adding 0.0 turns -0.0, which would mean south, into 0.0.
    angle = 0.5 * np.arctan2(2 * (x * y).sum(axis=-1) + 0.0, (x * x - y * y).sum(axis=-1))
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)
