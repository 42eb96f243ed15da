"""Where a claim still holds: in which windows of its tile, turned or not, with which pixels.

A claim is about a whole tile as the radar saw it. Of a changed tile it is kept only if it provably
holds there, by these rules; a claim that they do not know holds of the unchanged tile only.

- Window: what the acquisition fixes (`viewing`) and what a map has nowhere (`function_unmapped`)
  holds in any part. Sizes of things and relations between them hold where the things lie wholly
  inside: fewer things of a kind cannot make "the bridge" or "the nearest" ambiguous. A named place
  holds where its point lies. All else is dropped: shares, means, counts, ninths of the image, and
  what a detector finds, since its background changes.
- Turning and mirroring: nothing with a direction, a bearing, a place in the image or the radar's
  line of sight, and nothing with a proper name: mirrored ground is not that place.
- Speckle and multilooking keep mean power. They change texture, tones, contrast, and what a
  detector finds.
- A claim with the argument `polarization` ("VV", "VH/VV") speaks of these channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sarknowlip.annotate.claim import Argument, Claim
from sarknowlip.annotate.things import thing_of
from sarknowlip.knowledge.evidence import Box, Evidence, Facts

POLARIZATIONS = ("HH", "HV", "VH", "VV")

ANYWHERE = frozenset({"viewing", "function_unmapped"})
"""Hold in every part of a tile."""
OF_THINGS = frozenset(
    {
        "object_size", "object_height", "object_axis", "direction", "distance", "adjacent",
        "inside", "crosses", "nearest", "larger",
    }
)  # fmt: skip
"""Hold where the things in the roles a and b are whole."""
DETECTED = frozenset(
    {
        "texture", "two_tones", "one_tone", "shadow", "line", "no_target", "no_ship",
        "target_count", "ship_count", "clearest_target", "further_target", "target_axis",
        "ship_size", "ship_place", "ship_axis",
    }
)  # fmt: skip
"""Rest on texture, tones, contrast or a detector."""
STEADY = frozenset(
    {
        "dominant_surface", "surface_share", "surface_absent", "appearance", "mean_backscatter",
        "cross_ratio", "viewing", "dominant_cover", "cover_share", "cover_absent",
        "cover_appearance", "relief", "elevation", "slopes", "water_body", "coast",
        "water_differs", "dominant_function", "function_share", "function_unmapped",
        "function_appearance", "named_region", "place_name", "city", "buildings",
        "building_height", "network", "object_count", "position", "aligned", "headline",
        "more_of", "more_objects", *OF_THINGS,
    }
)  # fmt: skip
"""All other predicates of the stages (docs/evidence.md)."""
DIRECTED = ("part", "a_part", "b_part", "direction", "bearing_deg", "look_deg")
"""Arguments that a turned image makes untrue."""
LOOKING = frozenset({"viewing", "slopes"})
"""Predicates that tell of the line of sight."""


@dataclass(frozen=True)
class Scope:
    """What a statement about a tile holds of.

    Attributes:
        whole: Whether it holds of the whole tile only.
        box: Pixels that a window must hold; None for none. Without meaning where `whole`.
        turns: Whether it holds if the image is turned by quarters or mirrored.
        speckles: Whether it holds if speckle is added or averaged.
        polarizations: Channels that it speaks of, sorted.
    """

    whole: bool
    box: Box | None
    turns: bool
    speckles: bool
    polarizations: tuple[str, ...]

    def holds_in(self, window: Box) -> bool:
        """Return whether the statement holds of a window x0, y0, x1, y1 that is not all."""
        if self.whole or self.box is None:
            return not self.whole
        (x0, y0, x1, y1), (left, top, right, bottom) = self.box, window
        return left <= x0 and top <= y0 and x1 <= right and y1 <= bottom


UNKNOWN = Scope(whole=True, box=None, turns=False, speckles=False, polarizations=POLARIZATIONS)
"""Of what cannot be judged."""


def scope_of(claim: Claim, facts: Facts, evidence: Mapping[str, Evidence]) -> Scope:
    """Return what a claim holds of.

    Args:
        claim: The claim.
        facts: Facts about its tile.
        evidence: The same by identifier.
    """
    predicate, said = claim.predicate, claim.arguments
    if predicate not in STEADY and predicate not in DETECTED:
        return UNKNOWN
    box = _box(claim, facts, evidence)
    spoken = str(said.get("polarization", ""))
    named = any(bool(value) for name, value in said.items() if name.endswith("name"))
    directed = any(said.get(name, "") != "" for name in DIRECTED)
    return Scope(
        whole=box is None and predicate not in ANYWHERE,
        box=box,
        turns=not (directed or named or predicate in LOOKING),
        speckles=predicate not in DETECTED,
        polarizations=tuple(name for name in POLARIZATIONS if name in spoken.split("/")),
    )


def joint(scopes: Iterable[Scope]) -> Scope:
    """Return what several statements hold of together.

    Args:
        scopes: Of each; none makes a statement about nothing, that always holds.
    """
    known = list(scopes)
    spoken = {name for scope in known for name in scope.polarizations}
    return Scope(
        whole=any(scope.whole for scope in known),
        box=hull([scope.box for scope in known if scope.box is not None]),
        turns=all(scope.turns for scope in known),
        speckles=all(scope.speckles for scope in known),
        polarizations=tuple(sorted(spoken)),
    )


def hull(boxes: Sequence[Box]) -> Box | None:
    """Return the smallest box around boxes; None of none."""
    if not boxes:
        return None
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _box(claim: Claim, facts: Facts, evidence: Mapping[str, Evidence]) -> Box | None:
    """Return the pixels that a window must hold for a claim to hold there; None if unknown."""
    said = claim.arguments
    if claim.predicate in OF_THINGS:
        roles = [role for role in ("a", "b") if role in said]
        if not roles or any(said.get(f"{role}_part", "") != "" for role in roles):
            return None
        things = [thing_of(facts, str(said[role])) for role in roles]
        boxes = [thing.box for thing in things if thing is not None and thing.box is not None]
        return hull(boxes) if len(boxes) == len(roles) else None
    cited = [evidence[key] for key in claim.evidence_ids if key in evidence]
    if claim.predicate == "place_name":
        return _point(cited, said)
    return None


def _point(cited: Sequence[Evidence], said: Mapping[str, Argument]) -> Box | None:
    """Return the pixel of the one named place that is cited."""
    subjects = {fact.subject for fact in cited if fact.label == said.get("name")}
    at = {
        fact.predicate: fact.value
        for fact in cited
        if fact.subject in subjects and fact.predicate in ("column", "row")
    }
    column, row = at.get("column"), at.get("row")
    if len(subjects) != 1 or column is None or row is None:
        return None
    return int(column), int(row), int(column) + 1, int(row) + 1
