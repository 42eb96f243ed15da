"""Rung 7: schedules, optimiser, averages of weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sarknowlip.train.ema import Ema
from sarknowlip.train.optim import OptimConfig, learning_rate, make_optimizer


@given(total=st.integers(40, 3000), share=st.floats(0.05, 0.8))
def test_wsd_is_stable_until_it_decays(total: int, share: float) -> None:
    config = OptimConfig(
        lr=1.0, schedule="wsd", decay_share=share, warmup_steps=4, last_lr_share=0.01
    )
    rates = [learning_rate(step, total, config) for step in range(total)]
    first = total - 1 - round(share * total)
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert all(rate == 1.0 for rate in rates[4 : first + 1])
    assert all(a > b for a, b in zip(rates[first:], rates[first + 1 :], strict=False))
    assert rates[-1] == pytest.approx(0.01)


def test_a_longer_wsd_run_shares_its_stable_part() -> None:
    config = OptimConfig(lr=1.0, schedule="wsd", decay_share=0.2, warmup_steps=10)
    short, long = ([learning_rate(s, n, config) for s in range(80)] for n in (100, 200))
    assert short[:79] == long[:79]
    cosine = OptimConfig(lr=1.0, warmup_steps=10)
    assert learning_rate(50, 100, cosine) != learning_rate(50, 200, cosine)


def test_eps_and_betas_reach_the_optimizer() -> None:
    optimizer = make_optimizer(nn.Linear(2, 2), OptimConfig(eps=1e-5, beta1=0.8, beta2=0.7))
    assert optimizer.defaults["eps"] == 1e-5
    assert optimizer.defaults["betas"] == (0.8, 0.7)


def test_average_is_the_written_out_sum() -> None:
    weight = torch.zeros(3)
    ema = Ema([weight], decay=0.5)
    expected = torch.zeros(3)
    for step in range(1, 30):
        weight.add_(torch.tensor([1.0, -2.0, 0.5]) * step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
        ema.update(step)
    live = weight.clone()
    with ema.applied():
        assert torch.allclose(weight, expected)
        assert not torch.allclose(weight, live)
    assert torch.equal(weight, live)


def test_weights_are_back_after_an_error() -> None:
    weight = torch.ones(2)
    ema = Ema([weight], decay=0.5)
    weight.mul_(3)

    def fail() -> None:
        with ema.applied():
            assert torch.equal(weight, torch.ones(2))
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert torch.equal(weight, torch.full((2,), 3.0))
