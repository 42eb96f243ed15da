"""What OpenStreetMap tags mean to a world: the table osm_tags.json, checked and looked up.

Keys and values are those of the OpenStreetMap wiki (https://wiki.openstreetmap.org/wiki/Map_features);
widths, storeys and densities that no tag gives are chosen, of the size common in European cities.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Protocol, TypeVar

from sarknowlip.core.config import Config

Tags = Mapping[str, str]

_NUMBER = re.compile(r"^\s*(\d+(?:[.,]\d+)?)\s*(m|metres|meters|ft|feet|')?\s*$")
_FOOT_M = 0.3048
_NO = ("no", "false", "0")


class AreaRule(Config):
    """What an area with one of the values is.

    Attributes:
        key: Tag key.
        values: Tag values.
        order: Painter's order (a name of `layers.ORDER`).
        function: Function.
        surface: Surface by name.
        built_function: Function instead where buildings stand densely.
        built_surface: Surface instead where buildings stand densely.
    """

    key: str
    values: tuple[str, ...]
    order: str
    function: str
    surface: str
    built_function: str | None = None
    built_surface: str | None = None


class LineRule(Config):
    """What a line with one of the values is.

    Attributes:
        key: Tag key.
        values: Tag values.
        width_m: Width where neither `width` nor `lanes` is tagged.
        order: Painter's order (a name of `layers.ORDER`).
        function: Function.
        surface: Surface by name.
        moving_per_km: Mean number of moving vehicles, both directions together.
        speed: Their speed, metres per second.
        parked_per_km: Mean number of vehicles at the kerb, both sides together.
    """

    key: str
    values: tuple[str, ...]
    width_m: float
    order: str
    function: str
    surface: str
    moving_per_km: float = 0.0
    speed: float = 0.0
    parked_per_km: float = 0.0


class TargetRule(Config):
    """What a single object is; sizes where no tag gives them.

    Attributes:
        key: Tag key.
        values: Tag values.
        kind: One of `layers.TARGET_KINDS`.
        subclass: As in `layers.Targets`.
        size_m: Length, diameter or rotor diameter.
        width_m: Width; None: as long as wide.
        height_m: Height, or hub height.
        function: Function, None: that of the district it stands in.
    """

    key: str
    values: tuple[str, ...]
    kind: str
    subclass: str
    size_m: float
    height_m: float
    width_m: float | None = None
    function: str | None = None


class BuildingModel(Config):
    """Storeys (least, most) and roof of a kind of building where no tag gives them."""

    levels: tuple[int, int]
    roof: str


class BuildingRules(Config):
    """How buildings are read.

    Attributes:
        level_m: Height of a storey.
        attic_m: Height of what is above the last storey's ceiling.
        canopy_m: Thickness of a roof without walls.
        smallest_m2: Footprints below are left out.
        kinds: Kind by value of `building`; "building" for others.
        models: By kind.
        levels_of_small: Storeys of footprints below an area (m²), for kind "building".
        roof_materials: Surface by value of `roof:material`.
        pitched: Values of `roof:shape` that make an untagged material tiles.
    """

    level_m: float
    attic_m: float
    canopy_m: float
    smallest_m2: float
    kinds: dict[str, str]
    models: dict[str, BuildingModel]
    levels_of_small: tuple[tuple[float, tuple[int, int]], ...]
    roof_materials: dict[str, str]
    pitched: tuple[str, ...]


class Ground(Config):
    """Function and surface of ground that no area covers."""

    function: str
    surface: str


class BaseRules(Config):
    """Ground that no area covers, in squares, by the share of them that buildings cover."""

    cell_m: float
    built_share: float
    settled_share: float
    built: Ground
    settled: Ground
    open: Ground


class BridgeRules(Config):
    """Clearance by layer, and thickness of the deck, metres."""

    clearance_per_layer_m: float
    deck_m: float


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def values(self) -> tuple[str, ...]: ...


_Rule = TypeVar("_Rule", bound=_Keyed)


class TagRules(Config):
    """The whole table; of several rules that fit an object, the first holds."""

    areas: tuple[AreaRule, ...]
    lines: tuple[LineRule, ...]
    targets: tuple[TargetRule, ...]
    paving: dict[str, str]
    buildings: BuildingRules
    base: BaseRules
    bridges: BridgeRules

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """All keys that make a feature matter."""
        rules: list[_Keyed] = [*self.areas, *self.lines, *self.targets]
        return tuple(sorted({r.key for r in rules} | {"building", "building:part", "natural"}))

    @functools.cached_property
    def point_keys(self) -> tuple[str, ...]:
        """All keys that make a point matter."""
        return tuple(sorted({rule.key for rule in self.targets}))

    def area(self, tags: Tags) -> AreaRule | None:
        """Return what an area is."""
        return _first(self._area_index, tags)

    def line(self, tags: Tags) -> LineRule | None:
        """Return what a line is."""
        return _first(self._line_index, tags)

    def target(self, tags: Tags) -> TargetRule | None:
        """Return which single object a feature is."""
        return _first(self._target_index, tags)

    @functools.cached_property
    def _area_index(self) -> dict[tuple[str, str], tuple[int, AreaRule]]:
        return _index(self.areas)

    @functools.cached_property
    def _line_index(self) -> dict[tuple[str, str], tuple[int, LineRule]]:
        return _index(self.lines)

    @functools.cached_property
    def _target_index(self) -> dict[tuple[str, str], tuple[int, TargetRule]]:
        return _index(self.targets)


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


def _index(rules: Sequence[_Rule]) -> dict[tuple[str, str], tuple[int, _Rule]]:
    found: dict[tuple[str, str], tuple[int, _Rule]] = {}
    for number, rule in enumerate(rules):
        for value in rule.values:
            found.setdefault((rule.key, value), (number, rule))
    return found


def _first(index: Mapping[tuple[str, str], tuple[int, _Rule]], tags: Tags) -> _Rule | None:
    hits = (index[pair] for pair in tags.items() if pair in index)
    return min(hits, key=lambda hit: hit[0], default=(0, None))[1]
