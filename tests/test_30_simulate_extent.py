"""Rung 3: pixels beyond the world are no data, in windows as in the whole image."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.world.make import HandWorld, ground, layers, local_bounds
from sarknowlip.core.errors import GeometryError
from sarknowlip.sar.sensors import open_product
from sarknowlip.simulate.acquire import AcquireConfig, Acquisition, acquire
from sarknowlip.simulate.image.extent import within

BOUNDS = local_bounds(1000, 700)
HILLS = HandWorld(
    layers(ground(BOUNDS)), BOUNDS, relief=lambda x, y: 20 + 15 * np.sin((x + y) / 150)
)
# Relief of 300 m whose slopes toward the radar are below 31 degrees: nothing is laid over.
MOUNTAIN = HandWorld(
    layers(ground(BOUNDS)),
    BOUNDS,
    relief=lambda x, y: 170 + 150 * np.sin((x - BOUNDS.west + y - BOUNDS.south) / 300),
)
WORLDS = {"hills": HILLS, "mountain": MOUNTAIN}
SEEN = {
    (name, sensor): Acquisition.of(world, AcquireConfig(sensor=sensor, orbit_state=state))
    for name, world in WORLDS.items()
    for sensor, state in (("sentinel1-iw-grd", "descending"), ("terrasarx-stripmap", "ascending"))
}
ALL = pytest.mark.parametrize("case", sorted(SEEN), ids="-".join)


@functools.cache
def whole(case: tuple[str, str]) -> np.ndarray:
    grid = SEEN[case].grid
    return within(grid, WORLDS[case[0]], (0, 0), grid.shape)


@ALL
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_windows_equal_the_whole(case: tuple[str, str], data: st.DataObject) -> None:
    grid = SEEN[case].grid
    first = [data.draw(st.integers(0, n - 1)) for n in grid.shape]
    shape = [data.draw(st.integers(1, n - at)) for n, at in zip(grid.shape, first, strict=True)]
    part = within(grid, WORLDS[case[0]], tuple(first), tuple(shape))
    rows, columns = (slice(at, at + n) for at, n in zip(first, shape, strict=True))
    assert np.array_equal(part, whole(case)[rows, columns])


@ALL
def test_ground_of_the_world_and_nothing_else_is_shown(case: tuple[str, str]) -> None:
    """Points of the world fall on shown pixels, points beyond it on others, but for rounding."""
    world, grid, shown = WORLDS[case[0]], SEEN[case].grid, whole(case)
    random = np.random.default_rng(1)
    x = random.uniform(BOUNDS.west - 150, BOUNDS.east + 150, 8000)
    y = random.uniform(BOUNDS.south - 150, BOUNDS.north + 150, 8000)
    row, column = (np.rint(v).astype(int) for v in grid.positions(x, y, world.height(x, y)))
    seen = (row >= 0) & (column >= 0) & (row < shown.shape[0]) & (column < shown.shape[1])
    told = np.zeros(x.shape, dtype=bool)
    told[seen] = shown[row[seen], column[seen]]
    # Pixels round by half their diagonal on level ground, which slopes toward the radar stretch.
    slack = {"sentinel1-iw-grd": 8.0, "terrasarx-stripmap": 4.0}[case[1]]
    slack *= 3 if case[0] == "mountain" else 1
    inner = (x > BOUNDS.west + slack) & (x < BOUNDS.east - slack)
    inner &= (y > BOUNDS.south + slack) & (y < BOUNDS.north - slack)
    beyond = (x < BOUNDS.west - slack) | (x > BOUNDS.east + slack)
    beyond |= (y < BOUNDS.south - slack) | (y > BOUNDS.north + slack)
    within_world = (x > BOUNDS.west) & (x < BOUNDS.east) & (y > BOUNDS.south) & (y < BOUNDS.north)
    # A map that ends with the world has no room for high ground that leans over its edges.
    assert told[inner & seen].all()
    assert told[within_world & seen].mean() > 0.97
    if case[1] == "sentinel1-iw-grd":
        assert told[within_world].mean() > 0.97
    assert not told[beyond].any()


def test_images_that_show_nothing_of_the_world_are_refused(tmp_path: Path) -> None:
    seen = SEEN["hills", "sentinel1-iw-grd"]
    far = replace(HILLS, bounds=BOUNDS.padded(-300), relief=-5000.0)
    with pytest.raises(GeometryError, match="nothing of the world"):
        replace(seen, world=far).render(tmp_path, workers=1)
    assert not (tmp_path / "raster.npy").exists()


@pytest.mark.parametrize("sensor", ["sentinel1-iw-grd", "terrasarx-stripmap"])
def test_products_have_no_data_beyond_the_world(sensor: str, tmp_path: Path) -> None:
    config = AcquireConfig(sensor=sensor, orbit_state=SEEN["hills", sensor].config.orbit_state)
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
