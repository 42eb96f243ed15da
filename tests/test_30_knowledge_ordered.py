"""Rung 3: order statistics as background, by themselves and at edges of clutter."""

from __future__ import annotations

import numpy as np
import pytest

from data.tiles.make import speckled
from sarknowlip.knowledge.cfar import CfarConfig, detect
from sarknowlip.knowledge.ordered import RANK, ordered_multiplier, ordered_threshold

WINDOWS = (15, 25)


@pytest.mark.parametrize("cells", [16, 40, 64])
@pytest.mark.parametrize("pfa", [1e-6, 1e-3])
def test_one_look_is_rohlings_product(cells: int, pfa: float) -> None:
    k, alpha = int(np.ceil(RANK * cells)), ordered_multiplier(1.0, cells, pfa)
    product = np.prod([(cells - i) / (cells - i + alpha) for i in range(k)])
    assert product == pytest.approx(pfa, rel=1e-3)


@pytest.mark.parametrize("looks", [1.0, 4.0])
def test_false_alarm_rate(looks: float) -> None:
    power = speckled(np.ones((500, 500)), looks, seed=8)
    valid = np.ones(power.shape, dtype=bool)
    limit = ordered_threshold(power, valid, looks, WINDOWS, 1e-3)
    assert 0.6e-3 < (power > limit).mean() < 1.5e-3


def test_no_data_is_no_background() -> None:
    power = speckled(np.ones((90, 90)), 4.0, seed=1)
    valid = np.ones(power.shape, dtype=bool)
    valid[:, 45:] = False
    hidden = np.where(valid, power, 1e9)
    assert np.array_equal(
        ordered_threshold(power, valid, 4.0, WINDOWS, 1e-3),
        ordered_threshold(hidden, valid, 4.0, WINDOWS, 1e-3),
        equal_nan=True,
    )
    nothing = ordered_threshold(power, np.zeros_like(valid), 4.0, WINDOWS, 1e-3)
    assert nothing.shape == power.shape
    assert np.isnan(nothing).all()


def shore(seed: int) -> np.ndarray:
    mean = np.ones((400, 400))
    mean[:, 200:] = 10.0
    return speckled(mean, 4.0, seed=seed)


def test_edges_raise_few_alarms() -> None:
    """Ground 10 dB brighter begins in the middle: just beyond it a mean of both is too low."""
    config = CfarConfig(pfa=1e-3, grow_pfa=1e-3)
    valid = np.ones((400, 400), dtype=bool)
    found = [detect(shore(seed), valid, 4.0, 10.0, config).labels > 0 for seed in range(3)]
    assert np.mean([part[:, 200:230].mean() for part in found]) < 2e-3
    assert np.mean([part[:, 150:200].mean() for part in found]) < 3e-3


def test_a_target_beside_brighter_ground_is_found() -> None:
    """A mean that holds the ground beyond the shore would hide it."""
    power = shore(4)
    power[100:103, 182:186] = 30.0
    labels = detect(power, np.ones(power.shape, dtype=bool), 4.0, 10.0).labels
    assert labels[101, 184]
