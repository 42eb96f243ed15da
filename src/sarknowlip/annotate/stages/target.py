"""Target: bright objects that the image shows, which may be ships, and objects that a map knows.

Positions are told in thirds of the image, bearings of long axes to 5° from true north, 0…180°.
A ship's length is told where the image resolves it, its width never.
Sizes seen in the image are rounded to 5 m, mapped ones to 1 m below 20 m, 5 m below 200 m, else
10 m, heights to 1 m. A `rank` counts by contrast, ships among ships and targets, ships included,
among targets. Targets are told one by one if they are clear (`things.is_clear`).

A count is an exact statement, and one object may fall into two or hide beside another: each of n
is taken to be counted once with probability `COUNTED_ONCE`, our own choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from sarknowlip.annotate.claim import Argument, Claim, Dimension
from sarknowlip.annotate.rules import Rule, RuleStage, Statement
from sarknowlip.annotate.seen import is_seen, mostly_seen
from sarknowlip.annotate.things import Cast, is_clear, is_ship, part_of_image
from sarknowlip.knowledge.evidence import Facts
from sarknowlip.knowledge.vocabulary import OBJECTS

COUNTED_ONCE = 0.98
LEAST_WATER = 0.05
"""Without that much water in view the absence of ships is not worth telling."""
ELONGATED = 1.5
"""The long axis of anything less elongated is not told."""
SIZE_SURE = 0.85
"""Confidence in sizes of targets: blurred edges and sidelobes add to them."""
ROUND_M, ROUND_DEG = 5, 5


class Target(RuleStage):
    """States number, place, size and orientation of targets, ships and mapped objects."""

    name: ClassVar[str] = "target"
    version: ClassVar[str] = "3"
    dimension: ClassVar[Dimension] = "target"
    predicates: ClassVar[dict[str, frozenset[str]]] = {
        "no_target": frozenset(),
        "no_ship": frozenset(),
        "target_count": frozenset({"count"}),
        "ship_count": frozenset({"count"}),
        "clearest_target": frozenset({"part", "length_m", "width_m", "contrast_db"}),
        "further_target": frozenset({"rank", "part", "length_m"}),
        "target_axis": frozenset({"rank", "bearing_deg"}),
        "ship_size": frozenset({"rank", "part", "length_m"}),
        "ship_place": frozenset({"rank", "part"}),
        "ship_axis": frozenset({"rank", "bearing_deg"}),
        "object_count": frozenset({"kind", "count"}),
        "object_size": frozenset({"a", "a_kind", "a_name", "a_part", "length_m", "width_m"}),
        "object_height": frozenset({"a", "a_kind", "a_name", "a_part", "height_m"}),
        "object_axis": frozenset({"a", "a_kind", "a_name", "a_part", "bearing_deg"}),
    }

    def rules(self, facts: Facts, before: Sequence[Claim]) -> Iterable[Rule]:
        """Return the rules: counts, then ships and targets by contrast, then mapped objects."""
        yield target_count
        yield ship_count
        yield from (_count_of(kind) for kind in OBJECTS)
        targets = facts.subjects("target/")
        ships = [subject for subject in targets if is_ship(facts.fresh(), subject)]
        for rank, subject in enumerate(ships, start=1):
            yield _ship_of(subject, rank, targets)
            yield _axis_of(subject, rank, "ship_axis")
        for rank, subject in enumerate(targets, start=1):
            yield _described(subject, rank)
            yield _axis_of(subject, rank, "target_axis")
        cast = Cast(facts)
        for subject in facts.subjects("object/"):
            yield _size_of(cast, subject)
            yield _height_of(cast, subject)
            yield _long_axis_of(cast, subject)


def target_count(facts: Facts) -> Statement | None:
    """State how many bright targets the detector found, or that it found none."""
    count = facts.value("targets", "count")
    if count is None:
        return None
    return _counted("target_count", int(count)) if count else Statement("no_target")


def ship_count(facts: Facts) -> Statement | None:
    """State how many targets are ships, or that water is seen without any.

    Candidates on mapped dry ground don't count. When more targets were counted than are listed,
    they cannot all be looked at: then nothing is stated if there was one.
    """
    found, total = facts.value("ships", "count"), facts.value("targets", "count")
    if found is None or total is None:
        return None
    if not found:
        water = facts.value("water", "share")
        if water is None:
            water = facts.value("calm_ground", "share")
        return Statement("no_ship") if water is not None and water >= LEAST_WATER else None
    listed = facts.subjects("target/")
    candidates = [s for s in listed if facts.label(s, "water_beside") == "ship candidate"]
    ships = [subject for subject in candidates if is_ship(facts, subject)]
    if len(ships) == len(candidates):
        return _counted("ship_count", int(found))
    return _counted("ship_count", len(ships)) if ships and total <= len(listed) else None


def _counted(predicate: str, count: int) -> Statement:
    return Statement(predicate, {"count": count}, confidence=COUNTED_ONCE**count)


def _count_of(kind: str) -> Rule:
    def object_count(facts: Facts) -> Statement | None:
        count = facts.value(f"objects/{kind}", "count")
        if not count or not mostly_seen(facts):
            return None
        return Statement("object_count", {"kind": kind, "count": int(count)})

    return object_count


def _ship_of(subject: str, rank: int, targets: Sequence[str]) -> Rule:
    def ship(facts: Facts) -> Statement | None:
        for other in targets[: targets.index(subject) + 1]:  # its rank rests on those before
            is_ship(facts, other)
        part = part_of_image(facts, subject)
        if part is None:
            return None
        arguments: dict[str, Argument] = {"rank": rank, "part": part}
        length = facts.value(subject, "resolved_length")
        if length is None:
            return Statement("ship_place", arguments)
        return Statement("ship_size", arguments | {"length_m": _seen_m(length)})

    return ship


def _described(subject: str, rank: int) -> Rule:
    def described(facts: Facts) -> Statement | None:
        if not is_clear(facts, subject):
            return None
        part = part_of_image(facts, subject)
        length = facts.value(subject, "length")
        if part is None or length is None:
            return None
        arguments: dict[str, Argument] = {"part": part, "length_m": _seen_m(length)}
        if rank > 1:
            return Statement("further_target", {"rank": rank, **arguments}, SIZE_SURE)
        width, contrast = facts.value(subject, "width"), facts.value(subject, "contrast")
        if width is None or contrast is None:
            return None
        arguments |= {"width_m": _seen_m(width), "contrast_db": round(contrast)}
        return Statement("clearest_target", arguments, SIZE_SURE)

    return described


def _axis_of(subject: str, rank: int, predicate: str) -> Rule:
    def axis(facts: Facts) -> Statement | None:
        bearing = facts.value(subject, "orientation")
        told = is_ship if predicate == "ship_axis" else is_clear
        if bearing is None or not told(facts, subject):
            return None
        return Statement(predicate, {"rank": rank, "bearing_deg": _bearing(bearing)})

    return axis


def _size_of(cast: Cast, subject: str) -> Rule:
    def object_size(facts: Facts) -> Statement | None:
        length, width = facts.value(subject, "length"), facts.value(subject, "width")
        if not length or not width:
            return None
        named = cast.reference(facts, "a", subject) if is_seen(facts, subject) else None
        if named is None:
            return None
        size: dict[str, Argument] = {"length_m": _mapped_m(length), "width_m": _mapped_m(width)}
        return Statement("object_size", named | size)

    return object_size


def _height_of(cast: Cast, subject: str) -> Rule:
    def object_height(facts: Facts) -> Statement | None:
        height = facts.value(subject, "height")
        if not height or height < 1:
            return None
        named = cast.reference(facts, "a", subject) if is_seen(facts, subject) else None
        return (
            None
            if named is None
            else Statement("object_height", named | {"height_m": round(height)})
        )

    return object_height


def _long_axis_of(cast: Cast, subject: str) -> Rule:
    def object_axis(facts: Facts) -> Statement | None:
        bearing = facts.value(subject, "orientation")
        length, width = facts.value(subject, "length"), facts.value(subject, "width")
        if bearing is None or not length or not width or length < ELONGATED * width:
            return None
        named = cast.reference(facts, "a", subject) if is_seen(facts, subject) else None
        if named is None:
            return None
        return Statement("object_axis", named | {"bearing_deg": _bearing(bearing)})

    return object_axis


def _seen_m(length: float) -> int:
    return max(ROUND_M, ROUND_M * round(length / ROUND_M))


def _mapped_m(length: float) -> int:
    step = 1 if length < 20 else 5 if length < 200 else 10
    return max(1, step * round(length / step))


def _bearing(degrees: float) -> int:
    return ROUND_DEG * round(degrees / ROUND_DEG) % 180
