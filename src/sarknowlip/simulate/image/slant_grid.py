"""Zero-Doppler slant range images: rows are slant range, near to far, columns are times abeam.

Columns run with time when the radar looks right and against it when it looks left, so that rows
times columns point away from Earth and shadows fall downwards, as SICD wants (NGA.STND.0024-1,
section 2.4).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.frame import Bounds, Floats, Frame
from sarknowlip.simulate.image.abeam import AbeamGrid
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.sensors.profile import SensorProfile

MARGIN_M = 20.0
"""Shown beyond the world by default, so that responses at its edge are whole. Chosen."""


@dataclass(frozen=True, eq=False)
class SlantRangeGrid(AbeamGrid):
    """A complex image's grid; see `image.contract.ImageGeometry`.

    Attributes:
        centre_pixel: Row and column of the scene's centre, at the reference height.
        centre_time_s: When that is abeam, seconds of the orbit.
        centre_range_m: How far away it is then.
        row_spacing_m: Slant range per row, metres.
        column_spacing_m: Along the ground track at the centre, metres, positive.
        seconds_per_column: Negative if columns run against time.
    """

    centre_pixel: tuple[int, int]
    centre_time_s: float
    centre_range_m: float
    row_spacing_m: float
    column_spacing_m: float
    seconds_per_column: float

    @classmethod
    def over(
        cls,
        frame: Frame,
        bounds: Bounds,
        reference_height_m: float,
        orbit: Orbit,
        profile: SensorProfile,
        *,
        heights: tuple[float, float] | None = None,
        margin_m: float = MARGIN_M,
    ) -> Self:
        """Return the grid in which everything in a world appears.

        Args:
            frame: UTM zone of the world.
            bounds: Its extent.
            reference_height_m: Ellipsoidal height at which pixel areas are counted.
            orbit: Of the radar; gives the side, too.
            profile: Gives the spacing.
            heights: Least and greatest ellipsoidal height of anything in the world, metres; the
                reference height alone by default.
            margin_m: Shown beyond the world on all sides, metres along rows and columns.
        """
        low, high = heights or (reference_height_m, reference_height_m)
        heights = min(low, reference_height_m), max(high, reference_height_m)
        place = frame.ecef(*bounds.centre, reference_height_m)
        t, slant = (float(v[0]) for v in orbit.zero_doppler(place[:, None]))
        grid = cls(
            frame=frame,
            orbit=orbit,
            bounds=bounds,
            heights=heights,
            reference_height_m=reference_height_m,
            shape=(1, 1),
            centre_pixel=(0, 0),
            centre_time_s=t,
            centre_range_m=slant,
            row_spacing_m=profile.spacing_range_m,
            column_spacing_m=profile.spacing_azimuth_m,
            seconds_per_column=1.0,
        )
        x, y = grid.exact_ground(
            t + np.array([-0.01, 0.01]), np.full(2, slant), np.full(2, reference_height_m)
        )
        speed = float(np.hypot(x[1] - x[0], y[1] - y[0])) / 0.02
        seconds = profile.spacing_azimuth_m / speed * (1.0 if orbit.right else -1.0)
        grid = dataclasses.replace(grid, seconds_per_column=seconds)

        step = np.linspace(0.0, 1.0, 17)
        east, north = (v.ravel() for v in np.meshgrid(step * bounds.width, step * bounds.height))
        seen = [
            grid.exact_positions(bounds.west + east, bounds.south + north, np.full(east.shape, z))
            for z in heights
        ]
        rows, columns = np.concatenate(seen, axis=1)
        margin = margin_m / profile.spacing_range_m, margin_m / profile.spacing_azimuth_m
        top, left = math.ceil(margin[0] - rows.min()), math.ceil(margin[1] - columns.min())
        bottom, right = math.ceil(margin[0] + rows.max()), math.ceil(margin[1] + columns.max())
        return dataclasses.replace(
            grid, shape=(top + bottom + 1, left + right + 1), centre_pixel=(top, left)
        )

    @property
    def spacing_m(self) -> tuple[float, float]:
        """Size of a pixel, rows along slant range, columns along track, metres."""
        return self.row_spacing_m, self.column_spacing_m

    def pixels(self, t: Floats, slant: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns of times abeam (s) and slant ranges (m)."""
        row = (slant - self.centre_range_m) / self.row_spacing_m + self.centre_pixel[0]
        column = (t - self.centre_time_s) / self.seconds_per_column + self.centre_pixel[1]
        return np.asarray(row), np.asarray(column)

    def abeam(self, row: Floats, column: Floats) -> tuple[Floats, Floats]:
        """Return times abeam (s) and slant ranges (m) of pixels."""
        slant = (np.asarray(row) - self.centre_pixel[0]) * self.row_spacing_m + self.centre_range_m
        t = (np.asarray(column) - self.centre_pixel[1]) * self.seconds_per_column
        return np.asarray(t + self.centre_time_s), np.asarray(slant)

    def axes(self, row: float, column: float) -> npt.NDArray[np.float64]:
        """Return pixels per metre; range is slant range, see `AbeamGrid.axes`."""
        axes = super().axes(row, column)
        axes[:, 0] = 1.0 / self.row_spacing_m, 0.0
        return axes

    def outline(self) -> list[tuple[int, int]]:
        """Return rows and columns of the world's corners at the reference height.

        They are whole, clockwise with rows down, and start at the least row, as SICD's ValidData.
        """
        b = self.bounds
        x, y = (
            np.array([b.west, b.east, b.east, b.west]),
            np.array([b.north, b.north, b.south, b.south]),
        )
        rows, columns = self.positions(x, y, np.full(4, self.reference_height_m))
        corners = [(round(float(r)), round(float(c))) for r, c in zip(rows, columns, strict=True)]
        area = sum(
            c0 * r1 - c1 * r0
            for (r0, c0), (r1, c1) in zip(corners, [*corners[1:], corners[0]], strict=True)
        )
        if area < 0:
            corners.reverse()
        first = corners.index(min(corners))
        return corners[first:] + corners[:first]
