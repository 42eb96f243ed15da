"""What is planted, and what a corruption reports."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.corpus.record import Split

Kind = Literal["shuffled", "count", "direction", "function", "hallucinated"]
Spoilt = Literal["sentence", "phrase", "tag", "paragraph", "question-answer"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""Errors: another tile's text; another number; another compass direction, bearing or part of the
image; another kind of ground; a target that is not there."""


class CorruptConfig(Config):
    """Which errors are planted, where, and how many.

    Attributes:
        share: Of the texts of the levels and splits below that become wrong, 0…1.
        kinds: Errors; as many of each as texts allow.
        splits: Parts of the corpus; by default those that models learn from, so that others remain
            a measure.
        levels: Forms of text.
        seed: Of all choices.
    """

    share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    kinds: tuple[Kind, ...] = Field(KINDS, min_length=1)
    splits: tuple[Split, ...] = Field(("train",), min_length=1)
    levels: tuple[Spoilt, ...] = Field(get_args(Spoilt), min_length=1)
    seed: int = 0


class CorruptReport(Config):
    """What was planted.

    Attributes:
        version: Name of the version with the errors.
        parent: Version that it was made of.
        texts: Texts of the levels and splits.
        planted: Wrong texts by kind.
        unplaced: Wrong texts that should have been planted beyond these, and could not be.
        fresh: False if the version was there already.
    """

    version: str
    parent: str
    texts: int
    planted: dict[str, int]
    unplaced: int
    fresh: bool = True
