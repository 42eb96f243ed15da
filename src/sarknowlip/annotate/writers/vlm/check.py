"""Whether the evidence supports what a model answered.

An answered claim is accepted if a derived claim has the same predicate and the same words, and its
numbers agree within `tolerance`. The derived claim is what counts: the model's numbers are thrown
away. Distance and adjacency hold both ways round, a direction with the opposite wind.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sarknowlip.annotate.claim import Argument, Claim
from sarknowlip.annotate.things import things
from sarknowlip.annotate.writers import Subject
from sarknowlip.annotate.writers.vlm.reply import encodable
from sarknowlip.annotate.writers.vlm.schema import Predicates, asked, is_number, roles
from sarknowlip.knowledge.evidence import Facts

REASONS = (
    "malformed", "unknown_predicate", "no_such_thing", "wrong_value", "contradicted",
    "not_derivable",
)  # fmt: skip
"""Why a claim is not accepted."""

_LIMITS: tuple[tuple[str, str, float], ...] = (
    ("bearing_deg", "axis", 15.0),
    ("look_deg", "circle", 15.0),
    ("incidence_deg", "absolute", 2.0),
    ("_pct", "absolute", 5.0),
    ("_db", "absolute", 1.0),
    ("_m", "relative", 0.2),
    ("_km", "relative", 0.2),
    ("ratio", "relative", 0.2),
)
"""By the end of an argument's name: how a difference counts, and how much is allowed."""
_PERIOD = {"axis": 180.0, "circle": 360.0}

_VALUES = frozenset({"mechanism", "texture", "relief", "part", "direction", "country"})
"""Words that are values; all other words (surface, kind, name …) are keys: what is spoken of."""
_SYMMETRIC = frozenset({"distance", "adjacent"})
_OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}
_EXCLUDES: tuple[tuple[str, frozenset[str]], ...] = (
    ("surface_absent", frozenset({"dominant_surface", "surface_share", "appearance"})),
    ("cover_absent", frozenset({"dominant_cover", "cover_share", "cover_appearance"})),
    ("function_unmapped", frozenset({"dominant_function", "function_share", "named_region"})),
    ("no_target", frozenset({"target_count", "clearest_target", "further_target"})),
    ("no_ship", frozenset({"ship_count", "ship_size", "ship_place", "ship_axis"})),
    ("one_tone", frozenset({"two_tones"})),
)
"""Claims that exclude others about the same things."""
_SINGLE = frozenset({"dominant_surface", "dominant_cover", "dominant_function", "headline", "city"})
"""Of these a tile has one at most: another one is contradicted by it."""


@dataclass(frozen=True)
class Verdict:
    """What came of one answered claim.

    Attributes:
        claim: The derived claim that it is, None if it is not accepted.
        exact: Whether all values were the derived ones.
        reason: One of `REASONS`, "" if accepted.
        detail: The same for the model, without the right value.
    """

    claim: Claim | None = None
    exact: bool = True
    reason: str = ""
    detail: str = ""


class Checker:
    """Holds answers about one tile against its derived claims.

    Args:
        subject: The tile.
        predicates: Names of arguments by predicate.
    """

    def __init__(self, subject: Subject, predicates: Predicates) -> None:
        self._predicates = predicates
        prefixes = ("region/", "object/", "target/", "place/")
        known = {thing.subject for thing in things(Facts(subject.evidence), prefixes)}
        self._derived: defaultdict[str, list[Claim]] = defaultdict(list)
        for claim in subject.derived:
            self._derived[claim.predicate].append(claim)
            known |= {str(claim.arguments[role]) for role in roles(frozenset(claim.arguments))}
        self._things = known

    def check(self, answered: object) -> Verdict:
        """Return whether a claim, as parsed from JSON, is supported."""
        if not isinstance(answered, dict) or not isinstance(answered.get("predicate"), str):
            return _refused("malformed", "a claim is an object with a predicate")
        predicate = answered["predicate"]
        arguments = self._predicates.get(predicate)
        if arguments is None:
            return _refused("unknown_predicate", "there is no such predicate")
        values = {name: value for name, value in answered.items() if name != "predicate"}
        fault = _form(values, arguments)
        if fault:
            return _refused("malformed", fault)
        for role in roles(arguments):
            if values[role] not in self._things:
                return _refused("no_such_thing", f"{role} is not in the list of things")
        return self._supported(predicate, values)

    def _supported(self, predicate: str, values: dict[str, Argument]) -> Verdict:
        wrong: list[str] | None = None
        near: Verdict | None = None
        for variant in _variants(predicate, values):
            for claim in self._derived[predicate]:
                if any(_differs(name, variant[name], claim) for name in _keys(variant)):
                    continue
                off = [name for name in variant if _differs(name, variant[name], claim)]
                if not off and all(variant[name] == claim.arguments[name] for name in variant):
                    return Verdict(claim, True)
                if not off:
                    near = near or Verdict(claim, False)
                    continue
                wrong = off if wrong is None or len(off) < len(wrong) else wrong
        if near is not None:
            return near
        if wrong is not None:
            names = " and ".join(sorted(wrong))
            return _refused("wrong_value", f"{names} does not agree with the evidence")
        if self._excluded(predicate, values):
            return _refused("contradicted", "the evidence says otherwise")
        return _refused("not_derivable", "the evidence does not support it")

    def _excluded(self, predicate: str, values: dict[str, Argument]) -> bool:
        if predicate in _SINGLE and self._derived[predicate]:
            return True
        for absent, present in _EXCLUDES:
            others = present if predicate == absent else {absent} if predicate in present else ()
            for claim in (claim for other in others for claim in self._derived[other]):
                shared = _keys(values) & claim.arguments.keys()
                if all(values[name] == claim.arguments[name] for name in shared):
                    return True
        return False


def parse(content: str) -> list[Any] | None:
    """Return the claims of an answer, unchecked; None if it holds no `{"claims": […]}`.

    Words around the JSON (code fences, reasoning) are passed over; of several such objects the last
    counts.
    """
    decoder = json.JSONDecoder()
    found, start = None, content.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(content, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            if isinstance(value, dict) and isinstance(value.get("claims"), list):
                found = value["claims"]
        start = content.find("{", end)
    return found


def tolerance(argument: str) -> tuple[str, float] | None:
    """Return how a difference of a number counts and how much is allowed; None: it is exact."""
    return next(((kind, most) for end, kind, most in _LIMITS if argument.endswith(end)), None)


def _differs(name: str, value: Argument, claim: Claim) -> bool:
    """Tell whether an answered value is another than the derived one, beyond the tolerance."""
    right = claim.arguments[name]
    if isinstance(value, str) or isinstance(right, str):
        return value != right
    limit = tolerance(name)
    if limit is None:
        return value != right
    kind, most = limit
    gap = abs(float(value) - float(right))
    if kind in _PERIOD:
        gap = math.fmod(gap, _PERIOD[kind])
        gap = min(gap, _PERIOD[kind] - gap)
    allowed = most * abs(float(right)) if kind == "relative" else most
    return gap > allowed + 1e-9


def _keys(values: Mapping[str, Argument]) -> set[str]:
    """Return the arguments that tell what is spoken of: words that are no values, and ranks."""
    return {name for name in values if name == "rank" or not (is_number(name) or name in _VALUES)}


def _form(values: Mapping[str, object], arguments: frozenset[str]) -> str:
    """Return what is wrong with the form of a claim, "" if nothing."""
    names = asked(arguments)
    missing = sorted(set(names) - values.keys())
    if missing:
        return f"{missing[0]} is missing"
    spare = sorted(values.keys() - set(names))
    if spare:
        return f"{json.dumps(spare[0])} is no argument of it"
    for name in names:
        value = values[name]
        if not is_number(name):
            if not isinstance(value, str):
                return f"{name} must be text"
        elif isinstance(value, bool) or not isinstance(value, int | float):
            return f"{name} must be a number"
        elif not -1e15 < value < 1e15:
            return f"{name} is out of range"
    return ""


def _variants(predicate: str, values: dict[str, Argument]) -> Iterator[dict[str, Argument]]:
    """Yield the claim, and the other way round where that says the same."""
    yield values
    if predicate in _SYMMETRIC or predicate == "direction":
        turned = values | {"a": values["b"], "b": values["a"]}
        if "direction" in values:
            wind = str(values["direction"])
            turned["direction"] = re.sub(
                "north|south|east|west", lambda match: _OPPOSITE[match[0]], wind
            )
        yield turned


def _refused(reason: str, detail: str) -> Verdict:
    return Verdict(None, False, reason, detail)


def rejections(answered: Sequence[object], verdicts: Sequence[Verdict]) -> str:
    """Return one line a rejected claim: what it was and why, without the right value."""
    return "\n".join(
        f"- {_shown(claim)}: {verdict.detail}"
        for claim, verdict in zip(answered, verdicts, strict=True)
        if verdict.reason
    )


def _shown(claim: object) -> str:
    try:
        return encodable(json.dumps(claim, ensure_ascii=False)[:400])
    except RecursionError:  # parsed just so
        return "a claim nested too deep"
