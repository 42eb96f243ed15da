"""How far a claim may be from truth and still be true; all numbers are chosen."""

from __future__ import annotations

import math

SHARE, SHARE_OF_VALUE = 0.03, 0.1
"""Of shares: three points, or a tenth of the true share if that is more."""
ABSENT = 0.02
"""What covers no more than that may be called absent."""
PRESENT = 0.01
"""What covers at least that is there to be told."""
PIXELS, SIZE = 1.5, 0.25
"""Of lengths, widths and heights: pixels of the tile, or a share of the true value."""
DISTANCE_PX, DISTANCE = 2.0, 0.2
"""Of distances: pixels of the tile, or a share of the true value. Things nearer than the former
are adjacent."""
WIND_DEG = 45.0
"""Of directions from centroid to centroid."""
AXIS_DEG = 22.5
"""Of the direction of long axes."""
COUNT = 0.02
"""Of numbers of buildings beyond those at the edge: outlines of maps join or part some."""
HEIGHT_M = 2.0
RELIEF_M = 5.0
RELIEF_WORDS = {
    "flat": (0.0, 60.0), "rolling": (10.0, 300.0), "hilly": (40.0, 1000.0),
    "steep": (100.0, 9000.0),
}  # fmt: skip
"""Range of heights, metres, within which a word for relief may be used."""
NETWORK = 0.25
"""Of lengths of networks."""
MINOR = 0.1
"""A piece of ground smaller than that share of the largest one meant is not meant."""


def share(claimed: float, least: float, most: float) -> bool:
    """Return whether a share is right if truth lies between `least` and `most`, all 0…1."""
    slack_low, slack_high = (max(SHARE, SHARE_OF_VALUE * true) for true in (least, most))
    return least - slack_low <= claimed <= most + slack_high


def size(claimed: float, true: float, gsd: float, floor: float = 0.0) -> bool:
    """Return whether a size in metres is right; `floor` is allowed at least."""
    return abs(claimed - true) <= max(PIXELS * gsd, SIZE * true, floor)


def distance(claimed: float, true: float, gsd: float) -> bool:
    """Return whether a distance in metres is right."""
    return abs(claimed - true) <= max(DISTANCE_PX * gsd, DISTANCE * true)


def axis(claimed: float, true: float) -> bool:
    """Return whether the bearing of a long axis is right, degrees; of NaN it is."""
    if not 0.0 <= claimed <= 180.0:
        return False
    return math.isnan(true) or abs((claimed - true + 90.0) % 180.0 - 90.0) <= AXIS_DEG


def within(claimed: float, least: float, most: float, slack: float) -> bool:
    """Return whether a number lies between two others, give or take a share of them."""
    return least * (1 - slack) <= claimed <= most * (1 + slack)
