"""Rung 4: targets of masked patches; false alarms of gradients don't depend on brightness."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from sarknowlip.losses.targets import (
    CELLS,
    REACHES_PX,
    db_target,
    gradient_by_ratio,
    gradient_target,
    target_features,
)

LEVELS_DB = (-30.0, -10.0, 10.0)


def speckle(level_db: float, looks: float, seed: int, edge: int = 256) -> Tensor:
    """Return homogeneous ground of a mean level under multiplicative gamma speckle."""
    rng = np.random.default_rng(seed)
    draws = rng.gamma(looks, 1 / looks, (4, 1, edge, edge))
    return torch.from_numpy(10 ** (level_db / 10) * draws).float()


def whole(image: Tensor) -> Tensor:
    return torch.ones_like(image, dtype=torch.bool)


def exceeded(gradient: Tensor, valid: Tensor, threshold: float) -> float:
    return float((gradient[valid].abs() > threshold).float().mean())


@pytest.mark.parametrize("reach", REACHES_PX)
@pytest.mark.parametrize("looks", [1.0, 4.0])
def test_false_alarms_do_not_depend_on_the_level(reach: int, looks: float) -> None:
    threshold = 2.0 / math.sqrt(looks)
    rates = []
    for seed, level in enumerate(LEVELS_DB):
        image = speckle(level, looks, seed)
        rates.append(exceeded(*gradient_by_ratio(image, whole(image), reach), threshold))
        same = image * 1e3
        again = exceeded(*gradient_by_ratio(same, whole(same), reach), threshold)
        assert again == pytest.approx(rates[-1], rel=1e-3)
    # 5 % expected; about 500,000 / reach² independent places
    spread = math.sqrt(0.05 * 0.95 / (5e5 / reach**2))
    assert min(rates) > 0.03
    assert max(rates) < 0.07
    assert max(rates) - min(rates) < 5 * spread


def test_false_alarms_of_a_difference_do() -> None:
    """The same test fails a gradient that is no ratio: it can fail."""
    rates = [
        float((image.diff(dim=-1).abs() > 0.1).float().mean())
        for image in (speckle(level, 1.0, 0) for level in LEVELS_DB)
    ]
    assert rates[0] < 1e-6
    assert rates[1] < 0.5 < 0.9 < rates[2]


@pytest.mark.parametrize("reach", REACHES_PX)
def test_rate_is_that_of_a_ratio_of_gamma_means(reach: int) -> None:
    """Means of n equivalent looks: their ratio follows F(2n, 2n), whatever the level."""
    places = np.arange(-reach, reach + 1)
    around = np.exp(-2 * np.abs(places) / reach)
    before = around * (places < 0)
    share = np.prod([(w**2).sum() / w.sum() ** 2 for w in (around, before)])
    image = speckle(-15.0, 1.0, 3)
    gradient, valid = gradient_by_ratio(image, whole(image), reach)
    inner = slice(2 * reach, -2 * reach)
    for threshold in (1.0, 2.0, 2.5):
        ratio = math.exp(threshold * math.sqrt(2 * share))
        expected = 2 * stats.f.sf(ratio, 2 / share, 2 / share)
        found = exceeded(gradient[..., inner, inner], valid[..., inner, inner], threshold)
        assert found == pytest.approx(expected, rel=0.2)


def step(low_db: float, contrast_db: float, edge: int = 64) -> Tensor:
    image = torch.full((1, 1, edge, edge), 10 ** (low_db / 10))
    image[..., edge // 2 :] *= 10 ** (contrast_db / 10)
    return image


@pytest.mark.parametrize("reach", REACHES_PX)
def test_edges_of_equal_contrast_respond_equally(reach: int) -> None:
    answers = []
    for low in LEVELS_DB:
        image = step(low, 6.0)
        gradient, valid = gradient_by_ratio(image, whole(image), reach)
        answers.append(gradient.masked_fill(~valid, 0.0))
    assert torch.allclose(answers[0], answers[1], atol=1e-4)
    assert torch.allclose(answers[0], answers[2], atol=1e-4)
    along, across = answers[0][0, 0]
    assert along.max() > 3.0  # standard deviations of single-look speckle
    assert along.argmax(dim=1).unique().tolist() in ([31], [32], [31, 32])
    assert along.min() > -1e-4
    assert across.abs().max() < 1e-4


def test_sign_and_axes() -> None:
    image = step(-10.0, 6.0)
    ones = whole(image)
    rising, falling = (
        gradient_by_ratio(x, ones, 4)[0][0, 0, :, 32, 32] for x in (image, image.flip(-1))
    )
    down = gradient_by_ratio(image.transpose(-1, -2), ones, 4)[0][0, 0, :, 32, 32]
    assert rising[0] > 3.0
    assert falling[0] < -3.0
    assert down[1] == pytest.approx(float(rising[0]), abs=1e-5)
    assert abs(float(down[0])) < 1e-4


def test_no_data_makes_no_edge() -> None:
    image = speckle(-10.0, 4.0, 5, 64)
    valid = whole(image)
    valid[..., 20:] = False
    hidden = image.clone()
    hidden[..., 20:] = 0.0
    for reach in REACHES_PX:
        gradient, known = gradient_by_ratio(hidden, valid, reach)
        other, same = gradient_by_ratio(image.masked_fill(~valid, math.nan), valid, reach)
        assert torch.equal(gradient, other)
        assert torch.equal(known, same)
        assert not known[..., 0, :, 19:].any()
        assert torch.isfinite(gradient).all()
        assert (gradient[~known] == 0).all()
        assert gradient.abs().max() < 4.0
    target, known = gradient_target(hidden, 16, valid)
    assert torch.isfinite(target).all()
    patches = known.reshape(4, 4, 4, -1).any(dim=-1)
    assert patches[:, :, 0].all()
    assert not patches[:, :, 2:].any()


def test_all_hidden() -> None:
    nothing = torch.full((1, 2, 32, 32), math.nan)
    for target in (db_target, gradient_target):
        value, known = target(nothing, 16, torch.zeros_like(nothing, dtype=torch.bool))
        assert not known.any()
        assert (value == 0).all()


def test_features_are_cells_of_their_patch() -> None:
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 48, 32, generator=draw) + 0.1
    target, known = gradient_target(image, 16, whole(image))
    count = target_features("gradient", 16)
    assert target.shape == known.shape == (2, 3, 6, count)
    assert count == 2 * len(REACHES_PX) * CELLS**2
    gradient, valid = gradient_by_ratio(image, whole(image), REACHES_PX[1])
    cell = (slice(21, 24, 2), slice(25, 28, 2))  # patch 3 (row 1, column 1), cell (1, 2)
    inside = (1, 2, 1, *cell)
    assert valid[inside].all()
    place = (1 * 2 + 1) * CELLS**2 + 1 * CELLS + 2
    assert float(target[1, 2, 3, place]) == pytest.approx(float(gradient[inside].mean()), abs=1e-5)


def test_every_second_pixel() -> None:
    image = speckle(-10.0, 1.0, 7, 64)
    all_of_them, some = (gradient_by_ratio(image, whole(image), 6, every) for every in (1, 2))
    for one, other in zip(all_of_them, some, strict=True):
        assert torch.allclose(one[..., 1::2, 1::2].float(), other.float(), atol=1e-5)


def test_decibels_of_a_patch() -> None:
    draw = torch.Generator().manual_seed(0)
    image = 3 * torch.randn(2, 1, 32, 32, generator=draw) - 5
    valid = whole(image)
    valid[0, 0, :4] = False
    target, known = db_target(image, 16, valid)
    assert target.shape == (2, 1, 4, target_features("db", 16))
    assert torch.equal(known[1], torch.ones_like(known[1]))
    assert not known[0, 0, 0, : 4 * 16].any()
    for row in (target[0, 0, 0][known[0, 0, 0]], target[1, 0, 3]):
        assert float(row.mean()) == pytest.approx(0, abs=1e-5)
        assert float(row.var(correction=0)) == pytest.approx(1, abs=1e-3)
    assert float(target[1, 0, 1, 2 * 16 + 5]) == pytest.approx(
        float((image[1, 0, 2, 21] - image[1, 0, :16, 16:].mean()) / image[1, 0, :16, 16:].std()),
        abs=0.02,
    )
    flat = db_target(torch.full((1, 1, 16, 16), 2.0), 16, whole(image[:1, :, :16, :16]))[0]
    assert (flat == 0).all()


def test_patches_that_have_no_cells() -> None:
    assert target_features("db", 6) == 36
    with pytest.raises(ValueError, match="multiple of 4"):
        target_features("gradient", 6)
