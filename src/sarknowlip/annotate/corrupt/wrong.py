"""Statements that are wrong in one word or number, and might well be right."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from sarknowlip.annotate.claim import Argument, Claim
from sarknowlip.annotate.compose import shuffled
from sarknowlip.annotate.corrupt.pool import Pool
from sarknowlip.annotate.grammar import Grammar
from sarknowlip.annotate.pattern import Draw
from sarknowlip.annotate.questions import false_values
from sarknowlip.annotate.support import Following
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.vocabulary import COVERS, FUNCTIONS, WATERS

DIRECTIONS = ("direction", "part", "bearing_deg")
NUMBERS = ("count", "pct", "m", "km", "ratio")
"""Last parts of names of arguments that are numbers which texts state."""
GROUNDS = ("function", "cover", "water", "main", "second", "more", "less")
ABSENT = ("function_unmapped", "cover_absent")
"""Predicates that are wrong of ground that is there."""
DOMINANT_PCT = 55
FLAT_M = 30


class WrongWords:
    """Gives wrong variants of claims about one tile.

    Args:
        following: What follows from the facts about the tile.
        present: Kinds of ground that the tile has, by maps (`present_grounds`).
        pool: What occurs in the corpus.
        grammar: Its words.
    """

    def __init__(
        self, following: Following, present: Collection[str], pool: Pool, grammar: Grammar
    ) -> None:
        self._following, self._pool, self._values = following, pool, grammar.words.values
        self._present = present

    def variants(self, kind: str, claim: Claim, draw: Draw) -> Iterator[Claim]:
        """Yield claims that state something else which does not follow, in a drawn order.

        Args:
            kind: "count", "direction" or "function".
            claim: A claim that follows.
            draw: Choices.
        """
        find = {"count": self._numbers, "direction": self._directions, "function": self._grounds}
        for name, value in shuffled(list(find[kind](claim)), draw):
            said = claim.arguments | {name: value}
            wrong = remade(claim, said)
            if is_plausible(claim.predicate, said) and not self._following.holds(wrong):
                yield wrong

    def _numbers(self, claim: Claim) -> Iterator[tuple[str, Argument]]:
        for name, value in claim.arguments.items():
            if not isinstance(value, str | bool) and name.rpartition("_")[2] in NUMBERS:
                yield from self._false(claim, name)

    def _directions(self, claim: Claim) -> Iterator[tuple[str, Argument]]:
        for name in DIRECTIONS:
            if claim.arguments.get(name, "") != "":
                yield from self._false(claim, name)

    def _grounds(self, claim: Claim) -> Iterator[tuple[str, Argument]]:
        said = claim.arguments
        words = {name: str(said[name]) for name in GROUNDS if said.get(name, "") != ""}
        for name, word in words.items():
            for other in self._others(claim.predicate, self._family(words), word):
                yield name, other
        for role in ("a", "b"):
            if str(said.get(role, "")).startswith("region/"):
                kind = str(said[f"{role}_kind"])
                for other in self._others(claim.predicate, self._pool.functions, kind):
                    yield f"{role}_kind", other

    def _family(self, words: Mapping[str, str]) -> Sequence[str]:
        """Return the words that occur of the kind that all of a claim's words are of."""
        if "water" in words:
            return [word for word in self._pool.functions if word in WATERS]
        if "cover" in words or not all(word in FUNCTIONS for word in words.values()):
            known = all(word in COVERS.values() for word in words.values())
            return self._pool.covers if known else ()
        return self._pool.functions

    def _others(self, predicate: str, known: Sequence[str], word: str) -> list[str]:
        """Return other words for ground of the same kind that are wrong here, by the facts."""
        there = predicate in ABSENT
        return [
            other
            for other in known
            if (other in self._present) is there
            and not (other.endswith(word) or word.endswith(other))
        ]

    def _false(self, claim: Claim, name: str) -> list[tuple[str, Argument]]:
        false = false_values(claim, name, self._following.claims, self._values)
        return [(name, value) for value in false if value != ""]


def present_grounds(facts: Iterable[Evidence]) -> frozenset[str]:
    """Return the functions and classes of land cover that facts give a share of the tile."""
    return frozenset(
        fact.subject.partition("/")[2]
        for fact in facts
        if fact.subject.startswith(("function/", "cover/"))
        and fact.predicate == "share"
        and fact.value
    )


def remade(claim: Claim, arguments: Mapping[str, Argument]) -> Claim:
    """Return a claim with other arguments and a sound identifier."""
    rest = claim.model_dump(exclude={"id", "tile_id", "dimension", "predicate", "arguments"})
    return Claim.of(claim.tile_id, claim.dimension, claim.predicate, arguments, **rest)


def is_plausible(predicate: str, said: Mapping[str, Argument]) -> bool:
    """Return whether a statement does not contradict itself or its predicate."""
    number = {name: float(value) for name, value in said.items() if not isinstance(value, str)}
    share = number.get("share_pct")
    if predicate.startswith("dominant_") and share is not None and share < DOMINANT_PCT:
        return False
    if predicate.endswith("_share") and share is not None and share >= DOMINANT_PCT:
        return False
    if predicate == "relief" and (said["relief"] == "flat") != (number["relief_m"] < FLAT_M):
        return False
    larger = (
        ("more_pct", "less_pct"),
        ("more_count", "less_count"),
        ("length_m", "width_m"),
    )
    if any(number[one] <= number[other] for one, other in larger if {one, other} <= number.keys()):
        return False
    if said.get("main", "") == said.get("second") or said.get("more", "") == said.get("less"):
        return False
    return number.get("ratio", 1.5) >= 1.5 and sum(
        number.get(name, 0.0) for name in ("facing_pct", "away_pct")
    ) <= 100  # fmt: skip
