"""Terrain heights above the WGS 84 ellipsoid from a user's elevation raster.

Most elevation models hold orthometric heights (above a geoid), range-Doppler geometry needs
ellipsoidal ones. What is done, in this order:

1. the raster's CRS is three-dimensional: heights are ellipsoidal already;
2. its CRS is compound and PROJ has the grid of its vertical datum: PROJ converts;
3. the caller gives the undulation of the geoid as one number of metres;
4. neither: heights are used as they are, a warning is logged, and the unknown undulation enters
   the height error with its global root mean square.

Ballpark transformations, with which PROJ silently leaves heights as they are, are not accepted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.errors import GeometryError
from sarknowlip.geo.footprint import extent_footprint
from sarknowlip.geo.grid import apply_affine, ground_sample_distance
from sarknowlip.geo.raster import guarded
from sarknowlip.geo.warp import sample, source_window, warp

GEOID_SPREAD_M = 30.0
"""Rough root mean square of the geoid's undulation over the globe; EGM96 spans −107…+85 m."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Elevation:
    """An elevation raster and how its heights become ellipsoidal.

    Attributes:
        path: Raster; band 1 holds metres.
        grid: Its grid, with the horizontal CRS.
        compound: Its full CRS if PROJ converts heights, else None.
        undulation_m: Number added to every height.
        vertical_datum: Datum of the heights returned: "ellipsoid", "EGM96", "EGM2008", or None if
            unknown.
        error_m: Standard deviation that the unknown undulation adds to heights, metres.
    """

    path: Path
    grid: GeoBox
    compound: CRS | None
    undulation_m: float
    vertical_datum: str | None
    error_m: float

    @classmethod
    def open(cls, path: Path, geoid_m: float | None, covers: BaseGeometry) -> Elevation:
        """Read the raster's header and settle its vertical datum.

        Args:
            path: Elevation raster, metres in band 1.
            geoid_m: Geoid undulation to add when PROJ cannot, metres.
            covers: Outline in WGS 84 degrees that the raster must at least touch.

        Raises:
            ProductError: The raster cannot be read.
            GeometryError: It has no CRS, or lies elsewhere.
        """
        with guarded(path), rasterio.open(path) as source:
            if source.crs is None:
                raise GeometryError(f"{path} has no coordinate reference system", "assign one")
            crs = CRS.from_user_input(source.crs.to_wkt())
            shape, affine = source.shape, source.transform
        horizontal = crs.to_2d() if not crs.is_compound else crs.sub_crs_list[0]
        grid = GeoBox(shape, affine, horizontal.to_wkt())
        if not extent_footprint(grid).intersects(covers):
            raise GeometryError(
                f"{path} does not cover the product", "give an elevation model there"
            )
        if not crs.is_compound and len(crs.axis_info) == 3:
            return cls(path, grid, None, 0.0, "ellipsoid", 0.0)
        if crs.is_compound and _proj_converts(crs, covers):
            return cls(path, grid, crs, 0.0, "ellipsoid", 0.0)
        if geoid_m is not None:
            return cls(path, grid, None, geoid_m, "ellipsoid", 0.0)
        _LOG.warning(
            "%s: heights are taken as ellipsoidal, though its vertical datum is %s; give option "
            "dem_geoid_m (metres) or install PROJ's geoid grids",
            path,
            crs.sub_crs_list[1].name if crs.is_compound else "not stated",
        )
        return cls(path, grid, None, 0.0, _datum_name(crs), GEOID_SPREAD_M)

    def on(self, target: GeoBox) -> npt.NDArray[np.float64]:
        """Return heights on a map grid, metres, shape (rows, columns); NaN where unknown.

        The raster is averaged where the target is much coarser, else interpolated bilinearly.

        Raises:
            ProductError: The raster cannot be read.
        """
        window = source_window(self.grid, target)
        if window is None:
            return np.full(target.shape, np.nan)
        grid = self.grid[window]
        ratio = max(ground_sample_distance(target)) / max(ground_sample_distance(self.grid))
        heights = warp(
            self._read(window)[None].astype(np.float32),
            grid,
            target,
            "average" if ratio > 1.5 else "bilinear",
        )
        return np.asarray(heights[0], dtype=np.float64)

    def at(
        self, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return heights at points in WGS 84 degrees, metres; NaN where unknown."""
        move = Transformer.from_crs(4326, str(self.grid.crs), always_xy=True)
        x, y = (np.asarray(values) for values in move.transform(lon, lat))
        inside = np.isfinite(x) & np.isfinite(y)  # infinite outside the raster's projection
        x, y = np.where(inside, x, np.nan), np.where(inside, y, np.nan)
        columns, rows = (at - 0.5 for at in apply_affine(~self.grid.affine, x, y))
        height, width = self.grid.shape
        unknown = np.full(np.shape(lon), np.nan)
        if not inside.any():
            return unknown
        top, left = max(0, int(np.nanmin(rows)) - 1), max(0, int(np.nanmin(columns)) - 1)
        bottom = min(height, int(np.nanmax(rows)) + 3)
        right = min(width, int(np.nanmax(columns)) + 3)
        if top >= bottom or left >= right:
            return unknown
        values = self._read((slice(top, bottom), slice(left, right))).astype(np.float32)
        return sample(values, rows - top, columns - left).astype(np.float64)

    def _read(self, window: tuple[slice, slice]) -> npt.NDArray[np.float64]:
        """Return ellipsoidal heights of a window, NaN for no data."""
        with guarded(self.path), rasterio.open(self.path) as source:
            raw = source.read(1, window=window, masked=True)
        heights = raw.astype(np.float64).filled(np.nan) + self.undulation_m
        if self.compound is None:
            return np.asarray(heights)
        rows, columns = np.mgrid[window[0], window[1]]
        x, y = apply_affine(self.grid.affine, columns + 0.5, rows + 0.5)
        convert = Transformer.from_crs(self.compound, 4979, always_xy=True, allow_ballpark=False)
        ellipsoidal = np.asarray(convert.transform(x, y, heights)[2])
        return np.where(np.isfinite(ellipsoidal), ellipsoidal, np.nan)


def _proj_converts(crs: CRS, covers: BaseGeometry) -> bool:
    """Tell whether PROJ has what it needs to turn this CRS's heights into ellipsoidal ones."""
    part = getattr(covers, "geoms", [covers])[0]
    assert isinstance(part, Polygon)
    place = Transformer.from_crs(4326, crs.sub_crs_list[0], always_xy=True)
    x, y = place.transform(part.centroid.x, part.centroid.y)
    try:
        convert = Transformer.from_crs(crs, 4979, always_xy=True, allow_ballpark=False)
        return bool(np.isfinite(convert.transform(x, y, 0.0, errcheck=True)[2]))
    except ProjError:
        return False


def _datum_name(crs: CRS) -> str | None:
    if not crs.is_compound:
        return None
    name = crs.sub_crs_list[1].name
    return next((datum for datum in ("EGM2008", "EGM96") if datum in name), None)
