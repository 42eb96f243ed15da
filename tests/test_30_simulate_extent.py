"""Rung 3: pixels beyond the world are no data, in windows as in the whole image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.world.make import HandWorld, ground, layers, local_bounds
from sarknowlip.sar.sensors import open_product
from sarknowlip.simulate.acquire import AcquireConfig, Acquisition, acquire
from sarknowlip.simulate.image.extent import within

BOUNDS = local_bounds(1000, 700)
HILLS = HandWorld(
    layers(ground(BOUNDS)), BOUNDS, relief=lambda x, y: 20 + 15 * np.sin((x + y) / 150)
)
SEEN = {
    sensor: Acquisition.of(HILLS, AcquireConfig(sensor=sensor, orbit_state=state))
    for sensor, state in (("sentinel1-iw-grd", "descending"), ("terrasarx-stripmap", "ascending"))
}
HEIGHTS = HILLS.height_range(BOUNDS)


def whole(sensor: str) -> np.ndarray:
    grid = SEEN[sensor].grid
    return within(grid, BOUNDS, HEIGHTS, (0, 0), grid.shape)


@pytest.mark.parametrize("sensor", sorted(SEEN))
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_windows_equal_the_whole(sensor: str, data: st.DataObject) -> None:
    grid = SEEN[sensor].grid
    first = [data.draw(st.integers(0, n - 1)) for n in grid.shape]
    shape = [data.draw(st.integers(1, n - at)) for n, at in zip(grid.shape, first, strict=True)]
    part = within(grid, BOUNDS, HEIGHTS, tuple(first), tuple(shape))
    rows, columns = (slice(at, at + n) for at, n in zip(first, shape, strict=True))
    assert np.array_equal(part, whole(sensor)[rows, columns])


@pytest.mark.parametrize("sensor", sorted(SEEN))
def test_ground_of_the_world_and_nothing_else_is_shown(sensor: str) -> None:
    """Points of the world well inside fall on shown pixels, points beyond it on others."""
    grid, shown = SEEN[sensor].grid, whole(sensor)
    random = np.random.default_rng(1)
    x = random.uniform(BOUNDS.west - 150, BOUNDS.east + 150, 4000)
    y = random.uniform(BOUNDS.south - 150, BOUNDS.north + 150, 4000)
    row, column = (np.rint(v).astype(int) for v in grid.positions(x, y, HILLS.height(x, y)))
    seen = (row >= 0) & (column >= 0) & (row < shown.shape[0]) & (column < shown.shape[1])
    told = np.zeros(x.shape, dtype=bool)
    told[seen] = shown[row[seen], column[seen]]
    # Heights differ by 30 m, which displaces by 30 m / tan(incidence) at most; and pixels round.
    slack = 60.0
    inner = (x > BOUNDS.west + slack) & (x < BOUNDS.east - slack)
    inner &= (y > BOUNDS.south + slack) & (y < BOUNDS.north - slack)
    beyond = (x < BOUNDS.west - 15) | (x > BOUNDS.east + 15)
    beyond |= (y < BOUNDS.south - 15) | (y > BOUNDS.north + 15)
    assert told[inner].all()
    assert not told[beyond].any()


@pytest.mark.parametrize("sensor", sorted(SEEN))
def test_products_have_no_data_beyond_the_world(sensor: str, tmp_path: Path) -> None:
    config = AcquireConfig(sensor=sensor, orbit_state=SEEN[sensor].config.orbit_state)
    product = open_product(acquire(HILLS, config, tmp_path, "scene"))
    from affine import Affine
    from odc.geo.geobox import GeoBox

    grid = GeoBox(
        (120, 150),
        Affine(10, 0, BOUNDS.west - 250, 0, -10, BOUNDS.north + 250),
        f"EPSG:{HILLS.frame.epsg}",
    )
    data = np.isfinite(product.power(grid)[0])
    inner, beyond = data[33:87, 33:117], data.copy()
    beyond[22:98, 22:128] = False
    assert inner.all()
    assert not beyond.any()
