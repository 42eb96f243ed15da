"""Range-Doppler terrain correction: where terrain appears in the image, and how bright it must be.

Both rest on sarsen: the orbit polynomial and the backward geocoding (solve for the time at which a
ground point lies in the zero-Doppler plane), and the area that a facet of terrain shows the radar.

Radiometric terrain correction follows D. Small, "Flattening Gamma: Radiometric Terrain Correction
for SAR Imagery", IEEE TGRS 49(8), 2011: γ⁰ = β⁰ · A_β / A_γ, where A_β is the area of a cell in
the slant range plane and A_γ the summed area, projected along the line of sight, of all facets
that the cell shows. Each facet is shared bilinearly between the four cells around it. (sarsen 0.9.6
counts a facet wholly in one cell; with a few facets to a cell that leaves stripes of several
per cent on flat ground, hence the sum is made here.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.types import Shape2d
from pyproj import Transformer
from sarsen.geocoding import backward_geocode_simple
from sarsen.orbit import OrbitPolyfitInterpolator
from sarsen.radiometry import compute_gamma_area
from scipy import ndimage
from xarray_sentinel.sentinel1 import open_orbit_dataset

from sarknowlip.core.errors import ProductError
from sarknowlip.geo.grid import ground_sample_distance, lonlat_of_pixels
from sarknowlip.sar.elevation import Elevation
from sarknowlip.sar.geolocation import LIGHT_M_PER_S, RadarGrid
from sarknowlip.sar.lattice import Floats, Lattice
from sarknowlip.sar.safe import FETCH_AGAIN, Annotation, parsing

POINTS = 200_000
"""Ground points solved at once: bounds memory."""
PLANE_M = 1e-3
"""Distance from the zero-Doppler plane at which the solver stops."""
CELL = 3.0
"""Edge of a cell of summed facets on flat ground, in target pixels; sarsen's default."""
BLOCK_PX = 512
HIGHEST_M = 9000.0
COARSE_M = 90.0
"""Pixel size at which the relief around a block is looked at."""

Grid = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RangeDoppler:
    """A `SensorModel` from orbit state vectors; rows are lines, columns samples of a `RadarGrid`.

    Attributes:
        orbit: Polynomial through the state vectors.
        radar: Time axes of the image.
        epoch_s: Epoch of the orbit polynomial, seconds after the image's first line.
        middle_s: Time of the middle of the image, seconds after its first line.
    """

    orbit: OrbitPolyfitInterpolator
    radar: RadarGrid
    epoch_s: float
    middle_s: float

    @classmethod
    def of(cls, annotation: Annotation, radar: RadarGrid) -> RangeDoppler:
        """Read the state vectors of an annotation.

        Raises:
            ProductError: There are none, too few, or they do not span the image.
        """
        with parsing(annotation.path):
            position = open_orbit_dataset(annotation.path)["position"]
        seconds = (position["azimuth_time"].values - annotation.first_line) / np.timedelta64(1, "s")
        ties = annotation.ties.azimuth_s
        if seconds.size < 6 or seconds.min() > ties.min() or seconds.max() < ties.max():
            raise ProductError(
                f"{annotation.path} has no orbit state vectors around the image", FETCH_AGAIN
            )
        orbit = OrbitPolyfitInterpolator.from_position(position)
        epoch = float((orbit.epoch - annotation.first_line) / np.timedelta64(1, "s"))
        return cls(orbit, radar, epoch, float(ties.mean()))

    def __call__(self, lon: Floats, lat: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Return lines and samples, NaN where the radar does not look; see `SensorModel`."""
        ground = np.stack(ecef(*(np.ravel(values) for values in (lon, lat, height))))
        azimuth_s, slant_m = np.empty(ground.shape[1]), np.empty(ground.shape[1])
        for start in range(0, ground.shape[1], POINTS):
            part = slice(start, start + POINTS)
            azimuth_s[part], slant_m[part] = self._solve(ground[:, part])
        range_s = slant_m * (2.0 / LIGHT_M_PER_S)
        line, sample = self.radar.line_sample(azimuth_s, range_s)
        return line.reshape(np.shape(lon)), sample.reshape(np.shape(lon))

    def sight(self, ground: Grid, line: Floats, sample: Floats) -> Grid:
        """Return unit vectors from radar to ground.

        Args:
            ground: ECEF metres, shape (3, rows, columns).
            line: Lines at which the points appear, shape (rows, columns).
            sample: Samples, likewise.
        """
        time = xr.DataArray(self.radar.azimuth_s(line, sample) - self.epoch_s, dims=("y", "x"))
        place = self.orbit.position_from_orbit_time(time).transpose("axis", "y", "x").values
        away = ground - place
        return np.asarray(away / np.linalg.norm(away, axis=0))

    def _solve(self, ground: Grid) -> tuple[Floats, Floats]:
        """Return zero-Doppler times after the first line and slant ranges in metres."""
        points = xr.DataArray(ground, dims=("axis", "point"), coords={"axis": [0, 1, 2]})
        time, away, velocity = backward_geocode_simple(
            points,
            self.orbit,
            self.middle_s - self.epoch_s,
            zero_doppler_distance=PLANE_M,
            method="newton",
        )
        away_m = away.transpose("axis", "point").values
        place = ground - away_m
        speed = velocity.transpose("axis", "point").values
        # Sentinel-1 looks to the right; a point left of the track has the same range and Doppler.
        right = (away_m * np.cross(speed, place, axis=0)).sum(axis=0) > 0
        slant = np.where(right, np.linalg.norm(away_m, axis=0), np.nan)
        return np.asarray(time.values) + self.epoch_s, slant


@dataclass(frozen=True)
class Flattening:
    """Simulates the brightness that terrain shape alone gives an image.

    A radar cell also shows facets that lie far from the pixel on the map: with incidence angle θ, a
    facet h metres higher or lower appears at the same range when it lies h / tan θ farther from or
    nearer to the radar (layover). The facets of every block are therefore computed with a margin of
    (highest − lowest height around it) / tan θ at near range, which no facet can exceed; "around"
    reaches as far as the Earth's relief allows.

    Attributes:
        model: Sensor model.
        azimuth_spacing_m: Ground distance of two lines.
        incidence_near: Least incidence angle, degrees.
        incidence: Incidence angle at mid-swath, degrees.
    """

    model: RangeDoppler
    azimuth_spacing_m: float
    incidence_near: float
    incidence: float

    def area(self, target: GeoBox, elevation: Elevation, lattice: Lattice) -> Floats:
        """Return A_γ / A_β, shape (rows, columns) of the target; NaN where terrain is unknown.

        Facets are the target's pixels: terrain finer than those is not resolved.
        """
        result = np.full(target.shape, np.nan)
        for block in _blocks(target.shape):
            inner = target[block]
            reach = self._reach(inner, elevation)
            margin = [int(np.ceil(reach / step)) + 8 for step in ground_sample_distance(inner)]
            padded = inner.pad(margin[0], margin[1])
            whole = self._area(padded, elevation, lattice)
            rows, columns = inner.shape
            result[block] = whole[margin[1] : margin[1] + rows, margin[0] : margin[0] + columns]
        return result

    def _reach(self, block: GeoBox, elevation: Elevation) -> float:
        """Return how far from a block facets can share its radar cells, metres."""
        slope = float(np.tan(np.deg2rad(self.incidence_near)))
        step = min(ground_sample_distance(block))
        pixels = int(np.ceil(HIGHEST_M / slope / step))
        around = block.pad(pixels, pixels).zoom_out(max(1.0, COARSE_M / step))
        heights = elevation.on(around)
        if not np.isfinite(heights).any():
            return 0.0
        return float(np.nanmax(heights) - np.nanmin(heights)) / slope

    def _area(self, grid: GeoBox, elevation: Elevation, lattice: Lattice) -> Floats:
        height = elevation.on(grid)
        line, sample = lattice.positions(grid, height)
        if not np.isfinite(sample).any():
            return np.full(grid.shape, np.nan)
        column, row = np.meshgrid(np.arange(grid.shape[1]) + 0.5, np.arange(grid.shape[0]) + 0.5)
        ground = np.stack(ecef(*lonlat_of_pixels(grid, column, row), height))
        facets = facet_areas(ground, self.model.sight(ground, line, sample))
        slant = sample * (LIGHT_M_PER_S / 2.0 / self.model.radar.sampling_hz)
        step = max(ground_sample_distance(grid))
        cell = (CELL * step, CELL * step * float(np.sin(np.deg2rad(self.incidence))))
        area = gathered(facets, line * (self.azimuth_spacing_m / cell[0]), slant / cell[1])
        # Next to unknown terrain, facets of the same cells are missing.
        unknown = ndimage.binary_dilation(~np.isfinite(height), iterations=2 * int(CELL))
        return np.where(unknown | (area <= 0.0), np.nan, area / (cell[0] * cell[1]))


def facet_areas(ground: Grid, sight: Grid) -> Floats:
    """Return the area that each pixel's terrain shows the radar, square metres, ≥ 0.

    Args:
        ground: ECEF metres of pixel centres, shape (3, rows, columns).
        sight: Unit vectors from radar to ground, same shape.
    """
    coordinates = {
        "axis": [0, 1, 2],
        "y": np.arange(ground.shape[1], dtype=np.float64),
        "x": np.arange(ground.shape[2], dtype=np.float64),
    }
    arrays = (xr.DataArray(v, dims=("axis", "y", "x"), coords=coordinates) for v in (ground, sight))
    return np.asarray(compute_gamma_area(*arrays).values)


def gathered(areas: Floats, rows: Floats, columns: Floats) -> Floats:
    """Share areas bilinearly between cells, and read the sums back at the same places.

    Args:
        areas: Area of each facet; zero or NaN counts nothing.
        rows: Where it lies, in units of cells, any origin, same shape; NaN for nowhere.
        columns: Likewise.

    Returns:
        Interpolated area per cell, same shape; NaN where the place is.
    """
    known = np.isfinite(areas) & np.isfinite(rows) & np.isfinite(columns)
    if not known.any():
        return np.full(areas.shape, np.nan)
    corner = [np.floor(axis[known]).astype(np.int64) for axis in (rows, columns)]
    share = [axis[known] - at for axis, at in zip((rows, columns), corner, strict=True)]
    first = [int(at.min()) for at in corner]
    shape = tuple(int(at.max()) - start + 2 for at, start in zip(corner, first, strict=True))
    total = np.zeros(shape).ravel()
    for down in (0, 1):
        for right in (0, 1):
            weight = abs(1 - down - share[0]) * abs(1 - right - share[1])
            index = (corner[0] - first[0] + down) * shape[1] + corner[1] - first[1] + right
            total += np.bincount(index, areas[known] * weight, total.size)
    where = [np.nan_to_num(rows) - first[0], np.nan_to_num(columns) - first[1]]
    sums = ndimage.map_coordinates(total.reshape(shape), where, order=1, prefilter=False)
    return np.where(np.isfinite(rows) & np.isfinite(columns), sums, np.nan)


def ecef(lon: Floats, lat: Floats, height: Floats) -> tuple[Floats, Floats, Floats]:
    """Return Earth-fixed Cartesian metres of points in WGS 84 degrees and ellipsoidal metres."""
    x, y, z = Transformer.from_crs(4979, 4978, always_xy=True).transform(lon, lat, height)
    finite = np.isfinite(height)
    return tuple(np.where(finite, axis, np.nan) for axis in (x, y, z))  # type: ignore[return-value]


def _blocks(shape: Shape2d) -> Iterator[tuple[slice, slice]]:
    for row in range(0, shape[0], BLOCK_PX):
        for column in range(0, shape[1], BLOCK_PX):
            yield (
                slice(row, min(row + BLOCK_PX, shape[0])),
                slice(column, min(column + BLOCK_PX, shape[1])),
            )
