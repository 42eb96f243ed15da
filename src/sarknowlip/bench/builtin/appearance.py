"""Where targets appear in an image: boxes around what sends back, not around outlines on the map.

Tall things lean toward the radar by their height times the cotangent of the incidence angle, so
that a map's outline may lie beside what is seen. The box of a target is the smallest along its
heading that holds the places of all its points of at least a hundredth (−20 dB) of its brightest
one, with half a resolution cell around.

Legend of array names: N targets, P points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.acquire import Acquisition
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import Targets
from sarknowlip.simulate.scatter.targets import target_scatterers

FAINTEST = 0.01


@dataclass(frozen=True)
class Appearances:
    """Targets as an image shows them.

    Attributes:
        kinds: Of each of the N targets.
        corners: In order around each box, (N, 4, 2): column and row of the image in pixels, where
            the centre of the first pixel is (0.5, 0.5).
    """

    kinds: tuple[str, ...]
    corners: npt.NDArray[np.float64]


def appearances(acquisition: Acquisition, targets: Targets) -> Appearances:
    """Return targets at rest as an image shows them."""
    boxes = [_box(acquisition, targets.take(np.array([n]))) for n in range(len(targets))]
    corners = np.stack(boxes) if boxes else np.empty((0, 4, 2))
    return Appearances(tuple(map(str, targets.kind)), corners)


def _box(acquisition: Acquisition, target: Targets) -> npt.NDArray[np.float64]:
    world, grid = acquisition.world, acquisition.grid
    incidence = float(grid.incidence_deg(target.x, target.y)[0])
    points = target_scatterers(
        target,
        world.height,
        acquisition.backscatter,
        grid.look_deg,
        incidence,
        seed=world.seed,
    )
    power = points.rcs.max(axis=0)
    bright = power >= FAINTEST * power.max()
    rows_P, columns_P = grid.positions(points.x[bright], points.y[bright], points.z[bright])
    along, across = _axes(acquisition, target)
    places_P2 = np.stack([columns_P, rows_P], axis=1) + 0.5
    a_P, c_P = places_P2 @ along, places_P2 @ across
    half = _half_cell_px(acquisition)
    a, c = (a_P.min() - half, a_P.max() + half), (c_P.min() - half, c_P.max() + half)
    ends = [(a[1], c[0]), (a[1], c[1]), (a[0], c[1]), (a[0], c[0])]
    return np.array([u * along + v * across for u, v in ends])


def _axes(acquisition: Acquisition, target: Targets) -> tuple[Floats, Floats]:
    """Return unit vectors (column, row) along the heading of a target and to its right."""
    heading = np.radians(np.nan_to_num(target.heading))
    x = np.concatenate([target.x, target.x + 10.0 * np.sin(heading)])
    y = np.concatenate([target.y, target.y + 10.0 * np.cos(heading)])
    z = np.repeat(acquisition.world.height(target.x, target.y), 2)
    row, column = acquisition.grid.positions(x, y, z)
    along = np.array([column[1] - column[0], row[1] - row[0]])
    along /= np.hypot(*along)
    return along, np.array([-along[1], along[0]])


def _half_cell_px(acquisition: Acquisition) -> float:
    profile = acquisition.profile
    return 0.5 * max(
        profile.resolution_range_m / profile.spacing_range_m,
        profile.resolution_azimuth_m / profile.spacing_azimuth_m,
    )
