"""A step of several objectives on one pass of the encoders, beside a step for each of them.

Both are ours: the same model (tiny), batch and terms. Forward and backward pass, one thread,
seconds of processor time, rounds interleaved, medians. The ratio is the time of the combined step
by the sum of the separate ones (less is better). "three" are contrastive, matching and captions on
whole images; "four" have half of the patches hidden, as have the masked patches alone; the other
three, alone, see whole images.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
import torch

from sarknowlip.data.loader import Batch
from sarknowlip.models.config import SIZES
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.train.objectives import OBJECTIVES
from sarknowlip.train.objectives.config import CombinedConfig, ObjectiveConfig
from sarknowlip.train.objectives.kinds import with_features

B, L, VOCABULARY, ROUNDS = 32, 64, 2048, 5
LARGEST_RATIO = 0.7


def batch(image_px: int) -> Batch:
    draw = torch.Generator().manual_seed(0)
    return Batch(
        images={
            "pixel_values": torch.randn(B, 2, image_px, image_px, generator=draw),
            "channel_ids": torch.tensor([[17, 18]] * B),
            "gsd_m": torch.full((B,), 10.0),
            "geo": torch.randn(B, 8, generator=draw),
        },
        texts={
            "input_ids": torch.randint(3, VOCABULARY, (B, L), generator=draw),
            "attention_mask": torch.ones(B, L, dtype=torch.int64),
        },
        group=torch.arange(B),
    )


@pytest.fixture(autouse=True)
def one_thread() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("terms", ["three", "four"])
def test_combined_beside_separate(terms: str, record: Callable[..., None]) -> None:
    masked = terms == "four"
    config = ObjectiveConfig(
        mask_share=0.5 if masked else 0.0, combined=CombinedConfig(masked=float(masked))
    )
    size = with_features(SIZES["tiny"], config)
    model, pairs = SarKnowLIP.fresh(size, VOCABULARY).train(), batch(size.image_px)
    names = ["combined", "contrastive", "matching", "caption", *(["masked"] if masked else [])]
    objectives = {name: OBJECTIVES[name](config, size) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(ROUNDS + 1):
        for name, objective in objectives.items():
            model.zero_grad()
            start = time.process_time()
            objective(model, pairs, torch.Generator().manual_seed(number)).loss.backward()
            times[name].append(time.process_time() - start)
    found = {name: statistics.median(own[1:]) for name, own in times.items()}
    separate = sum(found.values()) - found["combined"]
    record(
        "objectives",
        terms=terms,
        torch=torch.__version__,
        size="tiny",
        batch=B,
        tokens=L,
        combined_s=round(found["combined"], 3),
        separate_s=round(separate, 3),
        ratio=round(found["combined"] / separate, 3),
    )
    assert found["combined"] <= LARGEST_RATIO * separate
