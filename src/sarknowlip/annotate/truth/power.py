"""Power of the judge: true claims altered by more than any tolerance, which it must call false.

An alteration keeps the predicate and the place of a claim and changes what it says so far that it
is false whatever tolerance (`tolerance`) the claim itself has used up: numbers by more than twice
their tolerance, winds by a right angle or more, parts of the tile by two ninths, words for others
that further claims about the same tile put elsewhere. Things are not swapped, for what is then said
may be true of others.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sarknowlip.annotate.claim import Argument, Claim
from sarknowlip.annotate.truth import tolerance
from sarknowlip.annotate.truth.judge import judge
from sarknowlip.annotate.truth.scene import Scene
from sarknowlip.annotate.truth.things import NAMED_WINDS

Arguments = dict[str, Argument]
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")
_FAR = 2.0
"""Tolerances by which a number is altered at least; a little more is added."""
_WORD = {
    "cover_share": "cover", "dominant_cover": "cover", "cover_absent": "cover",
    "function_share": "function", "dominant_function": "function", "function_unmapped": "function",
    "water_body": "water", "surface_share": "surface", "dominant_surface": "surface",
    "surface_absent": "surface",
}  # fmt: skip
"""Which word of a claim about a share is altered."""
_CLEAR_PCT = 5
"""A word is altered into another only where their shares differ by that and their tolerances."""
_LENGTHS = ("length_m", "width_m", "height_m", "relief_m", "length_km", "ratio", "distance_m")
_SWAPPED = ("direction", "larger", "inside")
"""Relations that do not hold the other way round."""
_NEAR = ("adjacent", "crosses", "inside")
"""Relations that do not hold between things that a claim of distance puts far apart."""


def power(scene: Scene, claims: Sequence[Claim]) -> dict[str, Counter[bool | None]]:
    """Judge alterations of the claims about a tile that are true.

    Args:
        scene: Truth of the tile.
        claims: About it.

    Returns:
        By predicate, how many alterations are called false, true, undecided.
    """
    true = [claim for claim in claims if judge(scene, claim).right]
    found: dict[str, Counter[bool | None]] = {}
    for claim in altered(true, scene.gsd):
        found.setdefault(claim.predicate, Counter())[judge(scene, claim).right] += 1
    return found


def altered(claims: Sequence[Claim], gsd: float) -> Iterator[Claim]:
    """Yield alterations of claims that are true, each beyond tolerance.

    Args:
        claims: All true claims about a tile.
        gsd: Metres of a pixel.
    """
    shares = _shares(claims)
    for claim in claims:
        for arguments in itertools.chain(
            _numbers(claim, gsd), _words(claim, shares), _sides(claim), _far(claim, gsd)
        ):
            rest = claim.model_dump(exclude={"id", "arguments", "predicate"})
            predicate = str(arguments.pop("predicate", claim.predicate))
            yield Claim.of(predicate=predicate, arguments=arguments, **rest)


def _numbers(claim: Claim, gsd: float) -> Iterator[Arguments]:
    for name, value in claim.arguments.items():
        if isinstance(value, str) or name == "rank":
            continue
        for other in _others(claim, name, float(value), gsd):
            yield {**claim.arguments, name: type(value)(other)}


def _others(claim: Claim, name: str, value: float, gsd: float) -> Iterator[float]:
    """Yield numbers that are false where `value` is true."""
    if name.endswith("_pct"):
        step = 100.0 * _FAR * tolerance.SHARE + 2.0
        yield from (x for x in (value - step, value + step) if 0.0 <= x <= 100.0)
    elif "count" in name:
        step = max(1.0, round(0.5 * value))
        yield from (x for x in (value - step, value + step) if x > 0)
    elif name == "bearing_deg":
        yield from ((value + 45.0) % 180.0, (value + 90.0) % 180.0)
    elif name in _LENGTHS and not _is_upper(claim.predicate):
        floor = 0.1 if name in ("length_km", "ratio") else _floor(name, gsd)
        yield 2.0 * value + 2.0 * floor
        if value / 2.0 - 2.0 * floor > 0.0:
            yield value / 2.0 - 2.0 * floor
    elif name in ("length_m", "width_m"):  # of bright targets: true lengths are upper limits
        yield 10.0 * value + 500.0


def _is_upper(predicate: str) -> bool:
    return predicate in ("clearest_target", "further_target", "line")


def _floor(name: str, gsd: float) -> float:
    if name == "relief_m":
        return tolerance.RELIEF_M
    if name == "distance_m":
        return tolerance.DISTANCE_PX * gsd
    return tolerance.HEIGHT_M if name == "height_m" else tolerance.PIXELS * gsd


def _words(claim: Claim, shares: dict[tuple[str, str], float]) -> Iterator[Arguments]:
    """Yield other words, of which claims say that they have another share."""
    role = _WORD.get(claim.predicate)
    if role is not None:
        said = float(claim.arguments.get("share_pct", 0.0))
        clear = _CLEAR_PCT + 100.0 * _FAR * tolerance.SHARE
        for (kind, word), share in sorted(shares.items()):
            if kind == role and abs(share - said) > clear:
                yield {**claim.arguments, role: word}
    if claim.predicate == "more_of":
        yield {
            **claim.arguments,
            "more": claim.arguments["less"], "less": claim.arguments["more"],
            "more_pct": claim.arguments["less_pct"], "less_pct": claim.arguments["more_pct"],
        }  # fmt: skip
    absent = sorted(word for (_, word), share in shares.items() if share == 0.0)
    if claim.predicate == "headline":
        for word in absent:
            yield {**claim.arguments, "main": word}
            if claim.arguments["second"]:
                yield {**claim.arguments, "second": word}
    if claim.predicate == "relief":
        words = ("flat", "rolling", "hilly", "steep")
        at = words.index(str(claim.arguments["relief"]))
        yield from ({**claim.arguments, "relief": word} for k, word in enumerate(words) if
                    abs(k - at) >= 2)  # fmt: skip


def _sides(claim: Claim) -> Iterator[Arguments]:
    """Yield other directions and parts, and relations the other way round."""
    wind = claim.arguments.get("direction")
    if wind in NAMED_WINDS:
        names = list(NAMED_WINDS)
        at = names.index(str(wind))
        yield from ({**claim.arguments, "direction": names[(at + k) % 8]} for k in (2, 3, 4, 5, 6))
    part = str(claim.arguments.get("part", ""))
    if part:
        row, column = _ninth(part)
        for other in itertools.product(range(3), range(3)):
            if max(abs(other[0] - row), abs(other[1] - column)) == 2:
                yield {**claim.arguments, "part": _part(*other)}
    if claim.predicate in _SWAPPED:
        turned = {"a": "b", "b": "a"}
        yield {
            turned[key[0]] + key[1:] if key[0] in turned and key[1:2] in ("", "_") else key: value
            for key, value in claim.arguments.items()
        }


def _far(claim: Claim, gsd: float) -> Iterator[Arguments]:
    """Yield contacts of things that are far apart."""
    if claim.predicate != "distance":
        return
    if float(claim.arguments["distance_m"]) <= _FAR * 2.0 * tolerance.DISTANCE_PX * gsd:
        return
    pair = {key: value for key, value in claim.arguments.items() if key != "distance_m"}
    yield from ({**pair, "predicate": predicate} for predicate in _NEAR)


def _shares(claims: Iterable[Claim]) -> dict[tuple[str, str], float]:
    """Return the percentages that claims tell, by role and word; 0 of what is absent."""
    found = {}
    for claim in claims:
        role = _WORD.get(claim.predicate)
        if role is not None:
            share = float(claim.arguments.get("share_pct", 0.0))
            found[role, str(claim.arguments[role])] = share
    return found


def _ninth(part: str) -> tuple[int, int]:
    row, _, column = part.replace("centre", "middle centre", part == "centre").partition(" ")
    return _ROWS.index(row), _COLUMNS.index(column)


def _part(row: int, column: int) -> str:
    return f"{_ROWS[row]} {_COLUMNS[column]}".replace("middle centre", "centre")
