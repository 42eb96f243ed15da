"""The walls of buildings that face the radar, as a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.layers import Buildings
from sarknowlip.simulate.scatter.conditions import table
from sarknowlip.simulate.scatter.points import repeated


@dataclass(frozen=True)
class Walls:
    """Vertical rectangles; a row is one edge of a footprint.

    Attributes:
        building: Row in the buildings.
        uid: Of the building.
        edge: Number of the edge within its footprint; (uid, edge) identifies a wall.
        x: Start, metres.
        y: Start, metres.
        dx: To the end, metres.
        dy: To the end, metres.
        length: Metres.
        facing: Cosine of the angle between the outward normal and the direction to the radar, on
            the ground, 0…1.
        along: Its sine, signed.
        base: Height of the underside above terrain, metres.
        height: Height of the top above terrain, metres.
    """

    building: npt.NDArray[np.int64]
    uid: npt.NDArray[np.int64]
    edge: npt.NDArray[np.int64]
    x: Floats
    y: Floats
    dx: Floats
    dy: Floats
    length: Floats
    facing: Floats
    along: Floats
    base: Floats
    height: Floats

    def __len__(self) -> int:
        return len(self.x)

    def take(self, which: npt.NDArray[np.bool_]) -> Walls:
        """Return some rows."""
        return Walls(**{name: column[which] for name, column in vars(self).items()})


def facing_walls(buildings: Buildings, look_deg: float) -> Walls:
    """Return the walls whose outer side the radar sees, court walls included.

    Args:
        buildings: Any number of rows.
        look_deg: Horizontal direction from the radar to the scene, degrees from grid north.
    """
    polygons, owner = shapely.get_parts(buildings.geometry, return_index=True)
    # Outer rings run counterclockwise and inner ones clockwise: the solid is on the left.
    oriented = shapely.orient_polygons(polygons, exterior_cw=False)
    rings, part = shapely.get_rings(oriented, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    building = owner[part[ring]] if len(ring) else np.zeros(0, np.int64)
    whole = ring[1:] == ring[:-1]  # pairs that don't straddle two rings
    start, step, row = points[:-1][whole], np.diff(points, axis=0)[whole], building[:-1][whole]
    first = np.searchsorted(row, row)  # rows ascend: where each building's edges begin
    edge = np.arange(len(row)) - first
    length = np.hypot(step[:, 0], step[:, 1])
    look = np.radians(look_deg)
    safe = np.where(length > 0, length, 1.0)
    # Outward normal is (dy, -dx); the direction to the radar is (-sin look, -cos look).
    facing = (-step[:, 1] * np.sin(look) + step[:, 0] * np.cos(look)) / safe
    along = (step[:, 0] * np.sin(look) + step[:, 1] * np.cos(look)) / safe
    walls = Walls(
        row, buildings.uid[row], edge, start[:, 0], start[:, 1], step[:, 0], step[:, 1],
        length, facing, along, buildings.base[row], buildings.height[row],
    )  # fmt: skip
    rules = table("structures")["rules"]
    return walls.take(
        (length >= rules["least_edge_m"])
        & (facing >= rules["least_facing"])
        & (walls.height > walls.base)
    )


def along_wall(
    walls: Walls, spacing_m: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Cut walls into pieces along their length.

    Returns:
        The wall of each piece, its number within the wall, and the wall's number of pieces.
    """
    count = np.maximum(np.ceil(walls.length / spacing_m), 1).astype(np.int64)
    return (*repeated(count), np.repeat(count, count).astype(np.float64))


def up_wall(
    walls: Walls, of: npt.NDArray[np.int64], spacing_m: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Cut pieces of walls further along their height; as `along_wall`, by row of `of`."""
    tall = (walls.height - walls.base)[of]
    count = np.maximum(np.ceil(tall / spacing_m), 1).astype(np.int64)
    return (*repeated(count), np.repeat(count, count).astype(np.float64))
