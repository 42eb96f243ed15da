"""A circular orbit over the turning Earth, and the times at which it passes points abeam.

In an inertial frame that coincides with the Earth-fixed one at time 0, the satellite is at
r(t) = a (û cos nt + ŵ sin nt), with n = √(GM / a³) (Kepler). Earth-fixed positions are these turned
back by Earth's rotation. Constants are those of WGS 84 (NGA.STND.0036, 2014, table 3.1). Precession
of the node and drag are left out: over a minute they are far below what a state vector states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from scipy.optimize import brentq

from sarknowlip.core.errors import GeometryError
from sarknowlip.simulate.frame import Floats, Frame
from sarknowlip.simulate.sensors.profile import SensorProfile, View

GM = 3.986004418e14
"""Gravitational constant times Earth's mass, m³/s²."""
EARTH_RATE = 7.292115e-5
"""Earth's rotation, rad/s."""
EARTH_RADIUS = 6_378_137.0
"""Equatorial radius, metres."""

_BLOCK = 1 << 14
"""Points solved together; a block's temporaries stay in the processor's cache."""
_CONVERGED = 1e-10
"""Last Newton step, seconds; the next would be its square."""
_ITERATIONS = 12
_REACH = 0.5
"""Radians of the orbit before and after its start within which points can be located."""


@dataclass(frozen=True, eq=False)
class Orbit:
    """A circular orbit, Earth-fixed; times are seconds after `start`.

    Attributes:
        radius_m: Distance from Earth's centre.
        abeam: Unit vector to the satellite at time 0, Earth-fixed, shape (3,).
        ahead: Unit vector of its inertial velocity at time 0, Earth-fixed, shape (3,).
        start: Time 0, UTC.
        ascending: Whether it flies north.
        right: Whether the radar looks to the right.
        relative_orbit: Number in the constellation's repeat cycle, None as it isn't modelled.
    """

    radius_m: float
    abeam: Floats
    ahead: Floats
    start: np.datetime64
    ascending: bool
    right: bool
    relative_orbit: int | None = None

    @classmethod
    def past(
        cls, frame: Frame, centre: tuple[float, float, float], profile: SensorProfile, view: View
    ) -> Self:
        """Return the orbit that has a place abeam, at the view's incidence angle, at time 0.

        Args:
            frame: UTM zone of the place.
            centre: Its x, y and ellipsoidal height, metres.
            profile: Gives altitude, inclination and what incidence angles and sides are possible.
            view: Gives pass, side, incidence angle (against the ellipsoid's normal) and time 0.

        Raises:
            GeometryError: The sensor cannot look so, or the orbit doesn't reach the latitude.
        """
        _check(profile, view)
        place = frame.ecef(*centre)
        lon, lat = (float(v) for v in frame.lonlat(*centre[:2]))
        radius = EARTH_RADIUS + 1e3 * profile.altitude_km
        east, north, up = local_axes(lon, lat)
        tilt = np.deg2rad(view.incidence_deg)
        ascending, right = view.orbit_state == "ascending", view.look == "right"

        def state(azimuth: npt.ArrayLike) -> tuple[Floats, Floats]:
            """Return where the satellite is seen at azimuths, and its inertial direction."""
            angle = np.atleast_1d(azimuth)
            level = np.outer(north, np.cos(angle)) + np.outer(east, np.sin(angle))
            sight = np.cos(tilt) * up[:, None] + np.sin(tilt) * level
            closest = place @ sight
            slant = np.sqrt(closest**2 + radius**2 - place @ place) - closest
            abeam = (place[:, None] + slant * sight) / radius
            return abeam, _course(abeam, profile.inclination_deg, ascending)

        def doppler(azimuth: npt.ArrayLike) -> Floats:
            abeam, ahead = state(azimuth)
            return np.asarray(place @ _ground_velocity(abeam, ahead, radius)) / 1e10

        azimuths = np.deg2rad(np.arange(0.0, 361.0))
        at = doppler(azimuths)  # NaN where the orbit is out of reach, which has no sign
        for i in np.flatnonzero(at[:-1] * at[1:] <= 0):
            azimuth = brentq(lambda a: float(doppler(a)[0]), *azimuths[i : i + 2], xtol=1e-15)
            abeam, ahead = (v[:, 0] for v in state(azimuth))
            velocity = _ground_velocity(abeam[:, None], ahead[:, None], radius)[:, 0]
            if (np.cross(velocity, abeam) @ place > 0) == right:
                moment = np.datetime64(view.start.removesuffix("Z"), "ns")
                return cls(radius, abeam, ahead, moment, ascending, right)
        raise GeometryError(
            f"no {view.orbit_state} orbit of {profile.name}, inclined {profile.inclination_deg}°, "
            f"sees latitude {lat:.2f}° {view.look}-looking at {view.incidence_deg}°",
            "choose another pass, side, incidence angle or place",
        )

    @property
    def rate(self) -> float:
        """Angular velocity in the inertial frame, rad/s."""
        return float(np.sqrt(GM / self.radius_m**3))

    @property
    def heading_deg(self) -> float:
        """Direction of the ground track at time 0, degrees clockwise from true north, 0…360."""
        lon, lat, _ = self._nadir()
        east, north, _ = local_axes(lon, lat)
        velocity = self.velocity(0.0)[:, 0]
        return float(np.rad2deg(np.arctan2(velocity @ east, velocity @ north)) % 360.0)

    @property
    def altitude_m(self) -> float:
        """Height of the satellite above the ellipsoid at time 0."""
        return self._nadir()[2]

    @property
    def ascending_node(self) -> tuple[float, float]:
        """Time of the last northward crossing of the equator, seconds, and longitude, degrees."""
        pole = np.cross(self.abeam, self.ahead)
        node = np.array([-pole[1], pole[0], 0.0]) / np.hypot(pole[0], pole[1])
        past = np.arctan2(self.abeam @ np.cross(pole, node), self.abeam @ node) % (2 * np.pi)
        seconds = -float(past) / self.rate
        longitude = np.arctan2(node[1], node[0]) - EARTH_RATE * seconds
        return seconds, float((np.rad2deg(longitude) + 180.0) % 360.0 - 180.0)

    def utc(self, t: float) -> np.datetime64:
        """Return the time of day of seconds after `start`, to nanoseconds."""
        return np.datetime64(self.start + np.timedelta64(round(t * 1e9), "ns"))

    def position(self, t: npt.ArrayLike) -> Floats:
        """Return Earth-fixed metres, shape (3, n), of times of shape (n,) or a single time."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        return _turned(self.radius_m * self._direction(t), -EARTH_RATE * t)

    def velocity(self, t: npt.ArrayLike) -> Floats:
        """Return velocities against the turning Earth, m/s, shape (3, n)."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        phase = self.rate * t
        ahead = np.outer(self.ahead, np.cos(phase)) - np.outer(self.abeam, np.sin(phase))
        inertial = _ground_velocity(self._direction(t), ahead, self.radius_m)
        return _turned(inertial, -EARTH_RATE * t)

    def state_vectors(self, times: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return Earth-fixed positions and velocities, each of shape (3, n)."""
        return self.position(times), self.velocity(times)

    def zero_doppler(self, ecef: Floats) -> tuple[Floats, Floats]:
        """Return when points at rest are abeam, and how far away they are then.

        A point P is abeam when P · S(t) is stationary (|S| is constant, so S · V = 0). That product
        is a sum of six sinusoids of t, whose zero slope Newton's method finds from t = 0.

        Args:
            ecef: Earth-fixed metres, shape (3, n).

        Returns:
            Seconds (to 1e-9 s or better) and slant ranges in metres, each of shape (n,); NaN where
            a point is.

        Raises:
            GeometryError: A point is passed more than half a radian of the orbit away from time 0.
        """
        points = np.asarray(ecef, dtype=np.float64)
        t, slant = np.empty(points.shape[1]), np.empty(points.shape[1])
        for first in range(0, t.size, _BLOCK):
            part = slice(first, first + _BLOCK)
            t[part], slant[part] = self._abeam(points[:, part])
        return t, slant

    def incidence_deg(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, height_m: npt.ArrayLike
    ) -> Floats:
        """Return the angle between the ellipsoid's normal and the sight line, degrees, at points.

        Args:
            lon: Degrees, shape (n,).
            lat: Degrees, shape (n,).
            height_m: Ellipsoidal height, of each or of all.
        """
        lon, lat = np.atleast_1d(np.asarray(lon)), np.atleast_1d(np.asarray(lat))
        move = Transformer.from_crs(4979, 4978, always_xy=True)
        points = np.stack(move.transform(lon, lat, np.broadcast_to(height_m, lon.shape)))
        t, slant = self.zero_doppler(points)
        _, _, up = local_axes(lon, lat)
        rise = ((self.position(t) - points) * up).sum(axis=0)
        return np.asarray(np.rad2deg(np.arccos(rise / slant)))

    def look_deg(self, frame: Frame, centre: tuple[float, float, float]) -> float:
        """Return the level direction from the radar to a place, degrees clockwise from grid north.

        Args:
            frame: UTM zone of the place.
            centre: Its x, y and ellipsoidal height, metres.
        """
        place = frame.ecef(*centre)
        t, _ = self.zero_doppler(place[:, None])
        sight = place - self.position(t)[:, 0]
        east, north, _ = local_axes(*(float(v) for v in frame.lonlat(*centre[:2])))
        azimuth = np.rad2deg(np.arctan2(sight @ east, sight @ north))
        return float((azimuth - frame.convergence_deg(*centre[:2])) % 360.0)

    def _abeam(self, points: Floats) -> tuple[Floats, Floats]:
        """Solve one block; see `zero_doppler`."""
        n, w, a = self.rate, EARTH_RATE, self.radius_m
        (ux, uy, uz), (wx, wy, wz) = self.abeam, self.ahead
        # P · S = a [(b cos nt + d sin nt) cos wt + (c cos nt + e sin nt) sin wt + f cos nt + …]
        level = a * np.array([[ux, uy, 0], [uy, -ux, 0], [wx, wy, 0], [wy, -wx, 0]])
        b, c, d, e = level @ points
        f, g = a * uz * points[2], a * wz * points[2]
        t = np.zeros(points.shape[1])
        for _ in range(_ITERATIONS):
            cos_n, sin_n, cos_w, sin_w = np.cos(n * t), np.sin(n * t), np.cos(w * t), np.sin(w * t)
            even, odd = b * cos_w + c * sin_w + f, d * cos_w + e * sin_w + g
            turn_even, turn_odd = c * cos_w - b * sin_w, e * cos_w - d * sin_w
            slope = (n * odd + w * turn_even) * cos_n + (w * turn_odd - n * even) * sin_n
            pull = n * n * (even * cos_n + odd * sin_n) + w * w * (
                (even - f) * cos_n + (odd - g) * sin_n
            )
            twist = 2 * n * w * (turn_odd * cos_n - turn_even * sin_n)
            step = slope / (pull - twist)
            t += step
            if not (np.abs(step) > _CONVERGED).any():
                break
        if not ((np.abs(step) > _CONVERGED) | (np.abs(n * t) > _REACH)).any():
            product = even * cos_n + odd * sin_n + step * slope / 2
            return t, np.sqrt((points * points).sum(axis=0) + a * a - 2 * product)
        raise GeometryError(
            "points too far along the orbit from its start to find when they are abeam",
            "ask for points near the scene only",
        )

    def _direction(self, t: Floats) -> Floats:
        phase = self.rate * t
        return np.asarray(np.outer(self.abeam, np.cos(phase)) + np.outer(self.ahead, np.sin(phase)))

    def _nadir(self) -> tuple[float, float, float]:
        move = Transformer.from_crs(4978, 4979, always_xy=True)
        x, y, z = (float(v) for v in self.radius_m * self.abeam)
        lon, lat, height = move.transform(x, y, z)
        return float(lon), float(lat), float(height)


def local_axes(lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return unit vectors east, north and up (ellipsoid's normal), Earth-fixed, shape (3, …)."""
    lon, lat = np.deg2rad(np.asarray(lon)), np.deg2rad(np.asarray(lat))
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)])
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    up = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return east, north, up


def _check(profile: SensorProfile, view: View) -> None:
    least, _, greatest = profile.incidence_deg
    if not least <= view.incidence_deg <= greatest:
        raise GeometryError(
            f"{profile.name} cannot look at {view.incidence_deg}°",
            f"choose an incidence angle from {least}° to {greatest}°",
        )
    if view.look not in profile.look_sides:
        raise GeometryError(
            f"{profile.name} does not look {view.look}",
            f"it looks {' or '.join(profile.look_sides)}",
        )


def _course(abeam: Floats, inclination_deg: float, ascending: bool) -> Floats:
    """Return inertial directions of flight at places on the orbit's sphere; NaN beyond reach."""
    axis = np.array([0.0, 0.0, 1.0])
    level = np.hypot(abeam[0], abeam[1])
    east = np.stack([-abeam[1], abeam[0], np.zeros_like(level)]) / level
    north = (axis[:, None] - abeam[2] * abeam) / level
    eastward = np.cos(np.deg2rad(inclination_deg)) / level
    with np.errstate(invalid="ignore"):
        northward = np.sqrt(1.0 - eastward**2) * (1.0 if ascending else -1.0)
    return np.asarray(eastward * east + northward * north)


def _ground_velocity(direction: Floats, ahead: Floats, radius: float) -> Floats:
    """Return inertial velocities less those of the turning Earth, inertial axes, shape (3, n)."""
    speed = np.sqrt(GM / radius)
    east = np.stack([-direction[1], direction[0], np.zeros_like(direction[0])])
    return np.asarray(speed * ahead - EARTH_RATE * radius * east)


def _turned(vector: Floats, angle: Floats) -> Floats:
    """Return vectors, shape (3, n), turned about Earth's axis by angles, shape (n,)."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = vector
    return np.stack([x * cos - y * sin, x * sin + y * cos, z])
