"""What OpenStreetMap tags mean: the table osm_tags.json, checked and looked up.

Keys and values are those of the OpenStreetMap wiki (https://wiki.openstreetmap.org/wiki/Map_features);
widths that no tag gives are chosen, of the size common in European cities.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Literal, Protocol, TypeVar

from sarknowlip.core.config import Config

Tags = Mapping[str, str]
Network = Literal["roads", "railways"]

ORDER = {"nature": 0, "district": 10, "ground": 20, "water": 30, "shore": 35, "road": 40}
"""Painter's order of ground: what is painted later covers what was painted before."""

_NUMBER = re.compile(r"^\s*(\d+(?:[.,]\d+)?)\s*(m|metres|meters|ft|feet|')?\s*$")
_FOOT_M = 0.3048
_NO = ("no", "false", "0")
_WIDEST_M = 500.0


class AreaRule(Config):
    """What an area with one of the values is.

    Attributes:
        key: Tag key.
        values: Tag values.
        order: Painter's order (a name of `ORDER`).
        function: What the ground is for.
    """

    key: str
    values: tuple[str, ...]
    order: str
    function: str


class LineRule(Config):
    """What a line with one of the values is.

    Attributes:
        key: Tag key.
        values: Tag values.
        width_m: Width where neither `width` nor `lanes` is tagged.
        order: Painter's order (a name of `ORDER`).
        function: What the ground is for.
        network: What its length counts to; None for paths and all that is neither.
    """

    key: str
    values: tuple[str, ...]
    width_m: float
    order: str
    function: str
    network: Network | None = None


class ObjectRule(Config):
    """What a single object with one of the values is.

    Attributes:
        key: Tag key.
        values: Tag values.
        kind: Kind of object.
        largest_m: An outline wider than that is a whole site tagged as one object.
        building: Whether it must be a building.
    """

    key: str
    values: tuple[str, ...]
    kind: str
    largest_m: float | None = None
    building: bool = False


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def values(self) -> tuple[str, ...]: ...


_Rule = TypeVar("_Rule", bound=_Keyed)


class TagRules(Config):
    """The whole table; of several rules that fit a feature, the first holds.

    Attributes:
        areas: Of ground.
        lines: Of ways, tracks, rivers, piers.
        objects: Of single objects.
        places: Values of `place` that name a part of the map, the greater first.
        level_m: Height of a storey.
        attic_m: Height of what is above the last storey's ceiling.
        lane_m: Width of a lane.
    """

    areas: tuple[AreaRule, ...]
    lines: tuple[LineRule, ...]
    objects: tuple[ObjectRule, ...]
    places: tuple[str, ...]
    level_m: float
    attic_m: float
    lane_m: float

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """All keys that make a line or an area matter, without those of places."""
        rules: list[_Keyed] = [*self.areas, *self.lines, *self.objects]
        return tuple(sorted({r.key for r in rules} | {"building", "building:part", "natural"}))

    @functools.cached_property
    def point_keys(self) -> tuple[str, ...]:
        """All keys that make a point an object."""
        return tuple(sorted({rule.key for rule in self.objects if not rule.building}))

    def area(self, tags: Tags) -> AreaRule | None:
        """Return what an area is."""
        return _first(self._area_index, tags)

    def line(self, tags: Tags) -> LineRule | None:
        """Return what a line is."""
        return _first(self._line_index, tags)

    def object(self, tags: Tags) -> ObjectRule | None:
        """Return which single object a feature is."""
        index = self._object_index if is_set(tags, "building") else self._bare_index
        return _first(index, tags)

    def width(self, tags: Tags, rule: LineRule) -> float:
        """Return the width of a way, metres: tagged, by its lanes, or by its class."""
        width = None if rule.key == "railway" else metres(tags, "width", "est_width")
        if width:
            return min(width, _WIDEST_M)
        lanes = None if rule.key == "railway" else metres(tags, "lanes")
        return max(lanes * self.lane_m, 0.6 * rule.width_m) if lanes else rule.width_m

    def height(self, tags: Tags) -> float | None:
        """Return the height of a building above the ground, metres; None where no tag tells."""
        tagged = metres(tags, "height", "building:height")
        if tagged:
            return tagged
        levels = metres(tags, "building:levels")
        return levels * self.level_m + self.attic_m if levels else None

    @functools.cached_property
    def _area_index(self) -> dict[tuple[str, str], tuple[int, AreaRule]]:
        return _index(self.areas)

    @functools.cached_property
    def _line_index(self) -> dict[tuple[str, str], tuple[int, LineRule]]:
        return _index(self.lines)

    @functools.cached_property
    def _object_index(self) -> dict[tuple[str, str], tuple[int, ObjectRule]]:
        return _index(self.objects)

    @functools.cached_property
    def _bare_index(self) -> dict[tuple[str, str], tuple[int, ObjectRule]]:
        return _index([rule for rule in self.objects if not rule.building])


@functools.cache
def tag_rules() -> TagRules:
    """Return the table."""
    text = resources.files(__package__).joinpath("osm_tags.json").read_text("utf-8")
    return TagRules(**json.loads(text))


def metres(tags: Tags, *keys: str) -> float | None:
    """Return the first of the keys whose value is a length, metres; feet are converted."""
    for key in keys:
        match = _NUMBER.match(tags.get(key, ""))
        if match:
            value = float(match.group(1).replace(",", "."))
            return value * (_FOOT_M if match.group(2) in ("ft", "feet", "'") else 1.0)
    return None


def layer(tags: Tags) -> int:
    """Return the level of an object above (positive) or below (negative) others; 0 if unsaid."""
    try:
        return int(tags.get("layer", "0"))
    except ValueError:
        return 0


def underground(tags: Tags) -> bool:
    """Tell whether an object cannot be seen from above."""
    return (
        tags.get("tunnel", "no") not in _NO
        or tags.get("location") in ("underground", "indoor")
        or tags.get("indoor", "no") not in _NO
        or tags.get("parking") in ("underground", "multi-storey", "rooftop")
        or layer(tags) < 0
    )


def is_bridge(tags: Tags) -> bool:
    """Tell whether a way is carried over something."""
    return tags.get("bridge", "no") not in _NO or tags.get("man_made") == "bridge"


def is_set(tags: Tags, key: str) -> bool:
    """Tell whether a tag is there and does not say no."""
    return tags.get(key, "no") not in _NO


def is_loop(tags: Tags, rule: AreaRule) -> bool:
    """Tell whether a closed way with the tags of an area is a line that returns to its start."""
    return rule.key == "highway" and tags.get("area") != "yes"


def shows_ground(tags: Tags, rule: AreaRule) -> bool:
    """Tell whether an area can be seen from above; `layer` of water only says: below bridges."""
    return rule.order in ("water", "district") or not underground(tags)


def _index(rules: Sequence[_Rule]) -> dict[tuple[str, str], tuple[int, _Rule]]:
    found: dict[tuple[str, str], tuple[int, _Rule]] = {}
    for number, rule in enumerate(rules):
        for value in rule.values:
            found.setdefault((rule.key, value), (number, rule))
    return found


def _first(index: Mapping[tuple[str, str], tuple[int, _Rule]], tags: Tags) -> _Rule | None:
    hits = (index[pair] for pair in tags.items() if pair in index)
    return min(hits, key=lambda hit: hit[0], default=(0, None))[1]
