"""Stadiums: an oval ring of stands around a pitch, car parks and trees around it."""

from __future__ import annotations

import numpy as np
import shapely

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.layout import bands, crossed, inset
from sarknowlip.simulate.world.districts.placing import bay_places, park_vehicles, plant_trees
from sarknowlip.simulate.world.districts.plot import Geometries, Plot, rectangles

INNER_M = (76.0, 52.0)
"""Half axes of the oval within the stands; it holds a pitch of 105 m × 68 m."""
STANDS_M = 32.0
WALK_M = 9.0
PARKS_M = 400.0
"""Car parks lie within this distance of the middle."""
SMALLEST = 0.35
"""Below this scale there is no stadium, only its car parks."""


def fill(district: District) -> Layers:
    """Return a stadium as large as the ground allows, at most a national one."""
    plot = Plot(district)
    random = plot.random
    circle = shapely.maximum_inscribed_circle(plot.area, tolerance=2.0)
    centre, radius = shapely.get_coordinates(circle)[0], circle.length
    scale = min(
        1.0 + 0.25 * district.density, (radius - WALK_M - 3.0) / (INNER_M[0] + STANDS_M + 2.0)
    )
    arena = np.empty(0, dtype=object)
    if scale >= SMALLEST:
        inner = scale * np.array(INNER_M)
        outer = inner + scale * STANDS_M
        arena = _ovals(centre, outer + WALK_M)
        plot.ground(arena[:1], "concrete", turn=0.0)
        stands = shapely.difference(_ovals(centre, outer), _ovals(centre, inner))
        plot.build(stands, scale * (18.0 + 22.0 * random.random(1)), "stadium", "metal_roof")
        plot.ground(_ovals(centre, 0.93 * inner), "grass", "stadium", turn=0.0)
    lots = _car_parks(plot, centre, arena)
    plant_trees(plot, 13.0, (2.0, 4.5), 0.35, np.concatenate([lots, arena]))
    return plot.layers("grass")


def _car_parks(plot: Plot, centre: Floats, arena: Geometries) -> Geometries:
    random = plot.random
    u0, v0, u1, v1 = plot.bounds
    us = bands((u0, u1), 95.0, 9.0, 0.1, random)
    vs = bands((v0, v1), 62.0, 9.0, 0.1, random)
    boxes = crossed(us, vs)
    away = (boxes[:, :2] + boxes[:, 2:]) / 2 - centre
    boxes = boxes[np.hypot(away[:, 0], away[:, 1]) < PARKS_M]
    boxes = boxes[random.random(len(boxes)) < 0.8]
    ground = shapely.difference(shapely.buffer(plot.area, -4.0), shapely.union_all(arena))
    lots = plot.clipped(rectangles(boxes), ground)
    plot.ground(lots, "asphalt", "parking", turn=0.0)
    places, turns = bay_places(inset(boxes, 2.0), (2.5, 5.0), 6.0)
    free = shapely.contains_xy(shapely.buffer(ground, -3.0), places[:, 0], places[:, 1])
    crowd = 0.15 + 0.7 * random.random() * plot.district.density
    park_vehicles(plot, places[free], turns[free], crowd)
    return lots


def _ovals(centre: Floats, half: Floats) -> Geometries:
    """Return a superellipse, flatter than an ellipse along its sides, as stands are."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ring = np.sign(ring) * np.abs(ring) ** (2 / 2.5)
    return np.array([shapely.polygons(centre + ring * half)], dtype=object)
