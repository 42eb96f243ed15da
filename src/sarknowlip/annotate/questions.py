"""Questions that claims answer, with answers, and other answers that the claims make false.

Which claims answer which questions is told here; the words are the lexicon's. The rules for false
answers, by what is asked for:

- a count: another whole number; of more than ten things by a factor of 1.25 or more;
- a share: at least 10 percentage points away; other quantities: by a factor of 1.5 or more;
- a bearing of an axis: at least 30° away; a direction: at least 90° away;
- a part of the image, a mechanism: any other;
- a function: one that is neither the right one nor a broader or narrower word for it;
- a comparison: the other of the two.

A value that another claim of the same predicate states about the same things is never offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sarknowlip.annotate.claim import Argument, Claim
from sarknowlip.annotate.geometry import WINDS

Arguments = Mapping[str, Argument]
FEW, FAR = 10, 1.25
"""Up to so many things are counted at a glance; false counts of more differ by this factor."""

TOPICS = (
    "presence", "count", "comparison", "area_share", "direction", "distance", "function",
    "target_attribute", "radar_reason",
)  # fmt: skip

ASKS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "target_count": (("count", "count", ()),),
    "ship_count": (("count", "count", ()),),
    "object_count": (("count", "count", ("kind",)),),
    "buildings": (("count", "count", ()), ("area_share", "share_pct", ())),
    "dominant_surface": (("area_share", "share_pct", ("surface",)),),
    "surface_share": (("area_share", "share_pct", ("surface",)),),
    "dominant_cover": (("area_share", "share_pct", ("cover",)),),
    "cover_share": (("area_share", "share_pct", ("cover",)),),
    "dominant_function": (
        ("area_share", "share_pct", ("function",)),
        ("function", "function", ()),
    ),
    "function_share": (("area_share", "share_pct", ("function",)),),
    "named_region": (("function", "function", ("name",)),),
    "shadow": (("area_share", "share_pct", ()),),
    "direction": (("direction", "direction", ("a", "b")),),
    "coast": (("direction", "direction", ()),),
    "city": (("direction", "direction", ("name",)), ("distance", "distance_km", ("name",))),
    "distance": (("distance", "distance_m", ("a", "b")),),
    "nearest": (("distance", "distance_m", ("a", "b")),),
    "object_size": (
        ("target_attribute", "length_m", ("a",)),
        ("target_attribute", "width_m", ("a",)),
    ),
    "object_height": (("target_attribute", "height_m", ("a",)),),
    "object_axis": (("target_attribute", "bearing_deg", ("a",)),),
    "position": (("target_attribute", "part", ("a",)),),
    "building_height": (("target_attribute", "height_m", ()),),
    "clearest_target": (
        ("target_attribute", "length_m", ()),
        ("target_attribute", "width_m", ()),
        ("target_attribute", "part", ()),
    ),
    "further_target": (
        ("target_attribute", "length_m", ("rank",)),
        ("target_attribute", "part", ("rank",)),
    ),
    "target_axis": (("target_attribute", "bearing_deg", ("rank",)),),
    "ship_size": (
        ("target_attribute", "length_m", ("rank",)),
        ("target_attribute", "part", ("rank",)),
    ),
    "ship_place": (("target_attribute", "part", ("rank",)),),
    "ship_axis": (("target_attribute", "bearing_deg", ("rank",)),),
    "appearance": (("radar_reason", "mechanism", ("surface", "polarization", "mean_db")),),
    "cover_appearance": (("radar_reason", "mechanism", ("cover", "polarization", "mean_db")),),
    "function_appearance": (
        ("radar_reason", "mechanism", ("function", "polarization", "mean_db")),
    ),
    "cross_ratio": (("radar_reason", "mechanism", ("polarization", "ratio_db")),),
}
"""For a predicate: topic, argument that is asked for, arguments that the question names."""

PRESENCE: dict[str, tuple[str, str, bool]] = {
    "dominant_surface": ("surface", "surface", True),
    "surface_share": ("surface", "surface", True),
    "surface_absent": ("surface", "surface", False),
    "dominant_cover": ("cover", "cover", True),
    "cover_share": ("cover", "cover", True),
    "cover_absent": ("cover", "cover", False),
    "dominant_function": ("function", "function", True),
    "function_share": ("function", "function", True),
    "function_unmapped": ("function", "function", False),
    "object_count": ("kind", "kind", True),
    "target_count": ("target", "", True),
    "no_target": ("target", "", False),
    "ship_count": ("ship", "", True),
    "no_ship": ("ship", "", False),
}
"""For a predicate: what is asked for, the argument that the question names, and whether it is."""


@dataclass(frozen=True)
class Question:
    """A question that a claim answers.

    Attributes:
        claim: The claim.
        topic: One of `TOPICS`.
        key: Of its patterns in the lexicon; those of yes or no end in "?".
        given: Arguments that the question says.
        answers: Arguments that say the answer; None for yes or no.
        wrong: The same for each false answer.
        holds: Answer of yes or no; None for others.
    """

    claim: Claim
    topic: str
    key: str
    given: Arguments
    answers: Arguments | None = None
    wrong: tuple[Arguments, ...] = ()
    holds: bool | None = None


def questions_of(
    claim: Claim, claims: Iterable[Claim], values: Callable[[str], Sequence[str]]
) -> Iterator[Question]:
    """Yield the questions that a claim answers.

    Args:
        claim: The claim.
        claims: All claims about the tile that are known to hold.
        values: Gives the words that there are for an argument.
    """
    said, predicate = claim.arguments, claim.predicate
    if predicate in PRESENCE:
        thing, argument, holds = PRESENCE[predicate]
        given = {argument: said[argument]} if argument else {}
        yield Question(claim, "presence", f"presence/{thing}?", given, holds=holds)
    for topic, asked, names in ASKS.get(predicate, ()):
        if any(said[name] == "" for name in (asked, *names)):
            continue
        given = {key: said[key] for name in names for key in _parts(name, said)}
        wrong = tuple(
            dict(said) | {asked: value} for value in false_values(claim, asked, claims, values)
        )
        key = f"{predicate}/{asked}"
        yield Question(claim, topic, key, given, said, wrong)
        if topic == "direction":
            for number, value in enumerate([said[asked], *(other[asked] for other in wrong[:3])]):
                yield Question(
                    claim, topic, key + "?", given | {asked: value}, holds=number == 0
                )  # fmt: skip
    yield from _comparisons(claim)


def _comparisons(claim: Claim) -> Iterator[Question]:
    said, key = claim.arguments, f"{claim.predicate}/more"
    if claim.predicate in ("more_of", "more_objects"):
        more, less = said["more"], said["less"]
        for one, other in ((more, less), (less, more)):
            given = {"one": one, "other": other}
            yield Question(claim, "comparison", key, given, {"more": more}, ({"more": less},))
            yield Question(claim, "comparison", key + "?", given, holds=one == more)
    elif claim.predicate == "larger":
        a, b = _role("a", "a", said), _role("b", "a", said)
        for one, other in (("a", "b"), ("b", "a")):
            given = _role(one, "c", said) | _role(other, "d", said)
            yield Question(claim, "comparison", "larger/a", given, a, (b,))
            yield Question(claim, "comparison", "larger/a?", given, holds=one == "a")


def _role(role: str, new: str, said: Arguments) -> dict[str, Argument]:
    """Return the arguments that name a thing under another role."""
    return {new + key.removeprefix(role): said[key] for key in _parts(role, said)}


def _parts(name: str, said: Arguments) -> list[str]:
    """Return the arguments that together name an argument."""
    if f"{name}_kind" in said:
        return [name, f"{name}_kind", f"{name}_name", f"{name}_part"]
    return [name]


def false_values(
    claim: Claim, asked: str, claims: Iterable[Claim], values: Callable[[str], Sequence[str]]
) -> list[Argument]:
    """Return values of an argument that are false by the claims; see the rules above.

    Args:
        claim: States the right value.
        asked: Argument.
        claims: All claims about the tile that are known to hold.
        values: Gives the words that there are for an argument.
    """
    right = claim.arguments[asked]
    known = {
        other.arguments[asked]
        for other in claims
        if other.predicate == claim.predicate
        and all(other.arguments[name] == claim.arguments[name] for name in _named(claim, asked))
    }
    if asked == "direction":
        turn = WINDS.index(str(right))
        found: list[Argument] = [WINDS[(turn + step) % 8] for step in (2, 3, 4, 5, 6)]
    elif isinstance(right, str):
        found = [value for value in values(asked) if asked != "function" or _apart(value, right)]
    else:
        found = _false_numbers(right, asked)
    return [value for value in dict.fromkeys(found) if value != right and value not in known]


def _named(claim: Claim, asked: str) -> tuple[str, ...]:
    """Return the arguments that a question for `asked` names."""
    return next((names for _, name, names in ASKS.get(claim.predicate, ()) if name == asked), ())


def _apart(one: str, other: str) -> bool:
    """Return whether neither of two functions is a kind of the other."""
    return not (one.endswith(other) or other.endswith(one))


def _false_numbers(right: int | float, asked: str) -> list[Argument]:
    unit = asked.rpartition("_")[2]
    if unit == "count":
        if right > FEW:
            far = [round(right * factor) for factor in (0.35, 0.5, 0.65, 0.8, 1.25, 1.5, 2.0, 3.0)]
            return [n for n in far if max(n, right) >= FAR * min(n, right)]
        near = [right + step for step in (-3, -2, -1, 1, 2, 3, 5)]
        return [int(value) for value in (*near, 2 * right) if value > 0]
    if unit == "pct":
        steps = (-50, -40, -30, -20, -15, -10, 10, 15, 20, 30, 40, 50)
        return [int(right + step) for step in steps if 0 < right + step < 100]
    if unit == "deg":
        return [int(right + step) % 180 for step in (30, 45, 60, 75, 90, 105, 120, 135, 150)]
    scaled = [right * factor for factor in (0.25, 0.4, 0.6, 1.6, 2.0, 3.0, 4.0)]
    if isinstance(right, float):
        rounded: list[Argument] = [round(value, 1) for value in scaled]
    else:
        rounded = [5 * round(value / 5) if value >= 20 else round(value) for value in scaled]
    return [
        value
        for value in rounded
        if not isinstance(value, str) and value > 0 and max(value, right) >= 1.5 * min(value, right)
    ]
