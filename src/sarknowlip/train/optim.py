"""How weights change: AdamW (Loshchilov & Hutter 2019), warm-up, a schedule, clipped gradients."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from sarknowlip.core.config import Config

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class OptimConfig(Config):
    """Optimiser and schedule.

    Attributes:
        lr: Largest learning rate.
        last_lr_share: Learning rate of the last step as a share of `lr`.
        schedule: "cosine", or "wsd": warm-up, stable, decay.
        decay_share: Share of the steps in which "wsd" decays.
        warmup_steps: Steps of linear rise; at most a tenth of a short run.
        weight_decay: On matrices; not on biases, norms, embeddings and scalars.
        beta1: Decay of the mean of gradients.
        beta2: Decay of the mean of squared gradients.
        eps: Added to the root of the latter; below it gradients count as noise.
        clip_norm: Largest norm of the gradient.
        ema_decay: Decay a step of the average of weights; 0 for no average.
    """

    lr: Annotated[float, Field(gt=0.0)] = 5e-4
    last_lr_share: Share = 0.01
    schedule: Literal["cosine", "wsd"] = "cosine"
    decay_share: Share = 0.2
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.1
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.98
    eps: Annotated[float, Field(gt=0.0)] = 1e-8
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


def learning_rate(step: int, total: int, config: OptimConfig) -> float:
    """Return the learning rate of a step: it follows from the step alone.

    "wsd" falls as 1 − √x at the end (Hägele et al. 2024), "cosine" as half a cosine wave from the
    warm-up on (Loshchilov & Hutter 2017).

    Args:
        step: 0…total − 1.
        total: Steps of the run.
        config: Schedule.
    """
    warmup = min(config.warmup_steps, total // 10)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    low = config.lr * config.last_lr_share
    first = warmup
    if config.schedule == "wsd":
        first = max(warmup, total - 1 - round(config.decay_share * total))
    done = min(1.0, max(0.0, (step - first) / max(1, total - 1 - first)))
    if config.schedule == "wsd":
        return low + (config.lr - low) * (1 - math.sqrt(done))
    return low + (config.lr - low) * (1 + math.cos(math.pi * done)) / 2


def make_optimizer(module: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """Return AdamW over all weights of a module, decay on matrices only.

    Scalars have a group of their own: shards and copies of weights cannot share one.
    """
    tables = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    weights = [p for p in module.parameters() if p.requires_grad]
    decayed = [p for p in weights if p.ndim >= 2 and id(p) not in tables]
    free = [p for p in weights if p.ndim == 1 or (p.ndim >= 2 and id(p) in tables)]
    scalars = [p for p in weights if p.ndim == 0]
    groups = [
        {"params": params, "weight_decay": decay}
        for params, decay in (
            (decayed, config.weight_decay),
            (free, 0.0),
            (scalars, 0.0),
        )
        if params
    ]
    betas = (config.beta1, config.beta2)
    return torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.eps, fused=True)
