"""Rung 7: compiled blocks stay compiled while batches and texts change their sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.utils import counters

from sarknowlip.train.compiled import compile_blocks
from sarknowlip.train.objectives import OBJECTIVES
from sarknowlip.train.objectives.config import MatchingConfig, ObjectiveConfig
from small_model import small_batch, small_model, small_size

SIZES = [(8, 12), (7, 11), (6, 9), (5, 12), (9, 7)]
"""Pairs and tokens of batches."""


@pytest.fixture
def strict() -> Iterator[None]:
    """Make it an error to give up compiling."""
    torch.compiler.reset()
    config = torch._dynamo.config
    with config.patch(fail_on_recompile_limit_hit=True, recompile_limit=config.recompile_limit):
        yield
    torch.compiler.reset()


@pytest.mark.parametrize(
    "name", ["contrastive", "matching", pytest.param("combined", marks=pytest.mark.slow)]
)
def test_sizes_that_change_are_compiled_once(name: str, strict: None) -> None:
    config = ObjectiveConfig(name=name, matching=MatchingConfig(pool=4))
    model, objective = small_model(config), OBJECTIVES[name](config, small_size(config))
    compile_blocks(model, backend="eager")
    compiled = []
    for pairs, tokens in SIZES:
        batch = small_batch(pairs)
        texts = {key: value[:, :tokens] for key, value in batch.texts.items()}
        batch = dataclasses.replace(batch, texts=texts)
        objective(model.train(), batch, torch.Generator().manual_seed(1)).loss.backward()
        with torch.no_grad():
            objective(model.eval(), batch, torch.Generator().manual_seed(1))
        compiled.append(counters["stats"]["unique_graphs"])
    assert compiled[0] > 0
    assert compiled[2:] == compiled[2:3] * (len(SIZES) - 2)
