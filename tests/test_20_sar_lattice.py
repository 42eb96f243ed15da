"""Rung 2: interpolated sensor models and multilooking."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from odc.geo.geobox import GeoBox
from pyproj import CRS

from sarknowlip.core.errors import GeometryError
from sarknowlip.sar import lattice
from sarknowlip.sar.lattice import Lattice, boxcar, fill

UTM = CRS.from_epsg(32633)


def curved(lon, lat, height):
    """Return a made-up image position, as bent as a real sensor model's."""
    row = (lat - 42.0) * 5e4 + 40.0 * (lon - 12.5) ** 2 * 1e4 + 0.9 * height
    return row, (lon - 12.5) * 4e4 + 1e-4 * height**2 + 30.0 * (lat - 42.0)


def fitted() -> Lattice:
    lon, lat = (
        v.ravel() for v in np.meshgrid(np.linspace(12.4, 12.6, 5), np.linspace(41.9, 42, 5))
    )
    return Lattice.fit(curved, UTM, lon, lat, 100.0)


def test_interpolation_stays_within_its_tolerance() -> None:
    model = fitted()
    grid = GeoBox((300, 280), Affine(10, 0, 295_000, 0, -10, 4_650_000), "EPSG:32633")
    column, row = np.meshgrid(np.arange(280) + 0.5, np.arange(300) + 0.5)
    x, y = grid.affine * (column, row)
    relief = 100.0 + 80.0 * np.sin(x / 300.0) * np.cos(y / 500.0)
    for height in (100.0, relief):
        exact = np.stack(model.at(x, y, np.broadcast_to(height, x.shape)))
        found = np.stack(model.positions(grid, height))
        miss = np.hypot(*(found - exact))
        assert 0 < miss.max() < 2 * lattice.TOLERANCE_PX


def test_positions_do_not_depend_on_the_window() -> None:
    grid = GeoBox((90, 80), Affine(10, 0, 295_000, 0, -10, 4_650_000), "EPSG:32633")
    whole = fitted().positions(grid, 100.0)
    part = fitted().positions(grid[13:61, 22:70], 100.0)
    for a, b in zip(whole, part, strict=True):
        assert np.allclose(a[13:61, 22:70], b, atol=1e-9, rtol=0)


def test_unknown_heights_have_no_position() -> None:
    grid = GeoBox((20, 20), Affine(10, 0, 295_000, 0, -10, 4_650_000), "EPSG:32633")
    height = np.full(grid.shape, 90.0)
    height[:, :7] = np.nan
    rows, columns = fitted().positions(grid, height)
    assert np.isnan(rows[:, :7]).all()
    assert np.isfinite(rows[:, 7:]).all()
    assert np.isnan(fitted().positions(grid, np.full(grid.shape, np.nan))).all()
    assert np.array_equal(np.isnan(rows), np.isnan(columns))


def test_models_that_fail_or_lie_elsewhere_are_refused() -> None:
    lon, lat = np.array([12.5, 12.6]), np.array([42.0, 42.0])
    with pytest.raises(GeometryError, match="fails on the product's own ground"):
        Lattice.fit(lambda a, b, h: (a * np.nan, b * np.nan), UTM, lon, lat, 0.0)
    with pytest.raises(GeometryError, match="has no position in"):
        Lattice.fit(curved, CRS.from_epsg(3413), lon, lat - 132.5, 0.0)


@settings(deadline=None, max_examples=60)
@given(
    power=arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
        elements=st.one_of(st.floats(0, 100, width=32), st.just(float("nan"))),
    ),
    looks=st.tuples(st.floats(1, 9), st.floats(1, 9)),
)
def test_multilook_is_the_mean_over_the_window(power, looks) -> None:
    result = boxcar(power, looks)
    rows, columns = power.shape
    for r in range(rows):
        for c in range(columns):
            if not np.isfinite(power[r, c]):
                assert np.isnan(result[r, c])
                continue
            weight = np.multiply.outer(_shares(rows, r, looks[0]), _shares(columns, c, looks[1]))
            weight = weight * np.isfinite(power)
            expected = (weight * np.nan_to_num(power)).sum() / weight.sum()
            assert result[r, c] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def _shares(size: int, centre: int, width: float):
    """Return how much of each pixel a window covers, outermost pixels counted in proportion."""
    inner = 2 * int((width - 1) // 2) + 1
    distance = np.abs(np.arange(size) - centre)
    rim = (width - inner) / 2
    return np.where(distance <= inner // 2, 1.0, np.where(distance == inner // 2 + 1, rim, 0.0))


def test_filling_does_not_depend_on_block_size(monkeypatch) -> None:
    image = np.random.default_rng(1).gamma(1.0, 1.0, (200, 150)).astype(np.float32)
    column, row = np.meshgrid(np.arange(80.0), np.arange(90.0))
    rows, columns = 5 + 2.1 * row + 0.3 * column, 3 + 1.7 * column - 0.2 * row
    looks = (3.2, 2.4)

    def read(r, c):
        return image[r, c]

    whole = fill(rows, columns, image.shape, looks, read)
    monkeypatch.setattr(lattice, "READ_PX", 4000)
    blocks = fill(rows, columns, image.shape, looks, read)
    assert np.isfinite(whole).mean() > 0.5
    assert np.allclose(whole, blocks, rtol=1e-5, equal_nan=True)


def test_filling_reads_only_what_it_needs(monkeypatch) -> None:
    monkeypatch.setattr(lattice, "READ_PX", 10_000)
    largest = 0

    def read(r, c):
        nonlocal largest
        largest = max(largest, (r.stop - r.start) * (c.stop - c.start))
        return np.ones((r.stop - r.start, c.stop - c.start), np.float32)

    column, row = np.meshgrid(np.arange(300.0), np.arange(300.0))
    turned = 300 + row - column, row + column
    power = fill(*turned, (700, 700), (1.0, 1.0), read)
    assert np.allclose(power[np.isfinite(power)], 1.0)
    assert largest <= 4 * 10_000
