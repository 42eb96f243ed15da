"""Rung 3: shadow behind walls."""

from __future__ import annotations

import numpy as np
import pytest

from sarknowlip.knowledge.shadow import look_vector, shadow_mask

LOOKS = 2.0


def street(seed: int = 3, wall: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return power of walls with shadow on their right, and the shadow."""
    level = np.full((200, 200), 0.1)
    shadow = np.zeros(level.shape, dtype=bool)
    for row in range(20, 180, 40):
        if wall:
            level[row : row + 25, 60:64] = 2.0
        shadow[row : row + 25, 64:84] = True
    level[shadow] = 0.003
    return level * np.random.default_rng(seed).gamma(LOOKS, 1 / LOOKS, level.shape), shadow


def whole(power: np.ndarray) -> np.ndarray:
    return np.ones(power.shape, dtype=bool)


def test_shadow_lies_behind_walls() -> None:
    power, shadow = street()
    found = shadow_mask(power, whole(power), LOOKS, (1.0, 0.0), 1.0)
    assert found is not None
    assert found.mean() == pytest.approx(shadow.mean(), rel=0.3)
    assert (found & shadow).sum() > 0.9 * found.sum()


def test_shadow_needs_a_wall_on_the_side_of_the_radar() -> None:
    power, _ = street()
    for away in ((-1.0, 0.0), (0.0, 1.0)):
        found = shadow_mask(power, whole(power), LOOKS, away, 1.0)
        assert found is not None
        assert found.mean() < 0.01
    bare, _ = street(wall=False)
    found = shadow_mask(bare, whole(bare), LOOKS, (1.0, 0.0), 1.0)
    assert found is not None
    assert not found.any()


def test_nothing_is_told_where_it_cannot_be() -> None:
    power, _ = street()
    assert shadow_mask(power, whole(power), LOOKS, (1.0, 0.0), 10.0) is None
    assert shadow_mask(power, ~whole(power), LOOKS, (1.0, 0.0), 1.0) is None
    even = np.random.default_rng(1).gamma(LOOKS, 1 / LOOKS, (200, 200))
    assert shadow_mask(even, whole(even), LOOKS, (1.0, 0.0), 1.0) is None


def test_look_vector_in_a_turned_image() -> None:
    assert look_vector(90.0, 0.0) == pytest.approx((1.0, 0.0))
    assert look_vector(180.0, 0.0) == pytest.approx((0.0, 1.0))
    assert look_vector(90.0, 90.0) == pytest.approx((0.0, -1.0))
