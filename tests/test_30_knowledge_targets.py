"""Rung 3: place, size and orientation of bright objects against drawn ones."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import Geod, Transformer

from data.tiles.make import PLACE, coast, make_tile, speckled
from sarknowlip.geo.grid import ground_sample_distance
from sarknowlip.knowledge.cfar import detect
from sarknowlip.knowledge.targets import measure_targets


def drawn_bar(bearing_deg: float, length_px: float, width_px: float) -> np.ndarray:
    """Return a 128² image of clutter at 1 with a bar at 200 centred on (64.5, 60.5)."""
    rows, columns = np.mgrid[:128, :128] + 0.5
    north, east = 64.5 - rows, columns - 60.5
    angle = np.radians(bearing_deg)
    along = north * np.cos(angle) + east * np.sin(angle)
    across = north * np.sin(angle) - east * np.cos(angle)
    bar = (np.abs(along) <= length_px / 2) & (np.abs(across) <= width_px / 2)
    return np.where(bar, 200.0, 1.0)


@pytest.mark.parametrize("bearing", [0.0, 30.0, 75.0, 90.0, 120.0, 165.0])
def test_bars_of_all_bearings(bearing: float) -> None:
    tile = make_tile(speckled(drawn_bar(bearing, 20, 4), 16.0)[None])
    power, valid = tile.power[0].astype(np.float64), tile.valid
    gsd = ground_sample_distance(tile.geobox)
    (target,) = measure_targets(tile, power, detect(power, valid, 16.0, 10.0), gsd, None)
    x, y = PLACE * (60.5, 64.5)
    lon, lat = Transformer.from_crs(32633, 4326, always_xy=True).transform(x, y)
    miss = Geod(ellps="WGS84").inv(lon, lat, target.lon, target.lat)[2]
    assert miss < 10.0, "within a pixel"
    assert target.length_m == pytest.approx(200.0, abs=25.0)
    assert target.width_m == pytest.approx(40.0, abs=25.0)
    turned = (target.orientation_deg - bearing + 90) % 180 - 90
    assert abs(turned) < 4.0, "the grid's own convergence is 0 at the central meridian"
    assert target.contrast_db == pytest.approx(23.0, abs=3.0)
    assert target.is_ship_candidate is None, "surfaces are unknown"


def test_a_round_object_has_no_orientation() -> None:
    tile = make_tile(speckled(drawn_bar(0, 6, 6), 16.0)[None])
    power = tile.power[0].astype(np.float64)
    found = detect(power, tile.valid, 16.0, 10.0)
    (target,) = measure_targets(tile, power, found, (10.0, 10.0), None)
    assert target.orientation_deg is None


def test_a_ship_is_alone_on_water() -> None:
    tile, water = coast()
    power = tile.power[0].astype(np.float64)
    power[90:92, 130:134] = 100.0
    targets = measure_targets(
        tile, power, detect(power, tile.valid, 4.4, 10.0), (10.0, 10.0), water
    )
    ships = [target for target in targets if target.is_ship_candidate]
    assert len(ships) == 1
    assert ships[0].column < 64
    assert any(not t.is_ship_candidate and 128 < t.column < 136 for t in targets)
