"""Which points the radar sees, each by its own ray: for points that no patch of ground need hold.

Strong points add sidelobes, and moving ones appear, far from where they are. Whether they are
hidden must be the same for all tiles, so the ground between them and the radar is looked up anew.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.image.contract import Scatterers
from sarknowlip.simulate.image.ground import TERRAIN_STEP, tops
from sarknowlip.simulate.image.points import BESIDE, TOLERANCE_M
from sarknowlip.simulate.image.scene import Scene

_BLOCK_M = 500.0
"""Edge of squares whose points are looked at together, metres: chosen, a piece of a city."""
_MOST_SAMPLES = 64
"""Of the terrain under one ray; on long rays they are farther apart than the terrain's nodes."""
_CHUNK = 4096

Mask = npt.NDArray[np.bool_]


def in_sight(scene: Scene, points: Scatterers) -> Mask:
    """Tell which points no building and no terrain hides; plants and bridges don't.

    Args:
        scene: What stands around.
        points: Anywhere; each one's answer depends on nothing but itself and the world.
    """
    found = np.ones(len(points), dtype=bool)
    block = np.floor(np.stack([points.x, points.y]) / _BLOCK_M).astype(np.int64)
    _, owner = np.unique(block, axis=1, return_inverse=True)
    order = np.argsort(owner.ravel(), kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(owner.ravel()[order])) + 1):
        for start in range(0, len(some), _CHUNK):
            part = some[start : start + _CHUNK]
            rays = _Rays(scene, points.x[part], points.y[part], points.z[part])
            found[part] = ~(rays.hit_terrain() | rays.hit_buildings())
    return found


class _Rays:
    """Rays toward the radar: their heights rise with the cotangent of the incidence angle."""

    def __init__(self, scene: Scene, x: Floats, y: Floats, z: Floats) -> None:
        self.world, self.x, self.y = scene.world, x, y
        look = np.radians(scene.geometry.look_deg)
        self.toward = -float(np.sin(look)), -float(np.cos(look))
        incidence = np.asarray(scene.geometry.incidence_deg(x, y), dtype=np.float64)
        self.tan = np.tan(np.radians(incidence))
        # Points below the ground are mirror images, which are seen where the ground is.
        self.z = np.maximum(z, np.asarray(scene.world.height(x, y))) + TOLERANCE_M
        self.step = TERRAIN_STEP * scene.lattice.range_m
        self.start = BESIDE * scene.lattice.range_m
        self.highest = scene.world.height_range(scene.world.bounds)[1]
        self.tallest = scene.survey.tallest_m

    def at(self, distance: Floats | float) -> tuple[Floats, Floats]:
        """Return places so far along the rays, shape (…, n)."""
        return self.x + self.toward[0] * distance, self.y + self.toward[1] * distance

    def end(self, height: float) -> Floats:
        """Return how far off the rays rise past a height, metres, at least `start`."""
        return np.asarray(np.maximum((height - self.z) * self.tan, self.start))

    def hit_terrain(self) -> Mask:
        """Tell which rays pass below terrain."""
        end = self.end(self.highest)
        count = np.clip(np.ceil((end - self.start) / self.step), 0, _MOST_SAMPLES)
        number = np.arange(1, int(count.max(initial=0)) + 1)[:, None]
        distance = self.start + (end - self.start) * np.minimum(number / np.maximum(count, 1), 1.0)
        if not distance.size:
            return np.zeros(len(self.x), dtype=bool)
        ground = np.asarray(self.world.height(*self.at(distance)))
        return np.asarray((ground > self.z + distance / self.tan).any(axis=0))

    def hit_buildings(self) -> Mask:
        """Tell which rays enter a solid body below its top."""
        hidden = np.zeros(len(self.x), dtype=bool)
        ends = [np.stack(self.at(d)) for d in (self.start, self.end(self.highest + self.tallest))]
        places = np.concatenate(ends, axis=1)
        low, high = places.min(axis=1), places.max(axis=1)
        area = Bounds(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        bodies = self.world.layers(area).buildings
        bodies = bodies.take(bodies.base <= 0)
        if not len(bodies):
            return hidden
        lines = shapely.linestrings(np.stack(ends).transpose(2, 0, 1))
        ray, body = shapely.STRtree(bodies.geometry).query(lines, predicate="intersects")
        top = tops(self.world, bodies)[body]
        # A top above the ray where it enters hides the point; the ray only rises from there.
        under = top > self.z[ray] + self.start / self.tan[ray]
        ray, body, top = ray[under], body[under], top[under]
        common = shapely.intersection(lines[ray], bodies.geometry[body])
        near = shapely.distance(shapely.points(self.x[ray], self.y[ray]), common)
        hidden[ray[top > self.z[ray] + near / self.tan[ray]]] = True
        return hidden
