"""Rung 3: every simulated sensor has a sane profile and an exact image geometry."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from scipy import optimize

from data.world.make import HELSINKI, local_bounds
from sarknowlip.core.errors import ConfigError, GeometryError
from sarknowlip.simulate.frame import Bounds, Frame
from sarknowlip.simulate.image.map_grid import MapGrid
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.image.radar_grid import GroundRangeGrid
from sarknowlip.simulate.image.response import width_factor
from sarknowlip.simulate.image.slant_grid import SlantRangeGrid
from sarknowlip.simulate.image.smooth import SmoothMap
from sarknowlip.simulate.sensors import PROFILES, find_profile
from sarknowlip.simulate.sensors.profile import Output, SensorProfile, View

GRIDS: dict[str, Any] = {"safe": GroundRangeGrid, "sicd": SlantRangeGrid, "geotiff": MapGrid}
BOUNDS = local_bounds(2400.0, 1800.0)
REFERENCE_M = 20.0
SOURCED = {
    "frequency_ghz", "polarizations", "resolution_range_m", "resolution_azimuth_m",
    "spacing_range_m", "spacing_azimuth_m", "looks_range", "looks_azimuth", "enl", "hamming",
    "nesz_db", "incidence_deg", "altitude_km", "inclination_deg", "look_sides",
}  # fmt: skip
LOOKS = [
    pytest.param(name, state, side, id=f"{name}-{state}-{side}")
    for name, profile in PROFILES.items()
    for state, side in itertools.product(("ascending", "descending"), profile.look_sides)
]


def view_of(profile: SensorProfile, **options: Any) -> View:
    return View(**{"incidence_deg": profile.incidence_deg[1], "look": "right"} | options)


def geometry_of(name: str, bounds: Bounds = BOUNDS, frame: Frame = HELSINKI, **options: Any) -> Any:
    profile = PROFILES[name]
    orbit = Orbit.past(frame, (*bounds.centre, REFERENCE_M), profile, view_of(profile, **options))
    return GRIDS[profile.output].over(frame, bounds, REFERENCE_M, orbit, profile)


def places(bounds: Bounds, n: int, seed: int = 1) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    return random.uniform(bounds.west, bounds.east, n), random.uniform(
        bounds.south, bounds.north, n
    )


def radar_slopes(geometry: Any, x: float, y: float) -> Any:
    """Return [[∂t/∂x, ∂t/∂y], [∂R/∂x, ∂R/∂y]] on the ground, from the orbit alone."""
    step = 20.0
    xs, ys = x + step * np.array([-1, 1, 0, 0]), y + step * np.array([0, 0, -1, 1])
    seen = np.stack(geometry.orbit.zero_doppler(geometry.frame.ecef(xs, ys, REFERENCE_M)))
    return (seen[:, 1::2] - seen[:, ::2]) / (2 * step)


def test_all_three_formats_and_bands_and_quad_polarisation_are_there() -> None:
    assert {p.output for p in PROFILES.values()} == set(get_args(Output))
    assert {p.band for p in PROFILES.values()} == {"X", "C", "L"}
    assert sum(len(p.polarizations) == 4 for p in PROFILES.values()) >= 2
    wanted = {"sentinel1-iw-grd", "umbra-spotlight", "capella-spotlight", "iceye-spotlight"}
    assert wanted | {"terrasarx-stripmap", "gaofen3-fsii", "alos2-stripmap"} <= set(PROFILES)


def test_an_unknown_sensor_is_refused_with_all_names() -> None:
    assert find_profile("umbra-spotlight") is PROFILES["umbra-spotlight"]
    with pytest.raises(ConfigError) as caught:
        find_profile("sentinel-9")
    assert "'sentinel-9'" in str(caught.value)
    assert all(name in str(caught.value) for name in PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_profile_is_sane(name: str) -> None:
    p = PROFILES[name]
    assert p.name == name
    assert set(p.sources) == SOURCED
    assert all(len(text) > 5 for text in p.sources.values())
    assert p.polarizations in p.polarizations_offered
    low, high = {"X": (8.0, 12.0), "C": (4.0, 8.0), "L": (1.0, 2.0)}[p.band]
    assert low < p.frequency_ghz < high
    assert 0.0 < p.spacing_range_m < p.resolution_range_m
    assert 0.0 < p.spacing_azimuth_m < p.resolution_azimuth_m
    assert 1.0 <= p.enl <= p.looks_range * p.looks_azimuth
    assert 0.5 <= p.hamming <= 1.0
    assert -40.0 < p.nesz_db < -10.0
    assert 10.0 < p.incidence_deg[0] < p.incidence_deg[1] < p.incidence_deg[2] < 75.0
    assert 450.0 < p.altitude_km < 800.0
    assert "right" in p.look_sides
    if p.output == "sicd":
        assert (p.looks_range, p.looks_azimuth, len(p.polarizations)) == (1, 1, 1)
        for spacing, resolution in (
            (p.spacing_range_m, p.resolution_range_m),
            (p.spacing_azimuth_m, p.resolution_azimuth_m),
        ):
            oversampling = resolution / (width_factor(p.hamming) * spacing)
            assert 1.1 <= oversampling <= 2.2
    if p.output == "geotiff":
        assert p.spacing_range_m == p.spacing_azimuth_m


@pytest.mark.parametrize(("name", "state", "side"), LOOKS)
def test_incidence_side_and_layover(name: str, state: str, side: str) -> None:
    geometry = geometry_of(name, orbit_state=state, look=side)
    x, y = (np.array([v]) for v in BOUNDS.centre)
    wanted = PROFILES[name].incidence_deg[1]
    angle = float(geometry.incidence_deg(x, y)[0])
    assert angle == pytest.approx(wanted, abs=0.05)

    turn = 90.0 if side == "right" else -90.0
    beside = geometry.orbit.heading_deg + turn - HELSINKI.convergence_deg(*BOUNDS.centre)
    # Squint against the ground track comes from Earth's rotation and the look's great circle.
    assert abs((geometry.look_deg - beside + 180.0) % 360.0 - 180.0) < 12.0
    assert (geometry.orbit.heading_deg > 270 or geometry.orbit.heading_deg < 90) == (
        state == "ascending"
    )

    height = 50.0
    row, column = geometry.positions(x, y, np.array([REFERENCE_M + height]))
    seen_x, seen_y = geometry.ground(row, column, REFERENCE_M)
    shift = np.array([float(seen_x[0] - x[0]), float(seen_y[0] - y[0])])
    look = np.deg2rad(geometry.look_deg)
    away = np.array([np.sin(look), np.cos(look)])
    assert shift @ away == pytest.approx(-height / np.tan(np.deg2rad(wanted)), rel=0.01)
    assert abs(shift @ [away[1], -away[0]]) < 0.01 * np.hypot(*shift)


@pytest.mark.parametrize("name", PROFILES)
def test_everything_in_the_world_is_in_the_image(name: str) -> None:
    geometry = geometry_of(name)
    x, y = places(BOUNDS, 500)
    rows, columns = geometry.positions(x, y, np.full(500, REFERENCE_M))
    assert rows.min() > -0.5
    assert columns.min() > -0.5
    assert rows.max() < geometry.shape[0] - 0.5
    assert columns.max() < geometry.shape[1] - 0.5
    area = geometry.shape[0] * geometry.shape[1]
    p = PROFILES[name]
    slant = np.sin(np.deg2rad(p.incidence_deg[1])) if p.output == "sicd" else 1.0
    needed = BOUNDS.width * BOUNDS.height * slant / (p.spacing_range_m * p.spacing_azimuth_m)
    assert needed <= 1.001 * area < 4 * needed


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("height", [-150.0, REFERENCE_M, 500.0])
def test_ground_is_the_inverse_of_positions(name: str, height: float) -> None:
    geometry = geometry_of(name)
    random = np.random.default_rng(3)
    row, column = (random.uniform(-20.0, n + 20.0, (20, 25)) for n in geometry.shape)
    x, y = geometry.ground(row, column, height)
    assert x.shape == row.shape
    again = geometry.positions(x, y, np.full(x.shape, height))
    assert np.abs(again[0] - row).max() < 0.01
    assert np.abs(again[1] - column).max() < 0.01


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("side", ["right", "left"])
def test_axes_are_derivatives_of_positions(name: str, side: str) -> None:
    if side not in PROFILES[name].look_sides:
        with pytest.raises(GeometryError, match="does not look left"):
            geometry_of(name, look=side)
        return
    geometry = geometry_of(name, look=side)
    row, column = geometry.shape[0] * 0.3, geometry.shape[1] * 0.6
    x, y = (float(v[0]) for v in geometry.ground(np.array([row]), np.array([column]), REFERENCE_M))
    slopes = radar_slopes(geometry, x, y)
    along, outward = np.linalg.inv(slopes).T  # per second abeam, per metre of slant range
    along /= np.hypot(*along)
    if PROFILES[name].output != "sicd":
        outward /= np.hypot(*outward)
    step = 30.0
    found = []
    for direction in (outward, along):
        xs, ys = (
            x + step * direction[0] * np.array([-1, 1]),
            y + step * direction[1] * np.array([-1, 1]),
        )
        at = np.stack(geometry.positions(xs, ys, np.full(2, REFERENCE_M)))
        found.append((at[:, 1] - at[:, 0]) / (2 * step))
    numeric = np.stack(found, axis=1)
    axes = geometry.axes(row, column)
    assert np.abs(axes - numeric).max() < 0.005 * np.abs(numeric).max()


@pytest.mark.parametrize("name", PROFILES)
def test_motion_shifts_by_the_time_at_which_the_range_is_shortest(name: str) -> None:
    geometry = geometry_of(name)
    x, y = (np.array([v]) for v in BOUNDS.centre)
    look = np.deg2rad(geometry.look_deg)
    place = geometry.frame.ecef(x, y, REFERENCE_M)[:, 0]
    abeam = float(geometry.orbit.zero_doppler(place[:, None])[0][0])
    for speed in (-8.0, 12.0):
        vx, vy = speed * np.sin(look) * np.ones(1), speed * np.cos(look) * np.ones(1)
        velocity = geometry.frame.ecef(x + vx, y + vy, REFERENCE_M)[:, 0] - place

        def distance(t: float, velocity: Any = velocity) -> float:
            moved = place + velocity * (t - abeam)
            return float(np.linalg.norm(geometry.orbit.position(t)[:, 0] - moved))

        rate = lambda t: distance(t + 0.01) - distance(t - 0.01)  # noqa: E731
        nearest = optimize.brentq(rate, abeam - 1.0, abeam + 1.0, xtol=1e-9)
        assert (nearest < abeam) == (speed > 0), "a receding target comes early"
        # Where on the ground at rest would be abeam then, at the same range?
        along = np.linalg.inv(radar_slopes(geometry, x[0], y[0]))[:, 0] * (nearest - abeam)
        still = geometry.positions(x, y, np.full(1, REFERENCE_M))
        seen = geometry.positions(x + along[0], y + along[1], np.full(1, REFERENCE_M))
        shift = np.concatenate(geometry.displacement(x, y, vx, vy))
        wanted = np.array([float(seen[i][0] - still[i][0]) for i in (0, 1)])
        assert np.hypot(*(shift - wanted)) < 0.01 * np.hypot(*wanted) + 0.01
    rows, columns = geometry.displacement(x, y, np.zeros(1), np.zeros(1))
    assert (rows == 0).all()
    assert (columns == 0).all()


@pytest.mark.parametrize("name", ["terrasarx-stripmap", "gaofen3-qpsi"])
@pytest.mark.parametrize("epsg", [32635, 32723])
def test_a_map_shows_where_time_and_range_meet_the_reference_height(name: str, epsg: int) -> None:
    """Against a root finder on the orbit, for heights up to 500 m off, in both hemispheres."""
    frame = Frame(epsg)
    bounds = Bounds(330_000.0, 7_390_000.0, 340_000.0, 7_398_000.0)
    geometry = geometry_of(name, bounds=bounds, frame=frame)
    x, y = places(bounds, 6)
    z = REFERENCE_M + np.array([-500.0, -200.0, 1e-9, 3.0, 250.0, 500.0])
    rows, columns = geometry.positions(x, y, z)
    for i in range(6):
        wanted = np.ravel(geometry.orbit.zero_doppler(frame.ecef(x[i], y[i], z[i])[:, None]))

        def miss(at: Any, wanted: Any = wanted) -> Any:
            seen = geometry.orbit.zero_doppler(frame.ecef(*at, REFERENCE_M)[:, None])
            return (np.ravel(seen) - wanted) * [7000.0, 1.0]

        at = optimize.root(miss, [x[i], y[i]], tol=1e-10).x
        column, row = ~geometry.transform * tuple(at)
        assert np.hypot(row - 0.5 - rows[i], column - 0.5 - columns[i]) < 0.1
        assert np.hypot(row - 0.5 - rows[i], column - 0.5 - columns[i]) < 0.002


@pytest.mark.parametrize(
    "name", ["umbra-spotlight", "iceye-spotlight", "terrasarx-stripmap", "sentinel1-iw-grd"]
)
@pytest.mark.parametrize("size", [1_000.0, 30_000.0])
def test_fitted_positions_are_the_exact_ones(name: str, size: float) -> None:
    geometry = geometry_of(name, bounds=local_bounds(size, size * 0.8))
    x, y = places(geometry.bounds, 400)
    z = np.random.default_rng(5).uniform(-500.0, 600.0, 400)
    fitted, exact = geometry.positions(x, y, z), geometry.exact_positions(x, y, z)
    assert np.hypot(fitted[0] - exact[0], fitted[1] - exact[1]).max() < 0.002
    # Far outside the fitted box the exact solution answers.
    far = np.array([geometry.bounds.east + 40_000.0]), y[:1], np.array([4000.0])
    assert np.allclose(geometry.positions(*far), geometry.exact_positions(*far), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["umbra-spotlight", "terrasarx-stripmap"])
def test_a_geometry_in_use_can_be_pickled(name: str) -> None:
    """Worker processes get it so."""
    geometry = geometry_of(name)
    x, y = places(BOUNDS, 5)
    seen = geometry.positions(x, y, np.full(5, 30.0))
    found = geometry.ground(*seen, 30.0), geometry.incidence_deg(x, y)
    copy = pickle.loads(pickle.dumps(geometry))
    assert np.array_equal(copy.positions(x, y, np.full(5, 30.0)), seen)
    assert np.array_equal(copy.ground(*seen, 30.0), found[0])
    assert np.array_equal(copy.incidence_deg(x, y), found[1])
    far = np.array([BOUNDS.east + 90_000.0]), np.array([BOUNDS.north])
    assert abs(copy.incidence_deg(*far)[0] - geometry.incidence_deg(*far)[0]) < 1e-9


def test_a_function_that_no_polynomial_follows_is_refused() -> None:
    def rough(u: Any, v: Any, w: Any) -> tuple[Any]:
        return (np.sign(np.sin(40 * u)) + 0 * v * w,)

    with pytest.raises(GeometryError, match="too large for one geometry"):
        SmoothMap.fit(rough, (-1, -1, -1), (1, 1, 1), 1e-3)


@pytest.mark.parametrize("name", PROFILES)
def test_angles_outside_the_range_are_refused(name: str) -> None:
    least, _, greatest = PROFILES[name].incidence_deg
    for angle in (least - 0.5, greatest + 0.5):
        with pytest.raises(GeometryError, match=f"{name} cannot look at"):
            geometry_of(name, incidence_deg=angle)
    for angle in (least, greatest):
        assert geometry_of(name, incidence_deg=angle).shape[0] > 0


@pytest.mark.parametrize("side", ["right", "left"])
def test_slant_columns_make_shadows_fall_down(side: str) -> None:
    """Rows times columns point away from Earth: columns run with time only when looking right."""
    geometry = geometry_of("umbra-spotlight", look=side)
    t, slant = geometry.abeam(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]))
    assert (t[1] > t[0]) == (side == "right")
    assert slant[2] > slant[0]
    corners = geometry.outline()
    assert corners[0][0] == min(row for row, _ in corners)
    turn = sum(
        c0 * r1 - c1 * r0
        for (r0, c0), (r1, c1) in zip(corners, [*corners[1:], corners[0]], strict=True)
    )
    assert turn > 0, "clockwise, rows down"


def page_rows(profile: SensorProfile) -> list[str]:
    """Return the lines of docs/simulated-sensors.md that follow from a profile."""
    values = profile.model_dump()

    def text(value: Any) -> str:
        return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)

    return [
        f"### `{profile.name}`",
        *(f"| `{field}` | {text(values[field])} | {profile.sources[field]} |"
          for field in SensorProfile.model_fields if field in SOURCED),
    ]  # fmt: skip


@pytest.mark.parametrize("name", PROFILES)
def test_the_page_tells_every_number_and_its_source(name: str) -> None:
    page = (Path(__file__).parent.parent / "docs" / "simulated-sensors.md").read_text("utf-8")
    missing = [row for row in page_rows(PROFILES[name]) if row not in page.splitlines()]
    assert not missing, "put these lines on the page:\n" + "\n".join(missing)
