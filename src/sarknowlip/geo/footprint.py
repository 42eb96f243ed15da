"""Footprints of valid data in WGS 84, safe at the antimeridian and at the poles.

Polygons follow RFC 7946 §3.1.9: one that crosses ±180° is cut there into parts, and its bounding
box has west > east (§5.2).
"""

from __future__ import annotations

from typing import cast

import antimeridian
import numpy as np
import numpy.typing as npt
import rasterio.features
from odc.geo.geobox import GeoBox
from shapely import force_2d, get_coordinates, make_valid, set_coordinates
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from sarknowlip.core.errors import GeometryError
from sarknowlip.geo.grid import apply_affine, lonlat_of_pixels, pyproj_crs, transformer_between

VERTICES_PER_EDGE = 8
"""How many straight pieces stand for one edge of a raster when it is projected."""


def valid_footprint(mask: npt.NDArray[np.bool_], geobox: GeoBox) -> MultiPolygon:
    """Return the outline of valid pixels in WGS 84 degrees.

    The outline follows pixel edges in the raster's CRS and is simplified by less than half a pixel.
    Holes smaller than 64 pixels are filled: they are isolated no-data pixels, not shape.

    Args:
        mask: True where data is valid, shape (rows, columns) as `geobox`.
        geobox: Grid of the mask, in any CRS.

    Raises:
        GeometryError: No pixel is valid, or the outline cannot be projected.
    """
    if not mask.any():
        raise GeometryError("no valid pixel", "the raster holds only no-data values")
    if mask.all():
        outline: BaseGeometry = _extent(geobox)
    else:
        pixel = abs(geobox.affine.a * geobox.affine.e - geobox.affine.b * geobox.affine.d)
        filled = rasterio.features.sieve(mask.astype(np.uint8), 64) if mask.size > 256 else mask
        keep = np.asarray(filled, dtype=bool)
        keep = keep if keep.any() else mask
        parts = [
            shape(geometry)
            for geometry, value in rasterio.features.shapes(
                keep.astype(np.uint8), mask=keep, transform=geobox.affine
            )
            if value
        ]
        outline = unary_union(parts).simplify(0.49 * pixel**0.5)
    return to_wgs84(outline, geobox)


def extent_footprint(geobox: GeoBox) -> MultiPolygon:
    """Return the outline of a whole raster in WGS 84 degrees; see `valid_footprint`."""
    return to_wgs84(_extent(geobox), geobox)


def to_wgs84(outline: BaseGeometry, geobox: GeoBox) -> MultiPolygon:
    """Project a geometry in the CRS of `geobox` to WGS 84 and cut it at ±180°.

    Raises:
        GeometryError: A vertex has no image in WGS 84.
    """
    height, width = geobox.shape
    step = max(abs(geobox.affine.a) * width, abs(geobox.affine.e) * height) / VERTICES_PER_EDGE
    dense = force_2d(outline.segmentize(step))
    transformer = transformer_between(pyproj_crs(geobox), 4326)
    coordinates = get_coordinates(dense)
    lon, lat = transformer.transform(coordinates[:, 0], coordinates[:, 1])
    lonlat = np.column_stack([lon, lat])
    if not np.isfinite(lonlat).all():
        raise GeometryError(
            "the raster's outline has no position on Earth", "check its CRS and transform"
        )
    return cut_at_antimeridian(set_coordinates(dense, lonlat))


def cut_at_antimeridian(geometry: BaseGeometry) -> MultiPolygon:
    """Cut polygons whose longitudes jump by more than 180° so that each part stays on one side."""
    polygons: list[Polygon] = []
    for part in getattr(geometry, "geoms", [geometry]):
        fixed = antimeridian.fix_polygon(part, fix_winding=True)
        polygons.extend(getattr(fixed, "geoms", [fixed]))
    cut: MultiPolygon = MultiPolygon(polygons)
    if not cut.is_valid:
        whole: BaseGeometry = make_valid(cut)
        pieces = getattr(whole, "geoms", [whole])
        flat = [p for piece in pieces for p in getattr(piece, "geoms", [piece])]
        cut = MultiPolygon([p for p in flat if isinstance(p, Polygon)])
    normal: BaseGeometry = cut.normalize()
    return cast(MultiPolygon, normal)


def wgs84_bbox(footprint: BaseGeometry) -> tuple[float, float, float, float]:
    """Return west, south, east, north in degrees; west > east when ±180° is crossed."""
    west, south, east, north = antimeridian.bbox(footprint)
    return float(west), float(south), float(east), float(north)


def map_bbox(geobox: GeoBox) -> tuple[float, float, float, float]:
    """Return west, south, east, north of a grid in the units of its own CRS."""
    west, south, east, north = _extent(geobox).bounds
    return west, south, east, north


def _extent(geobox: GeoBox) -> Polygon:
    height, width = geobox.shape
    x, y = apply_affine(
        geobox.affine,
        np.array([0.0, 0.0, width, width]),
        np.array([0.0, height, height, 0.0]),
    )
    return Polygon(np.column_stack([x, y]))


def pixel_round_trip_error(geobox: GeoBox, points: int = 5) -> float:
    """Return the largest pixel → lon/lat → pixel error over a lattice of points, in pixels."""
    height, width = geobox.shape
    column, row = (
        grid.ravel()
        for grid in np.meshgrid(np.linspace(0, width, points), np.linspace(0, height, points))
    )
    lon, lat = lonlat_of_pixels(geobox, column, row)
    back = transformer_between(4326, pyproj_crs(geobox))
    x, y = (np.asarray(values) for values in back.transform(lon, lat))
    column_back, row_back = apply_affine(~geobox.affine, x, y)
    error = np.hypot(column_back - column, row_back - row)
    return float(np.max(error)) if np.isfinite(error).all() else float("inf")
