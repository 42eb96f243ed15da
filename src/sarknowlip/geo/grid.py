"""The fixed ground-distance grid on which tiles are cut.

A grid is a UTM zone (UPS beyond 84° N and 80° S), a pixel size in metres and a tile size in pixels.
Tile edges lie on whole multiples of the tile's ground size counted from the projection's origin, so
that a tile's name stands for the same ground in every scene, on every date, of every sensor.
A grid may instead be bound to a raster ("native"): tiles are then windows of that raster's own
pixels, untouched by resampling.

`odc.geo.GeoBox` (shape + affine + CRS, immutable) is the grid type everywhere in the package.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError, GeometryError

Floats = npt.NDArray[np.float64]

UPS_NORTH, UPS_SOUTH = 32661, 32761
"""EPSG codes of the WGS 84 universal polar stereographic projections."""


class GridConfig(Config):
    """How tiles are cut.

    Attributes:
        tile_px: Tile edge in pixels.
        gsd_m: Pixel size in metres; None takes the product's own, see `preferred_gsd`.
        placement: "utm" for the fixed world grid, "native" for windows of the product's own pixels.
    """

    tile_px: int = 256
    gsd_m: float | None = None
    placement: Literal["utm", "native"] = "utm"

    def model_post_init(self, context: object, /) -> None:
        """Check the ranges.

        Raises:
            ConfigError: A size that is not positive, or a pixel size asked of native placement.
        """
        if self.tile_px < 16 or self.tile_px > 4096:
            raise ConfigError(f"tile_px={self.tile_px} is outside 16…4096", "choose e.g. 256")
        if self.gsd_m is not None and not 0.01 <= self.gsd_m <= 10_000:
            raise ConfigError(f"gsd_m={self.gsd_m} is outside 0.01…10000 m", "give metres")
        if self.placement == "native" and self.gsd_m is not None:
            raise ConfigError("gsd_m has no meaning with placement=native", "leave one out")


@dataclass(frozen=True)
class Tile:
    """One cell of a tile grid.

    Attributes:
        key: Name that is unique within the grid, for example "32631_10m_256_c00242_r01870".
        geobox: The pixels: shape (rows, columns), affine transform, CRS.
        row: Tile row: counted northwards from northing 0, or downwards in a native grid.
        column: Tile column, counted eastwards.
    """

    key: str
    geobox: GeoBox
    row: int
    column: int


@dataclass(frozen=True)
class TileGrid:
    """All tiles that touch one raster extent.

    Attributes:
        geobox: The pixels of all tiles together; its shape is a whole number of tiles.
        tile_px: Tile edge in pixels.
        prefix: First part of every tile key.
        first_row: World index of the upper tile row (0 for native grids).
        first_column: World index of the left tile column (0 for native grids).
        row_step: −1 when the row index falls downwards (world grid), +1 when it grows (native).
    """

    geobox: GeoBox
    tile_px: int
    prefix: str
    first_row: int = 0
    first_column: int = 0
    row_step: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Number of tile rows and columns."""
        height, width = self.geobox.shape
        return height // self.tile_px, width // self.tile_px

    def tile(self, row: int, column: int) -> Tile:
        """Return the tile at `row`, `column` counted from the upper left of this grid."""
        size = self.tile_px
        window = slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)
        world_row = self.first_row + self.row_step * row
        world_column = self.first_column + column
        key = f"{self.prefix}_c{_index(world_column)}_r{_index(world_row)}"
        return Tile(key, self.geobox[window], world_row, world_column)

    def chunks(
        self, pixels: int = 2048, *, strips: bool = False
    ) -> Iterator[tuple[GeoBox, list[Tile]]]:
        """Walk over the grid in blocks of at most about `pixels`² pixels, at least one tile each.

        Args:
            pixels: Edge of a square block.
            strips: Make blocks as wide as the grid before they are made higher: files are stored by
                rows, and a compressed block of a row need then be decoded only once.

        Yields:
            The block's pixels and its tiles, row by row; blocks neither overlap nor leave gaps.
        """
        rows, columns = self.shape
        size = self.tile_px
        budget = max(1, pixels**2 // size**2)
        wide = min(columns, budget) if strips else max(1, pixels // size)
        high = max(1, budget // wide) if strips else wide
        for row in range(0, rows, high):
            for column in range(0, columns, wide):
                end_row, end_column = min(rows, row + high), min(columns, column + wide)
                window = (
                    slice(row * size, end_row * size),
                    slice(column * size, end_column * size),
                )
                tiles = [
                    self.tile(r, c) for r in range(row, end_row) for c in range(column, end_column)
                ]
                yield self.geobox[window], tiles


def utm_epsg(lon: float, lat: float) -> int:
    """Return the EPSG code of the WGS 84 UTM (or UPS) projection at a point in degrees.

    Norway's and Svalbard's widened zones are not followed: a plain six-degree rule keeps the grid
    regular.
    """
    if lat >= 84.0:
        return UPS_NORTH
    if lat < -80.0:
        return UPS_SOUTH
    wrapped = (lon + 180.0) % 360.0
    zone = min(60, int(wrapped // 6.0) + 1)
    return (32600 if lat >= 0.0 else 32700) + zone


def preferred_gsd(metres: float) -> float:
    """Return the preferred pixel size nearest to `metres` on a logarithmic scale.

    Scenes of one sensor differ by fractions of a percent in ground spacing; snapping to a short
    series (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8 × 10ⁿ) puts them on one grid.
    """
    decade: float = 10.0 ** math.floor(math.log10(metres))
    steps = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
    sizes: list[float] = [step * decade for step in steps]
    nearest: float = min(sizes, key=lambda size: abs(math.log(size / metres)))
    return round(nearest, 6)


def utm_tile_grid(footprint: BaseGeometry, gsd_m: float, tile_px: int) -> TileGrid:
    """Return the world-grid tiles that cover a footprint.

    Args:
        footprint: Product outline in WGS 84 degrees; parts beyond ±180° as STAC cuts them.
        gsd_m: Pixel size in metres.
        tile_px: Tile edge in pixels.

    Raises:
        GeometryError: The footprint is empty.
    """
    if footprint.is_empty:
        raise GeometryError("the product's footprint is empty", "it holds no valid pixel")
    lon, lat = circular_centre(footprint)
    epsg = utm_epsg(lon, lat)
    transformer = transformer_between(4326, epsg)
    dense = footprint.segmentize(0.05)
    xs: list[float] = []
    ys: list[float] = []
    parts = getattr(dense, "geoms", [dense])
    for part in parts:
        x, y = transformer.transform(*part.exterior.xy)
        xs.extend(x)
        ys.extend(y)
    if not all(map(math.isfinite, xs + ys)):
        raise GeometryError(f"the footprint cannot be projected to EPSG:{epsg}", "it is too large")
    ground = gsd_m * tile_px
    tolerance = 1e-6
    west = math.floor(min(xs) / ground + tolerance)
    east = max(west + 1, math.ceil(max(xs) / ground - tolerance))
    north = math.ceil(max(ys) / ground - tolerance)
    south = min(north - 1, math.floor(min(ys) / ground + tolerance))
    affine = Affine(gsd_m, 0, west * ground, 0, -gsd_m, north * ground)
    shape = ((north - south) * tile_px, (east - west) * tile_px)
    label = f"{gsd_m:g}".replace(".", "p")
    return TileGrid(
        geobox=GeoBox(shape, affine, f"EPSG:{epsg}"),
        tile_px=tile_px,
        prefix=f"{epsg}_{label}m_{tile_px}",
        first_row=north - 1,
        first_column=west,
        row_step=-1,
    )


def native_tile_grid(geobox: GeoBox, tile_px: int) -> TileGrid:
    """Return tiles that are windows of a raster's own pixels.

    The last row and column may reach past the raster; those pixels are no-data. A raster smaller
    than a tile gives one tile.
    """
    height, width = geobox.shape
    rows, columns = max(1, math.ceil(height / tile_px)), max(1, math.ceil(width / tile_px))
    whole = GeoBox((rows * tile_px, columns * tile_px), geobox.affine, geobox.crs)
    return TileGrid(whole, tile_px, f"native_{tile_px}")


def circular_centre(footprint: BaseGeometry) -> tuple[float, float]:
    """Return the centre longitude and latitude of a footprint that may be cut at ±180°."""
    parts = getattr(footprint, "geoms", [footprint])
    x = y = z = 0.0
    for part in parts:
        centre, weight = part.centroid, part.area
        lon, lat = math.radians(centre.x), math.radians(centre.y)
        x += weight * math.cos(lat) * math.cos(lon)
        y += weight * math.cos(lat) * math.sin(lon)
        z += weight * math.sin(lat)
    return math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))


def ground_sample_distance(geobox: GeoBox) -> tuple[float, float]:
    """Return the pixel's width and height on the ground in metres, at the centre of the grid.

    Measured on the WGS 84 ellipsoid between neighbouring pixel centres.
    """
    height, width = geobox.shape
    row, column = height / 2, width / 2
    to_lonlat = transformer_between(pyproj_crs(geobox), 4326)
    xs, ys = apply_affine(
        geobox.affine, np.array([column, column + 1, column]), np.array([row, row, row + 1])
    )
    (lon0, lon1, lon2), (lat0, lat1, lat2) = to_lonlat.transform(xs, ys)
    geod = Geod(ellps="WGS84")
    return (
        float(geod.inv(lon0, lat0, lon1, lat1)[2]),
        float(geod.inv(lon0, lat0, lon2, lat2)[2]),
    )


def pyproj_crs(geobox: GeoBox) -> CRS:
    """Return the grid's horizontal CRS as pyproj knows it.

    Raises:
        GeometryError: The grid has no CRS, or one that pyproj cannot read.
    """
    if geobox.crs is None:
        raise GeometryError("the raster has no coordinate reference system", "give one with --crs")
    try:
        return _crs(str(geobox.crs))
    except CRSError as error:
        raise GeometryError(f"unusable coordinate reference system: {error}", "give one") from error


@functools.lru_cache(maxsize=128)
def transformer_between(source: CRS | int, target: CRS | int) -> Transformer:
    """Return the way between two reference systems (or EPSG codes), easting or longitude first.

    Those made last are kept: to make one takes longer than to project a tile.
    """
    return Transformer.from_crs(source, target, always_xy=True)


@functools.lru_cache(maxsize=128)
def _crs(name: str) -> CRS:
    return CRS.from_user_input(name)


def apply_affine(affine: Affine, columns: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Return the map coordinates x, y of fractional pixel positions, element by element."""
    return (
        affine.a * columns + affine.b * rows + affine.c,
        affine.d * columns + affine.e * rows + affine.f,
    )


def lonlat_of_pixels(geobox: GeoBox, columns: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Return WGS 84 longitude and latitude in degrees of fractional pixel positions."""
    x, y = apply_affine(geobox.affine, columns, rows)
    lon, lat = transformer_between(pyproj_crs(geobox), 4326).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


def _index(value: int) -> str:
    return f"{value:05d}" if value >= 0 else f"m{-value:05d}"
