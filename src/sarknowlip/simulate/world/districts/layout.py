"""Dividing ground: street grids, lots, fields, strips and blobs, as arrays in a plot's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.world.districts.plot import Boxes, Geometries, Plot, rectangles

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Streets:
    """A grid of streets over a plot's bounds.

    Attributes:
        along: Streets along u, shape (n, 4).
        across: Streets along v, shape (m, 4).
        blocks: Ground between them, shape (k, 4).
    """

    along: Boxes
    across: Boxes
    blocks: Boxes


def bands(
    limits: tuple[float, float],
    size: float,
    gap: float,
    spread: float,
    random: np.random.Generator,
) -> Floats:
    """Return intervals of about `size` with gaps between them from low to high, shape (n, 2).

    Args:
        limits: Low and high; the last interval reaches at least to high.
        size: Mean length of an interval.
        gap: Between one interval and the next; half a gap is left before the first.
        spread: Largest relative deviation from the mean, 0…1.
        random: Draws the lengths.
    """
    low, high = limits
    count = int(np.ceil((high - low) / (size * (1 - spread / 2) + gap))) + 1
    lengths = size * (1 + spread * (2 * random.random(count) - 1))
    ends = low + gap / 2 + np.cumsum(lengths + gap) - gap
    kept = ends - lengths < high
    return np.stack([ends - lengths, ends], axis=1)[kept]


def street_grid(
    plot: Plot, block: tuple[float, float], width: float, spread: float = 0.2
) -> Streets:
    """Return streets and blocks that cover a plot.

    Args:
        plot: To be divided.
        block: Mean extent of a block along u and v, metres.
        width: Of the streets, metres.
        spread: Largest relative deviation of blocks from the mean.
    """
    u0, v0, u1, v1 = plot.bounds
    offset = plot.random.random(2) * block
    us = bands((u0 - offset[0], u1), block[0], width, spread, plot.random)
    vs = bands((v0 - offset[1], v1), block[1], width, spread, plot.random)
    across = np.array([[a, v0, b, v1] for a, b in zip(us[:-1, 1], us[1:, 0], strict=True)])
    along = np.array([[u0, a, u1, b] for a, b in zip(vs[:-1, 1], vs[1:, 0], strict=True)])
    return Streets(along.reshape(-1, 4), across.reshape(-1, 4), crossed(us, vs))


def crossed(us: Floats, vs: Floats) -> Boxes:
    """Return the boxes of all pairs of an interval along u and one along v, shape (n·m, 4)."""
    first, second = np.repeat(us, len(vs), axis=0), np.tile(vs, (len(us), 1))
    return np.stack([first[:, 0], second[:, 0], first[:, 1], second[:, 1]], axis=1)


def pave(plot: Plot, streets: Streets) -> Geometries:
    """Paint a grid of streets; return them unclipped."""
    along, across = rectangles(streets.along), rectangles(streets.across)
    plot.ground(plot.clipped(along), "asphalt", "road", "road", 0.0)
    plot.ground(plot.clipped(across), "asphalt", "road", "road", 90.0)
    return np.concatenate([along, across])


def cut(boxes: Boxes, pitch: float, axis: int, random: np.random.Generator) -> tuple[Boxes, Ints]:
    """Cut boxes into neighbouring lots about `pitch` long along an axis (0: u, 1: v).

    Returns:
        Lots, shape (n, 4), and the index of the box each was cut from.
    """
    length = boxes[:, axis + 2] - boxes[:, axis]
    count = np.maximum(np.round(length / pitch), 1).astype(np.int64)
    owner = np.repeat(np.arange(len(boxes)), count)
    index = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    step = length[owner] / count[owner]
    inner = (random.random(len(owner)) - 0.5) * 0.4
    inner[index == 0] = 0.0
    start = boxes[owner, axis] + (index + inner) * step
    last = index == count[owner] - 1
    end = np.where(last, boxes[owner, axis + 2], np.roll(start, -1))
    lots = boxes[owner].copy()
    lots[:, axis], lots[:, axis + 2] = start, end
    return lots, owner


def perimeter(
    blocks: Boxes, setback: float, depth: float, pitch: float, random: np.random.Generator
) -> tuple[Boxes, Ints]:
    """Cut footprints in closed rows around the four sides of blocks.

    Blocks too small for a courtyard get one row.

    Returns:
        Footprints, shape (n, 4), and the index of the block of each.
    """
    rim = blocks + setback * np.array([1.0, 1.0, -1.0, -1.0])
    size = rim[:, 2:] - rim[:, :2]
    court = np.flatnonzero((size > 2 * depth + 8.0).all(axis=1))
    solid = np.flatnonzero(~(size > 2 * depth + 8.0).all(axis=1) & (size > 6.0).all(axis=1))
    u0, v0, u1, v1 = rim[court].T
    sides = [
        (0, np.stack([u0, v0, u1, v0 + depth], axis=1), court),
        (0, np.stack([u0, v1 - depth, u1, v1], axis=1), court),
        (1, np.stack([u0, v0 + depth, u0 + depth, v1 - depth], axis=1), court),
        (1, np.stack([u1 - depth, v0 + depth, u1, v1 - depth], axis=1), court),
        (0, rim[solid], solid),
    ]
    lots, owners = [], []
    for axis, boxes, block in sides:
        pieces, owner = cut(boxes, pitch, axis, random)
        lots.append(pieces)
        owners.append(block[owner])
    return np.concatenate(lots), np.concatenate(owners)


def split(boxes: Boxes, area: float, random: np.random.Generator, gap: float = 0.0) -> Boxes:
    """Halve boxes across their longer side until none is much larger than `area`.

    Args:
        boxes: Shape (n, 4).
        area: Pieces are between about a third of it and twice as large, square metres.
        random: Places the cuts.
        gap: Left free along each cut, metres.
    """
    done, todo = [boxes[:0]], boxes
    while len(todo):
        size = todo[:, 2:] - todo[:, :2]
        limit = area * (0.8 + 1.2 * random.random(len(todo)))
        large = (size.prod(axis=1) > limit) & (size.max(axis=1) > 3 * gap + 2)
        done.append(todo[~large])
        todo, size = todo[large], size[large]
        axis = np.argmax(size, axis=1)
        rows = np.arange(len(todo))
        at = todo[rows, axis] + size[rows, axis] * (0.35 + 0.3 * random.random(len(todo)))
        first, second = todo.copy(), todo.copy()
        first[rows, axis + 2] = at - gap / 2
        second[rows, axis] = at + gap / 2
        todo = np.concatenate([first, second])
    return np.concatenate(done)


def inset(boxes: Boxes, margin: float | Floats) -> Boxes:
    """Return boxes with a margin taken off all sides; what vanishes is dropped."""
    grown = boxes + np.multiply.outer(np.asarray(margin), np.array([1.0, 1.0, -1.0, -1.0]))
    return np.asarray(grown[(grown[:, 2:] - grown[:, :2] > 1.0).all(axis=1)])


def lattice(plot: Plot, pitch: float, jitter: float) -> Floats:
    """Return points of a shaken square lattice that lie in the plot, shape (n, 2).

    Points stay at least pitch − 2·jitter apart, so discs of half of that do not overlap.

    Args:
        plot: Where.
        pitch: Of the lattice, metres.
        jitter: Largest displacement along each axis, metres.
    """
    u0, v0, u1, v1 = plot.bounds
    offset = plot.random.random(2) * pitch
    u, v = np.meshgrid(np.arange(u0 - offset[0], u1, pitch), np.arange(v0 - offset[1], v1, pitch))
    points = np.stack([u.ravel(), v.ravel()], axis=1)
    points += jitter * (2 * plot.random.random(points.shape) - 1)
    return np.asarray(points[shapely.contains_xy(plot.area, points[:, 0], points[:, 1])])


def blobs(
    centres: Floats, radii: Floats, roughness: float, random: np.random.Generator, corners: int = 24
) -> Geometries:
    """Return rounded irregular shapes: star-shaped, hence valid.

    Args:
        centres: Shape (n, 2), metres.
        radii: Mean radii, shape (n,); no shape reaches beyond (1 + roughness) radii.
        roughness: 0 (a circle) … 0.9.
        random: Draws the shapes.
        corners: Of each shape.
    """
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    order = np.arange(2, 6)
    weight = random.random((len(radii), 4)) / order**1.5
    phase = 2 * np.pi * random.random((len(radii), 4))
    waves = np.cos(order[:, None] * angle + phase[..., None]) * weight[..., None]
    reach = np.maximum(weight.sum(axis=1), 1e-9)[:, None]
    radius = radii[:, None] * (1 + roughness * waves.sum(axis=1) / reach)
    ring = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(shapely.polygons(centres[:, None, :] + ring))


def discs(centres: Floats, radii: Floats, corners: int = 8) -> Geometries:
    """Return regular polygons around centres, shape (n, 2)."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    ring = radii[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(shapely.polygons(centres[:, None, :] + ring))
