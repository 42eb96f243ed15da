"""What a tile shows of mapped ground: at the edge of a scene it has pixels without a value.

Maps speak of the whole tile, the image of its valid pixels. What is said is about the latter.
"""

from __future__ import annotations

import numpy as np

from sarknowlip.annotate.extent import whole_mask
from sarknowlip.annotate.geometry import Mask
from sarknowlip.knowledge.evidence import Evidence, Facts

WHOLE = 0.99
"""A tile with this share of valid pixels counts as whole."""
DOMINANT = 0.55
"""From this share on something dominates: more than half, even if it is 5 points less."""
MOSTLY = 0.95
"""With less, sums over the whole tile (lengths, counts, relief) are not those of what is seen."""


def seen_share(facts: Facts, subject: str, masked: str = "share") -> float | None:
    """Return the share of valid pixels that a subject takes up, 0…1.

    Args:
        facts: Facts of the tile.
        subject: Something with a share of the whole tile.
        masked: The predicate whose fact has its mask.

    Returns:
        None if the share is unknown, or the tile is not whole and no masks tell what is seen.

    Raises:
        SarKnowlipError: A mask is damaged.
    """
    share, valid = facts.value(subject, "share"), facts.value("image", "valid_share")
    if share is None or share == 0.0 or valid is None or valid >= WHOLE:
        return share
    seen = seen_mask(facts, facts.find(subject, masked))
    shown = valid_mask(facts)
    if seen is None or shown is None or not shown.any():
        return None
    return float(seen.sum() / shown.sum())


def seen_mask(facts: Facts, fact: Evidence | None) -> Mask | None:
    """Return the valid pixels of a fact's mask; None without a mask or without knowing these.

    Raises:
        SarKnowlipError: A mask is damaged.
    """
    shown = valid_mask(facts)
    if shown is None or fact is None or fact.mask_rle is None:
        return None
    return np.asarray(whole_mask(fact.mask_rle, (shown.shape[0], shown.shape[1])) & shown)


def valid_mask(facts: Facts) -> Mask | None:
    """Return the valid pixels, shape (rows, columns), not to be written to; None if not known.

    Raises:
        SarKnowlipError: Their mask is damaged.
    """
    fact = facts.find("image", "valid_share")
    rows, columns = facts.value("image", "rows"), facts.value("image", "columns")
    if fact is None or fact.value is None or rows is None or columns is None:
        return None
    shape = int(rows), int(columns)
    if fact.mask_rle is not None:
        return whole_mask(fact.mask_rle, shape)
    return np.ones(shape, dtype=bool) if fact.value >= WHOLE else None


def is_seen(facts: Facts, subject: str) -> bool:
    """Return whether a thing's point is on a valid pixel."""
    shown = valid_mask(facts)
    column, row = facts.value(subject, "column"), facts.value(subject, "row")
    if shown is None or column is None or row is None:
        return False
    inside = 0 <= row < shown.shape[0] and 0 <= column < shown.shape[1]
    return inside and bool(shown[int(row), int(column)])


def mostly_seen(facts: Facts) -> bool:
    """Return whether sums over the whole tile hold for what is seen."""
    valid = facts.value("image", "valid_share")
    return valid is None or valid >= MOSTLY
