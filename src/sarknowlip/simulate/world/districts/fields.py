"""Fields: recursive splitting of farmland into parcels with crops, hedges and farmsteads."""

from __future__ import annotations

import numpy as np
import shapely

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.world.districts.layout import inset, split
from sarknowlip.simulate.world.districts.placing import inside, park_vehicles
from sarknowlip.simulate.world.districts.plot import Boxes, Plot, rectangles

COVERS = ("cereal", "broadleaf_crop", "stubble", "ploughed", "grass")
SHARES = np.array([0.34, 0.56, 0.70, 0.84, 1.0])
"""Cumulated shares of the covers; chosen."""
HEDGE_M = 5.0


def lay_fields(plot: Plot, area: float) -> Boxes:
    """Paint fields of about an area (square metres), tracks between them, hedges; return them.

    Crop rows run along the longer side of a field, as farmers plough.
    """
    random = plot.random
    fields = split(np.array([plot.bounds]), area, random, 5.0)
    size = fields[:, 2:] - fields[:, :2]
    cover = np.array(COVERS, dtype=object)[
        np.searchsorted(SHARES, random.random(len(fields)), side="right")
    ]
    turn = np.where(size[:, 0] >= size[:, 1], 0.0, 90.0)
    for name in COVERS:
        for angle in (0.0, 90.0):
            chosen = fields[(cover == name) & (turn == angle)]
            shapes = plot.clipped(rectangles(chosen))
            plot.ground(shapes, name, "farmland", "ground", angle)
    hedged = inset(fields[random.random(len(fields)) < 0.3], 0.0)
    side = random.integers(0, 4, len(hedged))
    strips = hedged.copy()
    rows = np.arange(len(strips))
    opposite = (side + 2) % 4
    strips[rows, side] = hedged[rows, opposite] + np.where(side < 2, -HEDGE_M, HEDGE_M)
    plot.ground(plot.clipped(rectangles(strips)), "shrub", "farmland", "ground")
    return fields


def build_farmsteads(plot: Plot, fields: Boxes, each_m2: float) -> None:
    """Build a farmstead in the corner of about one field for every `each_m2` square metres."""
    random = plot.random
    yards: list[Floats] = []
    count = int(np.ceil(plot.area.area / each_m2 - random.random()))
    for field in fields[random.permutation(len(fields))]:
        if len(yards) >= count:
            break
        u = field[0] + 8.0 if random.random() < 0.5 else field[2] - 98.0
        yard = np.array([u, field[1] + 8.0, u + 90.0, field[1] + 78.0])
        fits = yard[3] < field[3] - 8.0 and field[0] < u and u + 90.0 < field[2]
        if fits and inside(plot, rectangles(yard[None]))[0]:
            yards.append(yard)
    boxes = np.array(yards).reshape(-1, 4)
    plot.ground(rectangles(boxes), "gravel", "farmland", "ground", 0.0)
    for u, v, _, _ in boxes:
        _farmstead(plot, u, v)


def _farmstead(plot: Plot, u: float, v: float) -> None:
    """Build a house and two to four barns around a yard of 90 m × 70 m, and a few machines."""
    random = plot.random
    slots = np.array([[4.0, 44.0, 44.0, 66.0], [52.0, 38.0, 72.0, 66.0], [4.0, 4.0, 24.0, 36.0]])
    barns = slots[: 2 + int(2 * random.random())] + np.array([u, v, u, v])
    barns[:, 2:] -= 4.0 * random.random((len(barns), 2))
    roofs = np.where(random.random(len(barns)) < 0.6, "metal_roof", "tile_roof")
    plot.build(rectangles(barns), 6.0 + 5.0 * random.random(len(barns)), "barn", roofs)
    house = np.array([[u + 72.0, v + 6.0, u + 72.0 + 9.0, v + 6.0 + 14.0]])
    plot.build(rectangles(house), 6.5 + 2.0 * random.random(1), "house", "tile_roof")
    crowns = shapely.buffer(shapely.points([[u + 86.0, v + 28.0], [u + 86.0, v + 36.0]]), 3.0)
    plot.ground(np.asarray(crowns), "park_trees", "farmland")
    places = np.array([[u + 34.0, v + 18.0], [u + 44.0, v + 26.0], [u + 58.0, v + 14.0]])
    park_vehicles(plot, places, 360.0 * random.random(3), 0.6, ("tractor", "truck"))
