"""How far a claim may be from truth and still be true; all numbers are chosen."""

from __future__ import annotations

import math

SHARE, SMALL_SHARE, LEAST_SHARE = 0.03, 0.25, 0.01
"""Of shares: three points, of small ones a quarter of the true share, but a point at least."""
ABSENT = 0.015
"""What covers no more than that may be called absent; claims say that of less than 1 %."""
PRESENT = 0.01
"""What covers at least that is there to be told."""
PIXELS, SIZE = 1.5, 0.25
"""Of lengths, widths and heights: pixels of the tile, or a share of the true value."""
DISTANCE_PX, DISTANCE = 2.0, 0.2
"""Of distances: pixels of the tile, or a share of the true value. Things nearer than the former
are adjacent."""
TARGET_PX = 3.0
"""Of places of targets and lines, pixels."""
WIND_DEG = 33.75
"""Of directions from centroid to centroid."""
AXIS_DEG = 15.0
"""Of the direction of long axes."""
COUNT = 0.02
"""Of numbers of buildings beyond those at the edge: outlines of maps join or part some."""
HEIGHT_M = 2.0
RELIEF_M = 5.0
SLOPE = 0.25
"""Of the slopes and heights that part words for relief."""
SECOND = 0.05
"""What is second in a headline covers at least that."""
NETWORK, NETWORK_M = 0.25, 50.0
"""Of lengths of networks; metres for rounding, as they are told in tenths of a kilometre."""
MINOR = 0.5
"""A piece of ground smaller than that share of the largest one meant is not meant."""


def share(claimed: float, least: float, most: float) -> bool:
    """Return whether a share is right if truth lies between `least` and `most`, all 0…1."""
    return least - _slack(least) <= claimed <= most + _slack(most)


def _slack(share: float) -> float:
    return min(SHARE, max(LEAST_SHARE, SMALL_SHARE * share)) + 1e-9


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
    return bool(math.isnan(true) or abs((claimed - true + 90.0) % 180.0 - 90.0) <= AXIS_DEG)


def within(claimed: float, least: float, most: float, slack: float) -> bool:
    """Return whether a number lies between two others, give or take a share of them."""
    return least * (1 - slack) <= claimed <= most * (1 + slack)
