"""Images on a north-up map grid that know no relief (geocoded, ellipsoid corrected).

A point appears where a point at the reference height would have its time abeam and its slant range:
a higher one nearer to the radar by about (z − reference) · cot(incidence).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from affine import Affine

from sarknowlip.simulate.frame import Bounds, Floats, Frame
from sarknowlip.simulate.image.abeam import AbeamGrid
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.sensors.profile import SensorProfile


@dataclass(frozen=True, eq=False)
class MapGrid(AbeamGrid):
    """A geocoded image's grid; see `image.contract.ImageGeometry`.

    Attributes:
        west: Left edge of the image, UTM metres, a multiple of the spacing.
        north: Upper edge.
        pixel_m: Edge of a pixel, metres.
    """

    west: float
    north: float
    pixel_m: float

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
        margin_m: float = 0.0,
    ) -> Self:
        """Return the grid that covers a world's bounds.

        Args:
            frame: UTM zone of the world.
            bounds: Its extent.
            reference_height_m: Ellipsoidal height of the surface on which the image lies.
            orbit: Of the radar.
            profile: Gives the spacing, that of ground range.
            heights: Least and greatest ellipsoidal height of anything in the world, metres; the
                reference height alone by default.
            margin_m: Ground around the bounds that the image shows, too.
        """
        pixel = profile.spacing_range_m
        area = bounds.padded(margin_m)
        left, top = math.floor(area.west / pixel), math.ceil(area.north / pixel)
        return cls(
            frame=frame,
            orbit=orbit,
            bounds=bounds,
            heights=heights or (reference_height_m, reference_height_m),
            reference_height_m=reference_height_m,
            shape=(top - math.floor(area.south / pixel), math.ceil(area.east / pixel) - left),
            west=left * pixel,
            north=top * pixel,
            pixel_m=pixel,
        )

    @property
    def spacing_m(self) -> tuple[float, float]:
        """Size of a pixel, metres."""
        return self.pixel_m, self.pixel_m

    @property
    def transform(self) -> Affine:
        """From column and row of pixel corners to UTM metres."""
        return Affine(self.pixel_m, 0.0, self.west, 0.0, -self.pixel_m, self.north)

    def pixels(self, t: Floats, slant: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns of times abeam (s) and slant ranges (m)."""
        x, y = self.exact_ground(t, slant, np.full(np.shape(t), self.reference_height_m))
        return (self.north - y) / self.pixel_m - 0.5, (x - self.west) / self.pixel_m - 0.5

    def abeam(self, row: Floats, column: Floats) -> tuple[Floats, Floats]:
        """Return times abeam (s) and slant ranges (m) of pixels."""
        x = self.west + (np.asarray(column) + 0.5) * self.pixel_m
        y = self.north - (np.asarray(row) + 0.5) * self.pixel_m
        return self.orbit.zero_doppler(self.frame.ecef(x, y, self.reference_height_m))
