"""A linear head for each pixel on frozen patch features.

As the linear segmentation protocol of DINOv2 (Oquab et al., TMLR 2024, §7.4): features of cells are
enlarged bilinearly to the grid of labels, and a linear classifier tells each pixel's class. Since
both are linear, scores of cells are computed and then enlarged. The classifier is the one of whole
pictures (`probes.linear`), learned from a fixed number of labelled pixels; its strength is chosen
within train by whole groups.

Pixels are drawn so that the share of a class is proportional to the square root of its frequency:
midway between the frequencies as they are, with which rare classes would never be told, and equal
shares, with which they would be told far too often. It is the same for all models and tasks.

Legend of array names: N windows, B of a batch, G cells along an edge, F width of features, H rows,
W columns, K classes, P pixels drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.probes.linear import Linear, LinearConfig, fit_linear

Wholes = npt.NDArray[np.int64]

PIXELS = 16_384
"""Labelled pixels that a head learns from, at most."""


LINEAR = LinearConfig(strengths=(1e-2, 1e-3, 1e-4, 1e-5), folds=3)
"""Fewer choices than for whole pictures, since rows are many."""


@dataclass(frozen=True)
class Pixels:
    """Labelled pixels of windows, window by window.

    Attributes:
        window: Index of the window of each (P,).
        row: In its window (P,).
        column: In its window (P,).
        label: Class (P,).
    """

    window: Wholes
    row: Wholes
    column: Wholes
    label: Wholes


def drawn_pixels(
    labels: Callable[[], Iterable[Wholes]], classes: int, *, seed: int, most: int = PIXELS
) -> Pixels:
    """Draw labelled pixels, of each class in proportion to the square root of its frequency.

    Args:
        labels: Yields the labels of each window, -1 for none, always the same; asked twice, so that
            only one window need be in memory.
        classes: K; labels are below.
        seed: Of the draw.
        most: Pixels drawn, fewer where there are fewer.

    Raises:
        BenchError: No pixel has a label.
    """
    counts_NK = np.stack(
        [np.bincount(one[one >= 0].ravel(), minlength=classes) for one in labels()]
    )
    total_K = counts_NK.sum(axis=0)
    if not total_K.any():
        raise BenchError("no pixel of train has a label", "choose another data set")
    share_K = np.sqrt(total_K) / np.sqrt(total_K).sum()
    quota_K = np.minimum(total_K, np.ceil(share_K * most).astype(np.int64))
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = [
        np.sort(generator.choice(total, size=quota, replace=False, shuffle=False))
        for total, quota in zip(total_K, quota_K, strict=True)
    ]
    ends_NK = np.cumsum(counts_NK, axis=0)
    parts = []
    for number, one in enumerate(labels()):
        for label in range(classes):
            start, end = ends_NK[number, label] - counts_NK[number, label], ends_NK[number, label]
            low, high = np.searchsorted(drawn[label], [start, end])
            if low < high:
                own = np.flatnonzero(one == label)[drawn[label][low:high] - start]
                rows, columns = np.divmod(own, one.shape[1])
                same = np.full((2, len(own)), [[number], [label]])
                parts.append(np.stack([same[0], rows, columns, same[1]]))
    return Pixels(*np.concatenate(parts, axis=1))


class DenseHead:
    """Scores of classes at each pixel; make it with `fit`.

    Args:
        linear: From features of a place to scores.
    """

    def __init__(self, linear: Linear) -> None:
        self.linear = linear

    @classmethod
    def fit(
        cls,
        chunks: Iterable[tuple[slice, Floats32]],
        pixels: Pixels,
        groups: Sequence[str],
        *,
        sides: Sequence[int],
        classes: int,
    ) -> DenseHead:
        """Learn from pixels drawn.

        Args:
            chunks: Yields which windows, and their patches (B, G, G, F); all in order.
            pixels: What is learned from.
            groups: Group of each window.
            sides: Pixels along an edge of each window.
            classes: K; some may have no pixel, and are never told.
        """
        order = np.argsort(pixels.window, kind="stable")
        of_window = pixels.window[order]
        x_PF: Floats32 | None = None
        for place, patches_BGGF in chunks:
            if x_PF is None:
                x_PF = np.empty((len(order), patches_BGGF.shape[-1]), dtype=np.float32)
            for window, patches_GGF in enumerate(patches_BGGF, place.start):
                low, high = np.searchsorted(of_window, [window, window + 1])
                own = order[low:high]
                at = (pixels.row[own], pixels.column[own])
                x_PF[own] = sampled(np.asarray(patches_GGF), *at, sides[window])
        assert x_PF is not None, "no window"
        own_groups = [groups[window] for window in pixels.window]
        return cls(fit_linear(x_PF, pixels.label, own_groups, classes=classes, config=LINEAR))

    def __call__(self, patches_GGF: Floats32, side: int) -> Wholes:
        """Return the class of each pixel of a window, (side, side)."""
        known = np.flatnonzero(np.isfinite(self.linear.bias))
        cells_GGK = self.linear.scores(patches_GGF.reshape(-1, patches_GGF.shape[-1]))[:, known]
        grid = cells_GGK.reshape(*patches_GGF.shape[:2], -1)
        return np.asarray(known[enlarged(grid, (side, side)).argmax(axis=-1)], dtype=np.int64)


def enlarged(values_GGK: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Return values of cells at the pixels they cover, bilinear, (H, W, K).

    Beyond the middles of the outermost cells values stay as they are there.
    """
    down, across = (
        _weights(np.arange(length), length, cells).astype(values_GGK.dtype)
        for length, cells in zip(size, values_GGK.shape[:2], strict=True)
    )
    wide_GWK = np.einsum("wh,ghk->gwk", across, values_GGK, optimize=True)
    return np.asarray(np.einsum("rg,gwk->rwk", down, wide_GWK, optimize=True))


def sampled(patches_GGF: Floats32, rows_P: Wholes, columns_P: Wholes, side: int) -> Floats32:
    """Return what `enlarged` to (side, side) has at some pixels, (P, F)."""
    down_PG = _weights(rows_P, side, patches_GGF.shape[0]).astype(np.float32)
    across_PG = _weights(columns_P, side, patches_GGF.shape[1]).astype(np.float32)
    cells_GF = patches_GGF.reshape(-1, patches_GGF.shape[-1])
    shares = (down_PG[:, :, None] * across_PG[:, None, :]).reshape(len(rows_P), len(cells_GF))
    return np.asarray(shares @ cells_GF, dtype=np.float32)


def _weights(pixels_P: Wholes, length: int, cells: int) -> Floats:
    """Return how much each cell along an edge matters at each pixel, (P, G)."""
    place_P = np.clip((pixels_P + 0.5) * cells / length - 0.5, 0.0, cells - 1.0)
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(place_P[:, None] - np.arange(cells))))
