"""Moving rasters between grids.

Only linear quantities may be warped: interpolating decibels biases the mean under speckle. Callers
pass power; this module does not know units.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import reproject
from scipy import ndimage

from sarknowlip.core.errors import GeometryError
from sarknowlip.geo.grid import apply_affine, pyproj_crs, transformer_between

Method = Literal["nearest", "bilinear", "average"]


def aligned_window(source: GeoBox, target: GeoBox) -> tuple[int, int] | None:
    """Return row and column of `target` inside `source` if their pixels coincide, else None.

    Pixels coincide when CRS and pixel size are equal and the shift is whole to 1e-3 pixel; the
    target may reach beyond the source.
    """
    if pyproj_crs(source) != pyproj_crs(target):
        return None
    a, b = source.affine, target.affine
    if not np.allclose([a.a, a.b, a.d, a.e], [b.a, b.b, b.d, b.e], rtol=1e-9, atol=0):
        return None
    column, row = (float(v[0]) for v in apply_affine(~a, np.array([b.c]), np.array([b.f])))
    if abs(column - round(column)) > 1e-3 or abs(row - round(row)) > 1e-3:
        return None
    return round(row), round(column)


def source_window(source: GeoBox, target: GeoBox, margin: int = 4) -> tuple[slice, slice] | None:
    """Return the rows and columns of `source` needed to fill `target`, or None if they are apart.

    Args:
        source: Grid to read from.
        target: Grid to fill.
        margin: Extra pixels on each side for interpolation.
    """
    height, width = target.shape
    edge = np.linspace(0.0, 1.0, 33)
    column, row = (grid.ravel() for grid in np.meshgrid(edge * width, edge * height))
    x, y = apply_affine(target.affine, column, row)
    move = transformer_between(pyproj_crs(target), pyproj_crs(source))
    x, y = (np.asarray(values) for values in move.transform(x, y))
    inside = np.isfinite(x) & np.isfinite(y)  # infinite outside the source's projection
    if not inside.any():
        return None
    columns, rows = apply_affine(~source.affine, x[inside], y[inside])
    top, bottom = int(np.floor(rows.min())) - margin, int(np.ceil(rows.max())) + margin
    left, right = int(np.floor(columns.min())) - margin, int(np.ceil(columns.max())) + margin
    top, left = max(0, top), max(0, left)
    bottom, right = min(source.shape[0], bottom), min(source.shape[1], right)
    if top >= bottom or left >= right:
        return None
    return slice(top, bottom), slice(left, right)


def warp(
    values: npt.NDArray[np.float32], source: GeoBox, target: GeoBox, method: Method = "bilinear"
) -> npt.NDArray[np.float32]:
    """Resample float arrays from one grid to another; NaN is no-data on both sides.

    GDAL approximates the transform piecewise; the positions used are right to about 0.01 pixel.

    Args:
        values: Shape (bands, rows, columns), linear units, NaN where unknown.
        source: Grid of `values`.
        target: Grid wanted.
        method: Interpolation.

    Raises:
        GeometryError: PROJ cannot relate the two CRS.
    """
    result = np.full((values.shape[0], *target.shape), np.nan, dtype=np.float32)
    try:
        reproject(
            source=values,
            destination=result,
            src_transform=source.affine,
            src_crs=str(source.crs),
            dst_transform=target.affine,
            dst_crs=str(target.crs),
            src_nodata=np.nan,
            dst_nodata=np.nan,
            resampling=Resampling[method],
            num_threads=2,
        )
    except RasterioError as error:
        raise GeometryError(f"cannot warp to {target.crs}: {error}", "check the CRS") from error
    return result


def sample(
    values: npt.NDArray[np.float32],
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
    method: Literal["nearest", "bilinear"] = "bilinear",
) -> npt.NDArray[np.float32]:
    """Read an array at fractional positions; NaN outside it and next to NaN pixels.

    Args:
        values: Shape (rows, columns).
        rows: Row positions; pixel centres lie on whole numbers.
        columns: Column positions, same shape as `rows`.
        method: Interpolation.
    """
    order = 0 if method == "nearest" else 1
    result = ndimage.map_coordinates(
        values,
        [np.nan_to_num(rows, nan=-9.0), np.nan_to_num(columns, nan=-9.0)],
        order=order,
        mode="constant",
        cval=np.nan,
        prefilter=False,
    )
    return np.asarray(result, dtype=np.float32)
