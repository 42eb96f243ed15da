"""Single objects that a map knows: tanks, cranes, wind turbines, pylons; and who owns what."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.geo.osm_tags import metres
from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.layers import ORDER, Buildings, Regions, Targets
from sarknowlip.simulate.world.osm_buildings import Bodies
from sarknowlip.simulate.world.osm_ground import axis_heading
from sarknowlip.simulate.world.osm_read import Geometries, MapContent, Things
from sarknowlip.simulate.world.osm_rules import WorldTarget

LARGEST_TANK_M = 120.0
"""An outline wider than that is a whole tank farm tagged as one tank, and left out."""


class Districts:
    """Finds the district of a place: the smallest that holds it, else its ground square."""

    def __init__(self, regions: Regions) -> None:
        known = np.isin(regions.order, (ORDER["district"], ORDER["nature"]))
        self._rows = regions.take(known)
        self._tree = shapely.STRtree(self._rows.geometry)

    def at(self, points: Geometries) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Return uid and function of the districts of points; uid −1 and "" beyond the world."""
        point, row = self._tree.query(points, predicate="intersects")
        best = np.full(len(points), -1, dtype=np.int64)
        # Rows are sorted by order, then from large to small: the last one is the one.
        np.maximum.at(best, point, row)
        uid = np.where(best >= 0, self._rows.uid[best], -1)
        function = np.where(best >= 0, self._rows.function[best], "")
        return uid, function


def owned_regions(regions: Regions, districts: Districts) -> Regions:
    """Return regions with the district they belong to; districts and water are their own."""
    lies_in = np.isin(regions.order, (ORDER["ground"], ORDER["road"], ORDER["shore"]))
    parent = regions.parent.copy()
    found, _ = districts.at(shapely.point_on_surface(regions.geometry[lies_in]))
    parent[lies_in] = np.where(found >= 0, found, parent[lies_in])
    regions.parent[:] = parent
    return regions


def owned_buildings(bodies: Bodies, districts: Districts) -> Buildings:
    """Return bodies with the district they stand in, ordered by uid."""
    parent, function = districts.at(shapely.point_on_surface(bodies.geometry))
    function = np.where(bodies.kind == "bridge", "bridge", function)
    order = np.argsort(bodies.uid)
    return Buildings(**vars(bodies), function=function, parent=parent).take(order)


def map_targets(content: MapContent, bounds: Bounds, districts: Districts, seed: int) -> Targets:
    """Return the single objects of a map within bounds, ordered by uid."""
    things = content.targets
    if not len(things):
        return Targets.empty()
    shapes = np.array(things.geometry, dtype=object)
    centre = shapely.centroid(shapes)
    x, y = shapely.get_x(centre), shapely.get_y(centre)
    parent, function = districts.at(centre)
    size = _sizes(things, shapes)
    uid = np.array(things.uids, dtype=np.int64)
    own = np.array([rule.model.function for rule in things.rules], dtype=object)
    targets = Targets.of(
        uid=uid,
        kind=[rule.kind for rule in things.rules],
        subclass=[rule.model.subclass for rule in things.rules],
        x=x,
        y=y,
        length=size,
        width=[
            float(length) if rule.model.width_m is None else rule.model.width_m
            for length, rule in zip(size, things.rules, strict=True)
        ],
        height=[
            metres(tags, "height:hub", "height") or rule.model.height_m
            for tags, rule in zip(things.tags, things.rules, strict=True)
        ],
        heading=_headings(things, shapes, seed),
        speed=0.0,
        function=np.where(own == None, function, own),  # noqa: E711 - elementwise
        parent=parent,
    )
    inside = (parent >= 0) & bounds.holds(x, y)
    inside &= (targets.kind != "storage_tank") | (size <= LARGEST_TANK_M)
    return targets.take(np.flatnonzero(inside)[np.argsort(uid[inside])])


def _sizes(things: Things[WorldTarget], shapes: Geometries) -> npt.NDArray[np.float64]:
    """Return lengths: tagged, else of the outline (tanks: of a circle of its area), else usual."""
    circle = 2 * np.sqrt(shapely.area(shapes) / np.pi)
    return np.array(
        [
            metres(tags, "rotor:diameter", "diameter")
            or (float(across) if across > 0 and rule.model.width_m is None else rule.model.size_m)
            for tags, rule, across in zip(things.tags, things.rules, circle, strict=True)
        ]
    )


def _headings(
    things: Things[WorldTarget], shapes: Geometries, seed: int
) -> npt.NDArray[np.float64]:
    """Return headings: along an outline or line, for points drawn; all rotors face one wind."""
    uid = np.array(things.uids, dtype=np.int64)
    heading = 360.0 * keyed.uniform(seed, "osm/heading", uid)
    wide = ~np.isin(shapely.get_type_id(shapes), (0, 4))
    heading[wide] = axis_heading(shapely.minimum_rotated_rectangle(shapes[wide]))
    rotor = np.array([rule.kind == "wind_turbine" for rule in things.rules])
    wind = 360.0 * float(keyed.uniform(seed, "osm/wind", 0))
    heading = np.where(rotor, wind, heading)
    return np.where(np.isfinite(heading), heading, 0.0)
