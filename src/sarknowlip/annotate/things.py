"""Things in a tile that statements are about, and how a statement names them without doubt.

A thing is a region, an object, a bright target or a named place. A statement about one has, for a
role such as "a", the arguments `a` (the subject of its facts), `a_kind`, `a_name` ("" without one)
and `a_part` ("" where the kind or name suffices, else the ninth of the image that tells it from
others of its kind).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sarknowlip.annotate.claim import Argument
from sarknowlip.knowledge.evidence import Box, Facts

KIND_PREDICATES = {"region/": "function", "object/": "kind", "place/": "kind"}
"""Where facts tell what a thing is; a target is a "target" or, alone on water, a "ship"."""


@dataclass(frozen=True)
class Thing:
    """One thing in a tile.

    Attributes:
        subject: Subject of its facts, "region/03".
        kind: Function, kind of object, "ship", "target", or kind of place.
        name: Proper name, "" without one.
        column: Of a point in it, pixels, 0 at the left edge of the image.
        row: The same, 0 at the upper edge.
        part: Ninth of the image it lies in, "upper left" … "centre" … "lower right".
        box: Pixels it covers, None if unknown.
        mask_rle: The same as a mask (`knowledge.masks`), None if unknown.
    """

    subject: str
    kind: str
    name: str
    column: float
    row: float
    part: str
    box: Box | None
    mask_rle: str | None


def things(facts: Facts, prefixes: Sequence[str]) -> list[Thing]:
    """Return the things whose subjects start with one of the prefixes, in order of importance.

    What is looked up counts as used: give a rule its own fresh view.
    """
    found = (thing_of(facts, subject) for prefix in prefixes for subject in facts.subjects(prefix))
    return [thing for thing in found if thing is not None]


def thing_of(facts: Facts, subject: str) -> Thing | None:
    """Return one thing; None where its kind or place is not known."""
    prefix = subject.partition("/")[0] + "/"
    kind_fact = facts.find(subject, KIND_PREDICATES.get(prefix, "water_beside"))
    if prefix == "target/":
        alone = kind_fact is not None and kind_fact.label == "ship candidate"
        kind: str | None = "ship" if alone else "target"
        shown = kind_fact or facts.find(subject, "column")
    else:
        kind = None if kind_fact is None else kind_fact.label
        shown = kind_fact
    column, row = facts.value(subject, "column"), facts.value(subject, "row")
    part = part_of_image(facts, subject)
    if kind is None or shown is None or column is None or row is None or part is None:
        return None
    name = facts.label(subject, "name") or ""
    return Thing(subject, kind, name, column, row, part, shown.bbox_px, shown.mask_rle)


def part_of_image(facts: Facts, subject: str) -> str | None:
    """Return the ninth of the image in which a thing's point lies, "upper left" … "centre"."""
    row, rows = facts.value(subject, "row"), facts.value("image", "rows")
    column, columns = facts.value(subject, "column"), facts.value("image", "columns")
    if row is None or rows is None or column is None or columns is None:
        return None
    across = ("left", "centre", "right")[min(2, int(3 * column / columns))]
    down = ("upper", "middle", "lower")[min(2, int(3 * row / rows))]
    return "centre" if (down, across) == ("middle", "centre") else f"{down} {across}"


def reference(role: str, thing: Thing, others: Sequence[Thing]) -> dict[str, Argument] | None:
    """Return the arguments that name a thing in a role.

    Args:
        role: "a", "b", …
        thing: What is named.
        others: All things of the tile, itself included.

    Returns:
        None if no name, kind or part of the image tells it from others.
    """
    alike = [other for other in others if other.kind == thing.kind]
    named = bool(thing.name) and sum(other.name == thing.name for other in alike) == 1
    part = "" if named or len(alike) <= 1 else thing.part
    if part and sum(other.part == part for other in alike) > 1:
        return None
    return {
        role: thing.subject,
        f"{role}_kind": thing.kind,
        f"{role}_name": thing.name,
        f"{role}_part": part,
    }
