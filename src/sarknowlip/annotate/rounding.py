"""Numbers as they are said."""

from __future__ import annotations


def percent(share: float) -> int:
    """Return a share in whole percent; a part is never said to be all or nothing."""
    whole = round(100 * share)
    return min(99, max(1, whole)) if 0 < share < 1 else whole


def step(value: float, by: int) -> int:
    """Return a number rounded to a multiple of `by`."""
    return by * round(value / by)
