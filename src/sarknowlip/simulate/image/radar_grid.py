"""The ground-range image of a scanning or stripmap radar: lines of zero-Doppler time.

Lines follow zero-Doppler azimuth time, columns ground range on the ellipsoid at a reference height,
into which slant range is turned by one polynomial for the whole image, as the coordinateConversion
of a Sentinel-1 annotation states it (S1-RS-MDA-52-7441, §6.3.1.9). The Sentinel-1 processor updates
the polynomial every second; over a world of tens of kilometres one suffices. Its lines carry the
time of mid-swath, ours the zero-Doppler time at every range (a difference of up to 0.2 line).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Polynomial

from sarknowlip.core.errors import GeometryError
from sarknowlip.simulate.frame import Bounds, Floats, Frame
from sarknowlip.simulate.image.orbit import EARTH_RADIUS, Orbit, local_axes
from sarknowlip.simulate.image.smooth import SmoothMap
from sarknowlip.simulate.sensors.profile import SensorProfile

POLAR_RADIUS = 6_356_752.314245
"""Semi-minor axis of WGS 84, metres."""
DEGREE = 8
"""Of the range polynomials, as in Sentinel-1 annotation."""
MARGIN_M = 500.0
"""Ground beyond the world that an image shows by default: responses and layover fit in. Chosen."""

TOLERANCE_PX = 1e-4
"""Greatest difference between fitted and exact positions."""
TOLERANCE_DEG = 1e-5
"""Greatest difference between fitted and exact incidence angles."""

_AROUND_M = 2_000.0
_UPRIGHT_M = 2_000.0
"""Ground around the world, and heights about the reference, for which positions are fitted."""
_EDGE_POINTS = 9
_PROFILE_POINTS = 2001
_BEYOND_M = 5_000.0
"""Slant range beyond the image over which the polynomials are fitted too, for what is high."""
_STEP_M = 500.0
_CLOSE_PX = 1e-4
_ITERATIONS = 30


@dataclass(frozen=True, eq=False)
class GroundRangeGrid:
    """An `ImageGeometry` with azimuth lines as rows and ground-range samples as columns.

    Attributes:
        orbit: Path of the radar.
        frame: UTM zone of the ground.
        centre: x, y and height of the scene's middle.
        bounds: The world's extent; around it positions come from fitted polynomials.
        shape: Lines and samples.
        first_s: Zero-Doppler time of line 0, seconds after the orbit's start.
        interval_s: Time between lines.
        near_m: Slant range of sample 0 at all lines.
        to_ground: Ground range, metres, of slant range beyond `near_m`; ascending powers.
        to_slant: Slant range, metres, of ground range; ascending powers.
        spacing_m: Ground range and azimuth spacing.
        reference_height_m: Ellipsoidal height at which ground range is measured.
        look_deg: Level direction from the radar to the centre, degrees from grid north.
    """

    orbit: Orbit
    frame: Frame
    centre: tuple[float, float, float]
    bounds: Bounds
    shape: tuple[int, int]
    first_s: float
    interval_s: float
    near_m: float
    to_ground: Floats
    to_slant: Floats
    spacing_m: tuple[float, float]
    reference_height_m: float
    look_deg: float

    @classmethod
    def over(
        cls,
        frame: Frame,
        bounds: Bounds,
        reference_height_m: float,
        orbit: Orbit,
        profile: SensorProfile,
        *,
        margin_m: float = MARGIN_M,
    ) -> Self:
        """Return the grid that covers bounds, at the profile's spacing.

        Args:
            frame: UTM zone of the bounds.
            bounds: What is to be seen.
            reference_height_m: Mean ellipsoidal height of the terrain.
            orbit: Path of the radar.
            profile: Gives the spacing.
            margin_m: Ground shown beyond the bounds on all sides.
        """
        centre = (*bounds.centre, reference_height_m)
        edge = _outline(bounds.padded(margin_m))
        corners = frame.ecef(*edge, reference_height_m)
        t, slant = orbit.zero_doppler(corners)
        near = float(slant.min())
        ground, beyond = _ground_profile(orbit, corners, reference_height_m)
        start = float(np.interp(near, beyond, ground))
        to_ground = _fitted(beyond - near, ground - start)
        to_slant = _fitted(ground - start, beyond)
        interval = profile.spacing_azimuth_m / _ground_speed(orbit, frame, centre)
        # Annotation states times in whole microseconds.
        first = math.floor(float(t.min()) * 1e6) / 1e6
        width = float(_value(to_ground, slant.max() - near))
        return cls(
            orbit=orbit,
            frame=frame,
            centre=centre,
            bounds=bounds,
            shape=(
                math.ceil((float(t.max()) - first) / interval) + 1,
                math.ceil(width / profile.spacing_range_m) + 1,
            ),
            first_s=first,
            interval_s=interval,
            near_m=near,
            to_ground=to_ground,
            to_slant=to_slant,
            spacing_m=(profile.spacing_range_m, profile.spacing_azimuth_m),
            reference_height_m=reference_height_m,
            look_deg=orbit.look_deg(frame, centre),
        )

    def positions(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns at which ground points at rest appear; same shape."""
        row, column = self._forward(x, y, z)
        return row, column

    def exact_positions(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Return `positions` without approximation; same shape."""
        points = self.frame.ecef(x, y, z)
        t, slant = self.orbit.zero_doppler(points.reshape(3, -1))
        row = (t - self.first_s) / self.interval_s
        column = _value(self.to_ground, slant - self.near_m) / self.spacing_m[0]
        return row.reshape(points.shape[1:]), column.reshape(points.shape[1:])

    def ground(self, row: Floats, column: Floats, height_m: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return x and y of the points at an ellipsoidal height that appear at pixels.

        Newton's method with the Jacobian of the scene's centre: rows and columns are almost linear
        in x and y, so that each step leaves some thousandths of the miss.

        Args:
            row: Any shape.
            column: Same shape.
            height_m: One height, or one per pixel.

        Raises:
            GeometryError: No ground is seen there, so far from the scene.
        """
        row, column = np.asarray(row, dtype=np.float64), np.asarray(column, dtype=np.float64)
        height = np.asarray(height_m, dtype=np.float64)
        x, y = np.full(row.shape, self.centre[0]), np.full(row.shape, self.centre[1])
        for _ in range(_ITERATIONS):
            at_row, at_column = self.positions(x, y, height)
            miss = np.stack([row - at_row, column - at_column])
            step = np.tensordot(self._metres, miss, axes=1)
            x, y = x + step[0], y + step[1]
            if not (np.abs(miss) > _CLOSE_PX).any():
                return x, y
        raise GeometryError(
            "no ground is seen at some pixels", "ask for pixels within the image or near it only"
        )

    def incidence_deg(self, x: Floats, y: Floats) -> Floats:
        """Return incidence angles on the ellipsoid at the reference height, degrees."""
        (angle,) = self._incidence(x, y, self.reference_height_m)
        return angle

    @cached_property
    def _forward(self) -> SmoothMap:
        area, height = self.bounds.padded(_AROUND_M), self.reference_height_m
        low = area.west, area.south, height - _UPRIGHT_M
        high = area.east, area.north, height + _UPRIGHT_M
        return SmoothMap.fit(self.exact_positions, low, high, TOLERANCE_PX)

    @cached_property
    def _incidence(self) -> SmoothMap:
        area, height = self.bounds.padded(_AROUND_M), self.reference_height_m
        low, high = (area.west, area.south, height), (area.east, area.north, height)
        return SmoothMap.fit(self._exact_incidence, low, high, TOLERANCE_DEG)

    # A method, not a closure: a geometry is pickled for worker processes.

    def _exact_incidence(self, x: Floats, y: Floats, height: Floats) -> tuple[Floats]:
        shape = np.shape(x)
        lon, lat = self.frame.lonlat(np.ravel(x), np.ravel(y))
        return (self.orbit.incidence_deg(lon, lat, self.reference_height_m).reshape(shape),)

    def displacement(self, x: Floats, y: Floats, vx: Floats, vy: Floats) -> tuple[Floats, Floats]:
        """Return by how many rows and columns motion (m/s over ground) shifts a point.

        A radial velocity v moves the response along track by −R · v / V (Raney 1971).
        """
        x, y, vx, vy = np.broadcast_arrays(x, y, vx, vy)
        ahead = self.frame.ecef(x + vx, y + vy, self.reference_height_m).reshape(3, -1)
        behind = self.frame.ecef(x - vx, y - vy, self.reference_height_m).reshape(3, -1)
        points = (ahead + behind) / 2
        t, slant = self.orbit.zero_doppler(points)
        place, flight = self.orbit.state_vectors(t)
        radial = ((points - place) * (ahead - behind) / 2).sum(axis=0) / slant
        metres = -slant * radial / np.linalg.norm(flight, axis=0)
        rows = (metres / self.spacing_m[1]).reshape(x.shape)
        return rows, np.zeros(x.shape)

    def axes(self, row: float, column: float) -> Floats:
        """Return pixels per metre, [[∂row/∂range, ∂row/∂azimuth], [∂col/…, ∂col/…]].

        The same at all pixels: the spacing varies by less than a thousandth over 30 km. As Earth
        turns, rows also tilt against range by 0.2°, which is left out.
        """
        return np.array([[0.0, 1.0 / self.spacing_m[1]], [1.0 / self.spacing_m[0], 0.0]])

    def time_s(self, row: Floats) -> Floats:
        """Return zero-Doppler times of rows, seconds after the orbit's start."""
        return np.asarray(self.first_s + np.asarray(row) * self.interval_s)

    def slant_m(self, column: Floats) -> Floats:
        """Return slant ranges of columns, metres."""
        ground = np.asarray(column, dtype=np.float64) * self.spacing_m[0]
        beyond = _value(self.to_slant, ground) - self.near_m
        slope = self.to_ground[1:] * np.arange(1, self.to_ground.size)
        for _ in range(2):  # what the fit of the inverse left
            beyond = beyond - (_value(self.to_ground, beyond) - ground) / _value(slope, beyond)
        return np.asarray(beyond + self.near_m)

    @cached_property
    def _metres(self) -> Floats:
        """Metres in x and y per row and column at the centre, shape (2, 2)."""
        x, y, height = self.centre
        shift = _STEP_M * np.array([1.0, -1.0, 0.0, 0.0])
        rows, columns = self.positions(x + shift, y + shift[::-1], np.full(4, height))
        slopes = [[v[0] - v[1], v[3] - v[2]] for v in (rows, columns)]
        return np.asarray(np.linalg.inv(np.array(slopes) / (2 * _STEP_M)))


def _outline(bounds: Bounds) -> tuple[Floats, Floats]:
    """Return points along the edges of bounds."""
    x = np.linspace(bounds.west, bounds.east, _EDGE_POINTS)
    y = np.linspace(bounds.south, bounds.north, _EDGE_POINTS)
    one = np.ones(_EDGE_POINTS)
    return (
        np.concatenate([x, x, bounds.west * one, bounds.east * one]),
        np.concatenate([bounds.south * one, bounds.north * one, y, y]),
    )


def _ground_profile(orbit: Orbit, edge: Floats, height_m: float) -> tuple[Floats, Floats]:
    """Return ground and slant ranges along the curve that is abeam at time 0, ascending.

    The curve lies on the ellipsoid grown by a height, and spans the ranges of Earth-fixed points.
    """
    place, flight = (v[:, 0] for v in orbit.state_vectors(0.0))
    t, slant = orbit.zero_doppler(edge)
    ahead = flight / np.linalg.norm(flight)
    down = -place / np.linalg.norm(place)
    down = down - (down @ ahead) * ahead
    down /= np.linalg.norm(down)
    side = np.cross(down, ahead) * (-1.0 if orbit.right else 1.0)
    axes = np.array([EARTH_RADIUS, EARTH_RADIUS, POLAR_RADIUS]) + height_m
    above = orbit.position(t)
    nadir = np.arccos(((above - edge) * above).sum(axis=0) / (slant * orbit.radius_m))
    reach = _BEYOND_M / float(slant.min())
    angle = np.linspace(nadir.min() - reach, nadir.max() + reach, _PROFILE_POINTS)
    sight = np.outer(down, np.cos(angle)) + np.outer(side, np.sin(angle))
    # |(place + s · sight) / axes| = 1, nearer solution
    p, q = place / axes, sight / axes[:, None]
    a, b, c = (q * q).sum(axis=0), p @ q, p @ p - 1.0
    ranges = (-b - np.sqrt(b * b - a * c)) / a
    points = place[:, None] + ranges * sight
    steps = np.linalg.norm(np.diff(points, axis=1), axis=0)
    return np.concatenate([[0.0], np.cumsum(steps)]), np.asarray(ranges)


def _ground_speed(orbit: Orbit, frame: Frame, centre: tuple[float, float, float]) -> float:
    """Return how fast the line abeam moves over the ground at a place, m/s."""
    place = frame.ecef(*centre)
    t, _ = orbit.zero_doppler(place[:, None])
    _, _, up = local_axes(*(float(v) for v in frame.lonlat(*centre[:2])))
    along = np.cross(up, place - orbit.position(t)[:, 0])
    along *= _STEP_M / np.linalg.norm(along)
    later, _ = orbit.zero_doppler(np.stack([place + along, place - along], axis=1))
    return float(2 * _STEP_M / abs(later[0] - later[1]))


def _fitted(x: Floats, y: Floats) -> Floats:
    """Return coefficients, ascending powers, of the polynomial nearest to points."""
    return np.asarray(Polynomial.fit(x, y, DEGREE).convert().coef, dtype=np.float64)


def _value(coefficients: Floats, x: npt.ArrayLike) -> Floats:
    """Return a polynomial's values, ascending powers (Horner)."""
    x = np.asarray(x)
    result = np.full(x.shape, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result *= x
        result += coefficient
    return result
