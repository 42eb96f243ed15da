"""Spatial relations between the extents of two things, withheld where they are not clear.

Directions follow the cone-shaped model between centroids (Frank, "Qualitative spatial reasoning:
cardinal directions as an example", Int. J. Geogr. Inf. Sci. 10, 1996). Limits are chosen so that
neither the rounding of outlines to pixels nor a convergence of meridians turns a relation into
another; they are our own.

- *direction*: the one of eight cones of 45° in which a's centroid lies, seen from b's, at least
  `CONE_MARGIN` from the cone's sides. Centroids are `CLEAR_PX` apart, the things hardly overlap,
  and nine tenths of each lie on their side of the other's centroid.
- *distance*: between the nearest sides, if three pixels or more.
- *adjacent*: pixels of both are neighbours, hardly any overlap, neither inside the other.
- *inside*: 95 % of a within b's outline, with what b surrounds on all sides (waters and networks
  are not taken to hold what they surround); b's outline is larger by a tenth. What the tile cuts
  off is inside nothing; of something small, the pixels around it must be inside, too.
- *crosses*: b, open water, lies within three pixels on both long sides of a bridge, and no end of
  the bridge lies in it; or it is in two pieces, and what parts them where they are nearest is a.
- *in line*: see `row_of`.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from sarknowlip.annotate.extent import Extent, Points
from sarknowlip.annotate.geometry import Mask, PixelGrid, Point, wind

CONE_MARGIN = 10.0
"""Degrees."""
CLEAR_PX = 6.0
"""At this distance a pixel's shift of a centroid turns a direction by less than `CONE_MARGIN`."""
SIDE_SHARE = 0.9
OVERLAP = 0.05
LEAST_DISTANCE_PX = 3.0
TOUCH_PX = 0.5
"""Neighbours in the raster; what is a pixel apart may have a lane of two pixels between."""
BRINK_PX = 1.5
"""What is no farther from water is at its brink."""
INSIDE_SHARE = 0.95
SMALL_PX = 25
BESIDE_PX = 3.0
GATE_PX = 8.0
"""Two pieces of water farther apart than this are not taken for the sides of a crossing."""

LEAST_ROW = 3
ROW_PX, ROW_SHARE = 1.0, 0.05
"""Members of a row are no farther from its line than this, and than this share of its length."""
ROW_GAP = 2.5
"""Neighbours in a row are no farther apart than this times the median gap."""
FALSE_ROWS = 0.1
"""Rows of which that many or more are to be expected among as many random points are not told."""


def overlap(a: Extent, b: Extent) -> bool:
    """Return whether two things share more than `OVERLAP` of either."""
    return max(a.share_within(b), b.share_within(a)) > OVERLAP


def direction(a: Extent, b: Extent, grid: PixelGrid) -> str | None:
    """Return the wind in which a lies as seen from b, None if it is not clear."""
    if grid.length(b.centre, a.centre) < CLEAR_PX * max(grid.gsd_m):
        return None
    bearing = grid.bearing(b.centre, a.centre)
    told = None if bearing is None else wind(round(bearing, 6), CONE_MARGIN)
    if told is None or overlap(a, b):
        return None
    return told if _beyond(a, b.centre) and _beyond(b, a.centre) else None


def inside(a: Extent, b: Extent, *, surrounded: bool) -> bool:
    """Return whether a lies in b.

    Args:
        a: What may be inside.
        b: What it may be inside of.
        surrounded: Whether what b surrounds is in b.
    """
    if a.cut or a.area >= 0.9 * (int(b.filled.sum()) if surrounded else b.area):
        return False
    looked_at = a.widened() if a.area < SMALL_PX else a
    return looked_at.share_within(b, filled=surrounded) >= INSIDE_SHARE


def adjacent(a: Extent, b: Extent, gap_m: float) -> bool:
    """Return whether two things touch.

    Args:
        a: One.
        b: The other.
        gap_m: Distance between their nearest sides, metres.
    """
    if gap_m > TOUCH_PX * min(a.gsd_m) or overlap(a, b):
        return False
    return a.share_within(b, filled=True) < 0.5 and b.share_within(a, filled=True) < 0.5


def said_distance(gap_m: float, pixel_m: float) -> int | None:
    """Return a distance as it is said; None below `LEAST_DISTANCE_PX`.

    It is rounded to the largest of 1, 2, 5, 10, 20 … m that is at most a tenth of it or a pixel.
    """
    if gap_m < LEAST_DISTANCE_PX * pixel_m or gap_m < 1.0:
        return None
    wanted = max(1.0, 0.1 * gap_m, pixel_m)
    power = 10 ** math.floor(math.log10(wanted))
    step = max(step for step in (1, 2, 5) if step * power <= wanted) * power
    return int(step * round(gap_m / step))


def beside(line: Extent, water: Extent) -> tuple[bool, bool]:
    """Return whether water lies within `BESIDE_PX` on either long side of an elongated thing.

    A side counts if it holds water pixels for a quarter of the thing's length. Neither does if the
    thing is not twice as long as wide, or if the water goes on beyond one of
    its ends.
    """
    points = (line.sample - line.centre) * line.gsd_m
    if len(points) < LEAST_ROW:
        return False, False
    pixel = min(line.gsd_m)
    _, vectors = np.linalg.eigh(points.T @ points)
    along, across = points @ vectors[:, 1], points @ vectors[:, 0]
    length, width = np.ptp(along) + pixel, np.ptp(across) + pixel
    if length < 2 * width:
        return False, False
    reach = (length / 2 + BRINK_PX * pixel) * vectors[:, 1] / line.gsd_m
    if _covers(water, np.array([line.centre + reach, line.centre - reach])).any():
        return False, False
    x0, y0, x1, y1 = line.box
    near = _pixels(water, x0 - 4, y0 - 4, x1 + 4, y1 + 4)
    if not len(near):
        return False, False
    distance = line.tree.query(near * line.gsd_m)[0]
    around = (near[distance <= BESIDE_PX * pixel] - line.centre) * line.gsd_m
    within = around[np.abs(around @ vectors[:, 1]) <= length / 2]
    side = within @ vectors[:, 0]
    least = max(2.0, 0.25 * length / pixel)
    return bool((side > 0).sum() >= least), bool((side < 0).sum() >= least)


def parts(a: Extent, one: Extent, other: Extent) -> bool:
    """Return whether a fills the gap between two pieces of ground where they are nearest."""
    distance, index = one.tree.query(other.edge * one.gsd_m)
    gap, pixel = float(distance.min()), min(one.gsd_m)
    if gap > GATE_PX * pixel:
        return False
    nearest = np.flatnonzero(distance <= gap + 1e-6)
    chosen = int(nearest[len(nearest) // 2])
    middle = (one.edge[index[chosen]] + other.edge[chosen]) / 2
    half = int(gap / pixel / 2) + 1
    steps = np.arange(-half, half + 1)
    cells = np.floor(middle) + 0.5 + np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    rows, columns = a.shape
    cells = cells[(cells > 0).all(axis=1) & (cells[:, 0] < columns) & (cells[:, 1] < rows)]
    limit = gap / 2 + 0.75 * max(a.gsd_m)
    between = ~_covers(one, cells) & ~_covers(other, cells)
    for piece in (one, other):
        between &= piece.tree.query(cells * a.gsd_m)[0] <= limit
    return bool(between.sum() >= 2 and _covers(a, cells[between]).mean() >= 0.8)


def row_of(points: Points, gsd_m: tuple[float, float]) -> list[int] | None:
    """Return the longest row among points, as indices from one end to the other.

    Members lie within `ROW_PX` and `ROW_SHARE` of the length from the line of least squares, and no
    gap between neighbours exceeds `ROW_GAP` times the median gap. The number of such rows to be
    expected among random points in the same square (pairs times the binomial tail, the a-contrario
    measure of Desolneux, Moisan and Morel, "Meaningful alignments", IJCV 40, 2000) is below
    `FALSE_ROWS`. None if there is no such row, or another as long.

    Args:
        points: Columns and rows, shape (n, 2).
        gsd_m: Pixel width and height, metres.
    """
    ground = points * gsd_m
    found: dict[frozenset[int], list[int]] = {}
    for i, j in itertools.combinations(range(len(ground)), 2):
        members = _row(ground, i, j, min(gsd_m))
        if members is not None:
            found.setdefault(frozenset(members), members)
    ranked = sorted(found.values(), key=lambda row: -len(row))
    if not ranked or (len(ranked) > 1 and len(ranked[0]) == len(ranked[1])):
        return None
    row = ranked[0]
    side = float(np.ptp(ground, axis=0).max()) + min(gsd_m)
    strip = 2 * max(0.5 * min(gsd_m), _residual(ground[row]))
    told = _false_rows(len(ground), len(row), strip / side) < FALSE_ROWS
    return row if told else None


def _row(ground: Points, i: int, j: int, pixel: float) -> list[int] | None:
    """Return the row of all that lies near the line through two points, if it is one."""
    step = ground[j] - ground[i]
    length = float(np.hypot(*step))
    if length < 1e-9:
        return None
    along = (ground - ground[i]) @ step / length
    across = np.abs((ground - ground[i]) @ np.array([-step[1], step[0]])) / length
    near = np.flatnonzero(across <= ROW_PX * pixel)
    near = near[np.argsort(along[near], kind="stable")]
    if len(near) < LEAST_ROW:
        return None
    gaps = np.diff(along[near])
    if gaps.max() > ROW_GAP * np.median(gaps) or gaps.min() < pixel:
        return None
    members = ground[near]
    limit = min(ROW_PX * pixel, ROW_SHARE * float(along[near[-1]] - along[near[0]]))
    return near.tolist() if _residual(members) <= limit else None


def _residual(ground: Points) -> float:
    """Return the greatest distance from the line of least squares."""
    centred = ground - ground.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return float(np.abs(centred @ vectors[:, 0]).max())


def _false_rows(count: int, members: int, share: float) -> float:
    """Return how many rows of so many members chance gives; `share` of the ground is the strip."""
    tail = sum(
        math.comb(count - 2, k) * share**k * (1 - share) ** (count - 2 - k)
        for k in range(members - 2, count - 1)
    )
    return count * (count - 1) / 2 * tail


def _beyond(a: Extent, origin: Point) -> bool:
    """Return whether most of a lies on the side of its centroid, seen from a point."""
    way = (np.array(a.centre) - origin) * a.gsd_m
    share: float = (((a.sample - origin) * a.gsd_m) @ way > 1e-6).mean()
    return share >= SIDE_SHARE


def _pixels(extent: Extent, x0: int, y0: int, x1: int, y1: int) -> Points:
    """Return the pixel centres of a thing in a box of the tile."""
    u0, v0 = max(0, x0 - extent.column), max(0, y0 - extent.row)
    u1, v1 = max(0, x1 - extent.column), max(0, y1 - extent.row)
    rows, columns = np.nonzero(extent.mask[v0:v1, u0:u1])
    return np.stack([columns + (extent.column + u0 + 0.5), rows + (extent.row + v0 + 0.5)], axis=1)


def _covers(extent: Extent, cells: Points) -> Mask:
    """Return which pixel centres belong to a thing."""
    columns = np.floor(cells[:, 0]).astype(int) - extent.column
    rows = np.floor(cells[:, 1]).astype(int) - extent.row
    height, width = extent.mask.shape
    held = (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
    held[held] = extent.mask[rows[held], columns[held]]
    return np.asarray(held)
