"""The table of recipes: a name and a function that returns a complete configuration.

A variant calls another recipe and changes what differs.
"""

from __future__ import annotations

from typing import Any

from sarknowlip.core.lazy import LazyTable
from sarknowlip.models.config import SIZES
from sarknowlip.train.config import DataConfig, TrainConfig
from sarknowlip.train.objectives.config import ObjectiveConfig
from sarknowlip.train.optim import OptimConfig

RECIPES = LazyTable(
    "recipe",
    {
        "nano": "sarknowlip.train.recipes:nano",
        "nano-combined": "sarknowlip.train.recipes:nano_combined",
        "tiny": "sarknowlip.train.recipes:tiny",
        "tiny-sigmoid": "sarknowlip.train.recipes:tiny_sigmoid",
        "tiny-masked": "sarknowlip.train.recipes:tiny_masked",
        "tiny-distilled": "sarknowlip.train.recipes:tiny_distilled",
        "tiny-combined": "sarknowlip.train.recipes:tiny_combined",
        "small": "sarknowlip.train.recipes:small",
        "small-combined": "sarknowlip.train.recipes:small_combined",
        "base": "sarknowlip.train.recipes:base",
        "base-combined": "sarknowlip.train.recipes:base_combined",
        "large": "sarknowlip.train.recipes:large",
        "large-combined": "sarknowlip.train.recipes:large_combined",
    },
)
"""Recipes by name."""


def nano() -> TrainConfig:
    """Return a run for measuring and for tests: many short trainings on a laptop.

    A step of 64 pairs takes less than a quarter of the time that one of `tiny` takes.
    """
    return TrainConfig(
        recipe="nano",
        model=SIZES["nano"],
        vocab_size=1024,
        data=DataConfig(batch=64),
        optim=OptimConfig(lr=3e-3, warmup_steps=50),
        steps=500,
        threads=1,
        log_every=5,
        validate_every=100,
        checkpoint_every=100,
    )


def nano_combined() -> TrainConfig:
    """Return `nano` with all objectives."""
    return _varied(nano(), "nano-combined", objective=ObjectiveConfig(name="combined"))


def tiny() -> TrainConfig:
    """Return a run that shows the way on a laptop: 6 million parameters, a few dozen tiles.

    One thread: on two idle cores a second adds 40 %, on two busy ones it halves the speed, since
    threads of such small operations mostly wait for each other.
    """
    return TrainConfig(
        recipe="tiny",
        model=SIZES["tiny"],
        data=DataConfig(batch=16),
        optim=OptimConfig(lr=1e-3, warmup_steps=15),
        steps=150,
        threads=1,
        validate_every=25,
    )


def tiny_sigmoid() -> TrainConfig:
    """Return `tiny` with the pairwise sigmoid loss."""
    return _varied(tiny(), "tiny-sigmoid", objective=ObjectiveConfig(name="sigmoid"))


def tiny_masked() -> TrainConfig:
    """Return `tiny` that only tells hidden patches from seen ones, as pre-training."""
    objective = ObjectiveConfig(name="masked", mask_share=0.75)
    return _varied(tiny(), "tiny-masked", objective=objective)


def tiny_distilled() -> TrainConfig:
    """Return `tiny` that only tells views of a tile from others of it, as pre-training."""
    return _varied(tiny(), "tiny-distilled", objective=ObjectiveConfig(name="distilled"))


def tiny_combined() -> TrainConfig:
    """Return `tiny` with all objectives on one pass over images with hidden patches."""
    return _varied(tiny(), "tiny-combined", objective=ObjectiveConfig(name="combined"))


def small() -> TrainConfig:
    """Return a run for thousands of tiles on one GPU."""
    return _varied(
        tiny(),
        "small",
        model=SIZES["small"],
        vocab_size=4096,
        data=DataConfig(batch=256, workers=8),
        optim=OptimConfig(lr=5e-4, warmup_steps=500),
        precision="bf16",
        steps=None,
        threads=None,
        epochs=40,
        log_every=10,
        validate_every=500,
        checkpoint_every=500,
    )


def small_combined() -> TrainConfig:
    """Return `small` with all objectives."""
    return _varied(small(), "small-combined", objective=ObjectiveConfig(name="combined"))


def base() -> TrainConfig:
    """Return a run for hundreds of thousands of tiles on the GPUs of a machine.

    Started with `torchrun --nproc-per-node N`. Weights are averaged: the average is the model.
    """
    return _varied(
        small(),
        "base",
        model=SIZES["base"],
        vocab_size=8192,
        data=DataConfig(batch=1024, workers=8),
        optim=OptimConfig(lr=5e-4, warmup_steps=2000, ema_decay=0.9995),
        parallel="ddp",
        epochs=32,
        validate_every=1000,
        checkpoint_every=1000,
    )


def base_combined() -> TrainConfig:
    """Return `base` with all objectives."""
    return _varied(base(), "base-combined", objective=ObjectiveConfig(name="combined"))


def large() -> TrainConfig:
    """Return `base` with a larger model, its weights split over processes.

    The schedule is warm-up, stable, decay: most of the run keeps one learning rate, whatever its
    length.
    """
    optim = OptimConfig(lr=3e-4, warmup_steps=4000, ema_decay=0.9998, schedule="wsd")
    return _varied(
        base(),
        "large",
        model=SIZES["large"],
        optim=optim,
        parallel="fsdp2",
        gradient_checkpointing=True,
    )


def large_combined() -> TrainConfig:
    """Return `large` with all objectives."""
    return _varied(large(), "large-combined", objective=ObjectiveConfig(name="combined"))


def _varied(recipe: TrainConfig, name: str, **changes: Any) -> TrainConfig:
    """Return a recipe with another name and what else changes."""
    return TrainConfig.model_validate(dict(recipe) | {"recipe": name} | changes)
