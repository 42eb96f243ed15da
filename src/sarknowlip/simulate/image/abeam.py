"""What all zero-Doppler images have in common: a pixel is a time abeam and a slant range.

Times and ranges come from the exact orbit; between them and pixels stands what a subclass says.
Whole arrays go through polynomials fitted to the exact solution (`image.smooth`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sarknowlip.core.errors import GeometryError
from sarknowlip.simulate.frame import Bounds, Floats, Frame
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.image.smooth import SmoothMap

TOLERANCE_PX = 1e-3
"""Greatest difference between fitted and exact positions."""
TOLERANCE_DEG = 1e-5
"""Greatest difference between fitted and exact incidence angles."""
MARGIN_M = 1000.0
"""Ground beyond the world, metres, for which positions are fitted, too."""
HEADROOM_M = 600.0
"""Heights below and above the world's, metres, for which positions are fitted, too."""

_STEP_M = 10.0
_CONVERGED_M = 1e-6
_ITERATIONS = 25


@dataclass(frozen=True, eq=False)
class AbeamGrid(ABC):
    """An `image.contract.ImageGeometry` whose pixels are times abeam and slant ranges.

    Attributes:
        frame: UTM zone of the world.
        orbit: Of the radar.
        bounds: The world's extent.
        heights: Least and greatest ellipsoidal height of anything in it, metres.
        reference_height_m: Ellipsoidal height at which pixel areas are counted.
        shape: Rows and columns.
    """

    frame: Frame
    orbit: Orbit
    bounds: Bounds
    heights: tuple[float, float]
    reference_height_m: float
    shape: tuple[int, int]

    @abstractmethod
    def pixels(self, t: Floats, slant: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns of times abeam (s) and slant ranges (m), exactly."""

    @abstractmethod
    def abeam(self, row: Floats, column: Floats) -> tuple[Floats, Floats]:
        """Return times abeam (s) and slant ranges (m) of pixels, exactly."""

    @property
    @abstractmethod
    def spacing_m(self) -> tuple[float, float]:
        """Size of a pixel on the ground, rows and columns, metres."""

    @cached_property
    def look_deg(self) -> float:
        """Level direction from the radar to the scene, degrees clockwise from grid north."""
        return self.orbit.look_deg(self.frame, (*self.bounds.centre, self.reference_height_m))

    def positions(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns at which ground points at rest appear; same shape."""
        row, column = self._forward(x, y, z)
        return row, column

    def ground(self, row: Floats, column: Floats, height_m: float) -> tuple[Floats, Floats]:
        """Return x and y of the points at one ellipsoidal height that appear at pixels."""
        x, y = self._backward(row, column, height_m)
        return x, y

    def incidence_deg(self, x: Floats, y: Floats) -> Floats:
        """Return the angle between the ellipsoid's normal and the sight line, degrees."""
        (angle,) = self._incidence(x, y, self.reference_height_m)
        return angle

    def displacement(self, x: Floats, y: Floats, vx: Floats, vy: Floats) -> tuple[Floats, Floats]:
        """Return by how many rows and columns motion (m/s over ground) shifts a point.

        A point that recedes at v m/s has no Doppler shift where the range to its place at rest
        shrinks at v: −v / R̈ seconds from abeam, about −R · v / V² (Raney 1971), R̈ being the
        second derivative of that range at rest.
        """
        x, y, vx, vy = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (x, y, vx, vy)))
        rows, columns = np.zeros(x.shape), np.zeros(x.shape)
        moving = (vx != 0) | (vy != 0)
        if moving.any():
            x, y, vx, vy = x[moving], y[moving], vx[moving], vy[moving]
            place = self.frame.ecef(x, y, self.reference_height_m)
            later = self.frame.ecef(x + vx, y + vy, self.reference_height_m)
            t, slant = self.orbit.zero_doppler(place)
            sight = (place - self.orbit.position(t)) / slant
            recession = (sight * (later - place)).sum(axis=0)
            early, late = (np.linalg.norm(place - self.orbit.position(t + s), axis=0)
                           for s in (-0.5, 0.5))  # fmt: skip
            curvature = (early + late - 2 * slant) / 0.25
            shifted = self.pixels(t - recession / curvature, slant)
            still = self.pixels(t, slant)
            rows[moving], columns[moving] = shifted[0] - still[0], shifted[1] - still[1]
        return rows, columns

    def axes(self, row: float, column: float) -> npt.NDArray[np.float64]:
        """Return pixels per metre at a pixel, [[∂row/∂range, ∂row/∂azimuth], [∂col/…, ∂col/…]].

        Range and azimuth are lengths on the ground unless a subclass says otherwise; azimuth is
        along track, positive with time.
        """
        t, slant = (float(v[0]) for v in self.abeam(np.array([row]), np.array([column])))
        far, later = _STEP_M / 2, 1e-3
        times, ranges = t + later * np.array([-1, 1, 0, 0]), slant + far * np.array([0, 0, -1, 1])
        x, y = self.exact_ground(times, ranges, np.full(4, self.reference_height_m))
        metres = np.hypot(x[1::2] - x[::2], y[1::2] - y[::2])[::-1]
        rows, columns = self.pixels(times, ranges)
        steps = np.array([rows[1::2] - rows[::2], columns[1::2] - columns[::2]])[:, ::-1]
        return np.asarray(steps / metres)

    def exact_positions(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Return `positions` without approximation, arrays of shape (n,)."""
        return self.pixels(*self.orbit.zero_doppler(self.frame.ecef(x, y, z)))

    def exact_ground(self, t: Floats, slant: Floats, height: Floats) -> tuple[Floats, Floats]:
        """Return x and y of points with times abeam, slant ranges and heights, shape (n,).

        Raises:
            GeometryError: There are none near the scene.
        """
        x, y = (np.full(t.shape, v) for v in self.bounds.centre)
        for _ in range(_ITERATIONS):
            here, east, north = (
                np.stack(self.orbit.zero_doppler(self.frame.ecef(x + dx, y + dy, height)))
                for dx, dy in ((0.0, 0.0), (_STEP_M, 0.0), (0.0, _STEP_M))
            )
            slopes = np.stack([east - here, north - here], axis=-1) / _STEP_M
            missing = np.stack([t, slant]) - here
            step = np.linalg.solve(np.moveaxis(slopes, 0, 1), missing.T[..., None])[..., 0]
            x, y = x + step[:, 0], y + step[:, 1]
            if np.abs(step).max(initial=0.0) < _CONVERGED_M:
                return x, y
        raise GeometryError(
            "pixels too far from the scene have no place on the ground", "ask for pixels near it"
        )

    @cached_property
    def _upright(self) -> tuple[float, float]:
        return self.heights[0] - HEADROOM_M, self.heights[1] + HEADROOM_M

    @cached_property
    def _forward(self) -> SmoothMap:
        low, high = self._upright
        area = self.bounds.padded(MARGIN_M)
        return SmoothMap.fit(
            self.exact_positions,
            (area.west, area.south, low),
            (area.east, area.north, high),
            TOLERANCE_PX,
        )

    @cached_property
    def _backward(self) -> SmoothMap:
        low, high = self._upright
        margin = [MARGIN_M / metres for metres in self.spacing_m]
        return SmoothMap.fit(
            self._exact_backward,
            (-margin[0], -margin[1], low),
            (self.shape[0] + margin[0], self.shape[1] + margin[1], high),
            TOLERANCE_PX * min(self.spacing_m),
        )

    @cached_property
    def _incidence(self) -> SmoothMap:
        area, height = self.bounds.padded(MARGIN_M), self.reference_height_m
        low, high = (area.west, area.south, height), (area.east, area.north, height)
        return SmoothMap.fit(self._exact_incidence, low, high, TOLERANCE_DEG)

    # Methods, not closures: a geometry is pickled for worker processes.

    def _exact_backward(self, row: Floats, column: Floats, height: Floats) -> tuple[Floats, Floats]:
        return self.exact_ground(*self.abeam(row, column), height)

    def _exact_incidence(self, x: Floats, y: Floats, height: Floats) -> tuple[Floats]:
        lon, lat = self.frame.lonlat(x, y)
        return (self.orbit.incidence_deg(lon, lat, self.reference_height_m),)
