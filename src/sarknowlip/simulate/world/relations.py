"""Spatial relations between the regions and objects of a world, exact on its map plane.

Topology follows the 9-intersection of point sets (Egenhofer & Herring, Categorizing binary
topological relations between regions, lines, and points in geographic databases, 1991), directions
the cone-shaped model between centroids (Frank, Qualitative spatial reasoning: cardinal directions
as an example, Int. J. Geogr. Inf. Sci. 10, 1996). What those leave open (tolerances, what is
aligned, between or crossing for areas) is defined at each method and chosen here.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.files import read_json
from sarknowlip.simulate.frame import Bounds, Floats, Frame
from sarknowlip.simulate.layers import Layers, World, surfaces
from sarknowlip.simulate.world.alignment import Rows, rows_among
from sarknowlip.simulate.world.painted import outlines
from sarknowlip.simulate.world.truth import (
    MANIFEST,
    smallest_rectangles,
)

WINDS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
ROUNDING_DIGITS = 3
"""Coordinates are rounded to millimetres, so that a graph read from files equals the world's."""
_COLLINEAR_M = 1e-4

Cardinal = Literal["north", "east", "south", "west"]
CARDINAL: tuple[Cardinal, ...] = get_args(Cardinal)


@dataclass(frozen=True)
class Direction:
    """Where one thing lies as seen from another.

    Attributes:
        bearing_deg: Clockwise from the graph's north, 0 ≤ bearing < 360.
        wind: The nearest of the eight `WINDS`; half-way, the one clockwise.
    """

    bearing_deg: float
    wind: str


@dataclass(frozen=True)
class Items:
    """Things of a graph as columns.

    Attributes:
        uid: Identifiers, unique.
        layer: "region", "building" or "target".
        kind: Kind of building or target; function of a region.
        subclass: Class of target; surface of a region.
        geometry: Polygons, UTM metres.
        heading: Degrees from grid north, NaN without one.
    """

    uid: npt.NDArray[np.int64]
    layer: npt.NDArray[Any]
    kind: npt.NDArray[Any]
    subclass: npt.NDArray[Any]
    geometry: npt.NDArray[Any]
    heading: Floats


class SpatialGraph:
    """Answers questions on where things are.

    Questions name things by uid. `kind` in a question is a kind, subclass or layer of `Items`, None
    for everything. Answers never hold the thing that is asked about. Regions are taken as drawn,
    also where others are painted over them.

    Args:
        items: The things, in any sequence; answers don't depend on it.
        frame: Their UTM zone.
        north: What directions are counted from: "true" (at the centre of all things; within a zone
            it turns by less than 0.02° a kilometre below 60° of latitude) or "grid".

    Raises:
        ValueError: Two things share a uid.
    """

    def __init__(self, items: Items, frame: Frame, north: Literal["true", "grid"] = "true") -> None:
        order = np.argsort(items.uid, kind="stable")
        self.items = Items(*(getattr(items, name)[order] for name in Items.__dataclass_fields__))
        if (np.diff(self.items.uid) == 0).any():
            raise ValueError("two things share a uid")
        self.frame = frame
        self.north = north
        self._row = {int(uid): row for row, uid in enumerate(self.items.uid)}
        self._trees: dict[str | None, tuple[shapely.STRtree, npt.NDArray[np.int64]]] = {}
        self._centres = shapely.get_coordinates(shapely.centroid(self.items.geometry))
        # Questions on one thing come in a row, each about the same neighbours.
        self._answered: tuple[Any, npt.NDArray[np.int64]] = None, np.empty(0, np.int64)

    @classmethod
    def from_world(
        cls, world: World, bounds: Bounds, north: Literal["true", "grid"] = "true"
    ) -> Self:
        """Return the graph of everything that touches bounds, whole."""
        return cls(items_of(world.layers(bounds), world.frame), world.frame, north)

    @classmethod
    def from_truth(cls, folder: Path, north: Literal["true", "grid"] = "true") -> Self:
        """Return the graph of a folder that `truth.write_truth` wrote.

        Raises:
            SarKnowlipError: The folder holds no truth, or it is damaged.
        """
        remedy = "write the truth of a world there first, as parquet"
        manifest = read_json(folder / MANIFEST, remedy)
        frame = Frame(int(str(manifest["crs"]).removeprefix("EPSG:")))
        parts = []
        for name in ("regions", "objects"):
            path = folder / f"{name}.parquet"
            try:
                table = geopandas.read_parquet(path)
            except (OSError, ValueError) as error:
                raise SarKnowlipError(f"cannot read {path}: {error}", remedy) from error
            parts.append(_read_items(table, frame))
        return cls(_joined(parts), frame, north)

    def without(self, kind: str) -> Self:
        """Return a graph of everything but the things of a kind."""
        items = self.items
        kept = (items.kind != kind) & (items.subclass != kind) & (items.layer != kind)
        names = Items.__dataclass_fields__
        rest = Items(*(getattr(items, name)[kept] for name in names))
        return type(self)(rest, self.frame, self.north)

    def __len__(self) -> int:
        return len(self.items.uid)

    @functools.cached_property
    def convergence_deg(self) -> float:
        """Degrees from the graph's north to grid north, clockwise; one number for all."""
        if self.north == "grid" or not len(self):
            return 0.0
        west, south, east, north = shapely.total_bounds(self.items.geometry)
        return float(self.frame.convergence_deg((west + east) / 2, (south + north) / 2))

    def of_kind(self, kind: str | None = None) -> list[int]:
        """Return all things of a kind, by uid."""
        return self._uids(self._index(kind)[1])

    def distance(self, a: int, b: int) -> float:
        """Return the shortest distance between outlines, metres; 0 if they share a point."""
        return float(shapely.distance(self._shape(a), self._shape(b)))

    def centre_distance(self, a: int, b: int) -> float:
        """Return the distance between centroids, metres."""
        return float(np.hypot(*(self._centres[self._of(b)] - self._centres[self._of(a)])))

    def direction(self, a: int, b: int) -> Direction | None:
        """Return where the centroid of b lies, seen from that of a; None if they coincide."""
        east, north = self._offset(self._of(a), self._of(b))
        if east == 0.0 and north == 0.0:
            return None
        bearing = float(np.degrees(np.arctan2(east, north)) % 360.0) % 360.0
        return Direction(bearing, WINDS[int((bearing + 22.5) // 45.0) % 8])

    def nearest(self, uid: int, kind: str | None = None, k: int = 1) -> list[int]:
        """Return the k things of a kind nearest by `distance`; of equally near ones the least uid.

        Fewer if there are no more.
        """
        shape, own = self._shape(uid), self._of(uid)
        tree, rows = self._index(kind)
        wanted = min(k, len(rows) - int(own in rows))
        if wanted < 1:
            return []
        reach = 100.0
        while True:
            found = rows[tree.query(shape, predicate="dwithin", distance=reach)]
            found = found[found != own]
            if len(found) >= wanted:
                return self._by_distance(shape, found)[:k]
            reach *= 2.0

    def in_direction(
        self,
        uid: int,
        direction: Cardinal,
        kind: str | None = None,
        within_m: float | None = None,
    ) -> list[int]:
        """Return the things that lie north (east, …) of a thing, nearest first, ties by uid.

        They do if their centroid is in the 90° cone about that direction from the thing's centroid.
        A cone owns its anticlockwise edge: of things exactly north-east, those are east. So each
        thing lies in one cone, and a lies north of b if and only if b lies south of a. Things whose
        centroids coincide lie in none.

        Args:
            uid: The thing from which one looks.
            direction: Where to.
            kind: What to look for.
            within_m: Greatest `distance`, metres; None for any.
        """
        own = self._of(uid)
        rows = self._near(uid, kind, within_m)
        east, north = self._offset(own, rows)
        return self._by_distance(self._shape(uid), rows[_cones(east, north)[direction]])

    def north_of(
        self, uid: int, kind: str | None = None, within_m: float | None = None
    ) -> list[int]:
        """Return what lies north of a thing; see `in_direction`."""
        return self.in_direction(uid, "north", kind, within_m)

    def east_of(
        self, uid: int, kind: str | None = None, within_m: float | None = None
    ) -> list[int]:
        """Return what lies east of a thing; see `in_direction`."""
        return self.in_direction(uid, "east", kind, within_m)

    def south_of(
        self, uid: int, kind: str | None = None, within_m: float | None = None
    ) -> list[int]:
        """Return what lies south of a thing; see `in_direction`."""
        return self.in_direction(uid, "south", kind, within_m)

    def west_of(
        self, uid: int, kind: str | None = None, within_m: float | None = None
    ) -> list[int]:
        """Return what lies west of a thing; see `in_direction`."""
        return self.in_direction(uid, "west", kind, within_m)

    def inside(self, uid: int) -> list[int]:
        """Return the regions that hold all of a thing, innermost (least area, then uid) first.

        The relations "inside" and "covered by" of the 9-intersection; "equal" does not count.
        """
        shape = self._shape(uid)
        tree, rows = self._index("region")
        found = self._others(uid, rows[tree.query(shape, predicate="covered_by")])
        found = found[~shapely.equals(self.items.geometry[found], shape)]
        areas = shapely.area(self.items.geometry[found])
        return self._uids(found[np.lexsort([found, areas])])

    def contains(self, uid: int, kind: str | None = None) -> list[int]:
        """Return the things of a kind that lie wholly in a region or outline, by uid.

        The relations "contains" and "covers" of the 9-intersection; "equal" does not count.
        """
        shape = self._shape(uid)
        tree, rows = self._index(kind)
        found = self._others(uid, rows[np.sort(tree.query(shape, predicate="covers"))])
        return self._uids(found[~shapely.equals(self.items.geometry[found], shape)])

    def adjacent(self, uid: int, tolerance_m: float = 1.0, kind: str | None = None) -> list[int]:
        """Return what lies beside a thing, by uid: "meet" of the 9-intersection with a tolerance.

        Boundaries come within the tolerance and no interior point is shared.
        """
        shape = self._shape(uid)
        rows = self._near(uid, kind, tolerance_m)
        apart = shapely.relate_pattern(self.items.geometry[rows], shape, "F********")
        return self._uids(rows[apart])

    def crosses(self, uid: int, kind: str | None = None) -> list[int]:
        """Return what a thing crosses, by uid: it overlaps it and sticks out in two pieces or more.

        A road crosses a river that way, and the river the road; a ditch that ends in a river does
        not cross it.
        """
        shape = self._shape(uid)
        tree, rows = self._index(kind)
        rows = self._others(uid, rows[np.sort(tree.query(shape, predicate="intersects"))])
        rows = rows[shapely.relate_pattern(self.items.geometry[rows], shape, "T********")]
        rest = shapely.difference(shape, self.items.geometry[rows])
        return self._uids(rows[shapely.get_num_geometries(rest) >= 2])

    def between(self, uid: int, a: int, b: int, half_width_m: float = 50.0) -> bool:
        """Tell whether a thing lies between two others.

        Its centroid projects strictly inside the segment from centroid to centroid, and its outline
        comes within half the width of the corridor around that segment. Neither end is between.
        """
        return uid in self.all_between(a, b, None, half_width_m)

    def all_between(
        self, a: int, b: int, kind: str | None = None, half_width_m: float = 50.0
    ) -> list[int]:
        """Return the things of a kind between two others, from a to b; see `between`."""
        start, end = self._centres[self._of(a)], self._centres[self._of(b)]
        way = end - start
        length2 = float(way @ way)
        if length2 == 0.0:
            return []
        tree, rows = self._index(kind)
        segment = LineString([start, end])
        rows = rows[np.sort(tree.query(segment, predicate="dwithin", distance=half_width_m))]
        rows = rows[~np.isin(rows, [self._of(a), self._of(b)])]
        share = (self._centres[rows] - start) @ way / length2
        rows, share = rows[(share > 0) & (share < 1)], share[(share > 0) & (share < 1)]
        return self._uids(rows[np.argsort(share, kind="stable")])

    def aligned(
        self,
        of: str | Sequence[int],
        region: int | None = None,
        rules: Rows | None = None,
    ) -> list[tuple[int, ...]]:
        """Return the rows that things stand in, longest first; see `alignment.Rows`.

        Args:
            of: A kind, or the things themselves.
            region: Only things wholly in this region.
            rules: What counts as a row.
        """
        rows = (
            self._index(of)[1]
            if isinstance(of, str)
            else np.array(sorted(self._of(uid) for uid in set(of)), dtype=np.int64)
        )
        if region is not None:
            rows = rows[np.isin(rows, [self._of(uid) for uid in self.contains(region)])]
        found = rows_among(self._centres[rows], self.items.heading[rows], rules or Rows())
        return [tuple(self._uids(rows[list(row)])) for row in found]

    def count(self, kind: str | None = None, region: int | None = None) -> int:
        """Return how many things of a kind there are, or lie wholly in a region."""
        return len(self.of_kind(kind) if region is None else self.contains(region, kind))

    def neighbours(self, uid: int, within_m: float) -> list[int]:
        """Return everything within a `distance`, by uid."""
        return self._uids(self._near(uid, None, within_m))

    def _near(self, uid: int, kind: str | None, within_m: float | None) -> npt.NDArray[np.int64]:
        asked = uid, kind, within_m
        if self._answered[0] != asked:
            tree, rows = self._index(kind)
            if within_m is not None:
                found = tree.query(self._shape(uid), predicate="dwithin", distance=within_m)
                rows = rows[np.sort(found)]
            self._answered = asked, self._others(uid, rows)
        return self._answered[1]

    def _others(self, uid: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        others: npt.NDArray[np.int64] = rows[rows != self._of(uid)]
        return others

    def _of(self, uid: int) -> int:
        if uid not in self._row:
            raise SarKnowlipError(f"the graph holds nothing with uid {uid}", "ask for one it holds")
        return self._row[uid]

    def _shape(self, uid: int) -> BaseGeometry:
        shape: BaseGeometry = self.items.geometry[self._of(uid)]
        return shape

    def _index(self, kind: str | None) -> tuple[shapely.STRtree, npt.NDArray[np.int64]]:
        """Return a tree over the things of a kind, and their rows, ascending."""
        if kind not in self._trees:
            items = self.items
            named = (items.kind == kind) | (items.subclass == kind) | (items.layer == kind)
            rows = np.arange(len(self)) if kind is None else np.flatnonzero(named)
            self._trees[kind] = shapely.STRtree(items.geometry[rows]), rows
        return self._trees[kind]

    def _offset(self, a: int, b: int | npt.NDArray[np.int64]) -> tuple[Any, Any]:
        """Return metres toward the graph's east and north from one centroid to others."""
        dx, dy = np.moveaxis(self._centres[b] - self._centres[a], -1, 0)
        if self.north == "grid":
            return dx, dy
        turn = np.radians(self.convergence_deg)
        return dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)

    def _by_distance(self, shape: BaseGeometry, rows: npt.NDArray[np.int64]) -> list[int]:
        distance = shapely.distance(self.items.geometry[rows], shape)
        return self._uids(rows[np.lexsort([rows, distance])])

    def _uids(self, rows: npt.NDArray[np.int64]) -> list[int]:
        uids: list[int] = self.items.uid[rows].tolist()
        return uids


def items_of(layers: Layers, frame: Frame) -> Items:
    """Return regions, buildings and targets as things of a graph."""
    names = np.array(["", *(surface.name for surface in surfaces())], dtype=object)
    regions, buildings, targets = layers.regions, layers.buildings, layers.targets
    shapes = [regions.geometry, buildings.geometry, outlines(targets)]
    counts = [len(regions), len(buildings), len(targets)]
    return Items(
        uid=np.concatenate([regions.uid, buildings.uid, targets.uid]),
        layer=np.repeat(np.array(["region", "building", "target"], dtype=object), counts),
        kind=np.concatenate([regions.function, buildings.kind, targets.kind]),
        subclass=np.concatenate([names[regions.surface], buildings.kind, targets.subclass]),
        geometry=_tidy(np.concatenate(shapes)),
        heading=np.concatenate(
            [regions.heading, smallest_rectangles(buildings.geometry)[2], targets.heading]
        ),
    )


def _read_items(table: Any, frame: Frame) -> Items:
    """Return the rows of a truth table as things, back on the map grid."""
    regions = "layer" not in table
    shapes = np.asarray(table.geometry.to_crs(frame.epsg).values, dtype=object)
    shapes = _tidy(shapes)
    centres = shapely.get_coordinates(shapely.centroid(shapes))
    turn = frame.convergence_deg(centres[:, 0], centres[:, 1])
    kinds = table["function" if regions else "kind"]
    return Items(
        uid=table["uid"].to_numpy(np.int64),
        layer=np.full(len(table), "region", dtype=object) if regions else _objects(table["layer"]),
        kind=_objects(kinds),
        subclass=_objects(table["surface" if regions else "subclass"]),
        geometry=shapes,
        heading=table["heading"].to_numpy(np.float64) - turn,
    )


def _objects(column: Any) -> npt.NDArray[Any]:
    return np.asarray(column.to_numpy(), dtype=object)


def _joined(parts: Sequence[Items]) -> Items:
    names = Items.__dataclass_fields__
    return Items(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _tidy(shapes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Drop vertices on straight edges, which truth files add, and round the others.

    Spikes and slivers whose sides cross then are rebuilt from their areas; one without area becomes
    a strip a millimetre wide.
    """
    straight = shapely.simplify(shapes, _COLLINEAR_M)
    rounded = shapely.transform(straight, lambda points: np.round(points, ROUNDING_DIGITS))
    crossed = np.flatnonzero(~shapely.is_valid(rounded))
    rebuilt = shapely.make_valid(rounded[crossed], method="structure", keep_collapsed=False)
    strips = shapely.buffer(shapely.boundary(rounded[crossed]), 0.5 * 10.0**-ROUNDING_DIGITS)
    rounded[crossed] = np.where(shapely.is_empty(rebuilt), strips, rebuilt)
    return np.asarray(rounded, dtype=object)


def _cones(east: Floats, north: Floats) -> dict[str, npt.NDArray[np.bool_]]:
    """Return in which cone offsets lie; exact under a change of sign of both."""
    return {
        "north": (-north <= east) & (east < north),
        "east": (-east < north) & (north <= east),
        "south": (north < east) & (east <= -north),
        "west": (east <= north) & (north < -east),
    }
