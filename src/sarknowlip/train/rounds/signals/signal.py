"""What a signal is, and what signals look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from sarknowlip.annotate.claim import Level, Text
from sarknowlip.core.config import Config
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import SarProcessor
from sarknowlip.train.rounds.images import TileTokens

Scores = npt.NDArray[np.float64]
Count = Annotated[int, Field(ge=1)]

TOLD: frozenset[Level] = frozenset({"sentence", "phrase", "tag", "paragraph", "question-answer"})
"""Levels that a model can judge. A grounding is about a box, of which no objective knows."""


class SignalConfig(Config):
    """How texts are judged. Each setting but `batch` is part of what a score depends on.

    Attributes:
        references: Other tiles beside which the own tile is ranked, at most.
        others: Other tiles that the fusion encoder is asked about.
        beginnings: Captions regenerated for a tile; they differ in their first token.
        new_tokens: Longest regenerated caption, tokens.
        continued_tokens: Tokens with which the model ends a text that was begun for it.
        batch: Texts that go through the model together, at most; best a multiple of 4.
    """

    references: Count = 256
    others: Count = 4
    beginnings: Count = 4
    new_tokens: Count = 96
    continued_tokens: Count = 16
    batch: Count = 16


@dataclass(frozen=True)
class View:
    """What signals look at.

    Attributes:
        model: Model that was not trained on the texts.
        processor: Its processor.
        images: Tiles that texts may be about.
        folder: Where a signal may keep what it needs again.
        config: How texts are judged.
        annotation: Version of the annotations whose facts and claims texts rest on; None for none.
        hidden: Knowledge sources whose facts may not be used.
    """

    model: SarKnowLIP
    processor: SarProcessor
    images: TileTokens
    folder: Path
    config: SignalConfig
    annotation: Path | None = None
    hidden: tuple[str, ...] = ()


class Signal(Protocol):
    """Judges texts one by one.

    A score depends on the text and on what `key` tells; not on other texts that are scored, to
    float tolerance.

    Attributes:
        columns: Names of its numbers.
    """

    columns: ClassVar[tuple[str, ...]]

    def __init__(self, view: View) -> None: ...

    def key(self) -> Any:
        """Return a JSON value of all that scores depend on beside the text."""
        ...

    def score(self, texts: Sequence[Text]) -> Scores:
        """Return a row a text and a column a number, larger is better; NaN where unknown."""
        ...
