"""Main roads along the edges of districts, one motorway, one railway, and their bridges."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
import shapely.ops
from shapely.geometry import LineString

from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.landmarks import Site, heading_of
from sarknowlip.simulate.world.water import Layout, Water, rectangle, waver

MOTORWAY_WIDTH = 30.0
"""Two carriageways of three lanes with hard shoulders, metres (chosen)."""

RAILWAY_WIDTH = 12.0
"""Ballast of two tracks, metres (chosen)."""

ARTERIAL, MOTORWAY, RAILWAY = range(3)
"""Kinds of lines."""


@dataclass(frozen=True)
class Network:
    """Roads and railways on land, and bridges; arrays of equal length in each group.

    Attributes:
        lines: Middle lines on land, two points each where they are straight.
        widths: Metres.
        kinds: ARTERIAL, MOTORWAY or RAILWAY.
        grounds: Polygons they cover, without water.
        decks: Footprints of bridges.
        deck_lines: Their middle lines.
        deck_kinds: As `kinds`.
        clearances: Height of the undersides of bridges above the water, metres.
    """

    lines: npt.NDArray[np.object_]
    widths: Floats
    kinds: npt.NDArray[np.int64]
    grounds: npt.NDArray[np.object_]
    decks: npt.NDArray[np.object_]
    deck_lines: npt.NDArray[np.object_]
    deck_kinds: npt.NDArray[np.int64]
    clearances: Floats


def long_lines(config: WorldConfig, layout: Layout) -> tuple[LineString, LineString]:
    """Return middle lines of motorway and railway, which pass the centre inland of the coast."""
    size, seed = layout.size, config.own_seed
    v = np.arange(-0.85 * size, 0.85 * size, max(15.0, size / 400))
    found = []
    for name, offset, bend, strength in (
        ("motorway", -0.21, 0.12, 0.022),
        ("railway", -0.07, 0.2, 0.012),
    ):
        lean = 0.16 * (float(keyed.uniform(seed, f"{name}/lean")) - 0.5)
        u = offset * size - bend * v**2 / size + lean * v
        u += strength * size * waver(seed, name, v, 0.7 * size, 2)
        found.append(LineString(layout.places(u, v)))
    return found[0], found[1]


def build_network(
    config: WorldConfig,
    edges: npt.NDArray[np.object_],
    long: tuple[LineString, LineString],
    sites: list[Site],
    water: Water,
) -> Network:
    """Return the roads along edges of districts with motorway, railway and bridges.

    Args:
        config: Of the world.
        edges: Edges between districts, lines of two points within the world.
        long: Middle lines of motorway and railway.
        sites: Grounds that arterials go around; the railway ends at stations.
        water: Bodies to bridge or to end at.
    """
    world, (motorway, railway) = rectangle(config.bounds()), long
    wet = water.everything
    grounds = shapely.union_all([site.polygon for site in sites])
    stations = shapely.union_all([site.polygon for site in sites if site.function == "rail"])
    sides = [side for site in sites if site.function != "rail" for side in _sides(site)]
    arterials = _pieces(shapely.difference(edges, shapely.union_all([wet, grounds])), 40.0)
    around = _pieces(shapely.difference(np.array(sides, dtype=object), wet), 30.0)
    fast = _pieces(np.array([motorway.intersection(world).difference(wet)]), 1.0)
    iron = _pieces(np.array([railway.intersection(world).difference(wet.union(stations))]), 1.0)
    fast, iron = (np.concatenate([_cut(part, 1000.0) for part in parts]) for parts in (fast, iron))
    groups = (arterials, around, fast, iron)
    lines = np.concatenate(groups)
    kinds = np.repeat([ARTERIAL, ARTERIAL, MOTORWAY, RAILWAY], [len(group) for group in groups])
    widths = _widths(config, lines, kinds)
    covered = shapely.buffer(lines, widths / 2, quad_segs=2)
    near = shapely.intersects(covered, wet)
    covered[near] = shapely.difference(covered[near], wet)
    spans, deck_kinds = _spans(config, edges, long, water)
    deck_widths = _widths(config, spans, deck_kinds)
    decks = shapely.buffer(spans, deck_widths / 2, cap_style="flat")
    decks = shapely.intersection(decks, world)
    chance = keyed.uniform(config.own_seed, "bridge/clearance", np.arange(len(spans)))
    return Network(
        lines, widths, kinds, shapely.intersection(covered, world), decks, spans, deck_kinds,
        6.0 + 9.0 * chance * np.clip(water.river_width / 150, 0.3, 1.0),
    )  # fmt: skip


def _sides(site: Site) -> list[LineString]:
    """Return the sides of a site that roads run along: all but a quay, which is the first."""
    ring = shapely.get_coordinates(site.polygon)
    sides = [LineString(pair) for pair in itertools.pairwise(ring)]
    return sides if site.quay is None else sides[1:]


def _widths(
    config: WorldConfig, lines: npt.NDArray[np.object_], kinds: npt.NDArray[np.int64]
) -> Floats:
    """Return widths: arterials 12…30 m, wider in the centre; others fixed."""
    middle = shapely.point_on_surface(lines)
    away = np.hypot(
        shapely.get_x(middle) - config.bounds().centre[0],
        shapely.get_y(middle) - config.bounds().centre[1],
    )
    chance = keyed.uniform(config.own_seed, "road/width", np.arange(len(lines)))
    room = np.exp(-((away / (0.3 * config.size_m)) ** 2))
    arterial = 12.0 + 18.0 * room * (0.4 + 0.6 * chance) * min(1.0, config.size_km / 5)
    return np.asarray(np.choose(kinds, [arterial, MOTORWAY_WIDTH, RAILWAY_WIDTH]))


def _spans(
    config: WorldConfig,
    edges: npt.NDArray[np.object_],
    long: tuple[LineString, LineString],
    water: Water,
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Return middle lines of bridges over the river, from land to land, and their kinds.

    Motorway and railway cross wherever they meet it, arterials where they cross about square and
    far enough from the last bridge: dense in the centre, rare in the country.
    """
    spans, kinds, world = [], [], rectangle(config.bounds())
    for line, kind in zip(long, (MOTORWAY, RAILWAY), strict=True):
        for wet in _pieces(np.array([line.intersection(world).intersection(water.river)]), 5.0):
            span = _reaching(line, wet, 35.0)
            if world.contains(span):
                spans.append(span)
                kinds.append(kind)
    shapely.prepare(water.river)
    candidates = []
    for edge in edges[shapely.intersects(edges, water.river)]:
        for wet in _pieces(np.array([edge.intersection(water.river)]), 5.0):
            span = _reaching(edge, wet, 25.0)
            ends = [shapely.Point(c) for c in (span.coords[0], span.coords[-1])]
            square = wet.length < 1.7 * water.river_width
            if square and not any(water.everything.intersects(end) for end in ends):
                away = wet.distance(shapely.Point(config.bounds().centre))
                candidates.append((away, span))
    least = min(0.045 * config.size_m, 450.0)
    for away, span in sorted(candidates, key=lambda pair: pair[0]):
        if all(span.distance(other) > least + 0.25 * away for other in spans):
            spans.append(span)
            kinds.append(ARTERIAL)
    return np.array(spans, dtype=object), np.array(kinds, dtype=np.int64)


def _reaching(line: LineString, part: LineString, metres: float) -> LineString:
    """Return a part of a line, longer at both ends as far as the line goes."""
    ends = [line.project(shapely.Point(c)) for c in (part.coords[0], part.coords[-1])]
    return shapely.ops.substring(line, max(min(ends) - metres, 0.0), max(ends) + metres)


def _pieces(lines: npt.NDArray[np.object_], least: float) -> npt.NDArray[np.object_]:
    """Return the single lines among any geometries, those shorter than `least` left out."""
    parts = shapely.get_parts(shapely.get_parts(shapely.line_merge(lines)))
    parts = parts[shapely.get_type_id(parts) == 1]
    return np.asarray(parts[shapely.length(parts) >= least], dtype=object)


def _cut(line: LineString, longest: float) -> npt.NDArray[np.object_]:
    """Return a line in equal pieces no longer than `longest`."""
    count = max(1, int(np.ceil(line.length / longest)))
    ends = np.linspace(0.0, 1.0, count + 1)
    cut = [shapely.ops.substring(line, a, b, True) for a, b in itertools.pairwise(ends)]
    return np.array(cut, dtype=object)


def line_headings(lines: npt.NDArray[np.object_]) -> Floats:
    """Return directions of lines from start to end, degrees 0…360 from grid north."""
    start, end = (
        shapely.get_coordinates(shapely.get_point(lines, index)).reshape(-1, 2) for index in (0, -1)
    )
    return heading_of(start, end)
