"""Rung 4: directions and distances in a tile against hand-made cases and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from data.facts.make import port_town
from data.tiles.make import make_tile
from sarknowlip.annotate.geometry import WINDS, PixelGrid, centroid, wind
from sarknowlip.geo.grid import lonlat_of_pixels
from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.knowledge.sources import SOURCES

GRID = PixelGrid((10.0, 20.0), (12, 16))
coordinate = st.floats(0, 500, allow_nan=False)
point = st.tuples(coordinate, coordinate)


@pytest.mark.parametrize(
    ("end", "bearing"), [((5, 0), 0), ((9, 5), 90), ((5, 9), 180), ((0, 5), 270), ((7, 4), 45)]
)
def test_bearings_are_from_north(end: tuple[float, float], bearing: float) -> None:
    assert GRID.bearing((5, 5), end) == pytest.approx(bearing)


def test_a_turned_grid_turns_its_bearings() -> None:
    turned = PixelGrid((10.0, 10.0), (8, 8), up_deg=350.0)
    assert turned.bearing((0, 4), (0, 0)) == pytest.approx(350.0)
    assert turned.bearing((0, 0), (4, 0)) == pytest.approx(80.0)
    assert turned.bearing((1, 1), (1, 1)) is None


@given(point, point, st.floats(0, 359))
def test_the_way_back_is_opposite(start: tuple, end: tuple, up: float) -> None:
    grid = PixelGrid((3.0, 7.0), (500, 500), up)
    there, back = grid.bearing(start, end), grid.bearing(end, start)
    assert grid.length(start, end) == grid.length(end, start)
    if there is None or back is None:
        assert there is back
        return
    assert math.cos(math.radians(there - back)) == pytest.approx(-1.0, abs=1e-6)


@given(st.floats(0, 720), st.floats(0, 10))
def test_winds_are_near_and_unsure_at_borders(bearing: float, margin: float) -> None:
    name = wind(bearing, margin)
    off = (bearing + 22.5) % 45.0 - 22.5
    if name is None:
        assert abs(off) >= 22.5 - margin - 1e-6
    else:
        assert math.cos(math.radians(bearing - 45 * WINDS.index(name))) > math.cos(math.pi / 7.9)


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 15)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 15)), min_size=1, max_size=8),
)
@settings(deadline=None)
def test_distance_of_masks_is_that_of_the_nearest_pixels(ones: list, others: list) -> None:
    masks = np.zeros((2, 12, 16), dtype=bool)
    for mask, places in zip(masks, (ones, others), strict=True):
        mask[tuple(np.transpose(places))] = True
    steps = [(abs(r - v), abs(c - u)) for r, c in ones for v, u in others]
    touch = any(max(step) <= 1 for step in steps)
    nearest = min(math.hypot(20.0 * down, 10.0 * across) for down, across in steps)
    found = GRID.distance(masks[0], masks[1])
    assert found == pytest.approx(0.0 if touch else nearest - 10.0)
    assert found == GRID.distance(masks[1], masks[0])


def test_nothing_has_no_distance_and_no_middle() -> None:
    empty, full = np.zeros((12, 16), dtype=bool), np.ones((12, 16), dtype=bool)
    assert GRID.distance(empty, full) is None
    assert GRID.distance(full, empty) is None
    with pytest.raises(ValueError, match="no middle"):
        centroid(empty)
    assert centroid(full) == (8.0, 6.0)


def test_the_grid_comes_from_facts() -> None:
    evidence = port_town()
    grid = PixelGrid.of(Facts(evidence))
    assert grid is not None
    assert (grid.gsd_m, grid.shape, grid.up_deg) == ((10.0, 10.0), (128, 128), 0.0)
    up = Evidence.of(
        "tile", "image", "up", value=3.5, unit="deg", source="image", source_version="made",
        confidence=1.0,
    )  # fmt: skip
    turned = PixelGrid.of(Facts([*evidence, up]))
    assert turned is not None
    assert turned.up_deg == 3.5
    assert PixelGrid.of(Facts([f for f in evidence if f.predicate != "gsd_x"])) is None


@pytest.mark.parametrize("turn", [0, 30, 200])
@pytest.mark.parametrize("easting", [300_000, 500_000, 800_000])
def test_bearings_agree_with_the_ellipsoid(turn: float, easting: float) -> None:
    """With the image's own facts, on turned grids and far from the central meridian."""
    place = Affine.translation(easting, 6_700_000) * Affine.scale(10, -10) * Affine.rotation(turn)
    tile = make_tile(np.ones((1, 64, 64)), transform=place)
    grid = PixelGrid.of(Facts(SOURCES["image"]().evidence(tile)))
    assert grid is not None
    for end in ((60.0, 10.0), (5.0, 60.0), (10.0, 2.0)):
        lon, lat = lonlat_of_pixels(tile.geobox, *np.transpose([(10.0, 12.0), end]))
        azimuth, _, distance = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])
        bearing = grid.bearing((10.0, 12.0), end)
        assert bearing is not None
        assert abs((bearing - azimuth + 180) % 360 - 180) < 0.1
        assert grid.length((10.0, 12.0), end) == pytest.approx(distance, rel=2e-3)
