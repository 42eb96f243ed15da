"""Rung 3: straight lines in speckle."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sarknowlip.knowledge.lines import LEAST_PX, Line, find_lines

SIZE = 256


def ridge(centre, bearing: float, half: float, ratio: float) -> np.ndarray:
    """Return mean power 1 with a line 3 pixels wide; centres of pixels lie at halves."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    along = (x - centre[0]) * math.cos(bearing) + (y - centre[1]) * math.sin(bearing)
    across = (y - centre[1]) * math.cos(bearing) - (x - centre[0]) * math.sin(bearing)
    return np.where((np.abs(along) <= half) & (np.abs(across) <= 1.5), ratio, 1.0)


def lies_on(line: Line, centre, bearing: float, sign: float) -> bool:
    """Whether a line is the ridge: within 2 pixels across and 3°."""
    (x0, y0), (x1, y1) = line.start, line.end
    turn = (math.degrees(math.atan2(y1 - y0, x1 - x0) - bearing) + 90) % 180 - 90
    x, y = (x0 + x1) / 2 - centre[0], (y0 + y1) / 2 - centre[1]
    off = y * math.cos(bearing) - x * math.sin(bearing)
    return abs(turn) <= 3 and abs(off) <= 2 and line.contrast_db * sign > 0


def whole(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, dtype=bool)


def test_speckle_has_hardly_any_lines() -> None:
    """20 tiles for each number of looks."""
    rng = np.random.default_rng(11)
    found = 0
    for looks in (1.0, 4.0, 16.0):
        for _ in range(20):
            image = rng.gamma(looks, 1 / looks, (SIZE, SIZE))
            found += len(find_lines(image, whole(image), looks))
    assert found <= 1


@pytest.mark.parametrize(
    ("looks", "decibel", "least"),
    [(4.0, 3.0, 9), (4.0, -3.0, 9), (1.0, 6.0, 8), (1.0, -6.0, 9), (16.0, 3.0, 9)],
)
def test_lines_are_found_where_they_are(looks, decibel, least) -> None:
    rng = np.random.default_rng(12)
    hits, others = 0, 0
    for _ in range(10):
        centre, bearing = rng.uniform(90, 166, 2), rng.uniform(0, math.pi)
        mean = ridge(centre, bearing, rng.uniform(30, 45), 10 ** (decibel / 10))
        image = mean * rng.gamma(looks, 1 / looks, mean.shape)
        right = [
            lies_on(line, centre, bearing, decibel)
            for line in find_lines(image, whole(image), looks)
        ]
        hits += any(right)
        others += len(right) - sum(right)
    assert hits >= least
    assert others <= 3


def test_edges_and_points_are_no_lines() -> None:
    rng = np.random.default_rng(13)
    y, x = np.mgrid[:SIZE, :SIZE]
    edge = np.where(x + 0.3 * y > 160, 10.0, 1.0) * rng.gamma(4, 1 / 4, (SIZE, SIZE))
    assert find_lines(edge, whole(edge), 4.0) == []
    points = rng.gamma(4, 1 / 4, (SIZE, SIZE))
    points[40::80, 40::80] = 1000.0
    assert find_lines(points, whole(points), 4.0) == []


def test_scale_turn_and_holes() -> None:
    rng = np.random.default_rng(14)
    image = ridge((120, 130), 0.5, 40, 6.0) * rng.gamma(4, 1 / 4, (SIZE, SIZE))
    (line,) = find_lines(image, whole(image), 4.0)
    assert line.length_px == pytest.approx(80, abs=8)
    (louder,) = find_lines(image * 1e6, whole(image), 4.0)
    assert louder.start == pytest.approx(line.start, abs=1e-3)
    (turned,) = find_lines(image.T, whole(image), 4.0)
    assert lies_on(turned, (130, 120), math.pi / 2 - 0.5, 1.0)
    holes = whole(image)
    holes[:, 110:] = False
    for part in find_lines(image, holes, 4.0):
        assert max(part.start[0], part.end[0]) <= 110
        assert part.length_px >= LEAST_PX
    assert find_lines(image, ~whole(image), 4.0) == []
    assert find_lines(image[:9, :300], whole(image[:9, :300]), 4.0) == []
    assert find_lines(image[:3, :2], whole(image[:3, :2]), 4.0) == []


def test_pixels_without_power_and_holes_raise_nothing() -> None:
    rng = np.random.default_rng(3)
    power = rng.gamma(4.0, 0.25, (128, 128))
    power[60:64] = 0.0
    power[:, 90:94] = 8.0
    valid = np.ones(power.shape, dtype=bool)
    valid[40:80, 50:100] = False
    assert len(find_lines(np.where(valid, power, np.nan), valid, 4.0)) <= 8
