"""Products in radar or display geometry, put on maps through the sensor model of their provider.

Heights are those of `options.dem`, or one height above the ellipsoid for the whole product: the one
its provider computed with. `Geocoding.error_m` then does not include the displacement of terrain
that lies higher or lower.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import rasterio.features
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS, Geod, Transformer
from shapely import get_coordinates
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.polygon import orient

from sarknowlip.core.errors import GeometryError, ProductError
from sarknowlip.geo.footprint import VERTICES_PER_EDGE, cut_at_antimeridian
from sarknowlip.geo.grid import pyproj_crs
from sarknowlip.sar.elevation import Elevation
from sarknowlip.sar.lattice import Floats, Lattice, Power, fill
from sarknowlip.sar.nitf import NitfImage
from sarknowlip.sar.product import Geocoding, ReadOptions, SarProduct
from sarknowlip.sar.viewing import incidence_deg


class ImageGeometry(Protocol):
    """Relates pixels, ground and platform. Pixel centres are whole; NaN where there is none."""

    def to_image(self, lon: Floats, lat: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns of ground points (degrees; metres above the ellipsoid)."""

    def to_ground(self, rows: Floats, columns: Floats, height: Floats) -> Floats:
        """Return ECEF metres, shape (…, 3), of pixels on surfaces of given height (metres)."""

    def platform(self, rows: Floats, columns: Floats) -> Floats:
        """Return ECEF metres, shape (…, 3), of the antenna when it saw the pixels."""


def valid_outline(
    path: Path, vertices: Any, first: tuple[int, int], shape: tuple[int, int]
) -> Polygon | None:
    """Return the outline of valid pixels as (column, row) counted from the first pixel.

    Args:
        path: File, for the error message.
        vertices: Rows and columns of a polygon's corners; None if all pixels are valid.
        first: Row and column of the first pixel in the system of the vertices.
        shape: Rows and columns of the image.

    Returns:
        None if all pixels are valid.

    Raises:
        ProductError: The polygon has no area in the image, or is cut in pieces by its edge.
    """
    if vertices is None:
        return None
    outline = Polygon([(column - first[1], row - first[0]) for row, column in vertices])
    whole = _rectangle(shape)
    inside = outline.intersection(whole) if outline.is_valid else Polygon()
    if not isinstance(inside, Polygon) or inside.is_empty:
        raise ProductError(
            f"{path} has an unusable outline of valid data", "ask its provider to repair it"
        )
    return None if inside.equals(whole) else inside


class ModelledProduct(SarProduct):
    """A product whose pixels are placed by an `ImageGeometry`.

    Args:
        path: File.
        image: Where its pixels lie.
        geometry: Its sensor model.
        height_m: Height above the ellipsoid at which it is placed without elevation model.
        valid: Outline of valid pixels as (column, row); None if all are valid.
    """

    def __init__(
        self,
        path: Path,
        image: NitfImage,
        geometry: ImageGeometry,
        height_m: float,
        valid: Polygon | None,
    ) -> None:
        self.path = path
        self.name = path.stem
        self._image = image
        self._geometry = geometry
        self._height_m = height_m
        self._valid = valid
        self._elevation: Elevation | None = None
        self._lattices: dict[str, Lattice] = {}
        self.footprint = self._outline()
        self.gsd_m = self._spacing()

    def files(self) -> list[Path]:
        """Return the one file."""
        return [self.path]

    def power(self, target: GeoBox) -> npt.NDArray[np.float32]:
        """Return linear power on a map grid; see `SarProduct.power`.

        Power is averaged over the ground that a target pixel covers (a running mean in image
        geometry, never less than one image pixel) and then interpolated bilinearly at the pixel's
        centre. Places where the elevation model is silent have no data.
        """
        lattice = self._lattice(pyproj_crs(target))
        height = self._elevation.on(target) if self._elevation else self._height_m
        rows, columns = lattice.positions(target, height)
        x, y = Transformer.from_crs(4326, lattice.crs, always_xy=True).transform(*self._centre())
        looks = lattice.looks(target, x, y, self._height_m)
        power = fill(rows, columns, self._image.shape, looks, self._read)
        return self._calibrated(power, rows, columns)[None]

    @abstractmethod
    def _detected(self, stored: npt.NDArray[Any]) -> Power:
        """Return the power of stored pixels, same shape; NaN for no data."""

    def _calibrated(self, power: Power, rows: Floats, columns: Floats) -> Power:
        """Return the quantity that `radiometry` names from pixel power at image positions."""
        return power

    def _use_elevation(self, options: ReadOptions, incidence: float, error_m: float | None) -> None:
        """Set `geocoding`, and take heights from `options.dem` if there is one.

        Args:
            options: Elevation raster and geoid undulation.
            incidence: Incidence angle at the centre, degrees: relates height to ground error.
            error_m: Horizontal error that the provider states, metres.
        """
        datum: str | None = "ellipsoid"
        if options.dem is not None:
            self._elevation = Elevation.open(options.dem, options.dem_geoid_m, self.footprint)
            self.footprint = self._outline()
            datum = self._elevation.vertical_datum
            shift = self._elevation.error_m / math.tan(math.radians(incidence))
            if shift > 0.0:
                error_m = math.hypot(error_m or 0.0, shift)
        self.geocoding = Geocoding(method="sensor-model", vertical_datum=datum, error_m=error_m)

    def _incidences(self) -> tuple[float, float, float]:
        """Return the least, the central and the greatest incidence angle, degrees."""
        rows, columns = self._edge()
        middle = Polygon(np.column_stack([columns, rows])).centroid
        rows, columns = np.append(rows, middle.y), np.append(columns, middle.x)
        ground = self._geometry.to_ground(rows, columns, np.full(rows.shape, self._height_m))
        angles = incidence_deg(self._geometry.platform(rows, columns), ground)
        return float(angles.min()), float(angles[-1]), float(angles.max())

    def _read(self, rows: slice, columns: slice) -> Power:
        power = self._detected(self._image.read(rows, columns))
        if self._valid is None:
            return power
        inside = rasterio.features.geometry_mask(
            [self._valid.buffer(0.01)],
            power.shape,
            Affine.translation(columns.start - 0.5, rows.start - 0.5),
            invert=True,
        )
        return np.where(inside, power, np.float32(np.nan))

    def _edge(self) -> tuple[Floats, Floats]:
        """Return rows and columns of points along the outline of valid pixels, closed."""
        # Rows times columns point up: clockwise in (column, row) is anticlockwise on the ground.
        outline = orient(self._valid or _rectangle(self._image.shape), -1.0)
        dense = outline.exterior.segmentize(max(self._image.shape) / VERTICES_PER_EDGE)
        columns, rows = get_coordinates(dense).T
        return rows, columns

    def _outline(self) -> MultiPolygon:
        """Return the footprint, at the heights of the elevation model where it has them."""
        rows, columns = self._edge()
        height = np.full(rows.shape, self._height_m)
        lon, lat = self._lonlat(rows, columns, height)
        if self._elevation is not None:
            for _ in range(3):
                terrain = self._elevation.at(lon, lat)
                height = np.where(np.isfinite(terrain), terrain, self._height_m)
                lon, lat = self._lonlat(rows, columns, height)
        return cut_at_antimeridian(Polygon(np.column_stack([lon, lat])))

    def _lonlat(self, rows: Floats, columns: Floats, height: Floats) -> tuple[Floats, Floats]:
        ground = self._geometry.to_ground(rows, columns, height)
        if not np.isfinite(ground).all():
            raise GeometryError(
                f"the pixels of {self.path} do not meet the ground", "its geometry is unusable"
            )
        move = Transformer.from_crs(4978, 4979, always_xy=True)
        place = move.transform(ground[..., 0], ground[..., 1], ground[..., 2])
        return np.asarray(place[0]), np.asarray(place[1])

    def _spacing(self) -> tuple[float, float]:
        """Return the ground distance of neighbouring rows and of neighbouring columns, metres."""
        row, column = ((n - 1) / 2 for n in self._image.shape)
        rows = row + np.array([-0.5, 0.5, 0.0, 0.0])
        columns = column + np.array([0.0, 0.0, -0.5, 0.5])
        lon, lat = self._lonlat(rows, columns, np.full(4, self._height_m))
        _, _, metres = Geod(ellps="WGS84").inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
        return float(metres[0]), float(metres[1])

    def _centre(self) -> tuple[float, float]:
        row, column = (np.array([(n - 1) / 2]) for n in self._image.shape)
        lon, lat = self._lonlat(row, column, np.array([self._height_m]))
        return float(lon[0]), float(lat[0])

    def _lattice(self, crs: CRS) -> Lattice:
        key = crs.to_wkt()
        if key not in self._lattices:
            rows, columns = (
                grid.ravel()
                for grid in np.meshgrid(*(np.linspace(0, n - 1, 5) for n in self._image.shape))
            )
            lon, lat = self._lonlat(rows, columns, np.full(rows.shape, self._height_m))
            self._lattices[key] = Lattice.fit(
                self._geometry.to_image, crs, lon, lat, self._height_m
            )
        return self._lattices[key]


def _rectangle(shape: tuple[int, int]) -> Polygon:
    """Return the outline of all pixel centres as (column, row)."""
    return box(0, 0, shape[1] - 1, shape[0] - 1)
