"""The table of closed loops: a name and a function that returns a complete configuration.

Each is a recipe of training with all objectives (`train.recipes`), round after round.
"""

from __future__ import annotations

from sarknowlip.core.lazy import LazyTable
from sarknowlip.train.config import TrainConfig
from sarknowlip.train.recipes import base_combined, nano_combined, small_combined, tiny_combined
from sarknowlip.train.rounds.config import ScioConfig

SCIO_RECIPES = LazyTable(
    "closed loop",
    {
        "nano": "sarknowlip.train.rounds.recipes:nano",
        "tiny": "sarknowlip.train.rounds.recipes:tiny",
        "small": "sarknowlip.train.rounds.recipes:small",
        "base": "sarknowlip.train.rounds.recipes:base",
    },
)
"""Closed loops by name."""


def nano() -> ScioConfig:
    """Return a loop for a few thousand tiles of 64 pixels on a laptop."""
    return _looped("nano", nano_combined(), steps=300, later_steps=150, final_steps=600)


def tiny() -> ScioConfig:
    """Return a loop that shows the way on a laptop: a few dozen tiles or a few thousand."""
    return _looped("tiny", tiny_combined(), steps=150, later_steps=75, final_steps=300)


def small() -> ScioConfig:
    """Return a loop for thousands of tiles on one GPU."""
    return _looped("small", small_combined(), steps=8_000, later_steps=4_000, final_steps=20_000)


def base() -> ScioConfig:
    """Return a loop for hundreds of thousands of tiles on one GPU, for its models of the folds."""
    train = base_combined().model_copy(update={"parallel": "none"})
    return _looped("base", train, steps=50_000, later_steps=20_000, final_steps=100_000)


def _looped(
    name: str, train: TrainConfig, *, steps: int, later_steps: int, final_steps: int
) -> ScioConfig:
    """Return a loop around a training."""
    first = train.model_copy(update={"steps": steps, "epochs": None})
    return ScioConfig(recipe=name, train=first, later_steps=later_steps, final_steps=final_steps)
