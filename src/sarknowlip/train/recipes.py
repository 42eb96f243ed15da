"""The table of recipes: a name and a function that returns a complete configuration.

A variant calls another recipe and changes what differs.
"""

from __future__ import annotations

from sarknowlip.core.lazy import LazyTable
from sarknowlip.models.config import SIZES
from sarknowlip.train.config import DataConfig, TrainConfig
from sarknowlip.train.optim import OptimConfig

RECIPES = LazyTable(
    "recipe",
    {
        "tiny": "sarknowlip.train.recipes:tiny",
        "small": "sarknowlip.train.recipes:small",
    },
)
"""Recipes by name."""


def tiny() -> TrainConfig:
    """Return a run that shows the way on a laptop: 6 million parameters, a few dozen tiles.

    One thread: on two idle cores a second adds 40 %, on two busy ones it halves the speed, since
    threads of such small operations mostly wait for each other.
    """
    return TrainConfig(
        recipe="tiny",
        model=SIZES["tiny"],
        data=DataConfig(batch=16),
        optim=OptimConfig(lr=5e-4, warmup_steps=15),
        steps=150,
        threads=1,
        validate_every=25,
    )


def small() -> TrainConfig:
    """Return a run for thousands of tiles on one GPU: 56 million parameters."""
    return tiny().model_copy(
        update={
            "recipe": "small",
            "model": SIZES["small"],
            "vocab_size": 4096,
            "data": DataConfig(batch=256, workers=8),
            "optim": OptimConfig(lr=5e-4, warmup_steps=500),
            "steps": None,
            "threads": None,
            "epochs": 40,
            "log_every": 10,
            "validate_every": 500,
            "checkpoint_every": 500,
        }
    )
