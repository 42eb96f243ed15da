"""What the renderer knows of an image's geometry and of the world's scatterers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.frame import Floats


class ImageGeometry(Protocol):
    """Relates ground (UTM metres, ellipsoidal heights) to one image. Pixel centres are whole."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def look_deg(self) -> float:
        """Level direction from radar to scene, degrees clockwise from grid north, at the centre."""

    @property
    def reference_height_m(self) -> float:
        """Ellipsoidal height at which pixel areas are counted."""

    def positions(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Return rows and columns at which ground points at rest appear; same shape."""

    def ground(self, row: Floats, column: Floats, height_m: float) -> tuple[Floats, Floats]:
        """Return x and y of the points at one ellipsoidal height that appear at pixels."""

    def incidence_deg(self, x: Floats, y: Floats) -> Floats:
        """Return incidence angles on the ellipsoid, degrees."""

    def displacement(self, x: Floats, y: Floats, vx: Floats, vy: Floats) -> tuple[Floats, Floats]:
        """Return by how many rows and columns motion (m/s over ground) shifts a point.

        A radial velocity v moves the response along track by −R · v / V (Raney 1971).
        """

    def axes(self, row: float, column: float) -> npt.NDArray[np.float64]:
        """Return pixels per metre at a pixel, [[∂row/∂range, ∂row/∂azimuth], [∂col/…, ∂col/…]].

        Range is slant or ground range as the sensor profile's resolution is; azimuth is along
        track, positive with time.
        """


@dataclass(frozen=True)
class Scatterers:
    """Points that send power back; n points, P polarisations.

    Attributes:
        x: UTM metres, shape (n,).
        y: UTM metres.
        z: Ellipsoidal metres.
        rcs: Radar cross-section, square metres, shape (P, n).
        phase: Radians, shape (n,); used for coherent scatterers only.
        vx: Velocity over ground, m/s, shape (n,).
        vy: Likewise, northward.
        copol: Complex correlation of HH and VV, shape (n,), modulus ≤ 1.
    """

    x: Floats
    y: Floats
    z: Floats
    rcs: Floats
    phase: Floats
    vx: Floats
    vy: Floats
    copol: npt.NDArray[np.complex128]

    @classmethod
    def at(cls, x: Floats, y: Floats, z: Floats, rcs: Floats, **others: Any) -> Self:
        """Return scatterers at rest with zero phase and no correlation unless given."""
        n = len(x)
        zero = np.zeros(n)
        given = {"phase": zero, "vx": zero, "vy": zero, "copol": np.zeros(n, complex)} | others
        return cls(x, y, z, np.broadcast_to(rcs, (len(rcs), n)), **given)

    def __len__(self) -> int:
        return len(self.x)
