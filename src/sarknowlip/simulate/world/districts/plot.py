"""A district while it is being filled, in metres along and across its heading.

Fillers work with coordinates (u, v): u along the heading, v to the left of it, from an origin near
the middle. There, streets and buildings are upright rectangles, and `Boxes` (arrays of
u0, v0, u1, v1) describe thousands of them. `Plot.layers` turns everything into UTM metres.
Directions are turns, degrees clockwise from u.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.errors import GeometryError
from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import (
    ORDER,
    Buildings,
    Layers,
    Regions,
    Targets,
    surface_id,
)
from sarknowlip.simulate.world.district import UIDS_PER_DISTRICT, District
from sarknowlip.simulate.world.districts.classes import Drawn

Boxes: TypeAlias = Floats
"""Upright rectangles, shape (n, 4): u0, v0, u1, v1."""
Geometries: TypeAlias = npt.NDArray[Any]
"""Shapely geometries in an object array."""

SMALLEST_REGION_M2 = 1.0
"""Scraps below this area are not worth a region."""


class Plot:
    """A district's ground in its own frame and what has been put on it.

    Args:
        district: To fill.
        heading: Direction of u, degrees from grid north; None: the district's heading.

    Attributes:
        area: The ground, local coordinates.
        bounds: Its limits: u0, v0, u1, v1.
        random: Generator of all that is random in the district.
    """

    def __init__(self, district: District, heading: float | None = None) -> None:
        self.district = district
        self.heading = district.heading if heading is None else heading
        west, south, east, north = district.polygon.bounds
        self._origin = np.array([round((west + east) / 2), round((south + north) / 2)])
        angle = np.deg2rad(self.heading)
        self._axes = np.array([[np.sin(angle), np.cos(angle)], [-np.cos(angle), np.sin(angle)]])
        self.area: Polygon = shapely.orient_polygons(self.local(district.polygon))
        shapely.prepare(self.area)
        self.bounds: tuple[float, float, float, float] = self.area.bounds
        self.random = keyed.generator(district.seed, f"district/{district.function}", district.uid)
        self._regions: list[dict[str, Any]] = []
        self._buildings: list[dict[str, Any]] = []
        self._targets: list[dict[str, Any]] = []

    def local(self, geometry: Any) -> Any:
        """Return a UTM geometry in local coordinates."""
        return shapely.transform(geometry, lambda xy: (xy - self._origin) @ self._axes.T)

    def clipped(self, geometries: Geometries, ground: BaseGeometry | None = None) -> Geometries:
        """Return the parts of geometries that lie in the plot, polygons only, none empty.

        Args:
            geometries: Valid polygons, local coordinates.
            ground: To clip by instead of the whole plot.
        """
        area = self.area if ground is None else ground
        shapely.prepare(area)
        inside = shapely.contains_properly(area, geometries)
        cut = geometries.copy()
        cut[~inside] = shapely.intersection(geometries[~inside], area)
        return polygons(cut)

    def ground(
        self,
        geometries: Geometries,
        surface: str | npt.NDArray[Any],
        function: str | None = None,
        order: str = "ground",
        turn: float | Floats = np.nan,
    ) -> None:
        """Paint regions; `turn` is the direction of their structure.

        Per-region arrays of surfaces or turns must match `geometries`.
        """
        if len(geometries):
            columns = {"surface": surface, "turn": turn, "order": ORDER[order]}
            name = function or self.district.function
            self._regions.append({"geometry": geometries, "function": name} | columns)

    def build(
        self,
        geometries: Geometries,
        height: float | Floats,
        kind: str | npt.NDArray[Any],
        surface: str | npt.NDArray[Any],
    ) -> None:
        """Erect buildings on footprints."""
        if len(geometries):
            columns = {"height": height, "kind": kind, "surface": surface}
            self._buildings.append({"geometry": geometries} | columns)

    def put(self, kind: str, places: Floats, sizes: Drawn, turn: float | Floats) -> None:
        """Put objects on places, shape (n, 2), that point in the direction of `turn`."""
        if len(places):
            columns = {"kind": kind, "subclass": sizes.subclass, "turn": turn}
            columns |= {"length": sizes.length, "width": sizes.width, "height": sizes.height}
            self._targets.append({"places": places} | columns)

    def built(self) -> Geometries:
        """Return the footprints of all buildings so far, local coordinates."""
        parts = [part["geometry"] for part in self._buildings]
        return np.concatenate(parts) if parts else np.empty(0, dtype=object)

    def layers(self, surface: str, structured: bool = True) -> Layers:
        """Return the district's region, of the given surface, and all that was put on it.

        Args:
            surface: Of the ground between everything else.
            structured: Whether the district's own region has its heading.

        Raises:
            GeometryError: It holds more than a district has numbers for.
        """
        counts = [
            sum(len(p["geometry"]) for p in part) for part in (self._regions, self._buildings)
        ]
        counts.append(sum(len(part["places"]) for part in self._targets))
        if sum(counts) >= UIDS_PER_DISTRICT:
            raise GeometryError(
                f"district {self.district.uid} holds {sum(counts)} things", "make districts smaller"
            )
        first = self.district.uid * UIDS_PER_DISTRICT + 1
        uids = np.split(np.arange(first, first + sum(counts)), np.cumsum(counts)[:2])
        heading = self.district.heading % 180 if structured else np.nan
        own = Regions.of(
            uid=[self.district.uid],
            geometry=[self.district.polygon],
            surface=surface_id(surface),
            function=self.district.function,
            order=ORDER["district"],
            heading=heading,
            parent=self.district.uid,
        )
        regions = Regions.concat([own, *self._all_regions(uids[0])])
        return Layers(
            regions,
            Buildings.concat(self._all_buildings(uids[1])),
            Targets.concat(self._all_targets(uids[2])),
        )

    def _all_regions(self, uids: npt.NDArray[np.int64]) -> list[Regions]:
        parts, start = [], 0
        for part in self._regions:
            count = len(part["geometry"])
            part_of = Regions.of(
                uid=uids[start : start + count],
                geometry=self._world(part["geometry"]),
                surface=_surface_ids(part["surface"]),
                function=part["function"],
                order=part["order"],
                heading=np.mod(self.heading + part["turn"], 180),
                parent=self.district.uid,
            )
            parts.append(part_of)
            start += count
        return parts

    def _all_buildings(self, uids: npt.NDArray[np.int64]) -> list[Buildings]:
        parts, start = [], 0
        for part in self._buildings:
            count = len(part["geometry"])
            part_of = Buildings.of(
                uid=uids[start : start + count],
                geometry=self._world(part["geometry"]),
                base=0.0,
                height=part["height"],
                surface=_surface_ids(part["surface"]),
                kind=part["kind"],
                function=self.district.function,
                parent=self.district.uid,
            )
            parts.append(part_of)
            start += count
        return parts

    def _all_targets(self, uids: npt.NDArray[np.int64]) -> list[Targets]:
        parts, start = [], 0
        for part in self._targets:
            places = part["places"] @ self._axes + self._origin
            count = len(places)
            part_of = Targets.of(
                uid=uids[start : start + count],
                kind=part["kind"],
                subclass=part["subclass"],
                x=places[:, 0],
                y=places[:, 1],
                length=part["length"],
                width=part["width"],
                height=part["height"],
                heading=np.mod(self.heading + part["turn"], 360),
                speed=0.0,
                function=self.district.function,
                parent=self.district.uid,
            )
            parts.append(part_of)
            start += count
        return parts

    def _world(self, geometries: Geometries) -> Geometries:
        moved = shapely.transform(geometries, lambda uv: uv @ self._axes + self._origin)
        broken = ~shapely.is_valid(moved)
        if broken.any():
            # Rounding can fold the sharpest corners; a zero buffer keeps one polygonal row each.
            moved[broken] = shapely.buffer(moved[broken], 0)
        return np.asarray(moved)


def rectangles(boxes: Boxes) -> Geometries:
    """Return boxes as polygons."""
    return np.asarray(shapely.box(boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3]))


def polygons(geometries: Geometries) -> Geometries:
    """Return what is polygonal and not a scrap; lines and points of collections are dropped."""
    kinds = shapely.get_type_id(geometries)
    for i in np.flatnonzero(kinds == shapely.GeometryType.GEOMETRYCOLLECTION):
        geometries[i] = shapely.union_all(
            [part for part in shapely.get_parts(geometries[i]) if part.area > 0]
        )
    kinds = shapely.get_type_id(geometries)
    areal = (kinds == shapely.GeometryType.POLYGON) | (kinds == shapely.GeometryType.MULTIPOLYGON)
    kept = areal & (shapely.area(geometries) >= SMALLEST_REGION_M2)
    return np.asarray(geometries[kept])


def _surface_ids(names: str | npt.NDArray[Any]) -> int | list[int]:
    if isinstance(names, str):
        return surface_id(names)
    return [surface_id(name) for name in names]
