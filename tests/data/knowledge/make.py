"""Make the files that knowledge sources read, around one map grid: a coast with a small town.

python tests/data/knowledge/make.py FOLDER

In the western third lies the sea, in the east a lake. Land cover: water, trees, fields and built-up
ground from west to east. Heights rise by 10 % towards the east. The map has the coast,
a residential and an industrial district, a wood, a lake, streets, a railway, houses and tanks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import osmium
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from osmium.osm import mutable
from pyproj import Transformer
from shapely.geometry import box

from data.elevation.make import make_dem
from sarknowlip.knowledge.sources import SourceOptions

GRID = GeoBox((192, 192), Affine(10, 0, 500_000, 0, -10, 4_700_000), "EPSG:32633")
COAST, LAKE = 1 / 3, (0.8, 0.2, 0.9, 0.3)
"""Fractions of the grid's extent, from its south-western corner."""


def make_options(folder: Path, grid: GeoBox = GRID) -> SourceOptions:
    """Write all files into a folder and return options that name them; there is no cache."""
    return SourceOptions(
        osm=(make_map(folder / "town.osm.pbf", grid),),
        landcover=(make_landcover(folder / "cover.tif", grid, coast_cover(grid)),),
        dem=make_dem(folder / "dem.tif", grid, lambda x, y: (x - grid.affine.c) / 10 + 5),
        dem_geoid_m=45.0,
        water=make_waters(folder / "waters.gpkg", grid),
    )


def coast_cover(grid: GeoBox) -> Callable[[Any, Any], Any]:
    """Return class codes by map coordinates: water, then trees, fields and built-up ground."""
    west, _, east, _ = grid.extent.boundingbox

    def code(x: Any, y: Any) -> Any:
        return np.select(
            [x < west + (east - west) * f for f in (COAST, 0.6, 0.8)], [80, 10, 40], 50
        )

    return code


def make_landcover(
    path: Path,
    grid: GeoBox,
    code: Callable[[Any, Any], Any] | int,
    *,
    step: float = 10.0,
    margin: float = 200.0,
    dtype: str = "uint8",
    **tags: str,
) -> Path:
    """Write a raster of class codes in the CRS of a grid that it reaches beyond."""
    west, south, east, north = grid.extent.boundingbox
    affine = Affine(step, 0, west - margin, 0, -step, north + margin)
    shape = int((north - south + 2 * margin) / step), int((east - west + 2 * margin) / step)
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    values = code(*(affine * (columns, rows))) if callable(code) else code
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1, dtype=dtype,
        crs=str(grid.crs), transform=affine, nodata=0,
    ) as target:  # fmt: skip
        target.write(np.broadcast_to(values, shape).astype(dtype), 1)
        target.update_tags(**tags)
    return path


def place(grid: GeoBox, east: float, north: float) -> tuple[float, float]:
    """Return map coordinates of a place given in fractions of the grid's extent."""
    west, south, right, top = grid.extent.boundingbox
    return west + east * (right - west), south + north * (top - south)


def make_waters(path: Path, grid: GeoBox, crs: str = "EPSG:4326") -> Path:
    """Write the sea, far beyond the grid, and the lake as polygons that name their kind."""
    sea = box(*place(grid, -3, -3), *place(grid, COAST, 4))
    lake = box(*place(grid, *LAKE[:2]), *place(grid, *LAKE[2:]))
    step = sea.length / 200
    frame = gpd.GeoDataFrame(
        {"natural": ["ocean", "lake"]}, geometry=[sea.segmentize(step), lake], crs=str(grid.crs)
    )
    frame.to_crs(crs).to_file(path)
    return path


def make_map(path: Path, grid: GeoBox) -> Path:
    """Write the map as .osm.pbf."""
    path.unlink(missing_ok=True)
    ways = [
        ([(COAST, -2), (COAST, 0.5), (COAST, 3)], {"natural": "coastline"}),
        (_ring(0.4, 0.0, 0.7, 0.5), {"landuse": "residential", "name": "Old Town"}),
        (_ring(0.4, 0.5, 0.7, 0.8), {"landuse": "industrial"}),
        (_ring(0.7, 0.5, 1.2, 1.2), {"landuse": "forest"}),
        (_ring(*LAKE), {"natural": "water", "water": "lake", "name": "Long Lake"}),
        ([(0.35, 0.25), (0.95, 0.25)], {"highway": "primary"}),
        ([(0.55, -0.2), (0.55, 0.9)], {"railway": "rail"}),
        (_ring(0.45, 0.6, 0.5, 0.63), {"building": "warehouse"}),
        (_ring(0.6, 0.6, 0.62, 0.62), {"man_made": "storage_tank", "height": "14"}),
        *(
            (_ring(east, north, east + 0.01, north + 0.01), {"building": "house"})
            for east in (0.42, 0.46, 0.5)
            for north in (0.05, 0.1, 0.15)
        ),
    ]
    move = Transformer.from_crs(str(grid.crs), 4326, always_xy=True)
    corners = [move.transform(*place(grid, *corner)) for corner in ((-3, -3), (4, 4))]
    header = osmium.io.Header()
    header.add_box(osmium.osm.Box(*(osmium.osm.Location(*corner) for corner in corners)))
    number = 0
    with osmium.SimpleWriter(str(path), header=header) as writer:
        refs = []
        for points, _ in ways:
            start = number + 1
            closed = points[0] == points[-1]
            for point in points[:-1] if closed else points:
                number += 1
                where = move.transform(*place(grid, *point))
                writer.add_node(mutable.Node(id=number, location=where))
            refs.append([*range(start, number + 1), *([start] if closed else [])])
        for way, (nodes, (_, tags)) in enumerate(zip(refs, ways, strict=True), start=1):
            writer.add_way(mutable.Way(id=way, nodes=nodes, tags=tags))
    return path


def _ring(west: float, south: float, east: float, north: float) -> list[tuple[float, float]]:
    corners = [(west, south), (east, south), (east, north), (west, north)]
    return [*corners, corners[0]]


if __name__ == "__main__":
    print(make_options(Path(sys.argv[1])))
