"""What lies on a patch of ground, as arrays over the cells of the radar's lattice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.features import rasterize
from scipy.ndimage import uniform_filter

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.image.lattice import Patch, spread
from sarknowlip.simulate.image.texture import Levels, SmoothField, deviates, gamma_table
from sarknowlip.simulate.layers import Buildings, Layers, World, surfaces

TERRAIN_STEP = 4
"""Cells per evaluated terrain height; heights between are interpolated."""
CROWN_M = 4.0
"""Lag at which heights of crowns are alike to 1/e, metres: chosen, for crowns 8 m wide."""
CROWN_LIMIT = 3.0
"""Crowns differ from the mean by at most so many standard deviations."""

DEPTH_M = 2.0
"""Mean depth below a canopy's top from which power returns (exponential), metres: chosen."""

_LEAST_M = 0.1
"""Roofs are at least so high above ground that rises past them, metres: chosen."""
_EDGE_M = 3.0
"""Width over which the edge of a canopy rises, metres: chosen, half a crown."""
_LANDCOVER_WATER = 80

Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """Content of a patch; all arrays have its shape.

    Attributes:
        patch: Which cells.
        surface: Ids of what is on top: ground, or roofs of solid bodies.
        terrain: Ellipsoidal height of the ground, metres.
        canopy: Height of plants above it, metres; None without any.
        depth: How far below the top of the plants a cell's power comes from, metres.
        roof: Height of solid bodies' tops above it, metres; 0 where there are none.
        deck: Height of a bridge's deck above the ground, 0 where there is none.
        clearance: Height of the deck's underside.
        deck_surface: Its surface id.
        texture: Factor of the ground's backscatter, mean 1; None if there is none.
    """

    patch: Patch
    surface: npt.NDArray[np.uint8]
    terrain: Floats32
    canopy: Floats32 | None
    depth: Floats32 | None
    roof: Floats32
    deck: Floats32 | None
    clearance: Floats32 | None
    deck_surface: npt.NDArray[np.uint8] | None
    texture: Floats32 | None


@dataclass(frozen=True)
class Texture:
    """Gamma texture of surfaces.

    Attributes:
        order: Order by surface id, shape (256,); inf is none.
        length_m: Correlation length by surface id, shape (256,).
        seed: Of what does not last from one acquisition to the next (water).
    """

    order: npt.NDArray[np.float64]
    length_m: npt.NDArray[np.float64]
    seed: int


def tallest_m(layers: Layers) -> float:
    """Return a height above the terrain that nothing in the layers exceeds, metres."""
    tops = [0.0, *layers.buildings.height, *(1.5 * layers.targets.height)]
    tops += [canopy_limits()[s] for s in np.unique(layers.regions.surface)]
    return float(max(tops))


def tops(world: World, buildings: Buildings) -> Floats:
    """Return the ellipsoidal height of each body's level top: above the ground at its centroid."""
    x, y = shapely.get_coordinates(shapely.centroid(buildings.geometry)).reshape(-1, 2).T
    return np.asarray(world.height(x, y)) + buildings.height


def canopy_limits() -> Floats32:
    """Return the greatest canopy height by surface id, shape (256,)."""
    mean, deviation = _canopies()
    return mean + np.float32(CROWN_LIMIT) * deviation


def cells(world: World, layers: Layers, patch: Patch, texture: Texture | None) -> Cells:
    """Lay the content of a world on a patch.

    Args:
        world: For terrain heights and the seed.
        layers: At least everything that touches the patch.
        patch: Shape must be a multiple of `TERRAIN_STEP`.
        texture: Of surfaces; None leaves it out.
    """
    regions = layers.regions
    surface = _burn(patch, regions.geometry, regions.surface, np.uint8)
    x, y = patch.nodes(TERRAIN_STEP)
    terrain = spread(np.asarray(world.height(x, y)).astype(np.float32), TERRAIN_STEP)
    factor = None if texture is None else _texture(patch, world.seed, surface, texture)
    solid, decks = (
        layers.buildings.take(part)
        for part in (layers.buildings.base <= 0, layers.buildings.base > 0)
    )
    top = tops(world, solid)
    body, (roof, roof_surface) = _bodies(patch, solid, top, (top, solid.surface))
    on_ground = body == 0
    roof = np.where(on_ground, np.float32(0), np.maximum(roof - terrain, np.float32(_LEAST_M)))
    canopy = _canopy(patch, world.seed, np.where(on_ground, surface, 0))
    depth = None if canopy is None else _depth(patch, world.seed, canopy)
    surface = np.where(on_ground, surface, roof_surface).astype(np.uint8)
    if factor is not None:
        factor[~on_ground] = 1.0
    deck = clearance = deck_surface = None
    if len(decks):
        columns = decks.height, decks.base, decks.surface
        _, (deck, clearance, deck_surface) = _bodies(patch, decks, decks.height, columns)
        deck_surface = deck_surface.astype(np.uint8)
    return Cells(
        patch,
        surface,
        terrain.astype(np.float32),
        canopy,
        depth,
        roof,
        deck,
        clearance,
        deck_surface,
        factor,
    )


def _texture(
    patch: Patch, seed: int, surface: npt.NDArray[np.uint8], texture: Texture
) -> Floats32 | None:
    present = np.flatnonzero(np.bincount(surface.ravel(), minlength=256))
    rough = [int(s) for s in present if np.isfinite(texture.order[s])]
    if not rough:
        return None
    water = {s.id for s in surfaces() if s.landcover == _LANDCOVER_WATER}
    factor = np.ones(surface.shape, dtype=np.float32)
    posting = patch.lattice.posting_m
    drawn: dict[SmoothField, Levels] = {}
    for number in rough:
        own = texture.seed if number in water else seed
        field = SmoothField.of(own, "texture", float(texture.length_m[number]), posting)
        if field not in drawn:
            drawn[field] = field.on(patch)
        here = surface == number
        factor[here] = gamma_table(float(texture.order[number]))[drawn[field][here]]
    return factor


def _canopy(patch: Patch, seed: int, surface: npt.NDArray[np.intp]) -> Floats32 | None:
    mean, deviation = _canopies()
    height = mean[surface]
    if not height.any():
        return None
    field = SmoothField.of(seed, "crowns", CROWN_M, patch.lattice.posting_m)
    if field.resolved:
        crowns = np.clip(deviates(field.on(patch)), -CROWN_LIMIT, CROWN_LIMIT)
        height = np.maximum(height + deviation[surface] * crowns, 0.0).astype(np.float32)
    lattice = patch.lattice
    width = [max(1, round(_EDGE_M / edge)) for edge in (lattice.azimuth_m, lattice.range_m)]
    return np.asarray(uniform_filter(height, width, mode="nearest"))


def _depth(patch: Patch, seed: int, canopy: Floats32) -> Floats32:
    field = SmoothField.of(seed, "depth", 0.0, patch.lattice.posting_m)
    depth = gamma_table(1.0)[field.on(patch)] * np.float32(DEPTH_M)
    return np.asarray(np.minimum(depth, canopy))


def _canopies() -> tuple[Floats32, Floats32]:
    table = np.zeros((2, 256), dtype=np.float32)
    for surface in surfaces():
        table[:, surface.id] = surface.canopy_m, surface.canopy_spread_m
    return table[0], table[1]


def _bodies(
    patch: Patch, bodies: Buildings, top: Floats, columns: tuple[npt.NDArray[Any], ...]
) -> tuple[npt.NDArray[np.int32], list[npt.NDArray[Any]]]:
    """Return which body tops each cell (1 + rank, 0 for none), and columns of it as float32."""
    order = np.argsort(top, kind="stable")
    index = _burn(patch, bodies.geometry[order], np.arange(1, len(bodies) + 1), np.int32)
    padded = [np.append(0.0, column[order]).astype(np.float32) for column in columns]
    return index, [column[index] for column in padded]


def _burn(patch: Patch, geometry: npt.NDArray[Any], values: npt.NDArray[Any], dtype: Any) -> Any:
    """Rasterise polygons by cell centres, later ones over earlier ones; 0 where none is."""
    bounds = patch.bounds
    window = bounds.west, bounds.south, bounds.east, bounds.north
    near = shapely.intersects(shapely.box(*window), geometry)
    geometry, values = geometry[near], values[near]
    grown = bounds.padded(patch.lattice.posting_m)
    frame = shapely.box(grown.west, grown.south, grown.east, grown.north)
    out = ~shapely.covers(frame, geometry)
    geometry = geometry.copy()
    # clip_by_rect would be faster, but raises where a ring collapses on the frame.
    geometry[out] = shapely.intersection(geometry[out], frame)
    shapes = _geojson(shapely.transform(geometry, _to_cells(patch)), values)
    if not shapes:
        return np.zeros(patch.shape, dtype=dtype)
    return rasterize(shapes, patch.shape, transform=Affine.identity(), dtype=np.dtype(dtype).name)


def _geojson(geometry: npt.NDArray[Any], values: npt.NDArray[Any]) -> list[tuple[Any, Any]]:
    """Return polygons as GeoJSON with their values; three times as fast as Shapely's interface."""
    polygons, owner = shapely.get_parts(geometry, return_index=True)
    areal = shapely.get_type_id(polygons) == shapely.GeometryType.POLYGON
    polygons, owner = polygons[areal], owner[areal]
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    points = shapely.get_coordinates(rings).tolist()
    ends = np.cumsum(shapely.get_num_coordinates(rings)).tolist()
    outlines: list[list[Any]] = [[] for _ in polygons]
    start = 0
    for number, end in zip(polygon.tolist(), ends, strict=True):
        outlines[number].append(points[start:end])
        start = end
    return [
        ({"type": "Polygon", "coordinates": outline}, value)
        for outline, value in zip(outlines, values[owner].tolist(), strict=True)
        if outline
    ]


def _to_cells(patch: Patch) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    def turned(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        i, j = patch.local(xy[:, 0], xy[:, 1])
        return np.stack([j + 0.5, i + 0.5], axis=1)

    return turned
