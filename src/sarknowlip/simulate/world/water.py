"""Sea, river and lakes, and the frame in which a city is laid out: u toward the sea, v along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy import ndimage
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.world.config import WorldConfig

NOTHING = Polygon()


LAKE_CELLS = 17.0
"""How far lakes keep from sea and river, in steps of the relief: room for a slope between them."""


@dataclass(frozen=True)
class Layout:
    """A frame turned so that u points to the sea (or down the river) and v along the coast.

    Attributes:
        centre: Centre of the city, UTM metres.
        angle: Direction of u, radians anticlockwise from east.
        size: Edge of the world, metres.
    """

    centre: tuple[float, float]
    angle: float
    size: float

    @classmethod
    def of(cls, config: WorldConfig) -> Layout:
        """Return the frame of a world."""
        turn = float(keyed.uniform(config.own_seed, "layout/angle")) * 2 * np.pi
        return cls(config.bounds().centre, turn, config.size_m)

    @property
    def reach(self) -> float:
        """A distance from the centre that no place of the world's surroundings exceeds, metres."""
        return 0.75 * self.size + 2500.0

    def places(self, u: Floats, v: Floats) -> Floats:
        """Return UTM coordinates, shape (n, 2)."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.column_stack([self.centre[0] + c * u - s * v, self.centre[1] + s * u + c * v])


@dataclass(frozen=True)
class Water:
    """Water bodies, reaching beyond the world by at least the pad of its relief.

    Attributes:
        sea: Polygon or multipolygon, empty without coast.
        river: The same, without its part in the sea.
        lakes: Polygons.
        coast: Coast line, sea to the right of its direction; empty without coast.
        river_line: Middle of the river, downstream; empty without river.
        river_width: Metres.
    """

    sea: BaseGeometry
    river: BaseGeometry
    lakes: tuple[Polygon, ...]
    coast: LineString
    river_line: LineString
    river_width: float

    @property
    def everything(self) -> BaseGeometry:
        """All water."""
        return shapely.union_all([self.sea, self.river, *self.lakes])


def rectangle(bounds: Bounds) -> Polygon:
    """Return bounds as a polygon."""
    return shapely.box(bounds.west, bounds.south, bounds.east, bounds.north)


def waver(seed: int, stream: str, along: Floats, wavelength: float, octaves: int = 5) -> Floats:
    """Return smooth noise on a line, standard deviation about 1, rougher with more octaves."""
    total = np.zeros(along.shape)
    for octave in range(octaves):
        step = wavelength / 2 / 2.3**octave
        places = (along - along.min()) / step + 2
        nodes = keyed.normal(seed, f"{stream}/{octave}", np.arange(int(places.max()) + 5))
        smooth = ndimage.map_coordinates(nodes, [places], order=3, mode="nearest", prefilter=False)
        total += smooth * np.sqrt(315 / 151) * 0.42**octave
    return total


def lay_water(config: WorldConfig, layout: Layout) -> Water:
    """Return sea and river of a world, still without lakes."""
    around = rectangle(config.bounds().padded(2000.0))
    sea, coast = NOTHING, LineString()
    if config.has_coast:
        sea, coast = _sea(config.own_seed, layout)
    river, line, width = NOTHING, LineString(), 0.0
    if config.has_river:
        line, width = _river(config.own_seed, layout)
        river = line.buffer(width / 2, quad_segs=4).difference(sea).intersection(around)
    return Water(sea.intersection(around), river, (), coast, line, width)


def lay_lakes(
    config: WorldConfig, layout: Layout, wet: BaseGeometry, taken: BaseGeometry
) -> tuple[Polygon, ...]:
    """Return lakes clear of other water, of what is taken, the centre and the world's edge."""
    if not config.has_lakes:
        return ()
    bounds, seed = config.bounds(), config.own_seed
    wanted = 1 + round(bounds.area_km2 / 45)
    inner = rectangle(bounds.padded(-0.02 * config.size_m))
    clear = LAKE_CELLS * config.relief_step_m
    keep_out = wet.buffer(clear, quad_segs=2).union(taken.buffer(0.01 * config.size_m))
    shapely.prepare(keep_out)
    centre = shapely.Point(bounds.centre).buffer(0.16 * config.size_m)
    lakes: list[Polygon] = []
    for attempt in range(60 * wanted):
        x, y, size = keyed.uniform(seed, "lake/place", attempt, np.arange(3))
        radius = float(np.clip((0.018 + 0.025 * size**2) * config.size_m, 35.0, 800.0))
        place = bounds.west + x * bounds.width, bounds.south + y * bounds.height
        lake = _blob(seed, attempt, place, radius)
        if not inner.contains(lake) or lake.intersects(centre) or keep_out.intersects(lake):
            continue
        if any(lake.distance(other) < clear for other in lakes):
            continue
        lakes.append(lake)
        if len(lakes) == wanted:
            break
    return tuple(lakes)


def _sea(seed: int, layout: Layout) -> tuple[Polygon, LineString]:
    size, reach = layout.size, layout.reach
    step = float(np.clip(size / 800, 4.0, 25.0))
    v = np.arange(-reach, reach + step, step)
    offset = 0.19 + 0.1 * float(keyed.uniform(seed, "coast/offset"))
    u = np.maximum(offset + 0.05 * waver(seed, "coast", v, 0.6 * size), 0.09) * size
    shore = layout.places(u, v)
    beyond = layout.places(np.array([2.0, 2.0]) * reach, np.array([v[-1], v[0]]))
    return Polygon(np.vstack([shore, beyond])), LineString(shore)


def _river(seed: int, layout: Layout) -> tuple[LineString, float]:
    """Return middle line and width of a river that runs along u past the centre.

    Its direction swings as a sine of the way along it (Langbein and Leopold 1966, USGS
    Professional Paper 422-H); a wave is about eleven widths long (Leopold and Wolman 1960, River
    meanders). Its width was chosen to grow with the root of the world's size, 50 m at 1 km.
    """
    size, reach = layout.size, layout.reach
    swing, spread, phase, aside = keyed.uniform(seed, "river/shape", np.arange(4))
    width = 50.0 * np.sqrt(size / 1000) * (0.85 + 0.4 * spread)
    amplitude = 0.6 + 0.45 * swing
    wave = 11.0 * width / (1 - amplitude**2 / 4)  # along the line: J0(a) ≈ 1 − a²/4
    step = width / 8
    s = np.arange(-1.6 * reach, 1.6 * reach, step)
    turn = amplitude * np.sin(2 * np.pi * (s / wave + phase))
    turn *= np.clip(0.75 + 0.35 * waver(seed, "river/turn", s, 3 * wave, 1), 0.1, 1.25)
    turn += 0.22 * waver(seed, "river/drift", s, 0.7 * size, 2)
    turn = np.clip(turn, -1.35, 1.35)
    u, v = np.cumsum(np.cos(turn)) * step, np.cumsum(np.sin(turn)) * step
    middle = len(s) // 2
    v += (aside - 0.5) * 0.16 * size - v[middle]
    return LineString(layout.places(u - u[middle], v)), float(width)


def _blob(seed: int, key: int, place: tuple[float, float], radius: float) -> Polygon:
    theta = np.linspace(0.0, 2 * np.pi, 72, endpoint=False)
    waves = np.arange(2, 8)
    phase = keyed.uniform(seed, "lake/phase", key, waves)[:, None] * 2 * np.pi
    strength = keyed.normal(seed, "lake/strength", key, waves)[:, None] * 0.22 / waves[:, None]
    ripple = np.clip((strength * np.cos(waves[:, None] * theta + phase)).sum(axis=0), -0.6, 0.8)
    stretch = 0.6 + 0.4 * keyed.uniform(seed, "lake/stretch", key)
    turn = np.pi * keyed.uniform(seed, "lake/turn", key)
    a, b = np.cos(theta) * radius * (1 + ripple), np.sin(theta) * radius * (1 + ripple) * stretch
    x, y = np.cos(turn) * a - np.sin(turn) * b, np.sin(turn) * a + np.cos(turn) * b
    return Polygon(np.column_stack([place[0] + x, place[1] + y]))
