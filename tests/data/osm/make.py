"""Make a small .osm.pbf of an invented town by the sea: every kind of thing that a world reads.

python tests/data/osm/make.py FILE

Places are metres east and north of the corner of a square of 3 km; the sea is in the east.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import osmium
from osmium.osm import mutable

from sarknowlip.simulate.frame import Frame

FRAME = Frame(32632)
CORNER = (560_000.0, 5_980_000.0)
SIZE_M = 3000.0
COAST_M = 2400.0
Point = tuple[float, float]


def rectangle(west: float, south: float, east: float, north: float) -> list[Point]:
    """Return the corners of a rectangle, counter-clockwise, closed."""
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def circle(x: float, y: float, radius: float, corners: int = 24) -> list[Point]:
    """Return a closed ring, counter-clockwise."""
    angle = np.linspace(0, 2 * np.pi, corners + 1)
    ring = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angle[:-1]]
    return [*ring, ring[0]]


@dataclass
class Map:
    """Nodes, ways and relations until they are written, numbered as they come."""

    nodes: dict[Point, int] = field(default_factory=dict)
    tagged: dict[int, dict[str, str]] = field(default_factory=dict)
    ways: list[tuple[list[int], dict[str, str]]] = field(default_factory=list)
    relations: list[tuple[list[tuple[int, str]], dict[str, str]]] = field(default_factory=list)

    def node(self, place: Point, **tags: str) -> int:
        """Return the number of the node at a place."""
        number = self.nodes.setdefault(place, len(self.nodes) + 1)
        if tags:
            self.tagged[number] = {key.replace("__", ":"): value for key, value in tags.items()}
        return number

    def way(self, places: Iterable[Point], **tags: str) -> int:
        """Add a way; a double underscore in a key stands for a colon."""
        keys = {key.replace("__", ":"): value for key, value in tags.items()}
        self.ways.append(([self.node(place) for place in places], keys))
        return len(self.ways)

    def multipolygon(self, outer: list[Point], inner: list[Point], **tags: str) -> int:
        """Add an area with a hole."""
        members = [(self.way(outer), "outer"), (self.way(inner), "inner")]
        self.relations.append((members, {"type": "multipolygon", **tags}))
        return len(self.relations)

    def write(self, path: Path, *, box: bool = True, nodes_beyond: bool = True) -> None:
        """Write the file.

        Args:
            path: Where.
            box: Whether the header says what the file covers.
            nodes_beyond: Whether nodes outside the square are written too, or cut off.
        """
        path.unlink(missing_ok=True)
        header = osmium.io.Header()
        if box:
            x = CORNER[0] + np.array([0, SIZE_M, SIZE_M, 0])
            y = CORNER[1] + np.array([0, 0, SIZE_M, SIZE_M])
            lon, lat = FRAME.lonlat(x, y)
            low = osmium.osm.Location(float(lon.min()), float(lat.min()))
            high = osmium.osm.Location(float(lon.max()), float(lat.max()))
            header.add_box(osmium.osm.Box(low, high))
        with osmium.SimpleWriter(str(path), header=header) as writer:
            for (x, y), number in self.nodes.items():
                if nodes_beyond or (0 <= x <= SIZE_M and 0 <= y <= SIZE_M):
                    place = FRAME.lonlat(CORNER[0] + x, CORNER[1] + y)
                    location = (float(place[0]), float(place[1]))
                    tags = self.tagged.get(number, {})
                    writer.add_node(mutable.Node(id=number, location=location, tags=tags))
            for number, (refs, tags) in enumerate(self.ways, start=1):
                writer.add_way(mutable.Way(id=number, nodes=refs, tags=tags))
            for number, (members, tags) in enumerate(self.relations, start=1):
                parts = [("w", ref, role) for ref, role in members]
                writer.add_relation(mutable.Relation(id=number, members=parts, tags=tags))


def town() -> Map:
    """Return the invented town."""
    map_ = Map()
    _ground(map_)
    _buildings(map_)
    _water(map_)
    _transport(map_)
    _objects(map_)
    return map_


def _ground(map_: Map) -> None:
    map_.way(rectangle(0, 0, 800, 800), landuse="residential")
    map_.way(rectangle(0, 900, 900, 1700), landuse="farmland")
    outer, inner = rectangle(-200, 1800, 900, 2900), rectangle(300, 2200, 600, 2500)
    map_.multipolygon(outer, inner, landuse="forest")
    map_.way(rectangle(2150, 900, 2400, 1600), landuse="industrial", industrial="port")
    map_.way(rectangle(1300, 300, 1400, 380), amenity="parking")
    map_.way(rectangle(1300, 400, 1400, 480), amenity="parking", parking="underground")


def _buildings(map_: Map) -> None:
    for column in range(6):
        for row in range(6):
            x, y = 60.0 + 110 * column, 60.0 + 110 * row
            tags = (
                {"building": "house"} if row % 2 else {"building": "yes", "building__levels": "2"}
            )
            map_.way(rectangle(x, y, x + 12, y + 9), **tags)
    map_.way(rectangle(1700, 300, 1740, 330), building="office", height="52.5 m")
    map_.way(rectangle(1800, 300, 1840, 330), building="retail", roof__material="metal")
    map_.way(rectangle(1500, 300, 1560, 340), building="yes", height="10")
    map_.way(rectangle(1500, 300, 1530, 340), building__part="yes", height="40")
    map_.way(rectangle(1500, 300, 1550, 340), building__part="yes", height="12")
    map_.way(rectangle(1600, 100, 1620, 120), building="roof", height="5")
    map_.way(rectangle(1650, 100, 1670, 120), building="yes", layer="-1")
    yard = rectangle(1920, 320, 1940, 340)
    map_.multipolygon(rectangle(1900, 300, 1960, 360), yard, building="apartments")


def _water(map_: Map) -> None:
    shore = [(COAST_M, -400.0), (COAST_M, 500.0), (COAST_M, 1000.0), (COAST_M, 2600.0)]
    map_.way([*shore, (COAST_M, 3400.0)], natural="coastline")
    map_.way(circle(2750, 2000, 60), natural="coastline")
    map_.way([(0.0, 850.0), (1900.0, 850.0)], waterway="river", width="30")
    map_.way([(1900.0, 850.0), (2400.0, 850.0)], waterway="river")
    map_.way(rectangle(1900, 820, 2400, 880), natural="water", water="river")
    map_.way(rectangle(2400, 1200, 2700, 1230), man_made="pier")


def _transport(map_: Map) -> None:
    south, north = (1200.0, 810.0), (1200.0, 890.0)
    map_.way([(1200.0, -300.0), south], highway="primary")
    map_.way([south, north], highway="primary", bridge="yes", layer="1", lanes="4")
    map_.way([north, (1200.0, 1750.0)], highway="primary")
    map_.way([(1200.0, 600.0), (2300.0, 600.0)], highway="residential")
    map_.way([(1250.0, 200.0), (1290.0, 200.0)], highway="residential", tunnel="yes")
    map_.way(rectangle(1450, 620, 1500, 670), highway="pedestrian")
    map_.way(rectangle(1550, 620, 1600, 670), highway="pedestrian", area="yes")
    map_.way([(1000.0, 0.0), (1000.0, 800.0)], railway="rail")
    map_.way(rectangle(1300, 1800, 2200, 2900), aeroway="aerodrome")
    map_.way([(1400.0, 1900.0), (1400.0, 2800.0)], aeroway="runway", surface="concrete")
    map_.way([(1450.0, 2200.0), (1700.0, 2200.0)], aeroway="taxiway")
    map_.way(rectangle(1700, 2000, 2000, 2400), aeroway="apron")
    map_.way(rectangle(2010, 2000, 2060, 2200), aeroway="terminal", building="yes")


def _objects(map_: Map) -> None:
    map_.node((1100.0, 300.0), man_made="storage_tank", diameter="30", height="14")
    map_.way(circle(1100, 400, 20), man_made="storage_tank")
    map_.node((450.0, 1300.0), power="generator", generator__source="wind",
              rotor__diameter="112", height__hub="94")  # fmt: skip
    map_.node((2390.0, 1400.0), man_made="crane")
    map_.node((-150.0, 1300.0), man_made="crane")


if __name__ == "__main__":
    town().write(Path(sys.argv[1]))
