"""Rules about mapped waters: how much of each, where the sea lies, whether the image agrees."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sarknowlip.annotate.geometry import PixelGrid, centroid, wind
from sarknowlip.annotate.rounding import percent
from sarknowlip.annotate.rules import Rule, Statement
from sarknowlip.annotate.seen import MOSTLY, seen_mask, seen_share, valid_mask
from sarknowlip.knowledge.evidence import Facts
from sarknowlip.knowledge.vocabulary import WATERS

LEAST_SHARE = 0.01
"""A water that covers less is not spoken of."""
COAST_SHARE = 0.05
"""Sea and land must each cover this much of the tile for a coast."""
COAST_OFFSET = 0.3
"""How far apart the middles of sea and land are at least, in widths of the tile. A straight coast,
wherever it runs, parts them by half a width; islands and bays by less."""
COAST_MARGIN = 5.0
"""Degrees from the border of two winds within which the direction of the sea is not told."""
WATER_DIFFERS = 0.2
"""Difference of shares, seen and mapped, that is spoken of."""
WATER_SURE = 0.8
"""Least confidence of the share that is seen, to compare it with maps."""


def water_bodies(facts: Facts) -> Iterable[Rule]:
    """Yield a rule for each kind of water, then for each name of several, largest first."""
    view = facts.fresh()
    shares = {water: view.value(f"function/{water}", "share") or 0.0 for water in WATERS}
    for water in sorted(WATERS, key=lambda water: -shares[water]):
        names = _names(view, water)
        alone = next(iter(names)) if len(names) == 1 else ""
        yield _whole(water, alone, _regions(view, water))
        for name in sorted(names - {alone, ""}):
            yield _named(water, name, _regions(view, water, name))


def _whole(water: str, name: str, regions: list[str]) -> Rule:
    def mapped_water(facts: Facts) -> Statement | None:
        """All of one kind; under a name only if all its regions bear it."""
        share = seen_share(facts, f"function/{water}")
        if share is None or share < LEAST_SHARE:
            return None
        for subject in regions if name else ():
            facts.find(subject, "function")
            facts.find(subject, "name")
        return Statement("water_body", {"water": water, "name": name, "share_pct": percent(share)})

    return mapped_water


def _named(water: str, name: str, regions: list[str]) -> Rule:
    def named_water(facts: Facts) -> Statement | None:
        shares = []
        for subject in regions:
            facts.find(subject, "function")
            facts.find(subject, "name")
            shares.append(seen_share(facts, subject, masked="function") or 0.0)
        if sum(shares) < LEAST_SHARE:
            return None
        said = percent(sum(shares))
        return Statement("water_body", {"water": water, "name": name, "share_pct": said})

    return named_water


def _regions(facts: Facts, water: str, name: str | None = None) -> list[str]:
    return [
        subject
        for subject in facts.subjects("region/")
        if facts.label(subject, "function") == water
        and (name is None or facts.label(subject, "name") == name)
    ]


def _names(facts: Facts, water: str) -> set[str]:
    """Return the names of the regions of a water, "" for those without one."""
    return {facts.label(subject, "name") or "" for subject in _regions(facts, water)}


def coast(facts: Facts) -> Statement | None:
    """State in which direction the sea lies, from the middle of the land to its own.

    Land is what is not mapped as water. Nothing is said unless the middles are `COAST_OFFSET`
    apart.
    """
    offshore = seen_mask(facts, facts.find("function/sea", "share"))
    shown, grid = valid_mask(facts), PixelGrid.of(facts)
    if offshore is None or shown is None or grid is None:
        return None
    land = shown & ~offshore
    for water in WATERS[1:]:
        wet = seen_mask(facts, facts.find(f"function/{water}", "share"))
        if wet is not None:
            land &= ~wet
    if min(offshore.mean(), land.mean()) < COAST_SHARE:
        return None
    ashore, out = centroid(land), centroid(offshore)
    rows, columns = grid.shape
    width = min(rows * grid.gsd_m[1], columns * grid.gsd_m[0])
    bearing = grid.bearing(ashore, out)
    if bearing is None or grid.length(ashore, out) < COAST_OFFSET * width:
        return None
    direction = wind(bearing, COAST_MARGIN)
    return None if direction is None else Statement("coast", {"direction": direction})


def water_differs(facts: Facts) -> Statement | None:
    """State that the image shows far more or less water than every map: a flood, or a drought.

    A map of functions leaves ground open; that may be water, too. Of several maps the one that
    comes nearest to the image counts.
    """
    seen, valid = facts.find("water", "share"), facts.value("image", "valid_share")
    if seen is None or seen.value is None or valid is None:
        return None
    if seen.confidence < WATER_SURE or valid < MOSTLY:
        return None
    maps = [one for one in (_by_cover(facts), _by_function(facts)) if one is not None]
    if not maps:
        return None
    gaps = [max(low - seen.value, seen.value - high, 0.0) for low, high in maps]
    nearest = int(np.argmin(gaps))
    if gaps[nearest] <= WATER_DIFFERS:
        return None
    return Statement(
        "water_differs",
        {"seen_pct": percent(seen.value), "mapped_pct": percent(maps[nearest][0])},
    )


def _by_cover(facts: Facts) -> tuple[float, float] | None:
    """Return the share of water on a map of land cover, which knows all ground."""
    share = facts.value("cover/water", "share")
    return None if share is None else (share, share)


def _by_function(facts: Facts) -> tuple[float, float] | None:
    """Return the least and greatest share of water by a map of functions."""
    known = [(s, facts.value(s, "share") or 0.0) for s in facts.subjects("function/")]
    if not known:
        return None
    water = sum(share for subject, share in known if subject.partition("/")[2] in WATERS)
    return water, water + max(0.0, 1.0 - sum(share for _, share in known))
