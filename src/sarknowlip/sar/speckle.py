"""Speckle filters for multilook intensity (linear power), and multilooking by whole factors.

Speckle of L looks multiplies backscatter by a gamma variable of mean 1 and variance 1 / L. The
filters differ in what they assume about backscatter within a window:

- "lee": any distribution, linear minimum mean square error estimate. J.-S. Lee, IEEE TPAMI 2(2),
  1980, in the multiplicative form of Lee, Computer Graphics and Image Processing 17, 1981.
- "refined-lee": the same within the half of the window that lies on the pixel's side of an edge.
  J.-S. Lee, same volume, pp. 380-389; J.-S. Lee et al., IEEE TGRS 37(5), 1999.
- "gamma-map": gamma-distributed backscatter, maximum a posteriori, homogeneous areas averaged and
  point targets kept. A. Lopes et al., IGARSS 1990. The most probable value lies a little below the
  mean: even ground of 4.4 looks darkens by 1.3 % in a window of 7 pixels, by 0.9 % in one of 11.

A filtered pixel depends on pixels at most `reach(window)` away: blocks that overlap by that much
give the same result as the whole. Pixels without data (NaN) stay so and are never counted; nor are
places beyond the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError

Floats = npt.NDArray[np.float64]
Power = npt.NDArray[np.float32]
Method = Literal["lee", "refined-lee", "gamma-map"]

SMALLEST = {"lee": 3, "refined-lee": 5, "gamma-map": 3}


class SpeckleConfig(Config):
    """A filter and its settings.

    Attributes:
        method: Filter.
        looks: Equivalent number of looks; None takes what the product states.
        window: Edge of the window in pixels, odd.
    """

    method: Method
    looks: float | None = Field(None, gt=0.0)
    window: int = Field(7, ge=3, le=63)


def despeckle(power: Power, method: Method, looks: float, window: int = 7) -> Power:
    """Return filtered power.

    Args:
        power: Linear power, shape (…, rows, columns), NaN for no data. Bands are filtered apart.
        method: Filter.
        looks: Equivalent number of looks of `power`.
        window: Edge of the filter's window in pixels, odd, at least 3 ("refined-lee": 5).

    Returns:
        Same shape, NaN where `power` is.

    Raises:
        ConfigError: Unknown method, looks not positive, or an unusable window.
    """
    if method not in _FILTERS:
        known = ", ".join(get_args(Method))
        raise ConfigError(f"no speckle filter {method!r}", f"choose one of {known}")
    if not looks > 0:
        raise ConfigError(f"the number of looks is {looks}", "give a positive number")
    if window % 2 == 0 or window < SMALLEST[method]:
        raise ConfigError(
            f"window {window} does not suit filter {method}",
            f"give an odd number of at least {SMALLEST[method]}",
        )
    result = np.empty(power.shape, dtype=np.float32)
    for band in np.ndindex(power.shape[:-2]):
        values = power[band].astype(np.float64)
        valid = np.isfinite(values)
        filtered = _FILTERS[method](np.where(valid, values, 0.0), valid, looks, window)
        result[band] = np.where(valid, filtered, np.nan)
    return result


def reach(window: int) -> int:
    """Return how many pixels beyond a block a filter needs on each side."""
    return window // 2


def multilook(power: Power, rows: int, columns: int) -> Power:
    """Return the mean power of blocks of pixels; NaN pixels don't count.

    Args:
        power: Linear power, shape (…, rows, columns). Pixels beyond the last whole block are left
            out.
        rows: Rows of a block.
        columns: Columns of a block.

    Raises:
        ConfigError: A block is empty or larger than the image.
    """
    height, width = power.shape[-2] // max(rows, 1), power.shape[-1] // max(columns, 1)
    if min(rows, columns, height, width) < 1:
        raise ConfigError(
            f"cannot average {rows} × {columns} pixels of an image of "
            f"{power.shape[-2]} × {power.shape[-1]}",
            "give smaller positive factors",
        )
    whole = power[..., : height * rows, : width * columns]
    blocks = whole.reshape(*power.shape[:-2], height, rows, width, columns)
    valid = np.isfinite(blocks)
    count = valid.sum(axis=(-3, -1))
    total = np.where(valid, blocks, 0).sum(axis=(-3, -1), dtype=np.float64)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return np.asarray(mean, dtype=np.float32)


def _lee(values: Floats, valid: npt.NDArray[np.bool_], looks: float, window: int) -> Floats:
    return _estimate(values, *_moments(values, valid, np.ones((window, window))), looks)


def _refined_lee(values: Floats, valid: npt.NDArray[np.bool_], looks: float, window: int) -> Floats:
    side = _side(values, valid, window)
    mean, square = np.empty_like(values), np.empty_like(values)
    for index, mask in enumerate(_halves(window)):
        here = side == index
        if here.any():
            moments = _moments(values, valid, mask)
            mean[here], square[here] = moments[0][here], moments[1][here]
    return _estimate(values, mean, square, looks)


def _gamma_map(values: Floats, valid: npt.NDArray[np.bool_], looks: float, window: int) -> Floats:
    mean, square = _moments(values, valid, np.ones((window, window)))
    speckle = 1.0 / looks
    spread = _relative_variance(mean, square)
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = (1.0 + speckle) / (spread - speckle)
        linear = shape - looks - 1.0
        root = np.sqrt((mean * linear) ** 2 + 4.0 * shape * looks * mean * np.maximum(values, 0.0))
        textured = (linear * mean + root) / (2.0 * shape)
    even = (spread <= speckle) | (mean <= 0.0)
    return np.where(even, mean, np.where(spread >= 2.0 * speckle, values, textured))


_FILTERS: dict[str, Callable[[Floats, npt.NDArray[np.bool_], float, int], Floats]] = {
    "lee": _lee,
    "refined-lee": _refined_lee,
    "gamma-map": _gamma_map,
}


def _estimate(values: Floats, mean: Floats, square: Floats, looks: float) -> Floats:
    """Return the linear minimum mean square error estimate under multiplicative noise."""
    speckle = 1.0 / looks
    spread = _relative_variance(mean, square)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = (1.0 - speckle / spread) / (1.0 + speckle)
    gain = np.where(spread > speckle, gain, 0.0)
    return mean + gain * (values - mean)


def _relative_variance(mean: Floats, square: Floats) -> Floats:
    """Return variance over squared mean, 0 where the mean is not positive."""
    variance = np.maximum(square - mean**2, 0.0)
    return np.divide(variance, mean**2, out=np.zeros_like(mean), where=mean > 0.0)


def _moments(values: Floats, valid: npt.NDArray[np.bool_], mask: Floats) -> tuple[Floats, Floats]:
    """Return the mean and the mean square of valid pixels under a mask around each pixel.

    Sums are made afresh for each pixel, not by running sums, whose rounding residue behind a bright
    target exceeds the power of dark ground.
    """
    count = _sum(valid.astype(np.float64), mask)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, square = _sum(values, mask) / count, _sum(values**2, mask) / count
    return mean, square


def _sum(values: Floats, mask: Floats) -> Floats:
    if mask.all():
        for axis, size in enumerate(mask.shape):
            values = ndimage.correlate1d(values, np.ones(size), axis=axis, mode="constant")
        return values
    return np.asarray(ndimage.correlate(values, mask, mode="constant"))


def _side(values: Floats, valid: npt.NDArray[np.bool_], window: int) -> npt.NDArray[np.intp]:
    """Return which of `_halves` each pixel belongs to.

    The window is summed up by 3 × 3 means of small squares. Of four directions the one with the
    steepest gradient is that of the edge; the pixel lies on the side whose mean is nearer to that
    of the middle.
    """
    half = window // 2
    size = half - (half + 1) % 2
    offset = half - size // 2
    small, _ = _moments(values, valid, np.ones((max(size, 1), max(size, 1))))
    whole, _ = _moments(values, valid, np.ones((window, window)))
    # A square around no data or beyond the edge is taken to be like the whole window.
    padded = np.pad(np.where(valid, small, np.nan), offset, constant_values=np.nan)
    rows, columns = values.shape
    m = [
        [
            padded[r * offset : r * offset + rows, c * offset : c * offset + columns]
            for c in range(3)
        ]
        for r in range(3)
    ]
    m = [[np.where(np.isfinite(square), square, whole) for square in row] for row in m]
    ends = [
        (m[1][0], m[1][2], sum(m[r][2] - m[r][0] for r in range(3))),
        (m[0][1], m[2][1], sum(m[2][c] - m[0][c] for c in range(3))),
        (m[0][2], m[2][0], m[0][1] + m[0][2] + m[1][2] - m[1][0] - m[2][0] - m[2][1]),
        (m[0][0], m[2][2], m[0][0] + m[0][1] + m[1][0] - m[1][2] - m[2][1] - m[2][2]),
    ]
    steepest = np.argmax(np.stack([np.abs(gradient) for *_, gradient in ends]), axis=0)
    second = np.stack([np.abs(b - m[1][1]) < np.abs(a - m[1][1]) for a, b, _ in ends])
    chosen = np.take_along_axis(second, steepest[None], axis=0)[0]
    return np.asarray(2 * steepest + chosen)


def _halves(window: int) -> list[Floats]:
    """Return masks of the eight halves of a window, each with the line through its middle."""
    at = np.arange(window) - window // 2
    row, column = np.meshgrid(at, at, indexing="ij")
    sides = (column, row, row - column, row + column)
    masks = [(side <= 0, side >= 0) for side in sides]
    return [mask.astype(np.float64) for pair in masks for mask in pair]
