"""The features of maps around one tile, on its ground and in its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import rasterio.features
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer

from sarknowlip.geo.footprint import extent_footprint
from sarknowlip.geo.grid import (
    circular_centre,
    lonlat_of_pixels,
    pyproj_crs,
    transformer_between,
    utm_epsg,
)
from sarknowlip.geo.osm import Box
from sarknowlip.knowledge.maps.index import MapIndex
from sarknowlip.knowledge.maps.join import overlaps
from sarknowlip.knowledge.windows import Mask

Geometries = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

MARGIN_M = 250.0
"""How far beyond the tile features are looked for, so that a bridge across its edge is whole."""


@dataclass(frozen=True)
class TileMap:
    """Features that touch a tile or its margin, by columns.

    Attributes:
        grid: Pixels of the tile.
        plane: From WGS 84 to metres on the ground around the tile (UTM).
        outline: The tile in that plane.
        geometry: Features in that plane, shape (n,).
        columns: Columns of `index.SCHEMA` but geometry and box, by name, shape (n,) each.
        area: Square metres that a feature shares with the tile; 0 for lines and points.
        inside: Whether it touches the tile.
    """

    grid: GeoBox
    plane: Transformer
    outline: shapely.Polygon
    geometry: Geometries
    columns: dict[str, npt.NDArray[Any]]
    area: npt.NDArray[np.float64]
    inside: Mask

    def __len__(self) -> int:
        return len(self.geometry)

    def pixels(self, shapes: Geometries) -> Geometries:
        """Return shapes of the plane in pixels: column and row, 0 at the upper left corner."""
        back = ~self.grid.affine
        crs = pyproj_crs(self.grid)
        plane = self.plane.target_crs
        move = None if crs == plane else transformer_between(plane, crs)
        middle = self.grid.affine.c + self.grid.affine.a * self.grid.shape[1] / 2

        def place(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            x, y = (xy[:, 0], xy[:, 1]) if move is None else move.transform(xy[:, 0], xy[:, 1])
            if crs.is_geographic:  # a grid may run on beyond ±180°
                x = x + 360.0 * np.round((middle - x) / 360.0)
            return np.column_stack(
                [back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f]
            )

        return np.asarray(shapely.transform(shapes, place), dtype=object)

    def bearing(self, line: npt.NDArray[np.float64]) -> float:
        """Return the bearing of a line from its first to its last point, 0…180 from true north."""
        lon, lat = self.plane.transform(line[[0, -1], 0], line[[0, -1], 1], direction="INVERSE")
        azimuth = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[0]
        return float(azimuth % 180.0)

    def bearing_of_pixels(self, line: npt.NDArray[np.float64]) -> float:
        """Return the bearing of a line of columns and rows, 0…180 from true north."""
        lon, lat = lonlat_of_pixels(self.grid, line[[0, -1], 0], line[[0, -1], 1])
        return float(Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[0] % 180.0)


def tile_map(maps: Sequence[MapIndex], grid: GeoBox) -> TileMap:
    """Return what maps hold on the ground of a tile.

    Raises:
        GeometryError: The tile has no reference system.
        MapError: An index is damaged.
    """
    footprint = extent_footprint(grid)
    plane = transformer_between(4326, utm_epsg(*circular_centre(footprint)))
    parts: list[pa.Table] = []
    for part in footprint.geoms:
        west, south, east, north = part.bounds
        high = MARGIN_M / 111_000.0
        wide = high / max(0.01, float(np.cos(np.radians(max(abs(south), abs(north))))))
        box = (west - wide, south - high, east + wide, north + high)
        parts.extend(index.near(near) for near in _turned(box) for index in maps)
    table = _without_repeats(pa.concat_tables(parts))
    columns = {
        name: table.column(name).to_numpy(zero_copy_only=False)
        for name in table.column_names
        if name != "geometry"
    }
    wkb = table.column("geometry").to_numpy(zero_copy_only=False)
    shapes = _moved(shapely.from_wkb(wkb), plane)
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken])
    outline = _outline(grid, plane)
    area, inside = np.zeros(len(shapes)), np.zeros(len(shapes), dtype=bool)
    _, hit, shared = overlaps(np.array([outline], dtype=object), shapes)
    area[hit], inside[hit] = shared, True
    return TileMap(grid, plane, outline, shapes, columns, area, inside)


def paint(ground: TileMap) -> npt.NDArray[np.int32]:
    """Return the feature that lies on top in each pixel's centre, −1 where none does.

    Of equal painter's order lines lie below areas, large areas below small ones. A line through an
    area of its own function is drawn by that.
    """
    order = ground.columns["order"].astype(np.float64)
    width = ground.columns["width"].astype(np.float64)
    rows = np.flatnonzero(np.isfinite(order) & ground.inside & ~_drawn_as_area(ground))
    shapes = np.array(ground.geometry[rows], dtype=object)
    dimension = shapely.get_dimensions(shapes)
    lines = dimension == 1
    shapes[lines] = shapely.buffer(shapes[lines], width[rows[lines]] / 2, quad_segs=3)
    sequence = np.lexsort((rows, -ground.area[rows], ~lines, order[rows]))
    shapes, rows = ground.pixels(shapes[sequence]), rows[sequence]
    flat = [
        (_geojson(shape), number + 1)
        for shape, number in zip(shapes, rows.tolist(), strict=True)
        if shapely.get_dimensions(shape) == 2
    ]
    if not flat:
        return np.full(ground.grid.shape, -1, dtype=np.int32)
    image = rasterio.features.rasterize(
        flat, ground.grid.shape, transform=Affine.identity(), dtype="int32"
    )
    return np.asarray(image, dtype=np.int32) - 1


def burn(ground: TileMap, shapes: Geometries, *, touched: bool = False) -> Mask:
    """Return the pixels of shapes in the plane: with centres they hold, or all they touch."""
    there = [_geojson(shape) for shape in ground.pixels(shapes) if not shape.is_empty]
    if not there:
        return np.zeros(ground.grid.shape, dtype=bool)
    return np.asarray(
        rasterio.features.rasterize(
            there, ground.grid.shape, transform=Affine.identity(), dtype="uint8",
            all_touched=touched,
        ),
        dtype=bool,
    )  # fmt: skip


def _geojson(shape: Any) -> Any:
    """Return a shape as GeoJSON; polygons, of which there are most, faster than shapely does."""
    if shape.geom_type not in ("Polygon", "MultiPolygon"):
        return shape
    parts = [
        [shapely.get_coordinates(ring).tolist() for ring in shapely.get_rings(part)]
        for part in shapely.get_parts(shape)
    ]
    return {"type": "MultiPolygon", "coordinates": parts}


def reached(ground: TileMap, boxes: Sequence[Box]) -> Mask:
    """Return the pixels that lie in one of the boxes (WGS 84 degrees) at least."""
    footprint = extent_footprint(ground.grid)
    whole = any(shapely.box(*box).covers(footprint) for box in boxes)
    if whole:
        return np.ones(ground.grid.shape, dtype=bool)
    around = [shapely.box(*part.buffer(0.01).bounds) for part in footprint.geoms]
    parts = [shapely.intersection(shapely.box(*box), part) for box in boxes for part in around]
    shapes = shapely.segmentize(np.array(parts, dtype=object), 0.001)
    return burn(ground, _moved(shapes, ground.plane))


def _turned(box: Box) -> list[Box]:
    """Return a box, and what of it lies beyond ±180° on the other side."""
    west, south, east, north = box
    found = [box]
    if east > 180.0:
        found.append((-180.0, south, east - 360.0, north))
    if west < -180.0:
        found.append((west + 360.0, south, 180.0, north))
    return found


def _drawn_as_area(ground: TileMap) -> Mask:
    """Tell which lines have their middle in an area of the same function."""
    function, dimension = ground.columns["function"], shapely.get_dimensions(ground.geometry)
    known = np.array([name is not None for name in function], dtype=bool)
    lines, areas = (
        np.flatnonzero(known & (dimension == 1)),
        np.flatnonzero(known & (dimension == 2)),
    )
    parts = shapely.get_geometry(ground.geometry[lines], 0)
    middles = shapely.line_interpolate_point(parts, 0.5, normalized=True)
    line, area = shapely.STRtree(ground.geometry[areas]).query(middles, predicate="intersects")
    same = function[lines[line]] == function[areas[area]]
    drawn = np.zeros(len(ground), dtype=bool)
    drawn[lines[line[same]]] = True
    return drawn


def _outline(grid: GeoBox, plane: Transformer) -> shapely.Polygon:
    shape: shapely.Polygon = shapely.union_all(
        _moved(np.array(list(extent_footprint(grid).geoms), dtype=object), plane)
    )
    return shape


def _moved(shapes: Geometries, move: Transformer) -> Geometries:
    return np.array(
        shapely.transform(shapes, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1]))),
        dtype=object,
    )


def _without_repeats(table: pa.Table) -> pa.Table:
    """Return rows once: neighbouring extracts share what crosses their border."""
    seen: set[tuple[Any, ...]] = set()
    kept = []
    names = ("geometry", "function", "kind", "name", "building")
    for number, row in enumerate(zip(*(table.column(n).to_pylist() for n in names), strict=True)):
        if row not in seen:
            seen.add(row)
            kept.append(number)
    return table if len(kept) == len(table) else table.take(pa.array(kept, pa.int64()))
