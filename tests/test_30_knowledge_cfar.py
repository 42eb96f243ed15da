"""Rung 3: the detector's false-alarm rate, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tiles.make import speckled
from sarknowlip.knowledge.cfar import CfarConfig, detect, multiplier


def alarms(power: np.ndarray, looks: float, pfa: float) -> float:
    """Return the share of pixels above the threshold in a single pass, no growing."""
    config = CfarConfig(pfa=pfa, grow_pfa=pfa)
    found = detect(power, np.ones(power.shape, dtype=bool), looks, 10.0, config)
    return float((found.labels > 0).mean())


@pytest.mark.parametrize("looks", [1.0, 4.0, 16.0])
def test_false_alarm_rate_in_gamma_clutter(looks: float) -> None:
    """1e-3 is asked; looks are rounded down to a quarter octave, so it may be lower, not higher."""
    power = speckled(np.ones((600, 600)), looks, seed=3)
    assert 0.4e-3 < alarms(power, looks, 1e-3) < 1.6e-3


@pytest.mark.parametrize("shape", [2.0, 8.0])
def test_false_alarm_rate_in_k_clutter(shape: float) -> None:
    """Texture that varies from pixel to pixel: ν is estimated from the ring's moments."""
    rng = np.random.default_rng(5)
    power = speckled(rng.gamma(shape, 1 / shape, (600, 600)), 4.0, seed=6)
    assert 0.2e-3 < alarms(power, 4.0, 1e-3) < 3e-3


@given(st.floats(1e-8, 1e-2), st.floats(1.5, 10.0), st.floats(1.0, 32.0))
@settings(max_examples=30, deadline=None)
def test_fewer_false_alarms_need_a_higher_threshold(
    pfa: float, factor: float, looks: float
) -> None:
    shape, cells = np.array([0.5, 5.0, np.inf]), np.full(3, 400.0)
    strict, lax = (multiplier(looks, shape, cells, rate) for rate in (pfa / factor, pfa))
    assert (strict > lax).all()
    assert (np.diff(lax) <= 1e-9).all(), "rougher clutter needs a higher threshold"


@given(st.floats(1e-4, 1e4))
@settings(max_examples=10, deadline=None)
def test_scale_of_power_does_not_matter(factor: float) -> None:
    power = speckled(np.ones((96, 96)), 4.0, seed=1)
    power[40:43, 40:44] = 60.0
    valid = np.ones(power.shape, dtype=bool)
    first, second = (detect(p, valid, 4.0, 10.0) for p in (power, power * factor))
    assert np.array_equal(first.labels, second.labels)


def test_neighbouring_targets_do_not_hide_each_other() -> None:
    power = speckled(np.ones((160, 160)), 4.0, seed=2)
    places = [(60, 60), (60, 84), (84, 60), (84, 84), (72, 110)]
    for row, column in places:
        power[row : row + 2, column : column + 3] = 80.0
    found = detect(power, np.ones(power.shape, dtype=bool), 4.0, 10.0)
    assert found.count == len(places)
    assert all(found.labels[row, column] > 0 for row, column in places)


def test_no_data_is_neither_target_nor_background() -> None:
    power = speckled(np.ones((128, 128)), 4.0, seed=4)
    power[60:62, 60:63] = 50.0
    valid = np.ones(power.shape, dtype=bool)
    valid[:, :50] = False
    spoiled = np.where(valid, power, 1e9)
    found = detect(spoiled, valid, 4.0, 10.0)
    assert found.count == 1
    assert not (found.labels[~valid] > 0).any()
    assert detect(power, np.zeros_like(valid), 4.0, 10.0).count == 0
