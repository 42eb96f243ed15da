"""Impulse response, speckle and texture against their theory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from sarknowlip.core.errors import ConfigError
from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.image.lattice import Lattice, Patch
from sarknowlip.simulate.image.response import REACH, ImpulseResponse, response
from sarknowlip.simulate.image.speckle import Blur, Pair, look_weights, noise
from sarknowlip.simulate.image.texture import SmoothField, deviates, gamma_table

ALPHAS = st.floats(0.54, 1.0)
# Highest sidelobe of generalised Hamming windows, dB: 1 is the sinc; 0.54 is Hamming's own
# (Harris, On the Use of Windows, Proc. IEEE 66, 1978, table I: -43 dB).
SIDELOBES = {1.0: -13.26, 0.54: -43.0}


def turned(spacing: float, angle_deg: float) -> np.ndarray:
    """Return axes of a square grid whose columns are at an angle to the range direction."""
    angle = np.radians(angle_deg)
    return np.array([[-np.sin(angle), np.cos(angle)], [np.cos(angle), np.sin(angle)]]) / spacing


@given(looks=st.integers(1, 40), share=st.floats(0.0, 1.0))
def test_weights_have_exactly_the_equivalent_number_of_looks(looks: int, share: float) -> None:
    enl = 1.0 + share * (looks - 1)
    weights = np.array(look_weights(looks, enl))
    assert len(weights) == looks
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)
    assert 1 / (weights**2).sum() == pytest.approx(enl, rel=1e-6)


@pytest.mark.parametrize(("looks", "enl"), [(1, 1.1), (4, 4.4), (3, 0.9)])
def test_impossible_numbers_of_looks_are_refused(looks: int, enl: float) -> None:
    with pytest.raises(ConfigError, match="enl"):
        look_weights(looks, enl)


@given(alpha=ALPHAS)
def test_half_power_width_is_one(alpha: float) -> None:
    power = response(np.array([0.0, 0.5, -0.5]), alpha) ** 2
    assert power[1:] / power[0] == pytest.approx(0.5, abs=1e-9)


@given(alpha=ALPHAS)
def test_response_has_unit_energy(alpha: float) -> None:
    t = np.arange(-400, 400, 0.05)
    assert (response(t, alpha) ** 2).sum() * 0.05 == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(("alpha", "decibels"), SIDELOBES.items())
def test_highest_sidelobe(alpha: float, decibels: float) -> None:
    t = np.arange(0, 20, 1e-3)
    power = response(t, alpha) ** 2
    first_null = int(np.argmax(np.diff(power) > 0))
    level = 10 * np.log10(power[first_null:].max() / power[0])
    assert level == pytest.approx(decibels, abs=0.01 if alpha == 1.0 else 0.5)


@given(
    offset=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    angle=st.floats(0, 360),
    alpha=st.floats(0.6, 0.75),
)
def test_a_points_power_does_not_depend_on_its_place_in_the_grid(
    offset: tuple[float, float], angle: float, alpha: float
) -> None:
    psf = ImpulseResponse(alpha, (2.0, 2.6), turned(1.0, angle))
    stamp = psf.around(np.array([offset[0]]), np.array([offset[1]]), 16)
    assert (stamp**2).sum() == pytest.approx(1.0, abs=0.01)


def test_straight_grids_take_the_short_way_to_the_same_response() -> None:
    straight = ImpulseResponse(0.75, (2.0, 3.0), turned(1.0, 0.0))
    rows, columns = np.array([0.2, -0.4]), np.array([0.1, 0.3])
    stamps = straight.around(rows, columns, 5)
    half = straight.half_widths(5)
    i, j = (np.arange(-h, h + 1) for h in half)
    for n in range(2):
        whole = straight.at(i[:, None] - rows[n], j[None, :] - columns[n])
        assert stamps[n] == pytest.approx(whole, abs=1e-12)


def test_blur_is_the_valid_convolution() -> None:
    random = np.random.default_rng(1)
    kernel = random.normal(size=(7, 11))
    window = random.normal(size=(40, 36)) + 1j * random.normal(size=(40, 36))
    found = Blur(kernel, (34, 26))(window)
    assert found == pytest.approx(signal.convolve(window, kernel, "valid", "direct"), abs=1e-10)


@pytest.mark.parametrize("angle", [0.0, 25.0])
@pytest.mark.parametrize("alpha", [0.7, 1.0])
def test_speckle_is_correlated_as_the_response(angle: float, alpha: float) -> None:
    """The autocorrelation of a weighted band is the inverse transform of W², here integrated."""
    psf = ImpulseResponse(alpha, (3.0, 2.4), turned(1.0, angle))
    blur = Blur(psf.kernel(), (900, 900))
    shape = tuple(900 + 2 * h for h in blur.half)
    (white,) = noise(3, 0, (-50, 70), (shape[0], shape[1]), polarizations=("VV",))
    speckle = blur(white)
    assert np.mean(np.abs(speckle) ** 2) == pytest.approx(1.0, abs=0.02)
    cells = psf.cells
    for lag in ((0, 1), (1, 0), (2, 1), (0, 3), (3, -2)):
        a = speckle[4:-4, 4:-4]
        b = speckle[4 + lag[0] : 896 + lag[0], 4 + lag[1] : 896 + lag[1]]
        expected = np.prod([_band_correlation(cells[k] @ np.array(lag), alpha) for k in range(2)])
        assert np.mean(b * np.conj(a)) == pytest.approx(expected, abs=0.02)


def _band_correlation(t: float, alpha: float) -> float:
    """Return the correlation at t resolution cells by summing over the weighted spectrum."""
    fine = np.arange(0, 1, 1e-4)
    half = fine[np.argmax(_pulse(fine, alpha) ** 2 < 0.5)]
    f = np.linspace(-0.5, 0.5, 4001)
    spectrum = (alpha + (1 - alpha) * np.cos(2 * np.pi * f)) ** 2
    return float((spectrum * np.cos(2 * np.pi * f * t * 2 * half)).sum() / spectrum.sum())


def _pulse(t: np.ndarray, alpha: float) -> np.ndarray:
    f = np.linspace(-0.5, 0.5, 401)[:, None]
    weights = alpha + (1 - alpha) * np.cos(2 * np.pi * f)
    return (weights * np.cos(2 * np.pi * f * t)).sum(axis=0) / weights.sum()


def test_single_look_speckle_is_circular_gaussian() -> None:
    psf = ImpulseResponse(0.75, (2.0, 2.0), turned(1.0, 0.0))
    blur = Blur(psf.kernel(), (600, 600))
    (white,) = noise(5, 0, (0, 0), (640, 640), polarizations=("HH",))
    speckle = blur(white)[::12, ::12]
    assert stats.kstest(np.abs(speckle.ravel()) ** 2, "expon").pvalue > 0.01
    assert stats.kstest(np.angle(speckle.ravel()) / (2 * np.pi) + 0.5, "uniform").pvalue > 0.01


@given(modulus=st.floats(0, 1), phase=st.floats(-3, 3))
def test_correlated_polarisations(modulus: float, phase: float) -> None:
    rho = modulus * np.exp(1j * phase)
    pair = Pair(0, 2, np.full((128, 128), rho))
    hh, hv, vv = noise(9, 1, (0, 0), (128, 128), polarizations=("HH", "HV", "VV"), pairs=(pair,))
    assert np.mean(hh * np.conj(vv)) == pytest.approx(rho, abs=0.04)
    assert np.mean(np.abs(vv) ** 2) == pytest.approx(1.0, abs=0.04)
    assert abs(np.mean(hh * np.conj(hv))) < 0.04


def test_looks_polarisations_and_seeds_are_independent() -> None:
    fields = [
        noise(seed, look, (0, 0), (128, 128), polarizations=(name,))[0]
        for seed, look, name in ((1, 0, "VV"), (2, 0, "VV"), (1, 1, "VV"), (1, 0, "VH"))
    ]
    correlation = np.corrcoef([field.ravel() for field in fields])
    assert np.abs(correlation - np.eye(4)).max() < 0.04


LATTICE = Lattice.over(Bounds(0, 0, 4000, 4000), 77.0, 2.0)


@pytest.mark.parametrize("order", [0.8, 4.0, 30.0])
def test_texture_is_gamma_distributed(order: float) -> None:
    patch = Patch(LATTICE, -640, -640, (1280, 1280))
    levels = SmoothField.of(1, "texture", 10.0, 2.0).on(patch)
    values = gamma_table(order)[levels[::25, ::25]].ravel()
    assert stats.kstest(values, stats.gamma(order, scale=1 / order).cdf).pvalue > 0.01
    table = gamma_table(order)
    weight = np.exp(-(deviates(np.arange(1 << 16, dtype=np.uint16)).astype(float) ** 2) / 2)
    assert (table * weight).sum() / weight.sum() == pytest.approx(1.0, abs=1e-3)


def test_no_texture_is_one() -> None:
    assert (gamma_table(float("inf")) == 1.0).all()


@pytest.mark.parametrize("length", [8.0, 30.0])
def test_smooth_fields_are_stationary_and_fall_to_1_over_e(length: float) -> None:
    patch = Patch(LATTICE, -640, -640, (1280, 1280))
    field = deviates(SmoothField.of(1, "a", length, 2.0).on(patch))
    assert field.std() == pytest.approx(1.0, abs=0.1)
    lag = round(length / 2.0)
    for a, b in ((field[lag:], field[:-lag]), (field[:, lag:], field[:, :-lag])):
        assert np.mean(a * b) / field.var() == pytest.approx(np.exp(-1), abs=0.08)
    # Equal variance at all places between nodes, seen over many seeds.
    small = Patch(LATTICE, 0, 0, (16, 16))
    many = [deviates(SmoothField.of(s, "a", length, 2.0).on(small)) for s in range(300)]
    assert np.std(many, axis=0) == pytest.approx(1.0, abs=0.2)


@given(i=st.integers(-20, 20), j=st.integers(-20, 20))
def test_fields_do_not_depend_on_the_patch(i: int, j: int) -> None:
    field = SmoothField.of(1, "b", 9.0, 2.0)
    whole = field.on(Patch(LATTICE, -320, -320, (640, 640)))
    part = field.on(Patch(LATTICE, 8 * i, 8 * j, (64, 32)))
    assert (whole[320 + 8 * i :, 320 + 8 * j :][:64, :32] == part).all()


def test_reach_holds_almost_all_energy() -> None:
    """What the speckle's kernel leaves out, of a sinc's square: under 2 % a direction."""
    t = np.arange(-REACH, REACH, 0.01)
    assert (response(t, 1.0) ** 2).sum() * 0.01 > 0.98
