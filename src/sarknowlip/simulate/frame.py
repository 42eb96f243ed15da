"""Where a world lies on Earth: metres on the UTM grid of its city, heights above WGS 84."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pyproj import CRS, Proj, Transformer

from sarknowlip.geo.grid import utm_epsg

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """A rectangle on the UTM grid, metres: west ≤ x < east, south ≤ y < north."""

    west: float
    south: float
    east: float
    north: float

    @property
    def width(self) -> float:
        """East–west extent, metres."""
        return self.east - self.west

    @property
    def height(self) -> float:
        """North–south extent, metres."""
        return self.north - self.south

    @property
    def centre(self) -> tuple[float, float]:
        """Middle (x, y), metres."""
        return (self.west + self.east) / 2, (self.south + self.north) / 2

    @property
    def area_km2(self) -> float:
        """Area in square kilometres."""
        return self.width * self.height / 1e6

    def padded(self, metres: float) -> Bounds:
        """Return the rectangle grown on all sides."""
        return Bounds(
            self.west - metres, self.south - metres, self.east + metres, self.north + metres
        )

    def holds(self, x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
        """Tell which places lie in the rectangle, same shape."""
        inside = (x >= self.west) & (x < self.east) & (y >= self.south) & (y < self.north)
        return np.asarray(inside)

    def meets(self, other: Bounds) -> bool:
        """Tell whether two rectangles share ground."""
        return (
            self.west < other.east
            and other.west < self.east
            and self.south < other.north
            and other.south < self.north
        )


@dataclass(frozen=True)
class Frame:
    """The UTM zone of a world.

    Attributes:
        epsg: Code of the zone, 32601…32760.
    """

    epsg: int

    @classmethod
    def around(cls, lon: float, lat: float) -> Frame:
        """Return the frame of the zone that holds a place (degrees)."""
        return cls(utm_epsg(lon, lat))

    @cached_property
    def crs(self) -> CRS:
        """The zone's coordinate reference system."""
        return CRS.from_epsg(self.epsg)

    @cached_property
    def _to_lonlat(self) -> Transformer:
        return Transformer.from_crs(self.epsg, 4326, always_xy=True)

    @cached_property
    def _to_ecef(self) -> Transformer:
        # UTM coordinates with ellipsoidal heights: the zone's CRS made three-dimensional.
        return Transformer.from_crs(self.crs.to_3d(), 4978, always_xy=True)

    @cached_property
    def _projection(self) -> Proj:
        return Proj(self.crs)

    def lonlat(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return longitudes and latitudes, degrees, of UTM metres."""
        lon, lat = self._to_lonlat.transform(np.asarray(x), np.asarray(y))
        return np.asarray(lon), np.asarray(lat)

    def xy(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return UTM metres of longitudes and latitudes in degrees."""
        x, y = self._to_lonlat.transform(np.asarray(lon), np.asarray(lat), direction="INVERSE")
        return np.asarray(x), np.asarray(y)

    def ecef(self, x: npt.ArrayLike, y: npt.ArrayLike, z: npt.ArrayLike) -> Floats:
        """Return Earth-fixed Cartesian metres, shape (3, …), of UTM metres and heights."""
        x, y, z = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, y, z)))
        return np.stack(self._to_ecef.transform(x, y, z))

    def convergence_deg(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
        """Return the angles from true north to grid north, degrees, clockwise positive, same shape.

        A direction of g degrees from grid north is g + convergence degrees from true north.
        """
        lon, lat = self.lonlat(x, y)
        if not lon.size:
            return np.zeros(lon.shape)
        return np.asarray(self._projection.get_factors(lon, lat).meridian_convergence)
