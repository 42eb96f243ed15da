"""Rung 2: facts that follow from where the antenna was."""

from __future__ import annotations

import numpy as np
import pytest
from sarkit import wgs84

from sarknowlip.sar import viewing

ROME = np.array([41.9, 12.5, 0.0])


@pytest.mark.parametrize(
    ("ghz", "band"),
    [
        (0.1, None), (0.435, "P"), (1.27, "L"), (3.2, "S"), (5.405, "C"), (8.0, "X"), (9.65, "X"),
        (13.5, "Ku"), (24.0, "K"), (35.0, "Ka"), (40.0, None), (94.0, None),
    ],
)  # fmt: skip
def test_frequency_bands(ghz: float, band: str | None) -> None:
    assert viewing.frequency_band(ghz) == band


def frame(height: float = 500_000.0):
    """Return a position over Rome and unit vectors east, north, up."""
    place = np.append(ROME[:2], height)
    return (
        wgs84.geodetic_to_cartesian(place),
        wgs84.east(place),
        wgs84.north(place),
        wgs84.up(place),
    )


@pytest.mark.parametrize("heading", [0.0, 45.0, 90.0, 191.0, 348.0])
def test_heading_and_side(heading: float) -> None:
    position, east, north, _ = frame()
    angle = np.deg2rad(heading)
    velocity = 7500 * (np.sin(angle) * east + np.cos(angle) * north)
    found = viewing.heading_deg(position, velocity)
    assert 0 <= found < 360
    assert (found - heading + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)
    rightwards = np.cos(angle) * east - np.sin(angle) * north
    ground = wgs84.geodetic_to_cartesian(ROME)
    right = viewing.observation_direction(position, velocity, ground + 2e5 * rightwards)
    assert right == "right"
    left = viewing.observation_direction(position, velocity, ground - 2e5 * rightwards)
    assert left == "left"


def test_only_satellites_have_an_orbit_state() -> None:
    position, east, north, _ = frame()
    assert viewing.orbit_state(position, 7500 * north + 100 * east) == "ascending"
    assert viewing.orbit_state(position, -7500 * north) == "descending"
    position, _, north, _ = frame(9000.0)
    assert viewing.orbit_state(position, 200 * north) is None


def test_incidence_is_the_angle_from_the_vertical() -> None:
    ground = wgs84.geodetic_to_cartesian(ROME)
    up, east = wgs84.up(ROME), wgs84.east(ROME)
    for angle in (0.0, 23.0, 55.0):
        sensor = ground + 6e5 * (np.cos(np.deg2rad(angle)) * up + np.sin(np.deg2rad(angle)) * east)
        assert viewing.incidence_deg(sensor, ground) == pytest.approx(angle, abs=1e-5)
