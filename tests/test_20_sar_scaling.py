"""Rung 2: power ↔ decibel ↔ stored integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sarknowlip.sar.scaling import CALIBRATED, RELATIVE, db_to_power, power_to_db


def test_storage_error_over_the_whole_range_is_below_a_hundredth_db() -> None:
    db = np.linspace(-50, 30, 2_000_001).astype(np.float32)
    stored, clipped = CALIBRATED.encode(db_to_power(db))
    assert clipped == 0
    error = np.abs(CALIBRATED.decode_db(stored).astype(np.float64) - db)
    print(f"largest storage error over −50…+30 dB: {error.max():.5f} dB")
    assert error.max() <= 0.01
    assert error.max() <= 0.0011


@given(hnp.arrays(np.float32, 50, elements=st.floats(-79.5, 50.0, width=32)))
def test_decibels_round_trip(db: np.ndarray) -> None:
    assert np.allclose(power_to_db(db_to_power(db)), db, atol=1e-4)
    stored, _ = CALIBRATED.encode(db_to_power(db))
    assert np.abs(CALIBRATED.decode_db(stored) - db).max() <= 0.0012
    again, _ = CALIBRATED.encode(db_to_power(CALIBRATED.decode_db(stored)))
    assert np.array_equal(again, stored)


def test_no_data_zero_and_negative_power() -> None:
    power = np.array([np.nan, 0.0, -1e-3, 1e-12, 1e9, 1.0], dtype=np.float32)
    stored, clipped = CALIBRATED.encode(power)
    assert stored[0] == 0
    assert list(stored[1:4]) == [1, 1, 1]
    assert stored[4] == 65535
    assert clipped == 4
    assert CALIBRATED.decode_db(stored)[5] == pytest.approx(0.0, abs=1e-3)
    assert np.isnan(db_to_power(CALIBRATED.decode_db(stored))[0])


def test_sixteen_bit_amplitudes_fit_the_relative_encoding() -> None:
    amplitude = np.arange(1, 65536, 7, dtype=np.float32)
    stored, clipped = RELATIVE.encode(amplitude**2)
    assert clipped == 0
    back = np.sqrt(db_to_power(RELATIVE.decode_db(stored)))
    assert np.abs(back / amplitude - 1).max() < 5e-4
