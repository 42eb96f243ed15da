"""Target: how many bright objects there are, which may be ships, where and how large the clearest.

Positions are told in thirds of the image, lengths rounded to 5 m, bearings of an object's long axis
to 5°, from true north, 0…180°.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from sarknowlip.annotate.claim import Argument, Claim, Dimension
from sarknowlip.annotate.rules import Rule, RuleStage, Statement
from sarknowlip.annotate.things import part_of_image
from sarknowlip.knowledge.evidence import Facts

TOLD = 3
"""Targets told one by one."""
ROUND_M, ROUND_DEG = 5, 5


class Target(RuleStage):
    """States number, place, size and orientation of bright objects."""

    name: ClassVar[str] = "target"
    version: ClassVar[str] = "1"
    dimension: ClassVar[Dimension] = "target"
    predicates: ClassVar[dict[str, frozenset[str]]] = {
        "no_target": frozenset(),
        "target_count": frozenset({"count"}),
        "ship_count": frozenset({"count"}),
        "clearest_target": frozenset({"part", "length_m", "width_m", "contrast_db"}),
        "further_target": frozenset({"rank", "part", "length_m"}),
        "target_axis": frozenset({"rank", "bearing_deg"}),
    }

    def rules(self, facts: Facts, before: Sequence[Claim]) -> Iterable[Rule]:
        """Return the rules: counts first, then the clearest targets one by one."""
        yield target_count
        yield ship_count
        for rank, subject in enumerate(facts.subjects("target/")[:TOLD], start=1):
            yield _described(subject, rank)
            yield _axis_of(subject, rank)


def target_count(facts: Facts) -> Statement | None:
    """State how many bright targets the detector found, or that it found none."""
    count = facts.value("targets", "count")
    if count is None:
        return None
    return Statement("target_count", {"count": int(count)}) if count else Statement("no_target")


def ship_count(facts: Facts) -> Statement | None:
    """State how many targets stand alone on water, if any."""
    count = facts.value("ships", "count")
    return Statement("ship_count", {"count": int(count)}) if count else None


def _described(subject: str, rank: int) -> Rule:
    def described(facts: Facts) -> Statement | None:
        part = part_of_image(facts, subject)
        length = facts.value(subject, "length")
        if part is None or length is None:
            return None
        arguments: dict[str, Argument] = {"part": part, "length_m": _metres(length)}
        if rank > 1:
            return Statement("further_target", {"rank": rank, **arguments})
        width, contrast = facts.value(subject, "width"), facts.value(subject, "contrast")
        if width is None or contrast is None:
            return None
        arguments["width_m"] = _metres(width)
        return Statement("clearest_target", arguments | {"contrast_db": round(contrast)})

    return described


def _axis_of(subject: str, rank: int) -> Rule:
    def axis(facts: Facts) -> Statement | None:
        bearing = facts.value(subject, "orientation")
        if bearing is None:
            return None
        said = ROUND_DEG * round(bearing / ROUND_DEG) % 180
        return Statement("target_axis", {"rank": rank, "bearing_deg": said})

    return axis


def _metres(length: float) -> int:
    return max(ROUND_M, ROUND_M * round(length / ROUND_M))
