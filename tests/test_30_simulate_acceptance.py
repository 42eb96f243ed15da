"""Rung 3: what is measured on simulated products, with our own readers, is what was put in."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from sarkit.verification import SicdConsistency
from scipy import stats

from data.world.make import HandWorld, ground, layers, local_bounds
from data.world.measures import cell_m, compound, covariance_of, levels_of, looks_of, textured
from data.world.places import (
    leaning,
    motion,
    offsets_of,
    response_of,
    sidelobe_db,
)
from data.world.probe import made
from sarknowlip.simulate.acquire import AcquireConfig
from sarknowlip.simulate.sensors import PROFILES

PASSES = [
    (name, state, look)
    for name in ("sentinel1-iw-grd", "capella-spotlight", "alos2-fine")
    for state, look in itertools.product(("ascending", "descending"), PROFILES[name].look_sides)
]


PLACES = [case for case in PASSES if case[0] != "capella-spotlight" or case[1] == "ascending"]


@pytest.mark.parametrize(
    "name", ["sentinel1-iw-grd", "capella-spotlight", "terrasarx-stripmap", "gaofen3-qpsi"]
)
def test_looks_are_those_of_the_profile_and_gamma_distributed(tmp_path: Path, name: str) -> None:
    profile = PROFILES[name]
    for found in looks_of(tmp_path, AcquireConfig(sensor=name), 400):
        assert found.error < 0.03 * profile.enl
        assert found.all_pixels == pytest.approx(profile.enl, rel=0.05)
        assert abs(found.decimated - profile.enl) < 4 * found.decimated_error
        assert found.samples.size > 250
        # p at the profile's number, and at half and twice that.
        p = [
            stats.kstest(found.samples, stats.gamma(n, scale=1 / n).cdf).pvalue
            for n in (profile.enl, profile.enl / 2, profile.enl * 2)
        ]
        assert p[0] > 0.005
        assert max(p[1:]) < 1e-3


def test_power_on_textured_surfaces_is_k_distributed(tmp_path: Path) -> None:
    found = textured(tmp_path, "capella-spotlight", "flat_roof", 340.0, noise=False)
    assert found.order == 2.0
    assert found.samples.size > 800
    assert found.fitted == pytest.approx(found.order, rel=0.3)
    assert stats.kstest(found.samples, compound(found.order, found.signal)).pvalue > 0.005
    assert stats.kstest(found.samples, "expon").pvalue < 0.005


@pytest.mark.parametrize(
    ("name", "edge_m"),
    [("sentinel1-iw-grd", 700.0), ("terrasarx-stripmap", 250.0), ("alos2-quad", 700.0)],
)
def test_levels_of_surfaces_are_the_tables(tmp_path: Path, name: str, edge_m: float) -> None:
    """Within 0.3 dB, or three standard errors of so few pixels where that is more."""
    found = levels_of(tmp_path, name, edge_m, texture=False)
    assert len(found) == 22 * len(PROFILES[name].polarizations)
    for level in found:
        error = 10 / np.log(10) * level.error / level.expected
        assert error < 0.2
        assert abs(level.difference_db) < max(0.3, 3 * error), level
    strong = [level for level in found if level.noise < 0.3]
    assert len(strong) > 0.3 * len(found)
    for level in strong:
        assert abs(level.signal_db) < max(0.3, 3 * level.signal_error_db), level


@pytest.mark.parametrize(("name", "state", "look"), PASSES[1:])
def test_layover_falls_toward_the_radar_and_shadow_away(
    tmp_path: Path, name: str, state: str, look: str
) -> None:
    config = AcquireConfig(sensor=name, orbit_state=state, look=look)
    high = 20.0 if name == "capella-spotlight" else 60.0
    found = leaning(tmp_path, config, high)
    angle, cell = np.radians(found.incidence_deg), cell_m(config.profile())
    eastward = found.look_deg < 180.0
    # Flying north and looking right is looking east.
    assert eastward == ((state == "ascending") == (look == "right"))
    assert found.layover_m == pytest.approx(high / np.tan(angle), abs=0.1 * cell)
    assert found.layover_deg == pytest.approx(180.0, abs=1.0)
    assert found.shadow_m == pytest.approx(high * np.tan(angle), abs=0.35 * cell)
    assert found.bright_deg == pytest.approx(180.0, abs=5.0)
    assert (found.dark_deg + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=5.0)


@pytest.mark.parametrize(("name", "state", "look"), PLACES)
def test_points_on_hills_come_back_to_their_places(
    tmp_path: Path, name: str, state: str, look: str
) -> None:
    """Half a pixel of the map is asked for: SAFE by elevation model and by tie points alone."""
    edge, gsd = {"safe": (2500.0, 10.0), "sicd": (200.0, 0.5), "geotiff": (2500.0, 6.25)}[
        PROFILES[name].output
    ]
    config = AcquireConfig(sensor=name, orbit_state=state, look=look)
    dem = name == "capella-spotlight" or (name, state) == ("sentinel1-iw-grd", "ascending")
    found = offsets_of(tmp_path, config, edge, gsd, dem=dem)
    assert len(found) == 25
    assert max(found) < 0.25


@pytest.mark.parametrize("name", ["sentinel1-iw-grd", "iceye-spotlight", "alos2-stripmap"])
def test_responses_of_points_are_the_profiles(tmp_path: Path, name: str) -> None:
    profile, found = PROFILES[name], response_of(tmp_path, AcquireConfig(sensor=name))
    assert found.range_m == pytest.approx(profile.resolution_range_m, rel=0.01)
    assert found.azimuth_m == pytest.approx(profile.resolution_azimuth_m, rel=0.01)
    assert found.sidelobe_db == pytest.approx(sidelobe_db(profile.hamming), abs=0.5)
    assert found.rcs_db == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("state", ["ascending", "descending"])
@pytest.mark.parametrize("name", ["sentinel1-iw-grd", "alos2-fine"])
def test_ships_under_way_leave_their_wakes(tmp_path: Path, name: str, state: str) -> None:
    look = PROFILES[name].look_sides[-1]
    found = motion(tmp_path, AcquireConfig(sensor=name, orbit_state=state, look=look))
    assert found.wanted_m < -300.0
    assert found.ahead_m == pytest.approx(found.wanted_m, abs=1.0)
    assert found.beyond_m == pytest.approx(0.0, abs=1.0)
    assert found.wake_db == pytest.approx(-4.0, abs=0.5)


@pytest.mark.parametrize("surface", ["flooded_vegetation", "sea"])
def test_covariance_matrices(tmp_path: Path, surface: str) -> None:
    found = covariance_of(tmp_path, "alos2-quad", surface, 250)
    assert found.least > -1e-6
    assert found.diagonal == 0.0
    assert abs(found.found - found.wanted) < 5 * found.error
    assert found.error < 0.01


def test_sicd_files_pass_sarkits_checker(tmp_path: Path) -> None:
    sicd = [name for name, profile in PROFILES.items() if profile.output == "sicd"]
    bounds = local_bounds(60.0, 50.0)
    world = HandWorld(layers(ground(bounds)), bounds=bounds)
    for name, (state, look) in itertools.product(
        sicd, (("ascending", "left"), ("descending", "right"))
    ):
        config = AcquireConfig(sensor=name, orbit_state=state, look=look)
        product = made(world, tmp_path / f"{name}-{state}-{look}", config)
        with product.path.open("rb") as handle:
            checks = SicdConsistency.from_file(handle)
        checks.check()
        assert not checks.failures()
        assert len(checks.passes()) > 45
