"""Which things of a tile a claim refers to, and where they are.

Boxes and masks are those of the evidence. A claim about a thing refers to that thing; one that
counts objects of a kind to all of them; one that states a share to the ground it is the share of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sarknowlip.annotate.claim import Argument, Claim
from sarknowlip.annotate.things import thing_of
from sarknowlip.knowledge.evidence import Box, Evidence, Facts
from sarknowlip.knowledge.masks import decode_mask, mask_box

SHARES = {
    "dominant_surface": ("surface", ""),
    "surface_share": ("surface", ""),
    "dominant_cover": ("cover", "cover/"),
    "cover_share": ("cover", "cover/"),
    "dominant_function": ("function", "function/"),
    "function_share": ("function", "function/"),
}
"""For a predicate: the argument that names ground, and what its facts' subjects begin with."""


@dataclass(frozen=True)
class Reference:
    """Things that an expression means.

    Attributes:
        key: Of the expression's patterns in the lexicon.
        arguments: What the expression says.
        boxes: Boxes of the things.
        masks: Their masks, as many, or none.
    """

    key: str
    arguments: dict[str, Argument]
    boxes: tuple[Box, ...]
    masks: tuple[str, ...]


def references_of(claim: Claim, facts: Facts) -> Iterator[Reference]:
    """Yield what a claim refers to whose place is known.

    Args:
        claim: The claim.
        facts: Facts about its tile.
    """
    said = claim.arguments
    for role in ("a", "b"):
        if f"{role}_kind" in said:
            named: dict[str, Argument] = {
                "a" + end: said[role + end] for end in ("", "_kind", "_name", "_part")
            }
            thing = thing_of(facts, str(said[role]))
            if thing is not None:
                yield from _placed("thing", named, [(thing.box, thing.mask_rle)])
    if claim.predicate == "object_count":
        count, kind = said["count"], said["kind"]
        found = [thing_of(facts, subject) for subject in facts.subjects("object/")]
        places = [(thing.box, thing.mask_rle) for thing in found if thing and thing.kind == kind]
        if len(places) == count:
            key = "kind" if count == 1 else "kinds"
            yield from _placed(key, {"kind": kind, "count": count}, places)
    if claim.predicate in SHARES:
        argument, prefix = SHARES[claim.predicate]
        fact = facts.find(f"{prefix}{said[argument]}", "share")
        if fact is not None and fact.mask_rle is not None:
            place = (fact.bbox_px or _box(fact, facts), fact.mask_rle)
            yield from _placed(argument, {argument: said[argument]}, [place])


def _placed(
    key: str, arguments: dict[str, Argument], places: list[tuple[Box | None, str | None]]
) -> Iterator[Reference]:
    """Yield a reference if every thing has a box; masks only if every thing has one."""
    boxes = tuple(box for box, _ in places if box is not None)
    masks = tuple(mask for _, mask in places if mask is not None)
    if len(boxes) == len(places):
        yield Reference(key, arguments, boxes, masks if len(masks) == len(places) else ())


def _box(fact: Evidence, facts: Facts) -> Box | None:
    """Return the box around a fact's mask."""
    rows, columns = facts.value("image", "rows"), facts.value("image", "columns")
    if fact.mask_rle is None or rows is None or columns is None:
        return None
    return mask_box(decode_mask(fact.mask_rle, (int(rows), int(columns))))
