"""A model of a few thousand weights and a batch for it, without a corpus."""

from __future__ import annotations

import torch

from sarknowlip.data.loader import Batch
from sarknowlip.models.config import ModelSize
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.train.objectives import OBJECTIVES
from sarknowlip.train.objectives.config import ObjectiveConfig
from sarknowlip.train.objectives.kinds import with_features
from sarknowlip.train.objectives.objective import Objective

VOCABULARY, PATCHES = 300, 16


def small_size(config: ObjectiveConfig) -> ModelSize:
    """Return a size whose image decoder fits the target; geographic tokens are never dropped."""
    size = ModelSize(
        image_px=64,
        patch_px=16,
        image_width=24,
        image_depth=1,
        image_heads=2,
        text_width=16,
        text_depth=1,
        text_heads=2,
        text_tokens=16,
        embed_dim=12,
        pixel_width=8,
        geo_dropout=0.0,
    )
    return with_features(size, config)


def small_model(config: ObjectiveConfig) -> SarKnowLIP:
    """Return a model in training mode, the same each time."""
    return SarKnowLIP.fresh(small_size(config), VOCABULARY, seed=1).train()


def small_objective(config: ObjectiveConfig, name: str | None = None) -> Objective:
    """Return the objective of a configuration or another one's, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: Objective = OBJECTIVES[name or config.name](config, small_size(config))
    return made


def small_batch(count: int = 8) -> Batch:
    """Return pairs with one and two channels, short and long texts, pixels without data."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randn(count, 2, 64, 64, generator=draw)
    pixels[1, :, :, 40:] = 0.0
    ids = torch.tensor([[17, 18], [17, 0]]).repeat(-(-count // 2), 1)[:count]
    lengths = 3 + torch.arange(count) * 5 % 9
    mask = (torch.arange(12) < lengths[:, None]).long()
    texts = torch.randint(3, VOCABULARY, (count, 12), generator=draw) * mask
    geo = torch.randn(count, 8, generator=draw)
    geo[2] = torch.nan
    group = torch.arange(count)
    group[3] = group[0]
    texts[3], mask[3] = texts[0], mask[0]
    return Batch(
        images={
            "pixel_values": pixels,
            "channel_ids": ids,
            "gsd_m": torch.full((count,), 10.0),
            "geo": geo,
        },
        texts={"input_ids": texts, "attention_mask": mask},
        group=group,
    )


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Return some rows of a batch."""
    return Batch(
        images={name: value[rows] for name, value in batch.images.items()},
        texts={name: value[rows] for name, value in batch.texts.items()},
        group=batch.group[rows],
        prefix=None if batch.prefix is None else batch.prefix[rows],
    )
