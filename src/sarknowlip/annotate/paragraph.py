"""Which claims a paragraph tells: from the general to the particular, nothing twice.

Claims are taken from all dimensions by turns, the summary first, what is least certain and what is
absent last, until the paragraph is as long as it shall be. They are then told in the order of the
chain. Left out is what the paragraph has told in other words: the share or number of the same
thing, a comparison of two of which both are told, a target's rank without those before it.

What must be said with a hedge stays below a third, one aside, while the paragraph can be filled
with what is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.grammar import PLAIN
from sarknowlip.annotate.pattern import Draw

LIKE = {
    "dominant_surface": "surface", "surface_share": "surface", "surface_absent": "surface",
    "dominant_cover": "cover", "cover_share": "cover", "cover_absent": "cover",
    "dominant_function": "function", "function_share": "function", "function_unmapped": "function",
    "water_body": "water", "object_count": "kind", "ship_count": "", "no_ship": "",
}  # fmt: skip
"""For a predicate that tells how much there is of something: the argument that names it."""
ABSENT = frozenset({"surface_absent", "cover_absent", "function_unmapped"})
ALIKE = {"sea": "water", "lake": "water", "river": "water", "canal": "water"}
MOST_ABSENT = 1
"""Absences in a paragraph."""
PLAIN_TO_HEDGED = 2
"""Sentences without a hedge for each that has one, beside the first."""


class Length(NamedTuple):
    """How long a paragraph shall be.

    Attributes:
        least: Words at least, if the claims suffice.
        most: Words at most.
        draw: Draws the number aimed at.
    """

    least: int
    most: int
    draw: Draw


def chosen_claims(
    claims: Sequence[Claim], say: Callable[[Claim], str], length: Length
) -> list[Claim]:
    """Return the claims of a paragraph, in the order in which they are told.

    Args:
        claims: All claims about a tile, in the order of the chain.
        say: Gives a claim's sentence.
        length: How long it shall be.
    """
    least, most, draw = length
    aim = least + draw.below(most - least + 1)
    chosen, told, words = list[Claim](), set[str](), 0
    for sparing in (True, False):
        aimed = aim if sparing else least
        for claim in spread(claims):
            news = tells(claim)
            if news & told or not _in_turn(claim, chosen):
                continue
            if sparing and is_hedged(claim) and _hedged_enough(chosen):
                continue
            more = len(say(claim).split())
            if not chosen or words + more <= aimed or (words < least and words + more <= most):
                chosen.append(claim)
                told |= news
                words += more
    kept = {claim.id for claim in chosen}
    return sorted(
        (claim for claim in claims if claim.id in kept), key=lambda c: c.predicate != "headline"
    )


def tells(claim: Claim) -> set[str]:
    """Return keys of what a claim tells; two claims that share one repeat each other."""
    said, predicate = claim.arguments, claim.predicate
    if predicate in LIKE:
        thing = str(said.get(LIKE[predicate], "ship"))
        return {f"how much {ALIKE.get(thing, thing)}" if predicate != "water_body" else thing}
    if predicate in ("more_of", "more_objects"):
        return {f"how much {said[name]}" for name in ("more", "less")}
    if "a" in said and "b" in said:
        return {"/".join(sorted((str(said["a"]), str(said["b"]))))}
    return {claim.id}


def is_hedged(claim: Claim) -> bool:
    """Return whether a claim's sentence must say that it is not certain."""
    return claim.confidence < PLAIN


def _hedged_enough(chosen: Sequence[Claim]) -> bool:
    hedged = sum(map(is_hedged, chosen))
    return len(chosen) - hedged < PLAIN_TO_HEDGED * hedged


def spread(claims: Sequence[Claim]) -> Iterator[Claim]:
    """Yield claims of all dimensions by turns, the summary's first.

    Within a dimension absences come last, then what is less certain; else the chain's order holds.
    """
    queues: dict[str, list[Claim]] = {"summary": []}
    for claim in sorted(claims, key=lambda c: (c.predicate in ABSENT, c.confidence < 0.6)):
        queues.setdefault(claim.dimension, []).append(claim)
    for place in range(max(map(len, queues.values()))):
        for queue in queues.values():
            if place < len(queue):
                yield queue[place]


def _in_turn(claim: Claim, chosen: Sequence[Claim]) -> bool:
    """Return whether a claim may follow: few absences; ranks in their order, sizes before axes."""
    if claim.predicate in ABSENT:
        return sum(other.predicate in ABSENT for other in chosen) < MOST_ABSENT
    family, _, what = claim.predicate.rpartition("_")
    rank = claim.arguments.get("rank", 1)
    if what == "axis" and isinstance(rank, int) and "rank" in claim.arguments:
        return (family, rank) in _ranks(chosen)
    if claim.predicate == "further_target":
        return ("target", int(rank) - 1) in _ranks(chosen)
    return rank == 1 or ("ship", int(rank) - 1) in _ranks(chosen)


def _ranks(chosen: Sequence[Claim]) -> set[tuple[str, int]]:
    """Return the targets and ships of which size or place is told."""
    sizes = {
        "clearest_target": "target", "further_target": "target",
        "ship_size": "ship", "ship_place": "ship",
    }  # fmt: skip
    return {
        (sizes[claim.predicate], int(claim.arguments.get("rank", 1)))
        for claim in chosen
        if claim.predicate in sizes
    }
