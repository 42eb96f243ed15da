"""Rung 3: orbits against integration of the two-body problem, genuine products, brute force."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, minimize_scalar

from sarknowlip.core.errors import GeometryError
from sarknowlip.simulate.frame import Bounds, Frame
from sarknowlip.simulate.image.orbit import EARTH_RADIUS, EARTH_RATE, GM, Orbit
from sarknowlip.simulate.image.radar_grid import GroundRangeGrid
from sarknowlip.simulate.sensors import find_profile
from sarknowlip.simulate.sensors.profile import View

S1 = find_profile("sentinel1-iw-grd")
BOTH = S1.model_copy(update={"look_sides": ("right", "left")})
HELSINKI = (24.94, 60.17)
GENUINE = "sentinel1-safe/S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE"


def past(lon: float, lat: float, height: float = 50.0, profile=BOTH, **view):
    """Return the frame, the centre and the orbit of a place."""
    frame = Frame.around(lon, lat)
    x, y = frame.xy(lon, lat)
    centre = (float(x), float(y), height)
    return frame, centre, Orbit.past(frame, centre, profile, View(**view))


@settings(max_examples=60, deadline=None)
@given(
    lon=st.floats(-179.9, 179.9),
    lat=st.floats(-70.0, 70.0),
    height=st.floats(-50.0, 3000.0),
    incidence=st.floats(29.1, 46.0),
    state=st.sampled_from(["ascending", "descending"]),
    look=st.sampled_from(["left", "right"]),
)
def test_the_centre_is_seen_as_the_view_says(lon, lat, height, incidence, state, look) -> None:
    frame, centre, orbit = past(
        lon, lat, height, orbit_state=state, look=look, incidence_deg=incidence
    )
    place = frame.ecef(*centre)
    t, slant = orbit.zero_doppler(place[:, None])
    assert abs(t[0]) < 1e-9
    radar, flight = (v[:, 0] for v in orbit.state_vectors(0.0))
    assert slant[0] == pytest.approx(np.linalg.norm(place - radar), abs=1e-6)
    assert (flight[2] > 0) == (state == "ascending")
    assert (np.cross(flight, radar) @ place > 0) == (look == "right")
    # The normal of the ellipsoid is the gradient of its equation, of that at its surface.
    x, y = (np.deg2rad(float(v)) for v in frame.lonlat(*centre[:2]))
    normal = np.array([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)])
    angle = np.rad2deg(np.arccos(normal @ (radar - place) / slant[0]))
    assert angle == pytest.approx(incidence, abs=1e-6)
    found = orbit.incidence_deg(*frame.lonlat(*centre[:2]), height)
    assert found == pytest.approx(incidence, abs=1e-6)


def test_orbit_solves_the_two_body_problem_over_a_turning_earth() -> None:
    _, _, orbit = past(*HELSINKI)
    spin = np.array([0.0, 0.0, EARTH_RATE])
    place, flight = (v[:, 0] for v in orbit.state_vectors(0.0))
    inertial = flight + np.cross(spin, place)

    def pull(_, state):
        return np.concatenate([state[3:], -GM * state[:3] / np.linalg.norm(state[:3]) ** 3])

    times = np.array([-300.0, -60.0, 60.0, 300.0])
    for t in times:
        end = solve_ivp(pull, (0.0, t), np.concatenate([place, inertial]), rtol=1e-12, atol=1e-6).y[
            :, -1
        ]
        turn = -EARTH_RATE * t
        matrix = np.array(
            [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
        )
        np.testing.assert_allclose(orbit.position(t)[:, 0], matrix @ end[:3], atol=1e-2)
        speed = matrix @ (end[3:] - np.cross(spin, end[:3]))
        np.testing.assert_allclose(orbit.velocity(t)[:, 0], speed, atol=1e-5)


def test_period_and_inclination_are_those_of_sentinel1() -> None:
    _, _, orbit = past(*HELSINKI)
    last, longitude = orbit.ascending_node
    assert -6000 < last < 0
    assert abs(orbit.position(last)[2, 0]) < 1e-3
    assert orbit.velocity(last)[2, 0] > 0
    x, y, _ = orbit.position(last)[:, 0]
    assert np.rad2deg(np.arctan2(y, x)) == pytest.approx(longitude, abs=1e-9)
    following = brentq(lambda t: orbit.position(t)[2, 0], last + 5000, last + 7000)
    assert following - last == pytest.approx(2 * np.pi * np.sqrt(orbit.radius_m**3 / GM), abs=1e-6)
    # 175 orbits in 12 days; the flattened Earth, left out here, lengthens them by a thousandth.
    assert following - last == pytest.approx(12 * 86400 / 175, rel=2e-3)
    quarter = orbit.position(last + (following - last) / 4)[:, 0]
    highest = np.rad2deg(np.arcsin(quarter[2] / orbit.radius_m))
    assert highest == pytest.approx(180.0 - S1.inclination_deg, abs=1e-6)


def test_heading_speed_and_height_are_those_of_a_genuine_product(shared_data) -> None:
    path = next((shared_data(GENUINE) / "annotation").glob("s1b*vv*.xml"))
    root = ElementTree.parse(path).getroot()
    points = root.findall(".//geolocationGridPoint")
    lon, lat, angle, ranges = (
        np.array([float(p.findtext(name)) for p in points])
        for name in ("longitude", "latitude", "incidenceAngle", "slantRangeTime")
    )
    middle = len(points) // 2 + 10
    _, _, orbit = past(
        lon[middle], lat[middle], 0.0, orbit_state="descending", incidence_deg=angle[middle]
    )
    states = root.findall(".//orbit")
    speeds = [
        np.linalg.norm([float(s.findtext(f"velocity/{axis}")) for axis in "xyz"]) for s in states
    ]
    radii = [
        np.linalg.norm([float(s.findtext(f"position/{axis}")) for axis in "xyz"]) for s in states
    ]
    stated = float(root.findtext(".//platformHeading")) % 360.0
    assert orbit.heading_deg == pytest.approx(stated, abs=0.3)
    assert np.linalg.norm(orbit.velocity(0.0)) == pytest.approx(np.mean(speeds), rel=2e-3)
    assert orbit.radius_m == pytest.approx(np.mean(radii), rel=1e-3)
    assert orbit.radius_m > EARTH_RADIUS
    frame = Frame.around(lon[middle], lat[middle])
    _, slant = orbit.zero_doppler(frame.ecef(*frame.xy(lon[middle], lat[middle]), 0.0)[:, None])
    assert slant[0] == pytest.approx(ranges[middle] * 299_792_458.0 / 2, rel=5e-3)


def test_zero_doppler_is_the_time_of_least_distance() -> None:
    frame, centre, orbit = past(*HELSINKI, orbit_state="descending")
    random = np.random.default_rng(3)
    x = centre[0] + random.uniform(-2e5, 2e5, 40)
    y = centre[1] + random.uniform(-2e5, 2e5, 40)
    points = frame.ecef(x, y, random.uniform(-100.0, 4000.0, 40))
    t, slant = orbit.zero_doppler(points)
    for point, found, distance in zip(points.T, t, slant, strict=True):

        def far(at, point=point):
            return np.linalg.norm(orbit.position(at)[:, 0] - point)

        def along(at, point=point):
            step = 1e-3  # numerical velocity, independent of `velocity`
            flight = orbit.position(at + step) - orbit.position(at - step)
            return float((point - orbit.position(at)[:, 0]) @ flight[:, 0] / (2 * step) / 7.5e3)

        least = minimize_scalar(far, bounds=(-100.0, 100.0), method="bounded")
        assert found == pytest.approx(least.x, abs=1e-2)
        assert distance == pytest.approx(far(found), abs=1e-6)
        assert distance <= least.fun + 1e-6
        assert found == pytest.approx(brentq(along, -100.0, 100.0, xtol=1e-12), abs=1e-8)
    place, flight = orbit.state_vectors(t)
    miss = ((points - place) * flight).sum(axis=0) / (flight**2).sum(axis=0)
    assert np.abs(miss).max() < 1e-9


@pytest.mark.parametrize(
    ("state", "look", "low", "high"),
    [
        ("ascending", "right", 45.0, 135.0),
        ("ascending", "left", 225.0, 315.0),
        ("descending", "right", 225.0, 315.0),
        ("descending", "left", 45.0, 135.0),
    ],
)
def test_look_direction_is_abeam_of_the_flight(state, look, low, high) -> None:
    frame, centre, orbit = past(2.35, 48.85, orbit_state=state, look=look)
    direction = orbit.look_deg(frame, centre)
    assert low < direction < high
    true = direction + frame.convergence_deg(*centre[:2])
    side = 90.0 if look == "right" else -90.0
    # Across 5° of meridians between the nadir and the scene, and Earth turns: a few degrees.
    assert abs((true - orbit.heading_deg - side + 180.0) % 360.0 - 180.0) < 8.0


def test_what_the_sensor_cannot_see_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"choose an incidence angle from 29\.1° to 46\.0°"):
        past(*HELSINKI, incidence_deg=20.0)
    with pytest.raises(GeometryError, match="does not look left; it looks right"):
        past(*HELSINKI, profile=S1, look="left")
    with pytest.raises(GeometryError, match=r"latitude 80\.00.*choose another pass"):
        past(20.0, 80.0, look="left", incidence_deg=40.0)
    with pytest.raises(GeometryError, match=r"no ascending orbit .* inclined 45"):
        past(*HELSINKI, profile=BOTH.model_copy(update={"inclination_deg": 45.0}))
    _, _, orbit = past(*HELSINKI)
    with pytest.raises(GeometryError, match="ask for points near the scene"):
        orbit.zero_doppler(6.4e6 * orbit.ahead[:, None])
    assert np.isnan(orbit.zero_doppler(np.full((3, 1), np.nan))).all()


def grid_over(state: str = "ascending", size: float = 6000.0, height: float = 20.0):
    """Return bounds south of Helsinki and the Sentinel-1 grid over them."""
    frame = Frame(32635)
    bounds = Bounds(380_000.0, 6_670_000.0, 380_000.0 + size, 6_670_000.0 + size)
    view = View(orbit_state=state, incidence_deg=38.3)
    orbit = Orbit.past(frame, (*bounds.centre, height), S1, view)
    return bounds, GroundRangeGrid.over(frame, bounds, height, orbit, S1)


@pytest.mark.parametrize("state", ["ascending", "descending"])
@pytest.mark.parametrize("size", [1000.0, 32_000.0])
def test_grid_covers_the_bounds_and_inverts(state: str, size: float) -> None:
    bounds, grid = grid_over(state, size)
    random = np.random.default_rng(1)
    x = random.uniform(bounds.west, bounds.east, (20, 30))
    y = random.uniform(bounds.south, bounds.north, (20, 30))
    row, column = grid.positions(x, y, np.full(x.shape, 20.0))
    assert row.shape == column.shape == x.shape
    inner = 45.0  # 500 m of margin less what rounding takes
    assert row.min() > inner
    assert row.max() < grid.shape[0] - inner
    assert column.min() > inner
    assert column.max() < grid.shape[1] - inner
    assert max(grid.shape) < 1.45 * (size / 10.0 + 100)
    for height in (-150.0, 20.0, 900.0):
        row, column = grid.positions(x, y, np.full(x.shape, height))
        again = grid.positions(*grid.ground(row, column, height), np.full(x.shape, height))
        assert np.abs(again[0] - row).max() < 0.01
        assert np.abs(again[1] - column).max() < 0.01
        np.testing.assert_allclose(grid.ground(row, column, height), (x, y), atol=0.01)
    slant = np.sqrt(((grid.frame.ecef(x, y, 900.0)
                      - grid.orbit.position(grid.time_s(row).ravel()).reshape(3, 20, 30)) ** 2
                     ).sum(axis=0))  # fmt: skip
    np.testing.assert_allclose(grid.slant_m(column), slant, atol=1e-3)


@pytest.mark.parametrize("state", ["ascending", "descending"])
def test_pixels_have_the_profiles_spacing_on_the_ground(state: str) -> None:
    _, grid = grid_over(state, 20_000.0)
    rows, columns = np.meshgrid([0.0, grid.shape[0] - 1.0], [0.0, grid.shape[1] - 1.0])
    place, down, right = (
        grid.frame.ecef(*grid.ground(rows + r, columns + c, 20.0), 20.0)
        for r, c in ((0, 0), (1, 0), (0, 1))
    )
    np.testing.assert_allclose(np.linalg.norm(down - place, axis=0), 10.0, rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(right - place, axis=0), 10.0, rtol=1e-3)
    axes = grid.axes(0.0, 0.0)
    np.testing.assert_allclose(axes, [[0.0, 0.1], [0.1, 0.0]])
    look = np.deg2rad(grid.look_deg)
    x, y, height = grid.centre
    for direction, wanted in ((look, axes[:, 0]), (look - np.pi / 2, axes[:, 1])):
        east, north = 50 * np.sin(direction), 50 * np.cos(direction)
        ends = grid.positions(
            np.array([x - east, x + east]), np.array([y - north, y + north]), np.full(2, height)
        )
        assert np.diff(ends)[:, 0] / 100 == pytest.approx(wanted, abs=5e-4)


def test_high_ground_comes_nearer_and_stays_on_its_line() -> None:
    _, grid = grid_over()
    x, y = (np.full(2, v) for v in grid.centre[:2])
    row, column = grid.positions(x, y, np.array([20.0, 120.0]))
    angle = np.deg2rad(grid.incidence_deg(x, y)[0])
    assert np.rad2deg(angle) == pytest.approx(38.3, abs=1e-6)
    assert column[0] - column[1] == pytest.approx(100 / np.tan(angle) / 10, rel=5e-3)
    assert abs(row[1] - row[0]) < 0.05


@pytest.mark.parametrize("towards", [0.0, 45.0, 180.0, 300.0])
def test_movers_shift_as_their_phase_history_says(towards: float) -> None:
    """The stationary phase of a moving point is where its distance to the radar is least."""
    _, grid = grid_over("descending")
    x, y, height = grid.centre
    x, y = x + 800.0, y - 1500.0
    vx, vy = 9.0 * np.sin(np.deg2rad(towards)), 9.0 * np.cos(np.deg2rad(towards))
    (at,), _ = grid.positions(np.array([x]), np.array([y]), np.array([height]))
    abeam = float(grid.time_s(np.asarray(at)))

    def far(t: float) -> float:
        moved = grid.frame.ecef(x + vx * (t - abeam), y + vy * (t - abeam), height)
        return float(np.sum((grid.orbit.position(t)[:, 0] - moved) ** 2))

    def slope(t: float) -> float:
        return far(t + 0.05) - far(t - 0.05)

    least = brentq(slope, abeam - 5.0, abeam + 5.0, xtol=1e-9)
    rows, columns = grid.displacement(np.array([x]), np.array([y]), np.array([vx]), np.array([vy]))
    assert columns[0] == 0.0
    assert rows[0] == pytest.approx((least - abeam) / grid.interval_s, abs=0.25, rel=5e-3)
