"""Ports: a concrete quay with cranes on rails, moored ships, container yards, warehouses."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import LineString

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.classes import Drawn, draw, target_classes
from sarknowlip.simulate.world.districts.industrial import build_halls
from sarknowlip.simulate.world.districts.layout import inset, pave, split, street_grid
from sarknowlip.simulate.world.districts.mooring import moor_ships, quay_walls
from sarknowlip.simulate.world.districts.placing import Mask, bay_places, park_vehicles, within
from sarknowlip.simulate.world.districts.plot import Boxes, Geometries, Plot, polygons, rectangles

APRON_M = 48.0
STREET_M = 16.0
BLOCK_M = (210.0, 105.0)
CONTAINER_DEPTH_M = 330.0
"""Container yards lie within this distance of the quay, warehouses behind them; chosen."""
BAY_M = 13.4
ROW_M = 26.0
TIER_M = 2.59
CRANE_GAP_M = 85.0
RAIL_M = 18.0
"""From the quay's edge to the middle between crane rails: 3 m and half a gauge of 30.5 m."""


def fill(district: District) -> Layers:
    """Return a port along the district's quay; without a quay, a yard behind one.

    Ships lie beyond the polygon, alongside the quay, bow to either end.
    """
    plot = Plot(district, _heading(district))
    random = plot.random
    quay = None if district.quay is None else plot.local(district.quay)
    apron = np.empty(0, dtype=object)
    if quay is not None:
        band = shapely.buffer(quay, APRON_M, cap_style="flat", join_style="mitre")
        apron = plot.clipped(np.array([band], dtype=object))
    yard = polygons(
        np.array([shapely.difference(plot.area, shapely.union_all(apron))], dtype=object)
    )
    streets = street_grid(plot, BLOCK_M, STREET_M, 0.15)
    pave(plot, streets)
    blocks = streets.blocks
    middles = shapely.points((blocks[:, :2] + blocks[:, 2:]) / 2)
    near = np.zeros(len(blocks), dtype=bool)
    if quay is not None:
        near = shapely.distance(middles, quay) < CONTAINER_DEPTH_M
    use = random.random(len(blocks))
    containers = np.where(near, use < 0.7, use < 0.1)
    trucks = ~containers & (use > 0.88)

    halls = split(inset(blocks[~containers & ~trucks], 4.0), 7500.0, random, 8.0)
    halls = halls[_covered(yard, rectangles(halls))]
    yards = np.concatenate([build_halls(plot, halls, 0.65), blocks[trucks]])
    _stack_containers(plot, inset(blocks[containers], 6.0), yard)
    plot.ground(apron, "concrete", "quay", "road", 0.0)
    places, turns = bay_places(inset(yards, 3.0), (4.5, 18.0), 16.0)
    free = _on(yard, places, 10.0)
    park_vehicles(plot, places[free], turns[free], 0.2 + 0.2 * district.density, ("truck",))
    if quay is not None:
        walls = quay_walls(quay)
        _stand_cranes(plot, walls)
        moor_ships(plot, walls)
    return plot.layers("concrete")


def _heading(district: District) -> float:
    """Return the direction of the quay's longest straight part."""
    if district.quay is None:
        return district.heading
    line: LineString = shapely.simplify(district.quay, 3.0)
    step = np.diff(shapely.get_coordinates(line), axis=0)
    east, north = step[np.argmax(np.hypot(step[:, 0], step[:, 1]))]
    return float(np.degrees(np.arctan2(east, north)) % 180)


def _covered(yard: Geometries, shapes: Geometries) -> Mask:
    if not len(yard):
        return np.zeros(len(shapes), dtype=bool)
    shapely.prepare(yard)
    return np.asarray(shapely.contains_properly(yard[0], shapes))


def _on(yard: Geometries, places: Floats, margin: float) -> Mask:
    if not len(yard):
        return np.zeros(len(places), dtype=bool)
    return within(yard[0], places, margin)


def _stack_containers(plot: Plot, blocks: Boxes, yard: Geometries) -> None:
    """Stack containers in bays along u, six wide, one to five high, and gantries over them."""
    random = plot.random
    places, spans = [np.empty((0, 2))], [np.empty((0, 2))]
    for u0, v0, u1, v1 in blocks:
        bays = np.arange(u0 + BAY_M / 2, u1 - BAY_M / 2, BAY_M)
        rows = np.arange(v0 + ROW_M / 2, v1 - ROW_M / 2, ROW_M)
        u, v = np.meshgrid(bays, rows)
        places.append(np.stack([u.ravel(), v.ravel()], axis=1))
        if len(bays):
            over = bays[random.integers(0, len(bays), len(rows))] + BAY_M / 2
            spans.append(np.stack([over, rows + 2.0], axis=1))
    place, over = np.concatenate(places), np.concatenate(spans)
    kept = random.random(len(place)) < 0.55 + 0.4 * plot.district.density
    kept &= _on(yard, place, 12.0)
    place = place[kept]
    bay = draw(target_classes("container_stack"), random.random(len(place)), np.zeros(len(place)))
    tiers = 1 + np.floor(5 * random.random(len(place)) ** (1.2 - 0.6 * plot.district.density))
    plot.put(
        "container_stack", place, Drawn(bay.subclass, bay.length, bay.width, TIER_M * tiers), 0.0
    )
    over = over[(random.random(len(over)) < 0.3) & _on(yard, over, 14.0)]
    gantry = draw(
        target_classes("crane", "yard_crane"), random.random(len(over)), random.random(len(over))
    )
    plot.put("crane", over, gantry, 90.0)


def _stand_cranes(plot: Plot, walls: Floats) -> None:
    """Stand cranes along straight quay walls, jibs over the water."""
    random = plot.random
    for u0, v0, u1, v1 in walls:
        length = float(np.hypot(u1 - u0, v1 - v0))
        along = np.array([u1 - u0, v1 - v0]) / length
        # Water is on the left of the wall, land on the right.
        land = np.array([along[1], -along[0]])
        large = length > 240.0
        stations = np.arange(35.0, length - 35.0, CRANE_GAP_M if large else 1.2 * CRANE_GAP_M)
        stations = stations + 30.0 * (random.random(len(stations)) - 0.5)
        stations = stations[random.random(len(stations)) < 0.6 + 0.4 * plot.district.density]
        names = ("ship_to_shore_crane",) if large else ("harbour_crane",)
        size = np.full(len(stations), random.random())
        cranes = draw(target_classes("crane", *names), size, size)
        places = np.array([u0, v0]) + along * stations[:, None] + land * RAIL_M
        free = within(plot.area, places, 14.0)
        turn = -float(np.degrees(np.arctan2(-land[1], -land[0])))
        plot.put("crane", places[free], cranes.take(free), turn)
