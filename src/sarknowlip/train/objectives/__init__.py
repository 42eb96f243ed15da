"""The table of objectives: what is asked of the model in a step.

An objective is an `objective.Objective`: a module from (model, batch, generator) to a loss and its
parts. To add one, write a function from (ObjectiveConfig, shapes of the model) to it, and a line
here (docs/add-a-loss.md).
"""

from __future__ import annotations

from sarknowlip.core.lazy import LazyTable

OBJECTIVES = LazyTable(
    "objective",
    {
        "contrastive": "sarknowlip.train.objectives.kinds:contrastive",
        "sigmoid": "sarknowlip.train.objectives.kinds:sigmoid",
        "matching": "sarknowlip.train.objectives.kinds:matching",
        "caption": "sarknowlip.train.objectives.kinds:caption",
        "masked": "sarknowlip.train.objectives.kinds:masked",
        "distilled": "sarknowlip.train.objectives.kinds:distilled",
        "combined": "sarknowlip.train.objectives.kinds:combined",
    },
)
"""Objectives by name."""
