"""Returns of buildings and bridges: walls, double bounce at their feet, corner-like points.

What hides what is not decided here: the renderer knows all that stands between a point and the
radar and leaves out points below its line of sight. Only walls turned to the radar return.

Double bounce. Rays reach the wall from a strip of ground h tan θ cos φ wide and l long; the wall is
a mirror, the ground a rough surface in geometric optics (Barrick 1968): its bistatic σ⁰ toward the
mirrored radar is π sec⁴ζ |R|² p(ζ), p a Gaussian density of slopes, and the slope needed is
tan θ sin φ along the wall. The two senses of travel add in phase, a factor of four. h is the height
and l the length of the wall, θ incidence, φ the angle between wall normal and look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.image.contract import Scatterers
from sarknowlip.simulate.keyed import normal, uniform
from sarknowlip.simulate.layers import Buildings
from sarknowlip.simulate.scatter.backscatter import Backscatter
from sarknowlip.simulate.scatter.conditions import table
from sarknowlip.simulate.scatter.ground import fresnel
from sarknowlip.simulate.scatter.points import joined, no_points
from sarknowlip.simulate.scatter.sea import slope_variance, water_permittivity
from sarknowlip.simulate.scatter.walls import Walls, along_wall, facing_walls, up_wall

Height = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class _Scene:
    height: Height
    backscatter: Backscatter
    incidence_deg: float
    spacing_m: float
    seed: int


def structure_scatterers(
    buildings: Buildings,
    height: Height,
    backscatter: Backscatter,
    look_deg: float,
    incidence_deg: float,
    *,
    spacing_m: float,
    seed: int,
) -> tuple[Scatterers, Scatterers]:
    """Return what the upright parts of buildings send back; roofs are surfaces and not in it.

    Args:
        buildings: Any rows; each row's returns depend on that row and the arguments only.
        height: Terrain or water heights at UTM metres, ellipsoidal metres.
        backscatter: Band, polarisations and wind.
        look_deg: Horizontal direction from the radar to the scene, degrees from grid north.
        incidence_deg: On level ground.
        spacing_m: Greatest distance of neighbouring points on a wall.
        seed: Of the acquisition's world; the same at every date.

    Returns:
        Diffuse points, whose powers add, and coherent points with phases.
    """
    walls = facing_walls(buildings, look_deg)
    over_water = (buildings.kind == "bridge") & (buildings.base > 0)
    bridge = over_water[walls.building]
    scene = _Scene(height, backscatter, incidence_deg, spacing_m, seed)
    diffuse = [
        _facades(walls, scene),
        _double_bounce(walls.take(~bridge), scene),
        *_bridges(walls.take(bridge), scene),
    ]
    return joined(diffuse), _corners(walls.take(~bridge), scene)


def _facades(walls: Walls, scene: _Scene) -> Scatterers:
    numbers = table("structures")["wall"]
    wall_of, piece, pieces = along_wall(walls, scene.spacing_m)
    part_of, level, levels = up_wall(walls, wall_of, scene.spacing_m)
    wall, piece = wall_of[part_of], piece[part_of]
    keys = (walls.uid[wall], walls.edge[wall], piece, level)
    along = (piece + uniform(scene.seed, "facade/along", *keys)) / pieces[part_of]
    tall = (walls.height - walls.base)[wall]
    up = (level + uniform(scene.seed, "facade/up", *keys)) / levels
    x, y = walls.x[wall] + along * walls.dx[wall], walls.y[wall] + along * walls.dy[wall]
    area = walls.length[wall] * tall / (pieces[part_of] * levels)
    cosine = np.sin(np.radians(scene.incidence_deg)) * walls.facing[wall]
    like = 10 ** (numbers["like_db"] / 10) * cosine * area
    cross = like * 10 ** (-numbers["cross_below_db"] / 10)
    rcs = _by_polarization(scene.backscatter, like, like, cross)
    ground = scene.height(x, y)
    copol = np.full(len(x), _complex(numbers["copol"]))
    return Scatterers.at(x, y, ground + walls.base[wall] + up * tall, rcs, copol=copol)


def _double_bounce(walls: Walls, scene: _Scene) -> Scatterers:
    ground, wall = table("structures")["ground"], table("structures")["wall"]
    x, y, share, of = _foot(walls, scene)
    street = Mirror(ground["permittivity"], ground["slope"] ** 2, wall["metal_share"])
    per_wall = double_bounce(walls, scene.incidence_deg, street)
    like_h, like_v, cross = (
        component[of] * share * ground["double_bounce_share"] for component in per_wall
    )
    rcs = _by_polarization(scene.backscatter, like_h, like_v, cross)
    copol = np.full(len(x), _complex(ground["copol"]))
    return Scatterers.at(x, y, scene.height(x, y), rcs, copol=copol)


def _bridges(walls: Walls, scene: _Scene) -> list[Scatterers]:
    numbers, ground = table("structures")["bridge"], table("structures")["ground"]
    wind = (
        scene.backscatter.conditions.wind_speed
        * table("surfaces")["surfaces"]["inland_water"]["wind_factor"]
    )
    x, y, share, of = _foot(walls, scene)
    band = scene.backscatter.band
    slopes = slope_variance(band, wind) / 2
    surface = Mirror(water_permittivity(band), slopes, numbers["metal_share"])
    per_wall = double_bounce(walls, scene.incidence_deg, surface)
    like_h, like_v, cross = (
        component[of] * share * numbers["double_bounce_share"] for component in per_wall
    )
    rcs = _by_polarization(scene.backscatter, like_h, like_v, cross)
    water = scene.height(x, y)
    copol = np.full(len(x), _complex(ground["copol"]))
    double = Scatterers.at(x, y, water, rcs, copol=copol)
    weaker = 10 ** (-numbers["triple_below_double_db"] / 10)
    # The mirror image of the deck lies below the water and therefore appears beyond it.
    triple = Scatterers.at(x, y, water - walls.base[of], rcs * weaker, copol=-copol)
    return [double, triple]


@dataclass(frozen=True)
class Mirror:
    """The ground and wall of a double bounce.

    Attributes:
        permittivity: Of the ground, relative.
        slope_variance: Of the ground per axis.
        metal_share: Share of the wall that reflects everything.
    """

    permittivity: complex
    slope_variance: float
    metal_share: float


def double_bounce(
    walls: Walls, incidence_deg: float, mirror: Mirror
) -> tuple[Floats, Floats, Floats]:
    """Return RCS (m²) of the unobstructed double bounce of whole walls: HH, VV, cross.

    A wall turned by φ also turns the polarisation, by η with tan η = tan φ / cos θ (Kimura 2008):
    cos² 2η of the power stays, sin² 2η turns to cross-polarised.

    Args:
        walls: Walls that face the radar.
        incidence_deg: On level ground.
        mirror: What reflects.
    """
    ground, wall = table("structures")["ground"], table("structures")["wall"]
    theta = np.radians(incidence_deg)
    needed = np.tan(theta) ** 2 * walls.along**2
    twice = 2 * mirror.slope_variance
    density = (1 + needed) ** 2 * np.exp(-needed / twice) / twice
    strip = walls.length * (walls.height - walls.base) * np.tan(theta) * walls.facing
    strength = 4 * strip * density
    at_wall = np.arccos(np.sin(theta) * walls.facing)
    wall_h, wall_v = fresnel(wall["permittivity"], at_wall)
    ground_h, ground_v = (float(r[0]) for r in fresnel(mirror.permittivity, np.array([theta])))
    horizontal = strength * ground_h * (wall_h + mirror.metal_share * (1 - wall_h))
    vertical = strength * ground_v * (wall_v + mirror.metal_share * (1 - wall_v))
    eta = np.arctan2(np.abs(walls.along), walls.facing * np.cos(theta))
    turned = ((np.sqrt(horizontal) + np.sqrt(vertical)) / 2) ** 2 * np.sin(2 * eta) ** 2
    floor = np.maximum(horizontal, vertical) * 10 ** (ground["cross_floor_db"] / 10)
    straight = np.cos(2 * eta) ** 2
    return horizontal * straight, vertical * straight, np.maximum(turned, floor)


def _corners(walls: Walls, scene: _Scene) -> Scatterers:
    numbers = table("structures")["corners"]
    if not len(walls):
        return no_points(len(scene.backscatter.polarizations))
    first = np.unique(walls.building, return_index=True)[1]
    area = walls.length * (walls.height - walls.base) * walls.facing
    per_building = np.add.reduceat(area, first)
    slot = np.arange(numbers["most"])
    uid = walls.uid[first]
    mean = np.minimum(per_building / numbers["per_wall_m2"], numbers["most"])
    chosen = uniform(scene.seed, "corner/exists", uid[:, None], slot) < mean[:, None] / len(slot)
    row, slot = np.nonzero(chosen)
    keys = (uid[row], slot)
    # A wall of the building, by its share of the seen area.
    ends = np.cumsum(area)
    sought = (
        ends[first[row]]
        - area[first[row]]
        + uniform(scene.seed, "corner/wall", *keys) * per_building[row]
    )
    last = np.append(first[1:], len(walls))[row] - 1
    wall = np.clip(np.searchsorted(ends, sought), first[row], last)
    along, up = uniform(scene.seed, "corner/along", *keys), uniform(scene.seed, "corner/up", *keys)
    x, y = walls.x[wall] + along * walls.dx[wall], walls.y[wall] + along * walls.dy[wall]
    z = scene.height(x, y) + walls.base[wall] + up * (walls.height - walls.base)[wall]
    edge = numbers["edge_m"] * np.exp(
        numbers["edge_spread"] * normal(scene.seed, "corner/edge", *keys)
    )
    edge = np.minimum(edge, numbers["edge_most_m"])
    wavelength = scene.backscatter.wavelength_m
    uneven = np.exp(-((4 * np.pi * numbers["imperfection_m"] / wavelength) ** 2))
    like = numbers["efficiency"] * uneven * 4 * np.pi * edge**4 / (3 * wavelength**2)
    cross = like * 10 ** (-numbers["cross_below_db"] / 10)
    return Scatterers.at(
        x, y, z, _by_polarization(scene.backscatter, like, like, cross),
        phase=2 * np.pi * uniform(scene.seed, "corner/phase", *keys),
        copol=np.full(len(x), _complex(numbers["copol"])),
    )  # fmt: skip


def _foot(walls: Walls, scene: _Scene) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]:
    of, piece, pieces = along_wall(walls, scene.spacing_m)
    keys = (walls.uid[of], walls.edge[of], piece)
    at = (piece + uniform(scene.seed, "foot", *keys)) / pieces
    return walls.x[of] + at * walls.dx[of], walls.y[of] + at * walls.dy[of], 1 / pieces, of


def _by_polarization(
    backscatter: Backscatter, like_h: Floats, like_v: Floats, cross: Floats
) -> Floats:
    component = {"HH": like_h, "VV": like_v, "HV": cross, "VH": cross}
    return np.stack([component[polarization] for polarization in backscatter.polarizations])


def _complex(modulus_and_phase: Any) -> complex:
    modulus, phase = modulus_and_phase
    return complex(modulus * np.exp(1j * np.radians(phase)))
