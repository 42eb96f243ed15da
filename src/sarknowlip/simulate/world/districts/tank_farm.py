"""Tank farms: upright tanks of 10 to 80 m in rows within dikes."""

from __future__ import annotations

import numpy as np
import shapely

from sarknowlip.simulate.layers import Layers
from sarknowlip.simulate.world.district import District
from sarknowlip.simulate.world.districts.classes import Drawn, target_classes
from sarknowlip.simulate.world.districts.layout import inset, split
from sarknowlip.simulate.world.districts.placing import edge_footprints, off_buildings, within
from sarknowlip.simulate.world.districts.plot import Boxes, Plot, polygons, rectangles

COMPOUND_M2 = 15_000.0
ROAD_M = 9.0
DIKE_M = 4.0
EDGE_M = 6.0
SPACING = 1.45
"""Distance of tank centres in diameters; chosen."""


def fill(district: District) -> Layers:
    """Return a tank farm; sizes are chosen within what API 650 tanks have."""
    plot = Plot(district)
    random = plot.random
    compounds = split(np.array([plot.bounds]), COMPOUND_M2, random, ROAD_M)
    shapes = plot.clipped(rectangles(inset(compounds, 1.0)), shapely.buffer(plot.area, -EDGE_M))
    plot.ground(shapes, np.where(random.random(len(shapes)) < 0.6, "gravel", "grass"), turn=0.0)
    inner = shapely.buffer(shapes, -DIKE_M)
    plot.ground(polygons(shapely.difference(shapes, inner)), "bare_soil", turn=0.0)

    office = random.random(len(compounds)) < 0.06
    sheds = edge_footprints(plot, rectangles(compounds[~office]), 8.0, 12.0, 24.0)
    plot.build(sheds, 4.0 + 4.0 * random.random(len(sheds)), "building", "flat_roof")
    place_tanks(plot, inset(compounds[~office], DIKE_M + 3.0), largest=80.0)
    return plot.layers("asphalt")


def place_tanks(plot: Plot, boxes: Boxes, largest: float) -> None:
    """Put rows of equal tanks into boxes, those that lie in the plot and off buildings.

    Args:
        plot: Where.
        boxes: Inside of dikes, shape (n, 4).
        largest: Largest diameter, metres.
    """
    random = plot.random
    (row,) = target_classes("storage_tank")
    places, diameters, heights = [np.empty((0, 2))], [np.empty(0)], [np.empty(0)]
    for u0, v0, u1, v1 in boxes:
        short, long = sorted((u1 - u0, v1 - v0))
        rows = int(random.integers(1, 4))
        limit = min(largest, row.length[1], short / (1 + SPACING * (rows - 1)))
        lean = 0.75 + 0.25 * random.random()
        rise = row.height[0] + (row.height[1] - row.height[0]) * random.random()
        if limit < row.length[0]:
            continue
        diameter = max(row.length[0], np.floor(limit * lean))
        pitch = SPACING * diameter
        columns = int((long - diameter) / pitch) + 1
        s = (np.arange(columns) - (columns - 1) / 2) * pitch
        t = (np.arange(rows) - (rows - 1) / 2) * pitch
        s, t = (axis.ravel() for axis in np.meshgrid(s, t))
        offset = np.stack([s, t] if u1 - u0 >= v1 - v0 else [t, s], axis=1)
        places.append(offset + np.array([u0 + u1, v0 + v1]) / 2)
        diameters.append(np.full(len(s), diameter))
        # Small tanks are rarely flat: no higher than their diameter allows.
        heights.append(np.full(len(s), round(min(rise, max(row.height[0], diameter)), 1)))
    names = np.full(sum(map(len, places)), row.subclass, dtype=object)
    diameter = np.concatenate(diameters)
    tanks = Drawn(names, diameter, diameter, np.concatenate(heights))
    place = np.concatenate(places)
    kept = random.random(len(place)) < 0.75 + 0.25 * plot.district.density
    kept &= within(plot.area, place, diameter / 2 + EDGE_M + DIKE_M + 2.0)
    place, tanks = place[kept], tanks.take(kept)
    free = off_buildings(plot, place, float(tanks.length.max(initial=0.0)) / 2 + 3.0)
    plot.put("storage_tank", place[free], tanks.take(free), 0.0)
