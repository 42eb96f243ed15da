"""The impulse response of a SAR image: one look of one point, as processed spectra make it.

The processor weights a band of width B with W(f) = α + (1 − α) cos(2πf/B), the generalised Hamming
window (Cumming & Wong, Digital Processing of Synthetic Aperture Radar Data, Artech House 2005,
§2.3). Its transform is a sum of three sinc functions; α = 1 leaves the sinc alone, whose highest
sidelobe is 13.26 dB below the peak. The response of an image is the product of one in range and
one along track, wherever these directions lie in the pixel grid.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from sarknowlip.simulate.frame import Floats

REACH = 10
"""Half-width of the speckle's kernel and of weak points' responses, resolution cells."""


@functools.cache
def width_factor(alpha: float) -> float:
    """Return the −3 dB width of the response times the bandwidth (0.886 for α = 1)."""

    def above_half(t: float) -> float:
        return float(_unscaled(np.array(t), alpha) / alpha) ** 2 - 0.5

    return 2.0 * float(brentq(above_half, 0.0, 1.0, xtol=1e-12))


def response(t: npt.ArrayLike, alpha: float) -> Floats:
    """Return the amplitude at distances t from the peak, in units of the −3 dB width.

    It has unit energy: the integral of its square over t is 1.
    """
    factor = width_factor(alpha)
    energy = (alpha**2 + (1.0 - alpha) ** 2 / 2.0) / factor
    return np.asarray(_unscaled(np.asarray(t) * factor, alpha) / np.sqrt(energy))


def _unscaled(bt: Floats, alpha: float) -> Floats:
    side = np.sinc(bt - 1.0) + np.sinc(bt + 1.0)
    return np.asarray(alpha * np.sinc(bt) + (1.0 - alpha) / 2.0 * side)


@dataclass(frozen=True)
class ImpulseResponse:
    """The response on one pixel grid.

    Attributes:
        alpha: Coefficient of the generalised Hamming window, 0.5…1.
        resolution_m: −3 dB widths in range and along track, metres.
        axes: Pixels per metre, [[∂row/∂range, ∂row/∂azimuth], [∂col/∂range, ∂col/∂azimuth]].
    """

    alpha: float
    resolution_m: tuple[float, float]
    axes: npt.NDArray[np.float64]

    @property
    def cells(self) -> npt.NDArray[np.float64]:
        """Resolution cells per pixel, [[range/row, range/col], [azimuth/row, azimuth/col]]."""
        return np.asarray(np.linalg.inv(self.axes) / np.array(self.resolution_m)[:, None])

    @property
    def peak(self) -> float:
        """Power of a pixel on a point of unit power: the share that falls on the peak pixel."""
        return float(response(0.0, self.alpha) ** 4 * abs(np.linalg.det(self.cells)))

    def half_widths(self, reach: float = REACH) -> tuple[int, int]:
        """Return rows and columns that `reach` resolution cells take at most, either side."""
        pixels = np.abs(self.axes) @ (np.array(self.resolution_m) * reach)
        return int(np.ceil(pixels[0])), int(np.ceil(pixels[1]))

    def at(self, rows: Floats, columns: Floats) -> Floats:
        """Return amplitudes at offsets from a point, pixels; the sum of squares over pixels is 1.

        The sum holds on grids that sample the band (spacing × bandwidth ≤ 1), over all pixels.
        """
        cells = self.cells
        across = response(cells[0, 0] * rows + cells[0, 1] * columns, self.alpha)
        along = response(cells[1, 0] * rows + cells[1, 1] * columns, self.alpha)
        return np.asarray(across * along * np.sqrt(abs(np.linalg.det(cells))))

    @property
    def separable(self) -> bool:
        """Whether range and azimuth run along rows and columns, in either order."""
        cells = self.cells
        straight, crossed = abs(cells[0, 0] * cells[1, 1]), abs(cells[0, 1] * cells[1, 0])
        return bool(min(straight, crossed) <= 1e-9 * max(straight, crossed))

    def factors(self, rows: Floats, columns: Floats, reach: int) -> tuple[Floats, Floats]:
        """Return what `around` is the product of, if the response is `separable`.

        Returns:
            Along rows, shape (n, 2 half rows + 1), and along columns, (n, 2 half columns + 1).
        """
        i, j = self._offsets(rows, columns, reach)
        per_row, per_column = np.abs(self.cells).max(axis=0)
        scale = np.sqrt(abs(np.linalg.det(self.cells)))
        return response(i * per_row, self.alpha) * scale, response(j * per_column, self.alpha)

    def around(self, rows: Floats, columns: Floats, reach: int) -> Floats:
        """Return the responses of points on windows of pixels.

        Args:
            rows: Row of each point less that of its window's central pixel, shape (n,).
            columns: Likewise.
            reach: Half-width of the windows, resolution cells.

        Returns:
            Amplitudes, shape (n, 2 half rows + 1, 2 half columns + 1).
        """
        if not self.separable:
            i, j = self._offsets(rows, columns, reach)
            return self.at(i[:, :, None], j[:, None, :])
        by_row, by_column = self.factors(rows, columns, reach)
        return np.asarray(by_row[:, :, None] * by_column[:, None, :])

    def _offsets(self, rows: Floats, columns: Floats, reach: int) -> tuple[Floats, Floats]:
        half_rows, half_columns = self.half_widths(reach)
        i = np.arange(-half_rows, half_rows + 1) - rows[:, None]
        return i, np.arange(-half_columns, half_columns + 1) - columns[:, None]

    def kernel(self) -> Floats:
        """Return the response around a pixel out to `REACH`, with a sum of squares of exactly 1."""
        zero = np.zeros(1)
        kernel = self.around(zero, zero, REACH)[0]
        return np.asarray(kernel / np.sqrt((kernel**2).sum()))
