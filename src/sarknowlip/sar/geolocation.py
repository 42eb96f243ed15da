"""Where ground points lie in a Sentinel-1 image: times, lines, pixels, and the geolocation grid.

Zero-Doppler azimuth time and slant range time are the physical coordinates of a SAR image. Here
they appear as *line* (azimuth time in units of the line interval, after the first line) and
*sample* (slant range time in units of the sampling interval, after the first sample). A TOPS image
is thought debursted: its lines continue over burst boundaries.

Two conventions matter at the level of a fraction of a pixel and are easily missed:

- Lines carry the azimuth time of mid-swath. At other ranges the zero-Doppler time differs by half
  the difference in two-way travel time (residual bistatic correction: "Guide to Sentinel-1
  Geocoding", UZH-S1-GC-AD 1.10; up to 0.2 line). The geolocation grid states true times, from which
  the correction is read.
- The polynomials that turn slant into ground range jump by up to tens of pixels between updates,
  one second apart; between updates they are interpolated linearly (as in Envisat ASAR's product
  handbook, §6.6.17, whose processor the Sentinel-1 processor descends from, and as xarray-sentinel
  does). The pixel numbers of the geolocation grid follow the nearest update instead; they are not
  used, its times are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from scipy.interpolate import PchipInterpolator, RectBivariateSpline
from scipy.spatial import cKDTree

from sarknowlip.sar.safe import TiePoints

Floats = npt.NDArray[np.float64]

LIGHT_M_PER_S = 299_792_458.0
SUBDIVISION = 8
"""Cells per cell of the geolocation grid in the dense grid that is inverted."""
ITERATIONS = 6
CONVERGED = 1e-6
"""Last step of the inversion, lines and columns of tie points."""
BEYOND = 0.25
"""How far beyond the grid positions are extrapolated, in units of its extent."""


@dataclass(frozen=True)
class GroundRange:
    """Slant range → ground range polynomials, interpolated linearly in azimuth.

    Attributes:
        line: Lines at which they are given, ascending, shape (updates,).
        origin_m: Slant range subtracted first, metres, shape (updates,).
        coefficients: Ascending powers, metres, shape (updates, degree + 1).
        spacing_m: Ground distance of two pixels.
    """

    line: Floats
    origin_m: Floats
    coefficients: Floats
    spacing_m: float

    def pixel(self, line: Floats, slant_range_m: Floats) -> Floats:
        """Return pixels of a ground-range image; pixel centres are whole numbers."""
        x = slant_range_m - np.interp(line, self.line, self.origin_m)
        ground = np.zeros_like(x)
        for column in self.coefficients.T[::-1]:
            ground *= x
            ground += np.interp(line, self.line, column)
        return ground / self.spacing_m


@dataclass(frozen=True)
class RadarGrid:
    """The time axes of one image.

    Attributes:
        line_interval_s: Azimuth time between lines.
        range_start_s: Two-way slant range time of sample 0.
        sampling_hz: Samples per second of two-way travel time.
        residual: Zero-Doppler time minus the time of the line, seconds, at sample 0, and its rise
            per second of two-way travel time: about ½, or 0 if the processor had none.
        ground: Ground-range polynomials; None for slant-range images, whose pixels are samples.
    """

    line_interval_s: float
    range_start_s: float
    sampling_hz: float
    residual: tuple[float, float]
    ground: GroundRange | None

    def line_sample(self, azimuth_s: Floats, range_s: Floats) -> tuple[Floats, Floats]:
        """Return lines and samples of zero-Doppler times.

        Args:
            azimuth_s: Zero-Doppler time, seconds after the first line.
            range_s: Two-way slant range time, seconds, same shape.
        """
        late = self.residual[0] + self.residual[1] * (range_s - self.range_start_s)
        line = (azimuth_s - late) / self.line_interval_s
        return line, (range_s - self.range_start_s) * self.sampling_hz

    def azimuth_s(self, line: Floats, sample: Floats) -> Floats:
        """Return zero-Doppler times, seconds after the first line, of lines at samples."""
        late = self.residual[0] + self.residual[1] * sample / self.sampling_hz
        return line * self.line_interval_s + late

    def pixel(self, line: Floats, sample: Floats) -> Floats:
        """Return the raster columns of samples; pixel centres are whole numbers."""
        if self.ground is None:
            return sample
        range_s = self.range_start_s + sample / self.sampling_hz
        return self.ground.pixel(line, range_s * (LIGHT_M_PER_S / 2.0))


def bistatic_residual(
    azimuth_s: Floats, line_s: Floats, range_s: Floats, range_start_s: float
) -> tuple[float, float]:
    """Fit zero-Doppler time minus line time against two-way travel time; see `RadarGrid.residual`.

    Args:
        azimuth_s: Zero-Doppler times of tie points, seconds, shape (rows, columns).
        line_s: Times of their lines, seconds, shape (rows,).
        range_s: Their slant range times, seconds, shape (rows, columns).
        range_start_s: Slant range time of sample 0.
    """
    slope, start = np.polyfit(
        (range_s - range_start_s).ravel(), (azimuth_s - line_s[:, None]).ravel(), 1
    )
    return float(start), float(slope)


class GeolocationGrid:
    """The annotation's geolocation grid, interpolated and inverted.

    Everything is a function of line and *column*, the fractional index of tie points in range: ties
    lie at whole columns, though their samples differ from row to row in ground-range images.

    A tie point's position depends smoothly on time and range, and roughly on its terrain height,
    which shifts it away from the sensor. The two are interpolated apart: the foot (where the point
    would lie at height zero, from the triangle of slant range and heights) and the sample by cubic
    splines, the shift by monotone (PCHIP) ones, which do not overshoot. All pass through the tie
    points.

    Args:
        ties: Tie points.
        line: Their lines, debursted, shape (rows,).
        sample: Their samples, shape (rows, columns).
    """

    def __init__(self, ties: TiePoints, line: Floats, sample: Floats) -> None:
        position = _ecef(ties.lon, ties.lat)
        foot = _feet(ties, position)
        columns = np.arange(sample.shape[1], dtype=np.float64)
        self.line, self.column = _subdivided(line), _subdivided(columns)
        order = {"kx": min(3, line.size - 1), "ky": min(3, columns.size - 1)}
        rough = PchipInterpolator(line, position - foot)(self.line)
        surface = PchipInterpolator(columns, rough, axis=1)(self.column)
        for axis in range(3):
            smooth = RectBivariateSpline(line, columns, foot[..., axis], **order)
            surface[..., axis] += smooth(self.line, self.column)
        self._place = [
            RectBivariateSpline(self.line, self.column, surface[..., axis]) for axis in range(3)
        ]
        self._sample = [RectBivariateSpline(line, columns, sample, **order)]
        self._tree = cKDTree(surface.reshape(-1, 3))

    def locate(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Return lines and samples of ground points at the heights of the grid.

        Args:
            lon: Degrees, any shape.
            lat: Degrees, same shape.

        Returns:
            Lines and samples, same shape; NaN further than `BEYOND` outside the grid.
        """
        shape = np.shape(lon)
        target = _ecef(np.ravel(lon), np.ravel(lat))
        _, nearest = self._tree.query(np.nan_to_num(target, posinf=0.0, neginf=0.0))
        row, index = np.unravel_index(nearest, (self.line.size, self.column.size))
        line, column = self.line[row], self.column[index]
        moving = np.arange(line.size)
        for _ in range(ITERATIONS):
            steps = self._newton(target[moving], line[moving], column[moving])
            line[moving] += steps[0]
            column[moving] += steps[1]
            moving = moving[(np.abs(steps) > CONVERGED).any(axis=0)]
            if not moving.size:
                break
        known = np.ones(line.shape, dtype=bool)
        for value, nodes in ((line, self.line), (column, self.column)):
            pad = BEYOND * (nodes[-1] - nodes[0])
            known &= (value > nodes[0] - pad) & (value < nodes[-1] + pad)
        sample = self._evaluate(self._sample, line, column)[0][..., 0]
        return (
            np.where(known, line, np.nan).reshape(shape),
            np.where(known, sample, np.nan).reshape(shape),
        )

    def lonlat(self, line: Floats, sample: Floats) -> tuple[Floats, Floats]:
        """Return longitudes and latitudes, degrees, of lines and samples of one shape."""
        middle = self._sample[0](self.line.mean(), self.column)[0]
        column = np.interp(sample, middle, self.column)
        for _ in range(ITERATIONS):
            value, _, by_column = self._evaluate(self._sample, line, column)
            column = column + (sample - value[..., 0]) / by_column[..., 0]
        x, y, z = np.moveaxis(self._evaluate(self._place, line, column)[0], -1, 0)
        place = Transformer.from_crs(4978, 4979, always_xy=True).transform(x, y, z)
        return np.asarray(place[0]), np.asarray(place[1])

    def _newton(self, target: Floats, line: Floats, column: Floats) -> Floats:
        """Return the steps in line and column that bring positions nearest to the targets."""
        value, by_line, by_column = self._evaluate(self._place, line, column)
        miss = target - value
        a, b, c = (
            (u * v).sum(axis=-1)
            for u, v in ((by_line, by_line), (by_line, by_column), (by_column, by_column))
        )
        p, q = (miss * by_line).sum(axis=-1), (miss * by_column).sum(axis=-1)
        return np.asarray(np.stack([c * p - b * q, a * q - b * p]) / (a * c - b * b))

    def _evaluate(
        self, splines: list[RectBivariateSpline], line: Floats, column: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return values and derivatives, shape (…, splines); linear beyond the grid."""
        at = [np.clip(line, *self.line[[0, -1]]), np.clip(column, *self.column[[0, -1]])]
        value, by_line, by_column = (
            np.stack([spline.ev(*at, dx=dx, dy=dy) for spline in splines], axis=-1)
            for dx, dy in ((0, 0), (1, 0), (0, 1))
        )
        value += by_line * (line - at[0])[..., None] + by_column * (column - at[1])[..., None]
        return value, by_line, by_column


def height_roughness(height: Floats) -> float:
    """Return how far tie-point heights lie from what their neighbours suggest: rms, metres.

    Each inner point is compared with the mean of its neighbours in range, twice as far apart as the
    grid: an upper estimate of the error of interpolating terrain between tie points.
    """
    middle = (height[:, :-2] + height[:, 2:]) / 2.0
    return float(np.sqrt(np.mean((height[:, 1:-1] - middle) ** 2)))


def _feet(ties: TiePoints, position: Floats) -> Floats:
    """Return where the tie points would lie at height zero, ECEF metres, shape (rows, columns, 3).

    Same slant range R and same zero-Doppler plane: with incidence θ the sensor is R·cos θ above the
    point and R·sin θ away, so that at height zero the distance is √(R² − (R·cos θ + h)²).
    """
    slant = ties.range_s * (LIGHT_M_PER_S / 2.0)
    angle = np.deg2rad(ties.incidence)
    below = slant * np.cos(angle) + ties.height
    shift = slant * np.sin(angle) - np.sqrt(np.maximum(slant**2 - below**2, 0.0))
    lon, lat = np.deg2rad(ties.lon), np.deg2rad(ties.lat)
    up = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    away = np.gradient(position, axis=1)
    away -= (away * up).sum(axis=-1, keepdims=True) * up
    away /= np.linalg.norm(away, axis=-1, keepdims=True)
    moved = position - shift[..., None] * away
    to_lonlat = Transformer.from_crs(4978, 4979, always_xy=True)
    foot_lon, foot_lat, _ = to_lonlat.transform(*np.moveaxis(moved, -1, 0))
    return _ecef(np.asarray(foot_lon), np.asarray(foot_lat))


def _ecef(lon: Floats, lat: Floats) -> Floats:
    """Return points of the ellipsoid's surface, ECEF metres, shape (…, 3)."""
    move = Transformer.from_crs(4979, 4978, always_xy=True)
    return np.stack(move.transform(lon, lat, np.zeros_like(lon)), axis=-1)


def _subdivided(nodes: Floats) -> Floats:
    index = np.arange((nodes.size - 1) * SUBDIVISION + 1) / SUBDIVISION
    return np.asarray(np.interp(index, np.arange(nodes.size), nodes))
