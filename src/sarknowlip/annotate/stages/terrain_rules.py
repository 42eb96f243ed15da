"""Rules about relief, height and slopes.

Classes of slope are those of FAO, "Guidelines for Soil Description", 4th edition, 2006, table 7,
grouped: up to gently sloping (5 %), sloping to strongly sloping (15 %), moderately steep (30 %),
steep. Ground is flat only if its relief is small as well: 30 m, the lowest class of local relief of
Hammond (Dikau, Brabb, Mark, "Landform classification of New Mexico by computer", USGS OFR 91-634,
1991). Less relief on steeper slopes is what roofs and crowns look like in a surface model: nothing
is said of it.
"""

from __future__ import annotations

import math

from sarknowlip.annotate.rounding import percent, step
from sarknowlip.annotate.rules import Statement
from sarknowlip.annotate.seen import mostly_seen
from sarknowlip.knowledge.evidence import Facts

GENTLE, SLOPING, MODERATE = 0.05, 0.15, 0.30
"""Limits of the classes of slope, metres of rise a metre."""
PLAIN_RELIEF_M = 30.0
"""Hammond's limit of flat ground."""
LOW_RELIEF_M = 10.0
"""Lower relief is told in whole metres."""
TILTED_SHARE = 0.05
"""Less ground that is tilted towards or away from the radar is not spoken of: own choice."""
ABOVE_ELLIPSOID = "ellipsoid"
"""Label of heights that are not above the sea."""
LEAST_CONFIDENCE = 0.8
"""Heights above an unknown datum are less sure than this, and withheld."""


def relief(facts: Facts) -> Statement | None:
    """State how rough the ground is; its relief in steps of 5 m, of 10 m from 100 m on.

    Below 10 m in whole metres: no ground has no relief at all.
    """
    slope, height = facts.value("terrain", "slope"), facts.value("terrain", "relief")
    if slope is None or height is None or not mostly_seen(facts):
        return None
    rise = math.tan(math.radians(slope))
    if height < PLAIN_RELIEF_M:
        if rise >= GENTLE:
            return None
        kind = "flat"
    elif rise < SLOPING:
        kind = "rolling"
    else:
        kind = "hilly" if rise < MODERATE else "steep"
    said = _height(height) if height >= LOW_RELIEF_M else max(1, round(height))
    return Statement("relief", {"relief": kind, "relief_m": said})


def elevation(facts: Facts) -> Statement | None:
    """State the mean height above the sea."""
    fact = facts.find("terrain", "mean_height")
    if fact is None or fact.value is None or fact.confidence < LEAST_CONFIDENCE:
        return None
    if fact.label == ABOVE_ELLIPSOID or not mostly_seen(facts):
        return None
    return Statement("elevation", {"height_m": _height(fact.value)})


def slopes(facts: Facts) -> Statement | None:
    """State how much of the ground is tilted towards the radar and away from it."""
    facing, away = facts.value("terrain", "facing_share"), facts.value("terrain", "away_share")
    if facing is None or away is None or not mostly_seen(facts):
        return None
    if max(facing, away) < TILTED_SHARE:
        return None
    return Statement("slopes", {"facing_pct": percent(facing), "away_pct": percent(away)})


def _height(metres: float) -> int:
    return step(metres, 5 if abs(metres) < 100 else 10)
