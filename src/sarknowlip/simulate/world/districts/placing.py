"""Putting things on divided ground so that nothing overlaps or leaves the plot."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.world.districts.classes import Drawn, draw, target_classes
from sarknowlip.simulate.world.districts.layout import Streets, discs, lattice
from sarknowlip.simulate.world.districts.plot import Boxes, Geometries, Plot, rectangles

Mask = npt.NDArray[np.bool_]

TOUCH_M2 = 1e-3
"""Footprints that share no more ground than this are neighbours, not in conflict."""


def inside(plot: Plot, geometries: Geometries) -> Mask:
    """Tell which geometries lie wholly in the plot."""
    return np.asarray(shapely.contains_properly(plot.area, geometries))


def clear_of(geometries: Geometries, obstacles: Geometries, distance: float | Floats = 0.0) -> Mask:
    """Tell which geometries keep a distance (one, or one each) from all obstacles.

    With a distance of 0 they may touch.
    """
    free = np.ones(len(geometries), dtype=bool)
    if not len(geometries) or not len(obstacles):
        return free
    tree = shapely.STRtree(obstacles)
    if np.any(np.asarray(distance) > 0):
        free[tree.query(geometries, predicate="dwithin", distance=distance)[0]] = False
        return free
    first, second = tree.query(geometries, predicate="intersects")
    shared = shapely.area(shapely.intersection(geometries[first], obstacles[second]))
    free[first[shared > TOUCH_M2]] = False
    return free


def apart(geometries: Geometries) -> Mask:
    """Tell which geometries to keep so that none overlaps another; earlier ones win."""
    kept = np.ones(len(geometries), dtype=bool)
    first, second = shapely.STRtree(geometries).query(geometries, predicate="intersects")
    pairs = np.stack([first, second], axis=1)[first < second]
    shared = shapely.intersection(geometries[pairs[:, 0]], geometries[pairs[:, 1]])
    for i, j in sorted(map(tuple, pairs[shapely.area(shared) > TOUCH_M2].tolist())):
        if kept[i]:
            kept[j] = False
    return kept


def oriented(places: Floats, sizes: Drawn, turns: Floats) -> Geometries:
    """Return the rectangles that objects cover."""
    angle = -np.radians(turns)
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (sizes.length / 2)[:, None]
    side = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * (sizes.width / 2)[:, None]
    corners = [along + side, side - along, -along - side, along - side]
    return np.asarray(shapely.polygons(places[:, None, :] + np.stack(corners, axis=1)))


def along_edges(
    area: Polygon, setback: float, depth: float, pitch: float, random: np.random.Generator
) -> Geometries:
    """Return footprints in rows along the outer edges of an area, facing them.

    They may overlap at corners and lie outside where the area is narrow.

    Args:
        area: Local coordinates.
        setback: Between edge and footprint, metres.
        depth: Of the footprints, metres.
        pitch: About the length of a footprint along the edge, metres.
        random: Draws the lengths.
    """
    ring = shapely.get_coordinates(shapely.orient_polygons(shapely.simplify(area, 4.0)).exterior)
    step = np.diff(ring, axis=0)
    length = np.hypot(step[:, 0], step[:, 1])
    long = length > pitch + 2 * setback
    start, step, length = ring[:-1][long], step[long], length[long]
    usable = length - 2 * setback
    count = np.maximum(np.round(usable / pitch), 1).astype(np.int64)
    owner = np.repeat(np.arange(len(count)), count)
    index = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    pace = usable[owner] / count[owner]
    near = setback + index * pace
    far = near + pace * (0.75 + 0.25 * random.random(len(owner)))
    tangent = (step / length[:, None])[owner]
    # The outer ring runs counter-clockwise: the ground is on the left.
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    corners = [(near, setback), (far, setback), (far, setback + depth), (near, setback + depth)]
    quads = [start[owner] + tangent * s[:, None] + normal * t for s, t in corners]
    return np.asarray(shapely.polygons(np.stack(quads, axis=1)))


def curb_places(
    streets: Streets, pitch: float, offset: float, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return places along both curbs of all streets, away from crossings.

    Args:
        streets: A grid.
        pitch: Between places, metres.
        offset: From the curb into the street, metres.
        random: Shakes the places.

    Returns:
        Places, shape (n, 2), and turns, shape (n,), 0 or 90 or opposite.
    """
    found, turns = [np.empty((0, 2))], [np.empty(0)]
    for boxes, axis in ((streets.along, 0), (streets.across, 1)):
        if not len(boxes):
            continue
        free = np.unique(streets.blocks[:, [axis, axis + 2]], axis=0)
        steps = [np.arange(a + 8.0, b - 8.0, pitch) for a, b in free]
        along = np.concatenate(steps) if steps else np.empty(0)
        sides = np.concatenate([boxes[:, 1 - axis] + offset, boxes[:, 3 - axis] - offset])
        s, t = np.meshgrid(along, sides)
        s = s.ravel() + (random.random(s.size) - 0.5)
        right = np.repeat(np.arange(len(sides)) < len(boxes), len(along))
        found.append(np.stack([s, t.ravel()] if axis == 0 else [t.ravel(), s], axis=1))
        turns.append(np.where(right, 0.0, 180.0) if axis == 0 else np.where(right, 90.0, 270.0))
    return np.concatenate(found), np.concatenate(turns)


def bay_places(boxes: Boxes, stall: tuple[float, float], aisle: float) -> tuple[Floats, Floats]:
    """Return places of parked things in boxes: pairs of rows along u with aisles between.

    Args:
        boxes: Where, shape (n, 4).
        stall: Width (along u) and depth (along v) of a stall, metres.
        aisle: Between pairs of rows, metres.

    Returns:
        Places, shape (n, 2), and turns, ±90, shape (n,).
    """
    found, turns = [np.empty((0, 2))], [np.empty(0)]
    width, depth = stall
    for u0, v0, u1, v1 in boxes:
        columns = np.arange(u0 + width / 2, u1 - width / 2 + 1e-6, width)
        pairs = np.arange(v0 + depth / 2, v1, 2 * depth + aisle)
        rows = np.stack([pairs, pairs + depth + aisle], axis=1).ravel()
        rows = rows[rows <= v1 - depth / 2 + 1e-6]
        u, v = np.meshgrid(columns, rows)
        found.append(np.stack([u.ravel(), v.ravel()], axis=1))
        facing = np.where(np.arange(len(rows)) % 2 == 0, -90.0, 90.0)
        turns.append(np.repeat(facing, len(columns)))
    return np.concatenate(found), np.concatenate(turns)


def park_vehicles(
    plot: Plot,
    places: Floats,
    turns: Floats,
    occupancy: float,
    subclasses: tuple[str, ...] = ("car", "van"),
) -> None:
    """Put vehicles on a share of places that lie well in the plot and off all buildings."""
    random = plot.random
    taken = random.random(len(places)) < occupancy
    places, turns = places[taken], turns[taken]
    sizes = draw(
        target_classes("vehicle", *subclasses),
        random.random(len(places)),
        random.random(len(places)),
    )
    reach = float(sizes.length.max(initial=0.0)) / 2
    free = within(plot.area, places, reach) & off_buildings(plot, places, reach)
    plot.put("vehicle", places[free], sizes.take(free), turns[free])


def within(area: BaseGeometry, places: Floats, margin: float | Floats = 0.0) -> Mask:
    """Tell which places lie in an area, at least `margin` from its edge."""
    if np.ndim(margin) == 0:
        core = shapely.buffer(area, -margin) if margin else area
        shapely.prepare(core)
        return np.asarray(shapely.contains_xy(core, places[:, 0], places[:, 1]))
    found = np.asarray(shapely.contains_xy(area, places[:, 0], places[:, 1]))
    edge = area.boundary
    shapely.prepare(edge)
    return np.asarray(found & ~shapely.dwithin(edge, shapely.points(places), margin))


def off_buildings(plot: Plot, places: Floats, margin: float) -> Mask:
    """Tell which places keep a margin from all buildings so far."""
    return clear_of(np.asarray(shapely.points(places)), plot.built(), margin)


def edge_footprints(
    plot: Plot, streets: Geometries, setback: float, depth: float, pitch: float
) -> Geometries:
    """Return footprints along the plot's outer edge, clear of streets, buildings, each other."""
    rows = along_edges(plot.area, setback, depth, pitch, plot.random)
    rows = rows[inside(plot, rows)]
    rows = rows[clear_of(rows, streets, 1.0)]
    rows = rows[clear_of(rows, plot.built(), 1.0)]
    return np.asarray(rows[apart(rows)])


def plant_trees(
    plot: Plot,
    pitch: float,
    radii: tuple[float, float],
    share: float,
    obstacles: Geometries,
    *,
    surface: str = "park_trees",
) -> None:
    """Paint single crowns, as one multipolygon, clear of obstacles and buildings.

    Args:
        plot: Where.
        pitch: Of the shaken lattice trees stand on, metres.
        radii: Smallest and largest crown, metres; at most 0.45 of the pitch.
        share: Of lattice points that bear a tree.
        obstacles: What to keep off besides buildings.
        surface: "park_trees" or "shrub".
    """
    random = plot.random
    places = lattice(plot, pitch, 0.48 * pitch - radii[1])
    places = places[random.random(len(places)) < share]
    reach = radii[0] + (radii[1] - radii[0]) * random.random(len(places))
    points = np.asarray(shapely.points(places))
    free = within(plot.area, places, radii[1]) & clear_of(points, plot.built(), reach)
    free &= clear_of(points, obstacles, reach)
    crowns = discs(places[free], reach[free])
    if len(crowns):
        plot.ground(np.array([shapely.multipolygons(crowns)], dtype=object), surface)


def fitted(plot: Plot, boxes: Boxes) -> Boxes:
    """Return the boxes that lie wholly in the plot."""
    return np.asarray(boxes[inside(plot, rectangles(boxes))]) if len(boxes) else boxes
