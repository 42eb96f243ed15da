"""Straight bright or dark lines: roads, canals, runways, quays, rails, hedges.

A line is told by the ratio of mean powers in three parallel strips, which speckle alone exceeds at
a known rate (detector D1 of Tupin et al., "Detection of linear features in SAR images", IEEE TGRS
36(2), 1998): the middle differs from *both* sides the same way. In gamma speckle of L looks the
ratio of means of m and n pixels is F(2Lm, 2Ln) distributed. The threshold allows `FALSE_LINES` in
a tile, by the number of strips tried. Where ratios all over the tile spread more than speckle
explains (texture, correlated pixels) its logarithm grows as much as their spread.

Sums along strips of 16, 32 and 64 pixels come from the fast discrete Radon transform (Brady, "A
fast discrete approximation algorithm for the Radon transform", SIAM J. Comput. 27(1), 1998), by
means of 1, 2 and 4 pixels squared for wider lines. What exceeds is fitted at both ends, grown along
its axis as far as it goes on, and must not hang on single bright pixels. Then all that is told
of the same line is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d
from scipy.stats import f as f_distribution

from sarknowlip.knowledge.windows import Floats, Mask

FALSE_LINES = 0.05
"""Bound of the number expected in a tile of pure speckle: tests overlap, both sides must pass."""
LENGTHS = (16, 32, 64)
FACTORS = (1, 2, 4)
"""Sides of the squares over which power is averaged first: lines of 3, 6 and 12 pixels width."""
STRIP, OFFSET = 3, 4
"""Width of strips, and distance between their axes, in averaged pixels."""
LEAST_PX = 10
LEAST_DB = 2.0
"""Lines of less contrast are not told: own choice."""
GAP = 4
"""Averaged pixels by which a line may pause."""
BLOCK = 9
"""Averaged pixels of a line's axis over which it must differ from both sides."""
TRIES = 48
PARALLEL_DEG = 12.0


@dataclass(frozen=True)
class Line:
    """A straight line.

    Attributes:
        start: Column and row of one end; centres of pixels lie at halves.
        end: Column and row of the other.
        contrast_db: Of its mean power to the side nearer in power; negative for dark lines.
        width_px: Width of the strip that told it.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    contrast_db: float
    width_px: int

    @property
    def length_px(self) -> float:
        """Distance between its ends."""
        return math.dist(self.start, self.end)


def find_lines(
    power: npt.NDArray[np.floating], valid: Mask, looks: float, most: int = 8
) -> list[Line]:
    """Return the clearest lines, by contrast times length.

    Args:
        power: Linear power, any scale, shape (rows, columns).
        valid: Pixels that count; no strip crosses others.
        looks: Equivalent number of looks.
        most: Lines to return.
    """
    image = np.where(valid & (power > 0), power, np.nan).astype(np.float32)
    images = {factor: _averaged(image, factor) for factor in FACTORS}
    beams = np.concatenate([_beams(images[f], looks, f) for f in FACTORS])
    beams = beams[np.argsort(-beams[:, 4], kind="stable")]
    lines: list[Line] = []
    for _ in range(TRIES):
        if not len(beams):
            break
        best = beams[0]
        factor, sign = int(best[5]), int(best[6])
        line = _fitted(images[factor], best[:4], factor, sign)
        if line is not None and not any(_same(line, other) for other in lines):
            lines.append(line)
        if line is None:
            drop = _along(beams[1:, :4], best[:4], factor)
        else:
            told = np.array([*line.start, *line.end]) - 0.5
            drop = _along(beams[1:, :4], told, STRIP * factor)
        beams = beams[1:][~drop]
    lines.sort(key=lambda line: -abs(line.contrast_db) * line.length_px)
    return lines[:most]


def _averaged(image: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    rows, columns = (size // factor for size in image.shape)
    cut = image[: rows * factor, : columns * factor]
    blocks = cut.reshape(rows, factor, columns, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def _beams(image: npt.NDArray[np.float32], looks: float, factor: int) -> Floats:
    """Return the strips that exceed the threshold, one a row.

    Columns: x0, y0, x1, y1 in pixels of the tile; logarithm of the ratio over its threshold;
    factor; sign of the contrast.
    """
    found = [np.empty((0, 7))]
    tests = 16.0 * len(LENGTHS) * len(FACTORS) * 2.0 * image.size * factor**2
    for view in range(4):
        seen = image.T if view & 1 else image
        seen = seen[::-1] if view & 2 else seen
        for length, sums in _sums(np.ascontiguousarray(seen)):
            cells = 2.0 * looks * factor**2 * STRIP * length
            law = math.log(float(f_distribution.isf(FALSE_LINES / tests, cells, cells)))
            hits = _exceeding(sums, law, 2.0 / math.sqrt(cells))
            ends = _ends(hits, length, view, image.shape)
            about = np.column_stack([hits[:, 3], np.full(len(hits), factor), hits[:, 4]])
            found.append(np.hstack([(ends + 0.5) * factor - 0.5, about]))
    return np.concatenate(found)


def _sums(image: npt.NDArray[np.float32]) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yield sums along lines that fall by 0 … length − 1 rows, shape (fall, rows, starts).

    Lines start at every row and, from a length of 8 on, at every (length / 4)-th column.
    """
    sums, length, step = image[None], 1, 1
    while length < LENGTHS[-1]:
        _, rows, starts = sums.shape
        ahead = length // step
        if starts <= ahead:
            return
        left, right = sums[:, :, : starts - ahead], sums[:, :, ahead:]
        wider = 2 * length >= 8
        thin = 2 if wider and step * 2 <= length // 2 else 1
        left, right = left[:, :, ::thin], right[:, :, ::thin]
        joined = np.full((2 * length, rows, left.shape[2]), np.nan, dtype=np.float32)
        for fall in range(2 * length):
            down = (fall + 1) // 2
            if down < rows:
                np.add(
                    left[fall // 2, : rows - down],
                    right[fall // 2, down:],
                    out=joined[fall, : rows - down],
                )
        sums, length, step = joined, 2 * length, step * thin
        if length in LENGTHS:
            yield length, sums


def _exceeding(sums: npt.NDArray[np.float32], law: float, spread: float) -> Floats:
    """Return strips whose middle differs from both sides by more than a threshold.

    Args:
        sums: See `_sums`.
        law: Logarithm of the threshold in pure speckle.
        spread: Standard deviation of the logarithm of ratios there.

    Returns:
        Columns: fall, row, start, logarithm over threshold, sign.
    """
    triple = sums[:, 2:] + sums[:, 1:-1] + sums[:, :-2]
    if triple.shape[1] <= 2 * OFFSET or not triple.shape[2]:
        return np.empty((0, 5))
    above, middle, below = (
        triple[:, : -2 * OFFSET],
        triple[:, OFFSET:-OFFSET],
        triple[:, 2 * OFFSET :],
    )
    sample = np.log(middle[::2, ::8, ::2] / above[::2, ::8, ::2])
    sample = np.abs(sample[np.isfinite(sample)])
    if not sample.size:
        return np.empty((0, 5))
    law *= max(1.0, float(np.median(sample)) / 0.6745 / spread)
    found = []
    for sign in (1, -1):
        if sign > 0:
            hits = np.nonzero(middle > math.exp(law) * np.maximum(above, below))
        else:
            hits = np.nonzero(middle < math.exp(-law) * np.minimum(above, below))
        sides = np.stack([above[hits], below[hits]])
        score = sign * np.log(middle[hits] / (sides.max(axis=0) if sign > 0 else sides.min(axis=0)))
        fall, row, start = hits
        found.append(
            np.column_stack(
                [
                    fall,
                    row + OFFSET + 1,
                    start,
                    score / law,
                    np.full(len(fall), sign),
                ]
            )
        )
    return np.concatenate(found)


def _ends(hits: Floats, length: int, view: int, shape: tuple[int, int]) -> Floats:
    """Return x0, y0, x1, y1 of strips in averaged pixels, from what a turned view found."""
    step = max(1, length // 4)
    x0, y0 = hits[:, 2] * step, hits[:, 1]
    x1, y1 = x0 + length - 1, y0 + hits[:, 0]
    if view & 2:
        last = shape[1] - 1 if view & 1 else shape[0] - 1
        y0, y1 = last - y0, last - y1
    ends = (y0, x0, y1, x1) if view & 1 else (x0, y0, x1, y1)
    return np.column_stack(ends)


def _fitted(image: npt.NDArray[np.float32], ends: Floats, factor: int, sign: int) -> Line | None:
    """Return the line along a strip, None if it does not go on evenly.

    Args:
        image: Averaged power.
        ends: Of the strip, pixels of the tile.
        factor: Of averaging.
        sign: Of the contrast.
    """
    segment = (ends + 0.5) / factor - 0.5
    for grow in (LENGTHS[1], 2 * LENGTHS[-1]):
        segment = _turned(image, segment, sign)
        grown = _grown(image, segment, sign, grow)
        if grown is None:
            return None
        segment = grown
    segment = _turned(image, segment, sign)
    strips = _strips(image, segment[None])[0].mean(axis=0)
    if not np.isfinite(strips).all():
        return None
    sides = strips[[0, 2]]
    ratio = strips[1] / (sides.max() if sign > 0 else sides.min())
    contrast = 10.0 * math.log10(ratio)
    start, end = ((segment + 0.5) * factor).reshape(2, 2).tolist()
    line = Line((start[0], start[1]), (end[0], end[1]), contrast, STRIP * factor)
    clear = sign * contrast >= LEAST_DB
    return line if clear and line.length_px >= LEAST_PX * factor else None


def _strips(image: npt.NDArray[np.float32], segments: Floats) -> Floats:
    """Return power along segments, shape (n, steps, 3): one side, middle, other side."""
    first, last = segments[:, :2], segments[:, 2:]
    length = np.hypot(*(last - first).mean(axis=0))
    along = np.linspace(0.0, 1.0, max(2, round(float(length)) + 1))
    axis = last - first
    square = axis[:, ::-1] * (-1.0, 1.0) / np.maximum(np.hypot(*axis.T), 1e-6)[:, None]
    beside = np.array([-OFFSET, 0, OFFSET])[:, None] + np.arange(-(STRIP // 2), STRIP // 2 + 1)
    points = (first[:, None] + axis[:, None] * along[:, None])[:, :, None, None] + square[
        :, None, None, None
    ] * beside[..., None]
    x, y = (np.rint(points[..., i]).astype(np.intp) for i in (0, 1))
    rows, columns = image.shape
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    taken = image[np.where(inside, y, 0), np.where(inside, x, 0)]
    return np.asarray(np.where(inside, taken, np.nan).mean(axis=-1), dtype=np.float64)


def _turned(image: npt.NDArray[np.float32], segment: Floats, sign: int) -> Floats:
    """Return the segment with ends moved sideways by up to 2, where it differs most."""
    axis = segment[2:] - segment[:2]
    square = axis[::-1] * (-1.0, 1.0) / max(float(np.hypot(*axis)), 1e-6)
    moves = np.arange(-2.0, 2.5, 0.5)
    one, two = (m.ravel()[:, None] for m in np.meshgrid(moves, moves, indexing="ij"))
    tried = np.hstack([segment[:2] + one * square, segment[2:] + two * square])
    strips = _strips(image, tried).mean(axis=1)
    sides = (
        np.maximum(strips[:, 0], strips[:, 2])
        if sign > 0
        else np.minimum(strips[:, 0], strips[:, 2])
    )
    known = np.isfinite(sides) & (strips[:, 1] > 0)
    gain = np.where(known, sign * np.log(np.where(known, strips[:, 1] / sides, 1.0)), -np.inf)
    best = np.flatnonzero(gain >= gain.max() - 1e-9)
    return np.asarray(tried[best[np.argmin((one**2 + two**2).ravel()[best])]])


def _grown(image: npt.NDArray[np.float32], segment: Floats, sign: int, grow: int) -> Floats | None:
    """Return the part of the segment's axis, grown by so many pixels, that differs all along."""
    axis = segment[2:] - segment[:2]
    length = max(float(np.hypot(*axis)), 1e-6)
    unit = axis / length
    longer = np.concatenate([segment[:2] - grow * unit, segment[2:] + grow * unit])
    strips = _strips(image, longer[None])[0]
    known = np.isfinite(strips).all(axis=1)
    count = uniform_filter1d(known.astype(np.float64), BLOCK, mode="constant")
    filled = np.where(known[:, None], strips, 0.0)
    mean = uniform_filter1d(filled, BLOCK, axis=0, mode="constant")
    mean = np.where(known, mean.T / np.maximum(count, 1e-9), np.nan).T
    sides = mean[:, [0, 2]]
    other = sides.max(axis=1) if sign > 0 else sides.min(axis=1)
    whole = strips[grow:-grow].mean(axis=0)
    total = whole[1] / (whole[[0, 2]].max() if sign > 0 else whole[[0, 2]].min())
    limit = sign * 0.5 * math.log(total) if np.isfinite(total) else math.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        differs = sign * np.log(mean[:, 1] / other) > limit
    if not limit > 0 or not differs.any():
        return None
    on = np.flatnonzero(differs)
    runs = np.split(on, np.flatnonzero(np.diff(on) > GAP + 1) + 1)
    run = max(runs, key=len)
    if len(run) < 0.6 * (run[-1] - run[0] + 1) or run[-1] - run[0] < LEAST_PX - 1:
        return None
    step = (length + 2 * grow) / (len(differs) - 1)
    return np.concatenate([longer[:2] + run[0] * step * unit, longer[:2] + run[-1] * step * unit])


def _along(segments: Floats, told: Floats, reach: float) -> Mask:
    """Whether segments lie along one that was told."""
    axis = told[2:] - told[:2]
    length = max(float(np.hypot(*axis)), 1e-6)
    unit = axis / length
    near = np.ones(len(segments), dtype=bool)
    on = np.zeros(len(segments), dtype=bool)
    for end in (segments[:, :2], segments[:, 2:], (segments[:, :2] + segments[:, 2:]) / 2):
        way = end - told[:2]
        near &= np.abs(way @ (-unit[1], unit[0])) <= 2.0 * reach
        on |= (way @ unit >= -reach) & (way @ unit <= length + reach)
    return near & on


def _same(one: Line, two: Line) -> bool:
    """Whether two lines are pieces or copies of one: nearly parallel and one on the other."""
    a, b = (np.array([*line.start, *line.end]) for line in (one, two))
    ways = [math.atan2(s[3] - s[1], s[2] - s[0]) for s in (a, b)]
    turn = abs((math.degrees(ways[0] - ways[1]) + 90.0) % 180.0 - 90.0)
    if turn > PARALLEL_DEG:
        return False
    long, short = (a, b) if one.length_px >= two.length_px else (b, a)
    return bool(_along(short[None], long, float(max(one.width_px, two.width_px)))[0])
