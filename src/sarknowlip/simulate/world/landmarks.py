"""Grounds that need a shape of their own, placed before districts: ports, stations, airports."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely
import shapely.ops
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.water import Water, rectangle


@dataclass(frozen=True)
class Site:
    """A rectangle of land with one function.

    Attributes:
        function: "port", "rail" or "airport".
        polygon: The rectangle.
        heading: Direction of its long side, degrees 0…180 from grid north.
        quay: Waterside edge of a port, water to its left; else None.
    """

    function: str
    polygon: Polygon
    heading: float
    quay: LineString | None = None


def place_sites(
    config: WorldConfig, water: Water, motorway: LineString, railway: LineString
) -> tuple[list[Site], Water]:
    """Return all sites, and the water less the ground that ports win from it."""
    world = rectangle(config.bounds().padded(-0.01 * config.size_m))
    lines = shapely.union_all([motorway.buffer(25.0), railway.buffer(15.0)])
    sites: list[Site] = []

    def add(candidates: list[Site], count: int, taken: BaseGeometry) -> None:
        """Add the first sites with room, those of one kind an eighth of the world apart."""
        wanted = len(sites) + count
        shapely.prepare(taken)
        for site in candidates:
            if len(sites) == wanted:
                return
            ground = site.polygon.buffer(0.01 * config.size_m, join_style="mitre")
            if not world.contains(site.polygon) or taken.intersects(ground):
                continue
            apart = [
                0.0 if site.function != other.function else 0.125 * config.size_m for other in sites
            ]
            if all(
                ground.distance(other.polygon) > least
                for other, least in zip(sites, apart, strict=True)
            ):
                sites.append(site)

    large = config.size_km >= 8
    if config.has_coast:
        mouth = water.river.buffer(0.01 * config.size_m) if config.has_river else water.river
        add(_sea_ports(config, water), 2 if large else 1, shapely.union_all([lines, mouth]))
    if config.has_river and water.river_width >= 90 and (large or not sites):
        add(_river_ports(config, water), 1, shapely.union_all([lines, water.sea]))
    for site in sites:
        sea, river = (body.difference(site.polygon) for body in (water.sea, water.river))
        water = replace(water, sea=sea, river=river)
    wet = shapely.union_all([water.sea, water.river])
    add(_stations(config, railway), 2 if large else 1, wet.union(motorway.buffer(40.0)))
    if config.size_km >= 4.5:
        count = 2 if config.size_km >= 20 else 1
        add(_airports(config), count, shapely.union_all([wet.buffer(60.0), lines]))
    return sites, water


def heading_of(start: npt.ArrayLike, end: npt.ArrayLike) -> Floats:
    """Return directions from points to points (…, 2), degrees 0…360 clockwise from grid north."""
    way = np.asarray(end, dtype=float) - np.asarray(start, dtype=float)
    return np.asarray(np.degrees(np.arctan2(way[..., 0], way[..., 1])) % 360.0)


def _sea_ports(config: WorldConfig, water: Water) -> list[Site]:
    """Return ports on straight shore, those that win least ground from the sea first."""
    length = float(np.clip(0.1 * config.size_m, 220.0, 1200.0))
    depth = float(np.clip(0.5 * length, 130.0, 450.0))
    middle = water.coast.project(shapely.Point(config.bounds().centre))
    ranked = []
    for place in middle + np.linspace(0.42, -0.42, 85) * config.size_m:
        # The coast has the sea to its right: a quay runs the other way.
        line = shapely.reverse(_piece(water.coast, place, length))
        low, high = _beside(line)
        off_centre = abs(place - middle) / config.size_m
        ranked.append((high - low + 60.0 * off_centre, _port(line, high + 4.0, depth - low)))
    return _best(ranked)


def _river_ports(config: WorldConfig, water: Water) -> list[Site]:
    """Return ports on straight reaches that leave at least two thirds of the river's width."""
    length = float(np.clip(0.06 * config.size_m, 150.0, 500.0))
    depth = float(np.clip(0.45 * length, 100.0, 220.0))
    line, half = water.river_line, water.river_width / 2
    middle = line.project(shapely.Point(config.bounds().centre))
    ranked = []
    for place in middle + np.linspace(-0.45, 0.45, 121) * config.size_m:
        piece = _piece(line, place, length)
        for reach in (piece, shapely.reverse(piece)):
            low, high = _beside(reach)
            if high - low < 0.33 * water.river_width:
                ahead = high - half + 1.0  # the bank to the right of the reach
                ranked.append((high - low, _port(reach, ahead, depth + high - low - ahead)))
    return _best(ranked)


def _stations(config: WorldConfig, railway: LineString) -> list[Site]:
    """Return station grounds astride straight pieces of the railway, by distance to the centre."""
    length = float(np.clip(0.09 * config.size_m, 180.0, 1000.0))
    width = float(np.clip(0.018 * config.size_m, 50.0, 170.0))
    middle = railway.project(shapely.Point(config.bounds().centre))
    ranked = []
    for place in middle + np.linspace(-0.45, 0.45, 91) * config.size_m:
        piece = _piece(railway, place, length)
        low, high = _beside(piece)
        if high - low < 0.5 * width:
            ranked.append((abs(place - middle), _site("rail", piece, width / 2, width / 2)))
    return _best(ranked)


def _airports(config: WorldConfig) -> list[Site]:
    """Return airports about the prevailing wind, best at the edge of the city, large before small.

    A runway of 1.2 km fits the smallest.
    """
    bounds, seed = config.bounds(), config.own_seed
    wind = np.pi * float(keyed.uniform(seed, "airport/wind"))
    large = [(2900.0, 850.0)] if config.size_km >= 8 else []
    sites = []
    for kind, (length, width) in enumerate([*large, (1900.0, 600.0), (1450.0, 420.0)]):
        x, y, turn = (
            keyed.uniform(seed, f"airport/{what}", kind, np.arange(300)) for what in "xyt"
        )
        x, y = bounds.west + x * bounds.width, bounds.south + y * bounds.height
        away = np.hypot(x - bounds.centre[0], y - bounds.centre[1]) / config.size_m
        for k in np.argsort(np.abs(away - 0.36), kind="stable"):
            angle = wind + 1.2 * (turn[k] - 0.5)
            way = np.array([np.cos(angle), np.sin(angle)]) * length / 2
            line = LineString([(x[k] - way[0], y[k] - way[1]), (x[k] + way[0], y[k] + way[1])])
            sites.append(_site("airport", line, width / 2, width / 2))
    return sites


def _best(ranked: list[tuple[float, Site]]) -> list[Site]:
    return [site for _, site in sorted(ranked, key=lambda pair: pair[0])]


def _piece(line: LineString, place: float, length: float) -> LineString:
    return shapely.ops.substring(line, place - length / 2, place + length / 2)


def _beside(line: LineString) -> tuple[float, float]:
    """Return least and greatest distance of a line to the left of its chord, metres."""
    points = shapely.get_coordinates(line)
    way = points[-1] - points[0]
    beside = (points - points[0]) @ (np.array([-way[1], way[0]]) / np.hypot(*way))
    return float(beside.min()), float(beside.max())


def _port(line: LineString, ahead: float, behind: float) -> Site:
    """Return a port from `ahead` metres left of a line's chord, its quay, to `behind` right."""
    site = _site("port", line, ahead, behind)
    return replace(site, quay=LineString(shapely.get_coordinates(site.polygon)[:2]))


def _site(function: str, line: LineString, left: float, right: float) -> Site:
    """Return the rectangle that reaches so far to both sides of a line's chord.

    Its first edge is the left one, in the direction of the line.
    """
    points = shapely.get_coordinates(line)
    start, end = points[0], points[-1]
    way = end - start
    normal = np.array([-way[1], way[0]]) / np.hypot(*way)
    ring = [
        start + left * normal, end + left * normal, end - right * normal, start - right * normal
    ]  # fmt: skip
    return Site(function, Polygon(ring), float(heading_of(start, end)) % 180.0)
