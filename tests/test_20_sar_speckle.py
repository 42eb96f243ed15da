"""Rung 2: speckle filters."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from sarknowlip.core.errors import ConfigError
from sarknowlip.sar.lattice import boxcar
from sarknowlip.sar.speckle import Method, despeckle, multilook, reach

METHODS = get_args(Method)
EVERY = pytest.mark.parametrize("method", METHODS)


def speckled(backscatter: np.ndarray, looks: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.gamma(looks, 1.0 / looks, backscatter.shape)
    return (backscatter * noise).astype(np.float32)


def number_of_looks(power: np.ndarray) -> float:
    return float(power.mean() ** 2 / power.var())


@EVERY
@pytest.mark.parametrize("looks", [4.4, 10.0])
def test_even_ground_keeps_its_mean_and_loses_its_speckle(method: Method, looks: float) -> None:
    power = speckled(np.full((600, 600), 0.05), looks)
    # Gamma-MAP estimates the most probable value, which lies below the mean: 1.3 % at 4.4 looks
    # in 7 × 7 pixels.
    filtered = despeckle(power, method, looks, 11 if method == "gamma-map" else 7)
    assert filtered.mean() == pytest.approx(power.mean(), rel=0.01)
    assert number_of_looks(power) == pytest.approx(looks, rel=0.03)
    assert number_of_looks(filtered[4:-4, 4:-4]) > 3.0 * looks


@EVERY
def test_edges_are_kept_better_than_by_a_boxcar(method: Method) -> None:
    truth = np.full((200, 200), 0.02)
    truth[:, 100:] = 0.4
    power = speckled(truth, 10.0)
    near = (slice(10, -10), slice(97, 103))

    def error(image: np.ndarray) -> float:
        return float(np.abs(np.log(image[near] / truth[near])).mean())

    plain = error(boxcar(power, (7.0, 7.0)))
    assert error(despeckle(power, method, 10.0, 7)) < 0.75 * plain


@pytest.mark.parametrize("angle", [0.0, 45.0, 90.0, 135.0, 200.0])
def test_refined_lee_smooths_along_edges_where_lee_cannot(angle: float) -> None:
    rows, columns = np.mgrid[:200, :200] - 99.5
    across = columns * np.cos(np.deg2rad(angle)) + rows * np.sin(np.deg2rad(angle))
    truth = np.where(across > 0, 0.4, 0.02)
    power = speckled(truth, 6.0)
    near = (np.abs(across) < 2.5) & (np.hypot(rows, columns) < 90)
    spread = {
        method: np.std(np.log(despeckle(power, method, 6.0, 7)[near] / truth[near]))
        for method in ("lee", "refined-lee")
    }
    assert spread["refined-lee"] < 0.8 * spread["lee"]


@EVERY
def test_point_targets_are_kept_better_than_by_a_boxcar(method: Method) -> None:
    power = speckled(np.full((99, 99), 0.02), 4.0)
    power[49, 49] = 50.0
    filtered = despeckle(power, method, 4.0, 7)
    assert filtered[49, 49] > 0.75 * 50.0
    assert boxcar(power, (7.0, 7.0))[49, 49] < 0.03 * 50.0
    far = np.hypot(*(np.mgrid[:99, :99] - 49)) > 8
    assert filtered[far].max() < 0.2


@EVERY
@settings(deadline=None, max_examples=25)
@given(
    top=st.integers(0, 40), left=st.integers(0, 40), seed=st.integers(0, 9),
    window=st.sampled_from([5, 7, 9]),
)  # fmt: skip
def test_blocks_with_their_margin_equal_the_whole(method, top, left, seed, window) -> None:
    rng = np.random.default_rng(seed)
    truth = np.where(ndimage.gaussian_filter(rng.normal(size=(80, 90)), 4) > 0, 0.5, 0.01)
    power = speckled(truth, 4.0, seed)
    power[rng.uniform(size=power.shape) < 0.02] = np.nan
    power[30, 40] = 1e6
    whole = despeckle(power, method, 4.0, window)
    m = reach(window)
    block = slice(max(top - m, 0), top + 20 + m), slice(max(left - m, 0), left + 20 + m)
    part = despeckle(power[block], method, 4.0, window)
    inner = part[top - block[0].start :, left - block[1].start :][:20, :20]
    np.testing.assert_allclose(inner, whole[top : top + 20, left : left + 20], rtol=1e-5)


@EVERY
def test_no_data_stays_where_it_is(method: Method) -> None:
    power = speckled(np.full((64, 64), 0.1), 4.0)
    hole = np.zeros(power.shape, dtype=bool)
    hole[20:30, 10:25] = True
    hole[:, 63] = True
    hole[50, 50] = True
    power[hole] = np.nan
    filtered = despeckle(power, method, 4.0)
    np.testing.assert_array_equal(np.isnan(filtered), hole)
    # What lies in the hole does not count: neighbours are as bright as the rest.
    ring = ndimage.binary_dilation(hole, iterations=2) & ~hole
    assert filtered[ring].mean() == pytest.approx(0.1, rel=0.1)
    assert np.isnan(despeckle(np.full((9, 9), np.nan, np.float32), method, 4.0)).all()


@EVERY
@settings(deadline=None, max_examples=20)
@given(scale=st.floats(1e-4, 1e4), seed=st.integers(0, 99))
def test_units_do_not_matter(method: Method, scale: float, seed: int) -> None:
    power = speckled(np.full((24, 24), 1.0), 3.0, seed)
    scaled = despeckle((power * scale).astype(np.float32), method, 3.0, 5)
    np.testing.assert_allclose(scaled, despeckle(power, method, 3.0, 5) * scale, rtol=1e-3)


@EVERY
def test_even_power_and_zero_power_pass_unchanged(method: Method) -> None:
    even = np.full((20, 20), 0.3, dtype=np.float32)
    np.testing.assert_allclose(despeckle(even, method, 4.0), even, rtol=1e-6)
    zero = np.zeros((20, 20), dtype=np.float32)
    np.testing.assert_array_equal(despeckle(zero, method, 4.0), zero)


@EVERY
def test_bands_are_filtered_apart(method: Method) -> None:
    bands = np.stack([speckled(np.full((30, 30), v), 4.0, i) for i, v in enumerate((0.1, 9.0))])
    together = despeckle(bands, method, 4.0)
    for band, filtered in zip(bands, together, strict=True):
        np.testing.assert_array_equal(filtered, despeckle(band, method, 4.0))


def test_lee_is_what_its_formula_says() -> None:
    power = speckled(np.full((15, 15), 0.2), 2.0)
    power[7, 7] = 3.0
    window = power[4:11, 4:11].astype(np.float64)
    spread = window.var() / window.mean() ** 2
    gain = (1 - 0.5 / spread) / 1.5
    expected = window.mean() + gain * (3.0 - window.mean())
    assert despeckle(power, "lee", 2.0, 7)[7, 7] == pytest.approx(expected, rel=1e-6)


def test_gamma_map_solves_its_equation() -> None:
    looks = 3.0
    power = speckled(np.linspace(0.1, 0.45, 15)[None] * np.ones((15, 1)), looks, seed=4)
    filtered = despeckle(power, "gamma-map", looks, 7).astype(np.float64)
    solved = 0
    for row in range(3, 12):
        for column in range(3, 12):
            window = power[row - 3 : row + 4, column - 3 : column + 4].astype(np.float64)
            mean, spread = window.mean(), window.var() / window.mean() ** 2
            if not 1 / looks < spread < 2 / looks:
                continue
            alpha = (1 + 1 / looks) / (spread - 1 / looks)
            x = filtered[row, column]
            terms = [alpha * x**2 / mean, (1 + looks - alpha) * x, -looks * power[row, column]]
            assert abs(sum(terms)) < 1e-4 * max(map(abs, terms))
            solved += 1
    assert solved > 10


@pytest.mark.parametrize(
    ("method", "looks", "window"),
    [("lee", 4.0, 6), ("lee", 4.0, 1), ("refined-lee", 4.0, 3), ("gamma-map", 0.0, 7),
     ("lee", float("nan"), 7), ("median", 4.0, 7)],
)  # fmt: skip
def test_unusable_settings_are_refused(method, looks, window) -> None:
    with pytest.raises(ConfigError, match=r";"):
        despeckle(np.ones((9, 9), np.float32), method, looks, window)


def test_multilook_averages_power_and_skips_no_data() -> None:
    power = np.arange(2 * 5 * 7, dtype=np.float32).reshape(2, 5, 7)
    power[0, :2, :3] = np.nan
    power[0, 2, 0] = np.nan
    result = multilook(power, 2, 3)
    assert result.shape == (2, 2, 2)
    assert np.isnan(result[0, 0, 0])
    assert result[0, 1, 0] == pytest.approx(np.mean([15, 16, 21, 22, 23]))
    assert result[1, 1, 1] == pytest.approx(power[1, 2:4, 3:6].mean())
    even = speckled(np.ones((400, 400)), 1.0)
    assert number_of_looks(multilook(even, 4, 5)) == pytest.approx(20.0, rel=0.1)
    for factors in ((0, 2), (2, 0), (6, 1)):
        with pytest.raises(ConfigError, match="cannot average"):
            multilook(power, *factors)
