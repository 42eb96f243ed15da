"""Summary: what a tile is above all, and what there is more of; it rests on earlier claims alone.

Shares are compared within one kind of words: functions of a map, classes of a land-cover raster,
or land and water that the image shows; bright structures are part of land, and no surface beside
it. The headline takes the first of these that has anything to say.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from sarknowlip.annotate.claim import Argument, Claim, Dimension
from sarknowlip.annotate.rules import Rule, RuleStage, Statement
from sarknowlip.knowledge.evidence import Facts

SHARES = (
    {"dominant_function": "function", "function_share": "function", "water_body": "water"},
    {"dominant_cover": "cover", "cover_share": "cover"},
    {"dominant_surface": "surface", "surface_share": "surface"},
)
"""For each kind of words, the predicates that tell their shares, and in which argument they are."""

PARTS_OF_OTHERS = ("bright_structure",)
"""Words for ground that another word of the same kind covers as well."""
LEAST_MAIN_PCT, LEAST_SECOND_PCT = 30, 10
CLEARLY_PCT = 3
"""Shares nearer to each other than this are not told apart: maps and rasters are no more exact."""


class Summary(RuleStage):
    """States what prevails, and compares shares and counts."""

    name: ClassVar[str] = "summary"
    version: ClassVar[str] = "2"
    dimension: ClassVar[Dimension] = "summary"
    predicates: ClassVar[dict[str, frozenset[str]]] = {
        "headline": frozenset({"main", "second"}),
        "more_of": frozenset({"more", "less", "more_pct", "less_pct"}),
        "more_objects": frozenset({"more", "less", "more_count", "less_count"}),
    }

    def rules(self, facts: Facts, before: Sequence[Claim]) -> Iterable[Rule]:
        """Return the rules: the headline, then comparisons, those of the largest first."""
        shares = [_ranked(before, words) for words in SHARES]
        yield _headline(shares)
        for ranked in shares:
            yield from (_more_of(*pair) for pair in itertools.combinations(ranked, 2))
        counts = sorted(
            (claim for claim in before if claim.predicate == "object_count"),
            key=lambda claim: (-_number(claim, "count"), claim.id),
        )
        yield from (_more_objects(*pair) for pair in itertools.combinations(counts, 2))


def _headline(families: Sequence[Sequence[tuple[str, Claim]]]) -> Rule:
    """Return the rule that names the largest share, and the second if it is clearly the second.

    The largest has at least `LEAST_MAIN_PCT` and clearly more than the next and than all that no
    claim tells of.
    """

    def headline(facts: Facts) -> Statement | None:
        for ranked in families:
            pct = [*(_number(claim, "share_pct") for _, claim in ranked), 0, 0, 0]
            unknown = 100 - sum(pct)
            if pct[0] < max(LEAST_MAIN_PCT, pct[1] + CLEARLY_PCT, unknown + CLEARLY_PCT):
                continue
            clear = pct[1] >= max(LEAST_SECOND_PCT, pct[2] + CLEARLY_PCT, unknown + CLEARLY_PCT)
            second = ranked[1][0] if clear else ""
            premises = tuple(claim for _, claim in ranked)
            return Statement("headline", {"main": ranked[0][0], "second": second}, 1.0, premises)
        return None

    return headline


def _more_of(more: tuple[str, Claim], less: tuple[str, Claim]) -> Rule:
    def more_of(facts: Facts) -> Statement | None:
        large, small = _number(more[1], "share_pct"), _number(less[1], "share_pct")
        if large < small + CLEARLY_PCT:
            return None
        words: dict[str, Argument] = {"more": more[0], "less": less[0]}
        pct: dict[str, Argument] = {"more_pct": large, "less_pct": small}
        return Statement("more_of", words | pct, premises=(more[1], less[1]))

    return more_of


def _more_objects(more: Claim, less: Claim) -> Rule:
    def more_objects(facts: Facts) -> Statement | None:
        large, small = _number(more, "count"), _number(less, "count")
        if large <= small:
            return None
        kinds = {"more": more.arguments["kind"], "less": less.arguments["kind"]}
        counts = {"more_count": large, "less_count": small}
        return Statement("more_objects", kinds | counts, premises=(more, less))

    return more_objects


def _ranked(before: Sequence[Claim], words: Mapping[str, str]) -> list[tuple[str, Claim]]:
    """Return what claims tell shares of, the largest first, each word once.

    Of two claims about one word (a river, its part of one name) the larger share is of the whole.
    """
    found: dict[str, Claim] = {}
    for claim in before:
        if claim.predicate in words:
            word = str(claim.arguments[words[claim.predicate]])
            if word in PARTS_OF_OTHERS:
                continue
            known = found.setdefault(word, claim)
            if _number(claim, "share_pct") > _number(known, "share_pct"):
                found[word] = claim
    return sorted(found.items(), key=lambda item: (-_number(item[1], "share_pct"), item[0]))


def _number(claim: Claim, name: str) -> int:
    value = claim.arguments[name]
    if not isinstance(value, int):
        raise TypeError(f"{claim.predicate} {name} is {value!r}, not a whole number")
    return value
