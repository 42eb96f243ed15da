"""Rung 4: the pairwise sigmoid loss against independent computations, and what it keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from sarknowlip.losses.sigmoid import sigmoid


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 12), names=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_equals_loops(size: int, names: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, text = rng.normal(size=(2, size, 6))
    group = rng.integers(0, names, size)
    expected = 0.0
    for row in range(size):
        for column in range(size):
            logit = 3.0 * float(image[row] @ text[column]) - 1.5
            sign = 1 if group[row] == group[column] else -1
            expected += math.log1p(math.exp(-sign * logit)) / size
    tensors = [torch.from_numpy(x) for x in (image, text)]
    scale, bias = torch.tensor([3.0, -1.5], dtype=torch.float64)
    value = sigmoid(*tensors, scale, torch.from_numpy(group), bias=bias, chunk=5)
    assert float(value) == pytest.approx(expected, abs=1e-9)
    with torch.no_grad():
        assert sigmoid(*tensors, scale, torch.from_numpy(group), bias=bias) == pytest.approx(
            expected
        )


def test_without_bias() -> None:
    same = torch.ones(4, 2) / math.sqrt(2)
    apart = torch.tensor(0.0)
    assert float(sigmoid(same, same, apart, torch.arange(4))) == pytest.approx(4 * math.log(2))


def kept_bytes(batch: int, width: int) -> int:
    """Return the bytes of distinct storages that autograd keeps for the backward pass."""
    rows = functional.normalize(torch.randn(2, batch, width), dim=-1)
    inputs = [x.requires_grad_() for x in (*rows, torch.tensor(10.0), torch.tensor(-10.0))]
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        sigmoid(*inputs[:3], torch.arange(batch), bias=inputs[3])
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("batch", [256, 1024])
def test_memory_is_linear(batch: int) -> None:
    """As much as the two embeddings; all logits would be 16 times that at 1,024 × 64."""
    embeddings = 2 * batch * 64 * 4
    assert embeddings <= kept_bytes(batch, 64) <= embeddings + 1024


def test_kept_at_the_size_of_the_benchmark() -> None:
    """A quarter of the 92.3 MB told of open_clip's loss in chunks, which keeps more here."""
    assert kept_bytes(4096, 512) <= 0.25 * 92.3e6
