"""Speckle of partly developed looks: white circular noise through the impulse response.

Every look is √power times an endless keyed noise field, convolved with the response; the looks are
weighted so that the average has exactly the equivalent number of looks a product states, as
overlapping and tapered looks of real processors have less than their count.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.optimize import brentq

from sarknowlip.core.errors import ConfigError
from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Floats

Complex = npt.NDArray[np.complex128]


@functools.cache
def look_weights(looks: int, enl: float) -> tuple[float, ...]:
    """Return weights of looks, sum 1, whose equivalent number 1/Σw² is `enl`.

    They fall geometrically, which reaches every number from 1 to `looks`.

    Raises:
        ConfigError: `enl` is below 1 or above `looks`.
    """
    if not 1.0 <= enl <= looks:
        raise ConfigError(
            f"enl {enl:g} of {looks} looks", f"the sensor profile's enl must be 1…{looks}"
        )
    order = np.arange(looks)

    def excess(ratio: float) -> float:
        w = ratio**order
        return float(w.sum() ** 2 / (w**2).sum()) - enl

    ratio = 1.0 if enl == looks else 0.0 if enl == 1.0 else float(brentq(excess, 0.0, 1.0))
    weights = ratio**order / (ratio**order).sum()
    return tuple(float(w) for w in weights)


@dataclass(frozen=True)
class Blur:
    """Convolution with one kernel, of windows of one shape.

    Attributes:
        kernel: Odd shape.
        shape: Rows and columns that come out; windows have the kernel's half-width more each side.
    """

    kernel: Floats
    shape: tuple[int, int]

    @property
    def half(self) -> tuple[int, int]:
        """Rows and columns that are lost on each side."""
        return self.kernel.shape[0] // 2, self.kernel.shape[1] // 2

    def __call__(self, window: npt.NDArray[np.inexact]) -> Complex:
        """Return the valid part of the convolution."""
        transfer = self._transfer
        spectrum = fft.fft2(window, transfer.shape)
        spectrum *= transfer
        top, left = 2 * self.half[0], 2 * self.half[1]
        full = fft.ifft2(spectrum, overwrite_x=True)
        return np.asarray(full[top : top + self.shape[0], left : left + self.shape[1]])

    @functools.cached_property
    def _transfer(self) -> Complex:
        size = [
            fft.next_fast_len(n + k - 1) for n, k in zip(self.shape, self.kernel.shape, strict=True)
        ]
        return np.asarray(fft.fft2(self.kernel, size))


@dataclass(frozen=True)
class Pair:
    """Two polarisations whose speckle is correlated.

    Attributes:
        first: Place of the one among the polarisations.
        second: Place of the other.
        correlation: ⟨first second*⟩ at every pixel of the window, modulus ≤ 1.
    """

    first: int
    second: int
    correlation: npt.NDArray[np.complexfloating]


def noise(
    seed: int,
    look: int,
    place: tuple[int, int],
    shape: tuple[int, int],
    *,
    polarizations: tuple[str, ...],
    pairs: tuple[Pair, ...] = (),
) -> list[npt.NDArray[np.complexfloating]]:
    """Return one look's white noise of every polarisation on a window, mean power 1.

    Args:
        seed: Of the acquisition.
        look: Number of the look.
        place: First row and column, may be negative.
        shape: Rows and columns.
        polarizations: "HH", …
        pairs: What is correlated; no polarisation may be in two. All others are independent.
    """
    fields: list[npt.NDArray[np.complexfloating]] = [
        keyed.complex_noise(seed, f"speckle/{look}/{name}", *place, shape) for name in polarizations
    ]
    for pair in pairs:
        common = np.conj(pair.correlation) * fields[pair.first]
        rest = np.sqrt(np.maximum(1.0 - np.abs(pair.correlation) ** 2, 0.0))
        fields[pair.second] = common + rest * fields[pair.second]
    return fields
