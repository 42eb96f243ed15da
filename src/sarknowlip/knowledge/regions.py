"""Connected pieces of ground on a tile, and the facts that tell of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects, label

from sarknowlip.knowledge.findings import Findings
from sarknowlip.knowledge.windows import Mask

LEAST_PX = 16
"""Smaller pieces are specks: they stay in the mask of their function, but are no regions."""


@dataclass(frozen=True)
class Piece:
    """One connected piece.

    Attributes:
        mask: Its pixels, shape of the tile.
        pixels: How many.
        column: Of a point inside, pixels; x.5 is a pixel's centre. It is as far from the rim as
            any, and of those the nearest to the centroid.
        row: The same.
    """

    mask: Mask
    pixels: int
    column: float
    row: float


def pieces(mask: Mask, least: int = LEAST_PX) -> list[Piece]:
    """Return the pieces of a mask (joined along edges), largest first, then by rows and columns.

    Args:
        mask: Shape (rows, columns).
        least: Pixels below which a piece is left out.
    """
    labels, _ = label(mask)
    found = []
    for number, window in enumerate(find_objects(labels), start=1):
        inside = labels[window] == number
        count = int(np.count_nonzero(inside))
        if count < least:
            continue
        # The border of the tile counts as rim: a point half cut off is a poor place to point at.
        depth = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        deepest = np.argwhere(depth == depth.max())
        away = ((deepest - np.argwhere(inside).mean(axis=0)) ** 2).sum(axis=1)
        row, column = deepest[away.argmin()]
        whole = np.zeros(mask.shape, dtype=bool)
        whole[window] = inside
        top, left = window[0].start, window[1].start
        found.append(Piece(whole, count, left + float(column) + 0.5, top + float(row) + 0.5))
    return sorted(found, key=lambda piece: (-piece.pixels, piece.row, piece.column))


def add_region(
    found: Findings,
    subject: str,
    function: str,
    piece: Piece,
    *,
    gsd_m: tuple[float, float],
    confidence: float,
) -> None:
    """Add function with mask, share, area, column and row of a region.

    Args:
        found: Where the facts go.
        subject: "region/00".
        function: What the ground is for, of `vocabulary.FUNCTIONS`.
        piece: Its pixels.
        gsd_m: Ground of one pixel along columns and rows, metres.
        confidence: Of each fact, 0…1.
    """
    found.add(subject, "function", label=function, confidence=confidence, mask=piece.mask)
    for predicate, value, unit in (
        ("share", piece.pixels / piece.mask.size, "share"),
        ("area", piece.pixels * gsd_m[0] * gsd_m[1], "m2"),
        ("column", piece.column, "px"),
        ("row", piece.row, "px"),
    ):
        found.add(subject, predicate, value, unit, confidence=confidence)
