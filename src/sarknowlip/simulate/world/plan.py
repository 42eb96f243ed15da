"""The plan of a city: water, districts with functions, roads; what is decided before details."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely
import shapely.ops
from shapely.geometry import LineString, MultiPoint, Polygon

from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.landmarks import Site, heading_of, place_sites
from sarknowlip.simulate.world.relief import Field, shape_relief
from sarknowlip.simulate.world.roads import ARTERIAL, Network, build_network, long_lines
from sarknowlip.simulate.world.water import Layout, Water, lay_lakes, lay_water, rectangle
from sarknowlip.simulate.world.zoning import zone

Objects = npt.NDArray[np.object_]

DISTRICT_KM2 = (0.06, 0.6)
"""Mean area of a cell in the smallest worlds and in those of 4 km and more."""

QUAY_TRIM_M = 25.0
"""Both ends of a port's water front that are left to the roads around it, metres."""

SEASIDE = frozenset({"park", "wetland", "bare", "grassland", "forest", "farmland"})
"""Functions of districts with a beach at the sea."""


@dataclass(frozen=True)
class Plan:
    """Everything coarse about a world.

    Attributes:
        layout: Frame in which it was laid out.
        water: Water bodies, still reaching beyond the world.
        relief: Heights of the ground.
        network: Roads, railway, bridges.
        sites: Ports, stations and airports.
        districts: In the order of their uid, 1, 2, …
        leftovers: Polygons of land between roads and water too small for a district.
        beaches: Polygons along the sea.
    """

    layout: Layout
    water: Water
    relief: Field
    network: Network
    sites: tuple[Site, ...]
    districts: tuple[District, ...]
    leftovers: Objects
    beaches: Objects


def make_plan(config: WorldConfig) -> Plan:
    """Return the plan of a world."""
    layout = Layout.of(config)
    motorway, railway = long_lines(config, layout)
    sites, water = place_sites(config, lay_water(config, layout), motorway, railway)
    taken = [motorway, railway, *(site.polygon for site in sites)]
    water = replace(
        water, lakes=lay_lakes(config, layout, water.everything, shapely.union_all(taken))
    )
    cells, edges = _cells(config)
    network = build_network(config, edges, (motorway, railway), sites, water)
    fixed = [
        water.everything,
        *network.grounds[network.kinds != ARTERIAL],
        *(site.polygon for site in sites),
    ]
    parts = _less(cells, np.array(fixed, dtype=object))
    parts = _less(parts, network.grounds[network.kinds == ARTERIAL])
    small = (shapely.area(parts) < 0.02e6 * _cell_km2(config)) | shapely.is_empty(
        shapely.buffer(parts, -15.0, quad_segs=1)
    )
    parts, leftovers = parts[~small], parts[small]
    grounds = _less(np.array([site.polygon for site in sites], dtype=object), network.grounds)
    zoned, beaches = _zoned(config, parts, water, sites, (motorway, railway))
    placed, scraps = _placed(config, grounds, sites)
    districts = tuple(replace(d, uid=uid) for uid, d in enumerate([*placed, *zoned], start=1))
    return Plan(
        layout, water, shape_relief(config, water), network, tuple(sites), districts,
        np.concatenate([leftovers, scraps]), beaches,
    )  # fmt: skip


def _cell_km2(config: WorldConfig) -> float:
    return float(np.clip(config.size_km**2 / 27, *DISTRICT_KM2))


def _cells(config: WorldConfig) -> tuple[Objects, Objects]:
    """Return cells that fill the world, and the edges between them: relaxed Voronoi cells.

    A jittered grid, drawn together toward the centre, after two steps of Lloyd's relaxation.
    """
    bounds, half = config.bounds(), config.size_m / 2
    world = rectangle(bounds)
    across = max(3, round(config.size_km / np.sqrt(_cell_km2(config))))
    i, j = np.indices((across, across))
    shift = [keyed.uniform(config.own_seed, f"cells/{axis}", i, j) - 0.5 for axis in "xy"]
    x, y = (((k + 0.5 + 0.7 * d) / across * 2 - 1) for k, d in zip((j, i), shift, strict=True))
    drawn = np.hypot(x, y) ** 0.3
    sites = np.column_stack([(x * drawn).ravel(), (y * drawn).ravel()]) * half + bounds.centre
    for _ in range(2):
        cells = _voronoi(sites, world)
        sites = np.round(shapely.get_coordinates(shapely.centroid(cells)), 2)
    lines = shapely.voronoi_polygons(MultiPoint(sites), extend_to=world, only_edges=True)
    edges = shapely.get_parts(shapely.intersection(shapely.get_parts(lines), world))
    return _voronoi(sites, world), edges[shapely.length(edges) > 1.0]


def _voronoi(sites: Floats, world: Polygon) -> Objects:
    """Return the Voronoi cells of sites within the world, sorted by their lowest coordinates."""
    parts = shapely.get_parts(shapely.voronoi_polygons(MultiPoint(sites), extend_to=world))
    parts = shapely.intersection(parts, world)
    west, south, *_ = np.round(shapely.bounds(parts), 2).T
    return np.asarray(parts[np.lexsort((west, south))])


def _less(polygons: Objects, others: Objects) -> Objects:
    """Return the polygons that remain of polygons when others are taken off, slivers left out."""
    remains = polygons.copy()
    tree = shapely.STRtree(others)
    owner, other = tree.query(polygons, predicate="intersects")
    for index in np.unique(owner):
        off = shapely.union_all(others[np.sort(other[owner == index])])
        remains[index] = shapely.difference(polygons[index], off)
    return _polygons(remains)


def _polygons(geometries: Objects) -> Objects:
    """Return the single polygons of any geometries."""
    parts = shapely.get_parts(shapely.get_parts(geometries))
    parts = parts[shapely.get_type_id(parts) == 3]
    return np.asarray(parts[shapely.area(parts) > 0.0])


def _zoned(
    config: WorldConfig,
    parts: Objects,
    water: Water,
    sites: list[Site],
    lines: tuple[LineString, LineString],
) -> tuple[list[District], Objects]:
    """Return districts with functions by zoning, and the beaches taken off them."""
    motorway, railway = lines
    ports = shapely.union_all([site.polygon for site in sites if site.function == "port"])
    goals = {
        "sea": water.sea,
        "water": water.everything,
        "port": ports,
        "motorway": motorway,
        "haul": shapely.union_all([motorway, railway, ports]),
    }
    distances = {
        name: shapely.distance(parts, goal) for name, goal in goals.items() if not goal.is_empty
    }
    centres = shapely.get_coordinates(shapely.centroid(parts))
    functions, densities = zone(config, centres[:, 0], centres[:, 1], distances)
    seaside = np.isin(functions, list(SEASIDE)) & (distances.get("sea", np.inf) < 1.0)
    beaches = np.empty(0, dtype=object)
    if seaside.any():
        strip = water.sea.buffer(float(np.clip(0.004 * config.size_m, 10.0, 45.0)), quad_segs=2)
        beaches = _polygons(shapely.intersection(parts[seaside], strip))
        parts = parts.copy()
        parts[seaside] = shapely.difference(parts[seaside], strip)
    districts = []
    for polygon, function, density in zip(parts, functions, densities, strict=True):
        for piece in _polygons(np.array([polygon], dtype=object)):
            heading = _street_heading(piece)
            districts.append(
                District(0, piece, str(function), heading, float(density), config.own_seed)
            )
    return districts, beaches


def _placed(
    config: WorldConfig, grounds: Objects, sites: list[Site]
) -> tuple[list[District], Objects]:
    """Return the districts of sites, and scraps that roads cut off them."""
    districts, used = [], np.zeros(len(grounds), dtype=bool)
    for site in sites:
        own = np.flatnonzero(shapely.intersects(site.polygon, shapely.point_on_surface(grounds)))
        largest = own[np.argmax(shapely.area(grounds[own]))]
        used[largest] = True
        quay = None
        if site.quay is not None:
            length = site.quay.length
            trimmed = shapely.ops.substring(site.quay, QUAY_TRIM_M, length - QUAY_TRIM_M)
            quay = LineString(trimmed.coords)
        districts.append(
            District(
                0, grounds[largest], site.function, site.heading, 0.8, config.own_seed, quay
            )
        )  # fmt: skip
    return districts, grounds[~used]


def _street_heading(polygon: Polygon) -> float:
    """Return the direction of the long side of the least rectangle around a polygon."""
    corners = shapely.get_coordinates(shapely.oriented_envelope(polygon))[:3]
    sides = np.hypot(*np.diff(corners, axis=0).T)
    first = int(np.argmax(sides))
    return float(heading_of(corners[first], corners[first + 1])) % 180.0
