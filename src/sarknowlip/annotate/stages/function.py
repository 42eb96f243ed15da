"""Function: what ground is for by the map, how it looks, what it is called, what is built on it.

Shares of waters are told by the landform stage; here they count only where they dominate. What a
map does not show may exist all the same: "unmapped" is a statement about the map.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from sarknowlip.annotate.claim import Argument, Claim, Dimension
from sarknowlip.annotate.extent import Extent
from sarknowlip.annotate.geometry import PixelGrid, wind
from sarknowlip.annotate.mechanism import state_appearance
from sarknowlip.annotate.rounding import percent
from sarknowlip.annotate.rules import Rule, RuleStage, Statement
from sarknowlip.annotate.seen import DOMINANT, is_seen, mostly_seen, seen_mask, seen_share
from sarknowlip.annotate.things import PARTS
from sarknowlip.knowledge.evidence import Facts
from sarknowlip.knowledge.vocabulary import FUNCTIONS, WATERS

LEAST_SHARE = 0.01
"""A function that takes up less is not spoken of."""
UNMAPPED_SURE = 0.95
"""How sure the absence from a map is: sources leave out the smallest pieces."""
LEAST_NETWORK_M = 100.0
"""A shorter network is not spoken of."""

_ASKED = (
    "residential", "port", "airport", "industrial", "farmland", "forest", "commercial", "rail",
    "park", "tank_farm", "wind_farm", "stadium",
)  # fmt: skip
"""Functions whose absence is worth telling."""
_BELONGING = {
    "residential": ("function/dense_residential", "function/sparse_residential"),
    "port": ("function/quay", "objects/crane"),
    "airport": (
        "function/runway", "function/taxiway", "function/apron", "objects/terminal",
        "objects/hangar",
    ),
    "industrial": ("function/tank_farm", "objects/storage_tank"),
    "rail": ("railways", "objects/station"),
    "tank_farm": ("objects/storage_tank",),
    "wind_farm": ("objects/wind_turbine",),
    "stadium": ("objects/stadium",),
}  # fmt: skip
"""Subjects that speak against the absence of a function."""


class Function(RuleStage):
    """States functions, their look, names, the city, buildings, roads and railways."""

    name: ClassVar[str] = "function"
    version: ClassVar[str] = "2"
    dimension: ClassVar[Dimension] = "function"
    predicates: ClassVar[dict[str, frozenset[str]]] = {
        "dominant_function": frozenset({"function", "share_pct"}),
        "function_share": frozenset({"function", "share_pct"}),
        "function_unmapped": frozenset({"function"}),
        "function_appearance": frozenset({"function", "polarization", "mean_db", "mechanism"}),
        "named_region": frozenset({"function", "name", "part"}),
        "place_name": frozenset({"kind", "name"}),
        "city": frozenset({"name", "country", "distance_km", "direction"}),
        "buildings": frozenset({"count", "share_pct"}),
        "building_height": frozenset({"height_m"}),
        "network": frozenset({"network", "length_km"}),
    }

    def rules(self, facts: Facts, before: Sequence[Claim]) -> Iterable[Rule]:
        """Return the rules: functions by share, how they look, names, what is built."""
        functions = _functions(facts)
        yield from (_share_of(name) for name in functions)
        yield from (_appearance_of(name, before) for name in functions)
        yield from (_named(subject) for subject in facts.subjects("region/"))
        yield from (_place(subject) for subject in facts.subjects("place/"))
        yield city
        yield buildings
        yield building_height
        yield from (_network(name) for name in ("roads", "railways"))
        yield from (_unmapped(name) for name in _ASKED)


def city(facts: Facts) -> Statement | None:
    """State the city, and how far and in which direction of its centre the tile's middle lies."""
    name, country = facts.label("city", "name"), facts.label("city", "country")
    distance = facts.value("city", "distance")
    if not name or not country or distance is None:
        return None
    bearing = facts.value("city", "bearing")
    return Statement(
        "city",
        {
            "name": name,
            "country": "" if country == name else country,  # a city that is a country: once
            "distance_km": round(distance / 1000, 1),
            "direction": "" if bearing is None else wind(bearing, 0.0) or "",
        },
    )


def buildings(facts: Facts) -> Statement | None:
    """State how many buildings are mapped and the share of ground that they cover."""
    count, share = facts.value("buildings", "count"), facts.value("buildings", "share")
    if not count or share is None or share < LEAST_SHARE / 2 or not mostly_seen(facts):
        return None
    return Statement("buildings", {"count": int(count), "share_pct": percent(share)})


def building_height(facts: Facts) -> Statement | None:
    """State the mean height of buildings in whole metres."""
    height = facts.value("buildings", "mean_height")
    if not height or not mostly_seen(facts):
        return None
    return Statement("building_height", {"height_m": max(1, round(height))})


def _functions(facts: Facts) -> list[str]:
    """Return the functions that are known of, largest first."""
    view = facts.fresh()
    shares = {name: view.value(f"function/{name}", "share") or 0.0 for name in FUNCTIONS}
    return sorted((name for name in FUNCTIONS if shares[name] > 0), key=lambda name: -shares[name])


def _share_of(function: str) -> Rule:
    def share_of_function(facts: Facts) -> Statement | None:
        share = seen_share(facts, f"function/{function}")
        if share is None or share < LEAST_SHARE:
            return None
        said: dict[str, Argument] = {"function": function, "share_pct": percent(share)}
        if share >= DOMINANT:
            return Statement("dominant_function", said)
        return None if function in WATERS else Statement("function_share", said)

    return share_of_function


def _appearance_of(function: str, before: Sequence[Claim]) -> Rule:
    def appearance_of_function(facts: Facts) -> Statement | None:
        """Of a function that was stated with its share, here or as a water body."""
        told = [claim for claim in before if _tells_share(claim, function)]
        if not told:
            return None
        subject = f"zone/function/{function}"
        return state_appearance(
            "function_appearance", "function", function, facts, subject, premises=told[:1]
        )

    return appearance_of_function


def _tells_share(claim: Claim, function: str) -> bool:
    if claim.predicate in {"dominant_function", "function_share"}:
        return claim.arguments["function"] == function
    return claim.predicate == "water_body" and claim.arguments["water"] == function


def _named(subject: str) -> Rule:
    def named_region(facts: Facts) -> Statement | None:
        fact, name = facts.find(subject, "function"), facts.label(subject, "name")
        if fact is None or fact.label is None or not name:
            return None
        part = _part_of_region(facts, subject)
        if part is None:
            return None
        return Statement("named_region", {"function": fact.label, "name": name, "part": part})

    return named_region


def _part_of_region(facts: Facts, subject: str) -> str | None:
    """Return the ninth of the image that holds most of a region, "" if none does.

    None if the tile shows nothing of it.
    """
    mask, grid = seen_mask(facts, facts.find(subject, "function")), PixelGrid.of(facts)
    if mask is None or grid is None:
        return "" if is_seen(facts, subject) else None
    extent = Extent.of_mask(mask, grid.gsd_m)
    if extent is None:
        return None
    ninths = extent.ninths.ravel()
    largest = int(ninths.argmax())
    return PARTS[largest] if 2 * ninths[largest] > ninths.sum() else ""


def _place(subject: str) -> Rule:
    def place_name(facts: Facts) -> Statement | None:
        kind, name = facts.label(subject, "kind"), facts.label(subject, "name")
        if not kind or not name or not is_seen(facts, subject):
            return None
        return Statement("place_name", {"kind": kind, "name": name})

    return place_name


def _network(network: str) -> Rule:
    def length_of_network(facts: Facts) -> Statement | None:
        length = facts.value(network, "length")
        if length is None or length < LEAST_NETWORK_M or not mostly_seen(facts):
            return None
        return Statement("network", {"network": network, "length_km": round(length / 1000, 1)})

    return length_of_network


def _unmapped(function: str) -> Rule:
    def absence_from_map(facts: Facts) -> Statement | None:
        """Only of a map that says so, and shows nothing that belongs to such ground."""
        share = facts.value(f"function/{function}", "share")
        if share != 0 or any(_shows(facts, subject) for subject in _BELONGING.get(function, ())):
            return None
        return Statement("function_unmapped", {"function": function}, confidence=UNMAPPED_SURE)

    return absence_from_map


def _shows(facts: Facts, subject: str) -> bool:
    """Whether a fact of whatever kind says that there is such a thing."""
    return any(bool(facts.value(subject, predicate)) for predicate in ("share", "count", "length"))
