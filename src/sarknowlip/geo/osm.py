"""OpenStreetMap extracts: the features of an .osm.pbf file as geometry in degrees and tags.

A file is streamed twice (first for the relations that make areas); what is held in memory is the
place of every node and the rings of areas not yet complete, by libosmium
(https://osmcode.org/libosmium/manual.html), and whatever the caller keeps of the features.

Extracts cut objects in one of two ways: some hold every node of an object that touches them, some
only the nodes inside. Of the second kind, lines come back as the pieces that have places, and
areas that miss a node are not assembled: their number is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import osmium
import shapely
from shapely.geometry import LineString, MultiLineString
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.errors import SarKnowlipError

Box = tuple[float, float, float, float]
"""West, south, east, north, degrees."""

Element = Literal["node", "way", "relation"]
Shape = Literal["point", "line", "area"]

_LOG = logging.getLogger(__name__)


class MapError(SarKnowlipError):
    """A map extract cannot be read, or lacks what is needed of it."""


@dataclass(frozen=True)
class Feature:
    """One thing on the map.

    Attributes:
        element: What carries the tags in OpenStreetMap.
        id: Identifier of that element; unique among elements of its kind.
        shape: A closed way comes twice, as a line and as an area: only its tags tell which is
            meant, and that is the reader's matter.
        geometry: Point, LineString, MultiLineString (a line with gaps) or MultiPolygon, WGS 84
            degrees, longitude first.
        tags: Keys and values.
    """

    element: Element
    id: int
    shape: Shape
    geometry: BaseGeometry
    tags: dict[str, str]


def iter_features(
    path: Path,
    keys: Collection[str],
    bbox: Box | None = None,
    *,
    point_keys: Collection[str] | None = None,
) -> Iterator[Feature]:
    """Yield all features that carry one of the keys, in the order of the file, areas assembled.

    Args:
        path: An .osm.pbf file.
        keys: Tag keys ("building", "highway", …), at least one.
        bbox: Only features whose envelope touches this box.
        point_keys: The keys that matter on points, `keys` if not given: maps have many lamps and
            crossings.

    Raises:
        MapError: The file is missing, not in this format, truncated, or has ways but no places of
            their nodes.
    """
    if not keys:
        raise ValueError("no tag keys given")
    wanted = osmium.filter.KeyFilter(*keys)
    entities = osmium.osm
    wanted.enable_for(entities.WAY | entities.RELATION | entities.AREA)
    points = osmium.filter.KeyFilter(*(keys if point_keys is None else point_keys))
    points.enable_for(entities.NODE)
    factory = osmium.geom.WKBFactory()
    ways = placed = broken = 0
    with _reading(path):
        processor = osmium.FileProcessor(osmium.io.File(str(path), "pbf"))
        things: Iterator[Any] = iter(
            processor.with_areas(wanted).with_filter(wanted).with_filter(points)
        )
        for thing in things:
            if thing.is_relation():
                continue
            geometry = _geometry(thing, factory)
            if thing.is_way():
                ways, placed = ways + 1, placed + (geometry is not None)
                broken += thing.is_closed() and _has_gaps(geometry)
            if geometry is not None and (bbox is None or _touches(geometry, bbox)):
                yield _feature(thing, geometry)
    if ways and not placed:
        raise MapError(f"{path} has no places of its ways' nodes", "extract it with its nodes")
    if broken:
        _LOG.info("%s: %d closed ways lack nodes, their areas are left out", path, broken)


def extract_box(path: Path) -> Box:
    """Return the box a file says it covers, or that of its nodes where it says nothing.

    Raises:
        MapError: The file is missing, not in this format, truncated, or has no nodes.
    """
    with _reading(path):
        file = osmium.io.File(str(path), "pbf")
        with osmium.io.Reader(file, osmium.osm.NOTHING) as reader:
            box = reader.header().box()
        if not box.valid():
            nodes: Iterator[Any] = iter(osmium.FileProcessor(file, osmium.osm.NODE))
            for node in nodes:
                if node.location.valid():
                    box.extend(node.location)
    if not box.valid():
        raise MapError(f"{path} has no nodes", "extract it with its nodes")
    low, high = box.bottom_left, box.top_right
    return low.lon, low.lat, high.lon, high.lat


def extract_time(path: Path) -> str | None:
    """Return the date of the state of the map that a file's header tells, RFC 3339, or None.

    Raises:
        MapError: The file is missing or not in this format.
    """
    with (
        _reading(path),
        osmium.io.Reader(osmium.io.File(str(path), "pbf"), osmium.osm.NOTHING) as r,
    ):
        told = r.header().get("osmosis_replication_timestamp")
    return told or None


class _reading:  # noqa: N801 - reads as a statement
    """Turns libosmium's errors into one line that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if not self.path.is_file():
            raise MapError(f"{self.path} is not there", "give the path of an .osm.pbf extract")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RuntimeError | osmium.InvalidLocationError):
            raise MapError(
                f"{self.path} is not an .osm.pbf file, or truncated ({error})", "fetch it again"
            ) from error


def _geometry(thing: Any, factory: Any) -> BaseGeometry | None:
    """Return a feature's geometry, None where no piece of it has a place."""
    if thing.is_area():
        return shapely.from_wkb(bytes.fromhex(factory.create_multipolygon(thing)))
    if thing.is_node():
        place = thing.location
        return shapely.Point(place.lon, place.lat) if place.valid() else None
    try:
        return shapely.from_wkb(bytes.fromhex(factory.create_linestring(thing)))
    except (osmium.InvalidLocationError, RuntimeError):  # nodes without places, or only one
        return _pieces(thing)


def _pieces(way: Any) -> BaseGeometry | None:
    """Return the pieces of a way of which the extract has the nodes, None if there are none."""
    runs: list[list[tuple[float, float]]] = [[]]
    for node in way.nodes:
        place = node.location
        if not place.valid():
            runs.append([])
        elif not runs[-1] or runs[-1][-1] != (place.lon, place.lat):
            runs[-1].append((place.lon, place.lat))
    lines = [LineString(run) for run in runs if len(run) > 1]
    if not lines:
        return None
    return lines[0] if len(lines) == 1 else MultiLineString(lines)


def _has_gaps(closed_way: BaseGeometry | None) -> bool:
    return closed_way is None or closed_way.geom_type != "LineString" or not closed_way.is_closed


def _touches(geometry: BaseGeometry, box: Box) -> bool:
    west, south, east, north = geometry.bounds
    return bool(west <= box[2] and box[0] <= east and south <= box[3] and box[1] <= north)


def _feature(thing: Any, geometry: BaseGeometry) -> Feature:
    tags = dict(thing.tags)
    if thing.is_area():
        element: Element = "way" if thing.from_way() else "relation"
        return Feature(element, int(thing.orig_id()), "area", geometry, tags)
    if thing.is_way():
        return Feature("way", int(thing.id), "line", geometry, tags)
    return Feature("node", int(thing.id), "point", geometry, tags)
