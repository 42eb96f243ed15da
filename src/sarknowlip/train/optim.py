"""How weights change: AdamW (Loshchilov & Hutter 2019), warm-up, cosine, clipped gradients."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from sarknowlip.core.config import Config


class OptimConfig(Config):
    """Optimiser and schedule.

    Attributes:
        lr: Largest learning rate.
        last_lr_share: Learning rate of the last step as a share of `lr`.
        warmup_steps: Steps of linear rise; at most a tenth of a short run.
        weight_decay: On matrices; not on biases, norms, embeddings and the temperature.
        beta1: Decay of the mean of gradients.
        beta2: Decay of the mean of squared gradients.
        clip_norm: Largest norm of the gradient.
    """

    lr: Annotated[float, Field(gt=0.0)] = 5e-4
    last_lr_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.1
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.98
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0


def learning_rate(step: int, total: int, config: OptimConfig) -> float:
    """Return the learning rate of a step: it follows from the step alone.

    Args:
        step: 0…total − 1.
        total: Steps of the run.
        config: Schedule.
    """
    warmup = min(config.warmup_steps, total // 10)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, total - 1 - warmup)
    low = config.lr * config.last_lr_share
    return low + (config.lr - low) * (1 + math.cos(math.pi * min(1.0, done))) / 2


def make_optimizer(module: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """Return AdamW over all weights of a module, decay on matrices only."""
    tables = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    weights = [p for p in module.parameters() if p.requires_grad]
    decayed = [p for p in weights if p.ndim >= 2 and id(p) not in tables]
    free = [p for p in weights if p.ndim < 2 or id(p) in tables]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2))
