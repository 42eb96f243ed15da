"""Rung 4: the contrastive loss against independent computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from sarknowlip.losses.contrastive import contrastive


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 12), names=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_equals_loops(size: int, names: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, text = rng.normal(size=(2, size, 6))
    group = rng.integers(0, names, size)
    expected = 0.0
    for one, other in ((image, text), (text, image)):
        for row in range(size):
            logits = [7.0 * float(one[row] @ other[k]) for k in range(size)]
            norm = math.log(sum(math.exp(v - max(logits)) for v in logits)) + max(logits)
            mates = [k for k in range(size) if group[k] == group[row]]
            cross = sum(norm - logits[k] for k in mates) / len(mates)
            expected += (cross - math.log(len(mates))) / (2 * size)
    value = contrastive(
        torch.from_numpy(image),
        torch.from_numpy(text),
        torch.tensor(7.0, dtype=torch.float64),
        torch.from_numpy(group),
    )
    assert float(value) == pytest.approx(expected, abs=1e-9)
    assert float(value) >= -1e-12


def test_distinct_texts_give_the_loss_of_clip() -> None:
    draw = torch.Generator().manual_seed(0)
    image, text = functional.normalize(torch.randn(2, 9, 5, generator=draw), dim=-1)
    logits = 14.0 * image @ text.T
    own = torch.arange(9)
    clip = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
    assert torch.allclose(contrastive(image, text, torch.tensor(14.0), own), clip, atol=1e-6)


def test_chance_is_the_logarithm_of_the_batch() -> None:
    same = torch.ones(8, 4) / 2
    value = contrastive(same, same, torch.tensor(14.0), torch.arange(8))
    assert float(value) == pytest.approx(math.log(8), abs=1e-5)
