"""Rung 7: what models of photographs, of Sentinel-1 and of amplitude pictures are given."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarknowlip.bench.adapters.colour import HIGH, LOW, amplitude, colour, levels, pair
from sarknowlip.bench.adapters.frozen import coloured
from sarknowlip.bench.adapters.sheet import Normalisation
from sarknowlip.models.processing import MEAN_DB, SPREAD_DB
from sarknowlip.sar.chip import amplitude_db, chip
from sarknowlip.sar.product import Radiometry
from sarknowlip.sar.tile import TileImage

CALIBRATED = Radiometry(quantity="sigma0", calibrated=True)


def tile(values: dict[str, float], *, calibrated: bool = True, edge: int = 8) -> TileImage:
    """Return a flat tile, decibels by polarisation."""
    db = np.stack([np.full((edge, edge), value, np.float32) for value in values.values()])
    made = chip("t", db, polarizations=tuple(values), gsd_m=1.0)
    return dataclasses.replace(made, radiometry=CALIBRATED) if calibrated else made


def seen(level: float) -> float:
    return float(np.clip((level - LOW) / (HIGH - LOW), 0.0, 1.0))


def of(db: float, name: str) -> float:
    return (db - MEAN_DB[name]) / SPREAD_DB[name]


def test_one_polarisation_is_grey() -> None:
    for name in ("HH", "VV", "HV", "VH"):
        rgb = colour(tile({name: -15.0}), 4)
        assert rgb.shape == (3, 4, 4)
        assert rgb.dtype == np.float32
        assert np.allclose(rgb, seen(of(-15.0, name)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"VV": -9.0, "VH": -17.0}, ("VV", "VH", "VV-VH")),
        ({"HV": -17.0, "HH": -9.0}, ("HH", "HV", "HH-HV")),
        ({"VV": -9.0, "HH": -12.0}, ("HH", "VV", "HH-VV")),
        ({"HH": -9.0, "HV": -18.0, "VV": -13.0}, ("HH", "HV", "VV")),
        ({"HH": -9.0, "VV": -13.0, "VH": -18.0}, ("HH", "VH", "VV")),
    ],
)
def test_several_polarisations_have_their_places(values, expected) -> None:
    rgb = colour(tile(values), 3)[:, 1, 1]
    for value, what in zip(rgb, expected, strict=True):
        first, _, second = what.partition("-")
        level = of(values[first], first) - (of(values[second], second) if second else 0.0)
        assert value == pytest.approx(seen(level), abs=1e-5)


def test_hv_and_vh_count_as_one() -> None:
    values = {"HH": -9.0, "HV": -17.0, "VH": -19.0, "VV": -12.0}
    mean = (of(-17.0, "HV") + of(-19.0, "VH")) / 2
    assert colour(tile(values), 2)[1, 0, 0] == pytest.approx(seen(mean), abs=1e-5)
    both = colour(tile({"HV": -17.0, "VH": -19.0}), 2)
    assert np.allclose(both, seen(mean), atol=1e-5)


def test_the_order_in_which_a_product_stores_channels_does_not_matter() -> None:
    draw = np.random.default_rng(0)
    db = draw.normal(-14, 4, (2, 16, 16)).astype(np.float32)
    one = chip("t", db, polarizations=("VV", "VH"), gsd_m=1.0)
    other = chip("t", db[::-1].copy(), polarizations=("VH", "VV"), gsd_m=1.0)
    assert np.array_equal(colour(one, 8), colour(other, 8))
    assert np.array_equal(pair(one, 8), pair(other, 8))
    assert np.array_equal(amplitude(one, 8), amplitude(other, 8))


def test_fixed_limits_if_calibrated_and_the_median_if_not() -> None:
    assert colour(tile({"VV": MEAN_DB["VV"] + 2.5 * SPREAD_DB["VV"]}), 2)[0, 0, 0] == pytest.approx(
        5.0 / 6.5, abs=1e-5
    )
    assert colour(tile({"VV": 40.0}), 2).max() == 1.0
    assert colour(tile({"VV": -60.0}), 2).max() == 0.0
    # a flat picture without calibration has the level of the centre, whatever its value
    for value in (-60.0, -3.0, 25.0):
        assert np.allclose(colour(tile({"VV": value}, calibrated=False), 2), 2.5 / 6.5, atol=1e-5)


@given(shift=st.floats(-30, 30), seed=st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_without_calibration_a_gain_changes_nothing(shift, seed) -> None:
    db = np.random.default_rng(seed).normal(-14, 5, (2, 12, 12)).astype(np.float32)
    first, second = (
        chip("t", db + np.float32(by), polarizations=("VV", "VH"), gsd_m=1.0) for by in (0.0, shift)
    )
    assert np.allclose(colour(first, 6), colour(second, 6), atol=1e-4)


def test_shrinking_averages_power() -> None:
    db = np.zeros((1, 4, 4), np.float32)
    db[0, :2, :2] = [[0.0, -20.0], [-20.0, -20.0]]
    made = dataclasses.replace(
        chip("t", db, polarizations=("VV",), gsd_m=1.0), radiometry=CALIBRATED
    )
    power = (1.0 + 3 * 0.01) / 4
    expected = of(10 * np.log10(power), "VV")
    assert levels(made, ["VV"], 2)[0, 0, 0] == pytest.approx(expected, abs=1e-5)


def test_no_data_is_the_centre() -> None:
    made = tile({"VV": -4.0, "VH": -9.0})
    made.db[:, :4] = np.nan
    rgb = colour(made, 8)
    assert np.isfinite(rgb).all()
    assert np.allclose(rgb[:, :4], 2.5 / 6.5)
    assert rgb[0, 6, 0] == pytest.approx(seen(of(-4.0, "VV")), abs=1e-5)
    made.db[:] = np.nan
    assert np.allclose(colour(made, 8), 2.5 / 6.5)
    assert np.array_equal(amplitude(made, 8), np.zeros((1, 8, 8), np.float32))


def test_sentinel_1_pairs() -> None:
    both = pair(tile({"HV": -17.0, "HH": -9.0}), 2)[:, 0, 0]
    assert both == pytest.approx([of(-9.0, "HH"), of(-17.0, "HV")], abs=1e-5)
    alone = pair(tile({"HH": -9.0}), 2)
    assert np.array_equal(alone[0], alone[1])
    full = pair(tile({"HH": -9.0, "HV": -17.0, "VH": -17.0, "VV": -11.0}), 2)[:, 0, 0]
    assert full == pytest.approx([of(-11.0, "VV"), of(-17.0, "VH")], abs=1e-5)


def test_an_8_bit_picture_comes_back_as_it_was() -> None:
    level = np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = chip("t", amplitude_db(level)[None], polarizations=("HH",), gsd_m=1.0)
    expected = np.maximum(level, 0.5) / 255.0
    assert np.allclose(amplitude(made, 16)[0], expected, atol=1e-5)


def test_other_amplitudes_are_stretched() -> None:
    draw = np.random.default_rng(3)
    root = draw.rayleigh(2.0, (64, 64))
    db = (20 * np.log10(root))[None].astype(np.float32)
    for radiometry in (CALIBRATED, Radiometry(quantity="amplitude", calibrated=False)):
        made = dataclasses.replace(
            chip("t", db, polarizations=("VV",), gsd_m=1.0), radiometry=radiometry
        )
        grey = amplitude(made, 64)[0]
        white = root.mean() + 3 * root.std()
        assert np.allclose(grey, np.clip(root / white, 0, 1), atol=1e-4)
        assert (grey == 1.0).mean() == pytest.approx((root >= white).mean(), abs=1e-3)


def test_a_models_own_mean_and_spread() -> None:
    colours = Normalisation(mean=(0.1, 0.2, 0.3), spread=(0.5, 0.25, 2.0))
    made = tile({"VV": -9.0, "VH": -17.0})
    rgb, given_ = colour(made, 4), coloured([made], 4, colours)[0].numpy()
    for row in range(3):
        expected = (rgb[row] - colours.mean[row]) / colours.spread[row]
        assert np.allclose(given_[row], expected, atol=1e-5)
