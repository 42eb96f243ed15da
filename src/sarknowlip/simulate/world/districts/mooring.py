"""Ships alongside quays."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import LineString

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.world.districts.classes import Drawn, draw, target_classes
from sarknowlip.simulate.world.districts.placing import apart, clear_of, oriented
from sarknowlip.simulate.world.districts.plot import Plot

SHORTEST_WALL_M = 60.0
END_M = 8.0
"""Free quay at either end of a wall."""
CLEARANCE_M = (1.0, 3.0)
"""Between hull and quay: fenders."""


def quay_walls(quay: LineString) -> Floats:
    """Return the straight walls of a quay long enough for a berth, shape (n, 4): u0, v0, u1, v1."""
    line = shapely.get_coordinates(shapely.simplify(quay, 2.0))
    walls = np.concatenate([line[:-1], line[1:]], axis=1)
    long = np.hypot(walls[:, 2] - walls[:, 0], walls[:, 3] - walls[:, 1]) >= SHORTEST_WALL_M
    return np.asarray(walls[long])


def moor_ships(plot: Plot, walls: Floats) -> None:
    """Moor ships along walls with water on their left; none touches land or another.

    Only the plot's own land is known here: what lies opposite a narrow basin is not.
    """
    rows = [_moored(plot, wall) for wall in walls]
    if not rows:
        return
    places = np.concatenate([row[0] for row in rows])
    turns = np.concatenate([row[1] for row in rows])
    ships = Drawn.concat([row[2] for row in rows])
    hulls = oriented(places, ships, turns)
    free = np.flatnonzero(clear_of(hulls, np.array([plot.area], dtype=object), 0.5))
    kept = free[apart(hulls[free])]
    plot.put("ship", places[kept], ships.take(kept), turns[kept])


def _moored(plot: Plot, wall: Floats) -> tuple[Floats, Floats, Drawn]:
    """Return places, turns and sizes of ships from one end of a wall to the other."""
    random = plot.random
    start, step = wall[:2], wall[2:] - wall[:2]
    length = float(np.hypot(*step))
    along = step / length
    water = np.array([-along[1], along[0]])
    bow = -float(np.degrees(np.arctan2(along[1], along[0])))
    classes = target_classes("ship")
    places, turns, ships = [], [], []
    at = END_M
    while True:
        room = length - END_M - at
        fitting = tuple(row for row in classes if row.length[1] <= room)
        if not fitting:
            break
        ship = draw(fitting, random.random(1), random.random(1))
        gap = CLEARANCE_M[0] + (CLEARANCE_M[1] - CLEARANCE_M[0]) * random.random()
        taken = random.random() < 0.45 + 0.5 * plot.district.density
        back = 180.0 * (random.random() < 0.5)
        long = float(ship.length[0])
        if taken:
            middle = along * (at + long / 2) + water * (gap + float(ship.width[0]) / 2)
            places.append(start + middle)
            turns.append(bow + back)
            ships.append(ship)
        at += long + max(8.0, 0.12 * long)
    return np.array(places).reshape(-1, 2), np.array(turns), Drawn.concat(ships)
