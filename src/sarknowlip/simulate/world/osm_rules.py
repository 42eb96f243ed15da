"""What tags mean to a world beyond what they mean on a map: osm_rules.json, checked and looked up.

Which function, order and kind a feature has tells `geo.osm_tags`; here are surfaces, traffic, and
sizes and storeys that no tag gives. They are chosen, of the size common in European cities.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources

from sarknowlip.core.config import Config
from sarknowlip.geo.osm_tags import AreaRule, LineRule, TagRules, Tags, tag_rules


class Traffic(Config):
    """Vehicles on a kind of road.

    Attributes:
        moving_per_km: Mean number of moving vehicles, both directions together.
        speed: Their speed, metres per second.
        parked_per_km: Mean number of vehicles at the kerb, both sides together.
    """

    moving_per_km: float = 0.0
    speed: float = 0.0
    parked_per_km: float = 0.0


class TargetModel(Config):
    """A kind of single object; sizes where no tag gives them.

    Attributes:
        subclass: As in `layers.Targets`.
        size_m: Length, diameter or rotor diameter.
        width_m: Width; None: as long as wide.
        height_m: Height, or hub height.
        function: Function, None: that of the district it stands in.
    """

    subclass: str
    size_m: float
    height_m: float
    width_m: float | None = None
    function: str | None = None


class Ground(Config):
    """Function and surface of ground."""

    function: str
    surface: str


@dataclass(frozen=True)
class WorldArea:
    """What an area is in a world; `built` replaces it where buildings stand densely."""

    rule: AreaRule
    ground: Ground
    built: Ground

    @property
    def order(self) -> str:
        """Painter's order (a name of `layers.ORDER`)."""
        return self.rule.order


@dataclass(frozen=True)
class WorldLine:
    """What a line is in a world."""

    rule: LineRule
    ground: Ground
    traffic: Traffic

    @property
    def order(self) -> str:
        """Painter's order (a name of `layers.ORDER`)."""
        return self.rule.order


@dataclass(frozen=True)
class WorldTarget:
    """What a single object is in a world; `kind` is one of `layers.TARGET_KINDS`."""

    kind: str
    model: TargetModel


class BuildingModel(Config):
    """Storeys (least, most) and roof of a kind of building where no tag gives them."""

    levels: tuple[int, int]
    roof: str


class BuildingRules(Config):
    """How buildings are read.

    Attributes:
        canopy_m: Thickness of a roof without walls.
        smallest_m2: Footprints below are left out.
        kinds: Values of `building` by kind.
        models: By kind.
        levels_of_small: Storeys of footprints below an area (m²), for kind "building".
        roof_materials: Surface by value of `roof:material`.
        pitched: Values of `roof:shape` that make an untagged material tiles.
    """

    canopy_m: float
    smallest_m2: float
    kinds: dict[str, tuple[str, ...]]
    models: dict[str, BuildingModel]
    levels_of_small: tuple[tuple[float, tuple[int, int]], ...]
    roof_materials: dict[str, str]
    pitched: tuple[str, ...]

    @functools.cached_property
    def by_value(self) -> dict[str, str]:
        """Kind by value of `building`."""
        return {value: kind for kind, values in self.kinds.items() for value in values}


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


class WorldRules(Config):
    """The whole table.

    Attributes:
        functions: Function in a world by function on a map, where they differ.
        built: Function and surface by function on a map, where buildings stand densely.
        surfaces: Surface by function on a map.
        area_surfaces: Surface of an area by "key=value", where it is not that of its function.
        line_surfaces: The same of a line.
        traffic: By value of `highway`.
        targets: By kind of object; other kinds are no targets.
        paving: Surface by value of `surface`.
        buildings: Storeys and roofs.
        base: Ground that no area covers.
        bridges: Heights.
    """

    functions: dict[str, str]
    built: dict[str, Ground]
    surfaces: dict[str, str]
    area_surfaces: dict[str, str]
    line_surfaces: dict[str, str]
    traffic: dict[str, Traffic]
    targets: dict[str, TargetModel]
    paving: dict[str, str]
    buildings: BuildingRules
    base: BaseRules
    bridges: BridgeRules

    @property
    def tags(self) -> TagRules:
        """What tags mean on any map."""
        return tag_rules()

    def area(self, tags: Tags) -> WorldArea | None:
        """Return what an area is."""
        rule = self.tags.area(tags)
        if rule is None:
            return None
        ground = self._ground(tags, rule, self.area_surfaces)
        return WorldArea(rule, ground, self.built.get(rule.function, ground))

    def line(self, tags: Tags) -> WorldLine | None:
        """Return what a line is."""
        rule = self.tags.line(tags)
        if rule is None:
            return None
        cars = self.traffic.get(tags[rule.key]) if rule.key == "highway" else None
        return WorldLine(rule, self._ground(tags, rule, self.line_surfaces), cars or Traffic())

    def target(self, tags: Tags) -> WorldTarget | None:
        """Return which single object a feature is."""
        rule = self.tags.object(tags)
        model = None if rule is None else self.targets.get(rule.kind)
        return None if rule is None or model is None else WorldTarget(rule.kind, model)

    def building(self, tags: Tags) -> str:
        """Return which of `layers.BUILDING_KINDS` the tags say; "building" if none."""
        aeroway = tags.get("aeroway", "")
        if aeroway in ("terminal", "hangar"):
            return aeroway
        return self.buildings.by_value.get(tags.get("building", ""), "building")

    def _ground(self, tags: Tags, rule: AreaRule | LineRule, surfaces: dict[str, str]) -> Ground:
        surface = surfaces.get(f"{rule.key}={tags[rule.key]}", self.surfaces[rule.function])
        return Ground(function=self.functions.get(rule.function, rule.function), surface=surface)


@functools.cache
def world_rules() -> WorldRules:
    """Return the table."""
    text = resources.files(__package__).joinpath("osm_rules.json").read_text("utf-8")
    return WorldRules(**json.loads(text))
