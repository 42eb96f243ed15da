"""What a feature of a map is to a tile: ground, building, road, object, place; one row each."""

from __future__ import annotations

from dataclasses import dataclass

from sarknowlip.geo.osm import Feature
from sarknowlip.geo.osm_tags import (
    ORDER,
    TagRules,
    Tags,
    is_bridge,
    is_loop,
    is_set,
    metres,
    shows_ground,
    underground,
)

UNMAPPED = "bridge"
"""A deck and a way carried over something are objects; the ground is what lies below."""


@dataclass
class MapRow:
    """One feature.

    Attributes:
        function: What the ground is for that it covers; None if it is no ground.
        order: Painter's order of that ground (values of `geo.osm_tags.ORDER`).
        width: Of a line, metres.
        network: "roads" or "railways" that its length counts to.
        building: Whether it is one.
        part: Whether it is a part of one.
        kind: Kind of single object.
        place: Value of `place`, of named places.
        name: Proper name.
        size: Tagged diameter, metres.
        height: Above the ground, metres, as tagged.
        storeys: The same by the number of storeys, where no height is tagged.
    """

    function: str | None = None
    order: int | None = None
    width: float | None = None
    network: str | None = None
    building: bool = False
    part: bool = False
    kind: str | None = None
    place: str | None = None
    name: str | None = None
    size: float | None = None
    height: float | None = None
    storeys: float | None = None

    @property
    def matters(self) -> bool:
        """Whether it is anything at all."""
        built = self.building or self.part
        return bool(self.function or self.network or built or self.kind or self.place)


def row_of(feature: Feature, rules: TagRules) -> MapRow | None:
    """Return what a feature is, None where it is nothing that can be seen from above.

    A closed way comes as a line and as an area: its tags tell which of the two counts.
    """
    tags = feature.tags
    row = MapRow(name=tags.get("name"))
    if row.name and tags.get("place") in rules.places and not underground(tags):
        row.place = tags["place"]
    if feature.shape == "line":
        _line(row, feature, rules)
    elif feature.shape == "area":
        _area(row, feature, rules)
    elif not underground(tags):
        _object(row, tags, rules)
    return row if row.matters else None


def is_coast(feature: Feature) -> bool:
    """Tell whether a feature is a piece of coastline."""
    return feature.shape == "line" and feature.tags.get("natural") == "coastline"


def _line(row: MapRow, feature: Feature, rules: TagRules) -> None:
    tags = feature.tags
    closed = bool(feature.geometry.is_closed)
    area = rules.area(tags) if closed else None
    if closed:
        row.place = None
    if underground(tags) or (area is not None and not is_loop(tags, area)):
        return
    rule = rules.line(tags)
    if rule is not None:
        row.width, row.network = rules.width(tags, rule), rule.network
        if is_bridge(tags):
            row.kind = UNMAPPED
            row.name = tags.get("bridge:name")
        elif rule.network or rule.key != "highway":
            row.function, row.order = rule.function, ORDER[rule.order]
    if row.kind is None and not closed:
        _object(row, tags, rules)


def _area(row: MapRow, feature: Feature, rules: TagRules) -> None:
    tags = feature.tags
    if not underground(tags):
        row.building = is_set(tags, "building")
        row.part = is_set(tags, "building:part")
        if row.building or row.part:
            row.height = metres(tags, "height", "building:height")
            row.storeys = None if row.height else rules.height(tags)
        elif tags.get("man_made") == "bridge":
            row.kind = UNMAPPED
            return
        _object(row, tags, rules)
    rule = rules.area(tags)
    single = row.kind in ("storage_tank", "wind_turbine", "crane", "pylon")
    loop = rule is not None and feature.element == "way" and is_loop(tags, rule)
    if rule is None or row.building or single or loop or is_set(tags, "building:part"):
        return
    if shows_ground(tags, rule):
        row.function, row.order = rule.function, ORDER[rule.order]
        if rule.key == "highway" and row.place is None and row.kind is None:
            row.name = None  # that of a street


def _object(row: MapRow, tags: Tags, rules: TagRules) -> None:
    rule = rules.object(tags)
    if rule is not None:
        row.kind = rule.kind
        row.size = metres(tags, "rotor:diameter", "diameter")
        row.height = row.height or metres(tags, "height:hub", "height")
