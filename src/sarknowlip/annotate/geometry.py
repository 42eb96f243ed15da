"""Directions and distances in a tile, from facts alone.

Pixels are oblongs on a map grid (`image gsd_x`, `gsd_y`) whose upward direction is the bearing
`image up` from true north. Without that fact the grid is taken as north-up. On the UTM grid of
tiles the error is the meridian convergence, at most 3° · sin(latitude) inside a zone (Snyder, "Map
Projections: A Working Manual", USGS PP 1395, 1987, eq. 8-12). That is less than `WIND_MARGIN`, so
it does not turn a wind that is told into another. Polar grids and rotated rasters need the fact.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, distance_transform_edt

from sarknowlip.knowledge.evidence import Facts

Mask = npt.NDArray[np.bool_]
Point = tuple[float, float]
"""Column and row, pixels, 0 at the left and upper edge of the image."""

WINDS = (
    "north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west",
)  # fmt: skip
WIND_MARGIN = 3.0
"""Directions nearer than this to the border of two winds are not told, degrees."""


class PixelGrid:
    """What a pixel step means on the ground.

    Args:
        gsd_m: Width and height of a pixel, metres.
        shape: Rows, columns.
        up_deg: Bearing of the upward direction from true north.
    """

    def __init__(
        self, gsd_m: tuple[float, float], shape: tuple[int, int], up_deg: float = 0.0
    ) -> None:
        self.gsd_m = gsd_m
        self.shape = shape
        self.up_deg = up_deg

    @classmethod
    def of(cls, facts: Facts) -> PixelGrid | None:
        """Return the grid of a tile; None where its pixel size is not known."""
        rows, columns = facts.value("image", "rows"), facts.value("image", "columns")
        width, height = facts.value("image", "gsd_x"), facts.value("image", "gsd_y")
        if rows is None or columns is None or not width or not height:
            return None
        up = facts.value("image", "up")
        return cls((width, height), (int(rows), int(columns)), up or 0.0)

    def bearing(self, start: Point, end: Point) -> float | None:
        """Return the direction from one point to another, 0…360° from north; None if they agree."""
        east, up = self._step(start, end)
        if math.hypot(east, up) < 1e-9:
            return None
        return (math.degrees(math.atan2(east, up)) + self.up_deg) % 360.0

    def length(self, start: Point, end: Point) -> float:
        """Return the distance between two points, metres."""
        return math.hypot(*self._step(start, end))

    def distance(self, one: Mask, other: Mask) -> float | None:
        """Return the distance between two masks, metres; None if one is empty.

        It is 0 where they overlap or touch, by a corner at least, else measured between the
        centres of the nearest pixels, less a pixel; exact to about a pixel.
        """
        if not one.any() or not other.any():
            return None
        if (binary_dilation(one, np.ones((3, 3), dtype=bool)) & other).any():
            return 0.0
        width, height = self.gsd_m
        gap = float(distance_transform_edt(~one, sampling=(height, width))[other].min())
        return gap - min(width, height)

    def _step(self, start: Point, end: Point) -> Point:
        width, height = self.gsd_m
        return (end[0] - start[0]) * width, (start[1] - end[1]) * height


def wind(bearing: float, margin: float = WIND_MARGIN) -> str | None:
    """Return the one of eight winds a bearing points to; None within `margin` of two of them.

    Args:
        bearing: Degrees from north.
        margin: Degrees.
    """
    sector = (bearing % 360.0) / 45.0
    nearest = round(sector)
    if 45.0 * abs(sector - nearest) > 22.5 - margin:
        return None
    return WINDS[nearest % 8]


def centroid(mask: Mask) -> Point:
    """Return column and row of the middle of a mask that is not empty.

    Raises:
        ValueError: The mask is empty.
    """
    rows, columns = np.nonzero(mask)
    if not rows.size:
        raise ValueError("an empty mask has no middle")
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5
