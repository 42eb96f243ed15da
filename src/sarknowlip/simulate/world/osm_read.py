"""What an OpenStreetMap extract holds within a world, sorted by what it will become."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from sarknowlip.geo.osm import Feature, iter_features
from sarknowlip.geo.osm_tags import is_bridge, is_loop, is_set, shows_ground, underground
from sarknowlip.simulate.frame import Bounds, Frame
from sarknowlip.simulate.world.osm_rules import WorldArea, WorldLine, WorldRules, WorldTarget

Geometries = npt.NDArray[Any]

ROWS_PER_FEATURE = 1 << 16
"""Rows made of one feature have uids feature · ROWS_PER_FEATURE + 0, 1, …"""

_CODES = {"point": 0, "line": 1, "area": 2}
MADE = 4
"""Code of features that no map holds: ground squares, sea, ships under way."""

_MARGIN_DEG = 0.005

_Rule = TypeVar("_Rule", WorldArea, WorldLine, WorldTarget, None)


def feature_uid(code: int, number: int) -> int:
    """Return the uid of the first row of a feature: unique by code (0…7) and number."""
    return (number * 8 + code) * ROWS_PER_FEATURE


@dataclass
class Things(Generic[_Rule]):
    """Features that become the same kind of row.

    Attributes:
        uids: Of their first rows.
        geometry: UTM metres (degrees while they are being read).
        tags: OpenStreetMap's.
        rules: What they are.
    """

    uids: list[int] = field(default_factory=list)
    geometry: list[BaseGeometry] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    rules: list[_Rule] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.uids)

    def add(self, feature: Feature, rule: _Rule) -> None:
        """Append a feature."""
        code = 3 if feature.element == "relation" else _CODES[feature.shape]
        self.uids.append(feature_uid(code, feature.id))
        self.geometry.append(feature.geometry)
        self.tags.append(feature.tags)
        self.rules.append(rule)

    def keep(self, mask: npt.NDArray[np.bool_]) -> Things[_Rule]:
        """Return the features of a mask."""
        return Things(
            *(
                [value for value, kept in zip(column, mask, strict=True) if kept]
                for column in (self.uids, self.geometry, self.tags, self.rules)
            )
        )


@dataclass
class MapContent:
    """All features of an extract that touch a world, UTM metres.

    Attributes:
        areas: Ground with a function, still overlapping.
        lines: Roads, railways, runways, rivers, piers on the ground.
        bridges: The same carried over something.
        decks: Outlines of bridges.
        buildings: Footprints.
        parts: Footprints of parts of buildings, with heights of their own.
        targets: Single objects, as points, lines or areas.
        coast: Coastlines, land on their left.
    """

    areas: Things[WorldArea] = field(default_factory=Things)
    lines: Things[WorldLine] = field(default_factory=Things)
    bridges: Things[WorldLine] = field(default_factory=Things)
    decks: Things[None] = field(default_factory=Things)
    buildings: Things[None] = field(default_factory=Things)
    parts: Things[None] = field(default_factory=Things)
    targets: Things[WorldTarget] = field(default_factory=Things)
    coast: Things[None] = field(default_factory=Things)


def read_map(path: Path, frame: Frame, bounds: Bounds, rules: WorldRules) -> MapContent:
    """Return what an extract holds within bounds.

    Raises:
        MapError: The extract cannot be read.
    """
    content = MapContent()
    corners_x = np.array([bounds.west, bounds.east, bounds.east, bounds.west])
    corners_y = np.array([bounds.south, bounds.south, bounds.north, bounds.north])
    lon, lat = frame.lonlat(corners_x, corners_y)
    box = (
        float(lon.min()) - _MARGIN_DEG,
        float(lat.min()) - _MARGIN_DEG,
        float(lon.max()) + _MARGIN_DEG,
        float(lat.max()) + _MARGIN_DEG,
    )
    for feature in iter_features(path, rules.tags.keys, box, point_keys=rules.tags.point_keys):
        _sort(feature, rules, content)
    as_areas = set(content.areas.uids)
    content.lines = content.lines.keep(
        np.array([uid + ROWS_PER_FEATURE not in as_areas for uid in content.lines.uids], bool)
    )
    ground = shapely.box(bounds.west, bounds.south, bounds.east, bounds.north)
    for name, things in vars(content).items():
        setattr(content, name, _on_ground(things, frame, ground))
    return content


def polygonal(shapes: Geometries) -> Geometries:
    """Return shapes without their points and lines; empty polygons where nothing is left."""
    out = np.array(shapes, dtype=object)
    for index in np.flatnonzero(~np.isin(shapely.get_type_id(out), (3, 6))):
        parts = shapely.get_parts(shapely.get_parts(out[index]))
        out[index] = shapely.union_all(parts[shapely.get_type_id(parts) == 3])
    return out


def clipped(shapes: Geometries, bounds: Bounds) -> Geometries:
    """Return polygons cut to bounds; empty where nothing is left."""
    ground = shapely.box(bounds.west, bounds.south, bounds.east, bounds.north)
    shapely.prepare(ground)
    out = np.array(shapes, dtype=object)
    crossing = ~shapely.contains_properly(ground, out)
    out[crossing] = polygonal(shapely.intersection(out[crossing], ground))
    return out


def _sort(feature: Feature, rules: WorldRules, content: MapContent) -> None:
    tags = feature.tags
    target = rules.target(tags)
    if target is not None and not underground(tags):
        # a closed way comes as an area too: that one tells its size
        if feature.shape != "line" or not shapely.is_closed(feature.geometry):
            content.targets.add(feature, target)
        return
    if feature.shape == "line":
        if tags.get("natural") == "coastline":
            content.coast.add(feature, None)
        elif (line := rules.line(tags)) is not None and not underground(tags):
            (content.bridges if is_bridge(tags) else content.lines).add(feature, line)
    elif feature.shape == "area":
        _sort_area(feature, rules, content)


def _sort_area(feature: Feature, rules: WorldRules, content: MapContent) -> None:
    tags = feature.tags
    if is_set(tags, "building") and not underground(tags):
        content.buildings.add(feature, None)
    elif is_set(tags, "building:part") and not underground(tags):
        content.parts.add(feature, None)
    elif tags.get("man_made") == "bridge":
        content.decks.add(feature, None)
    elif (rule := rules.area(tags)) is not None:
        loop = feature.element == "way" and is_loop(tags, rule.rule)
        if not loop and shows_ground(tags, rule.rule):
            content.areas.add(feature, rule)


def _on_ground(things: Things[Any], frame: Frame, ground: BaseGeometry) -> Things[Any]:
    if not things:
        return things

    def to_xy(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack(frame.xy(points[:, 0], points[:, 1]))

    shapes = shapely.transform(np.array(things.geometry, dtype=object), to_xy)
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken])
    things.geometry = list(shapes)
    return things.keep(shapely.intersects(shapes, ground))
