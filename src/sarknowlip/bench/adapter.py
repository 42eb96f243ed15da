"""One face for every model of the benchmark, ours, a public one or a simple yardstick.

All are used frozen: an adapter gives features, the harness trains the same small heads on them.
Fine-tuning alone trains an encoder, a copy that the adapter gives.
What a model cannot do it does not declare, and its cell of the table stays empty.

Legend of array names: N pictures, F width of features, G cells along an edge, D width of the space
shared with texts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.config import Config
from sarknowlip.sar.tile import TileImage

if TYPE_CHECKING:
    from sarknowlip.bench.trainable import Trainable

Floats32 = npt.NDArray[np.float32]
Ability = Literal["features", "patches", "texts", "captions", "answers", "training"]


class AdapterCard(Config):
    """What stands beside a model's scores.

    Attributes:
        name: Name in `ADAPTERS`, or what the user calls the model.
        title: As its authors call it.
        parameters: Of the image encoder; None where there are none.
        licence: Of the weights.
        source: Where the weights come from: a hub identifier with revision, or a path.
        paper: Citation.
        channels: What becomes of polarisations, one sentence: the rule is the same for all models
            that take red, green and blue.
        normalisation: How decibels become input values, one sentence.
        abilities: What it can do.
        seeded: Whether it depends on a seed.
    """

    name: str
    title: str
    parameters: int | None
    licence: str
    source: str
    paper: str
    channels: str
    normalisation: str
    abilities: frozenset[Ability]
    seeded: bool = False


class Adapter(ABC):
    """A frozen model. Rows depend on their own picture or text alone (to 1e-5).

    Attributes:
        card: What it is.
    """

    card: AdapterCard

    @property
    def name(self) -> str:
        """What a result table calls it."""
        return self.card.name

    @abstractmethod
    def features(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return what a head learns a picture's class from: (N, F), finite."""

    def patches(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return features of a grid of equal cells over the whole picture: (N, G, G, F), finite.

        Raises:
            BenchError: It has none.
        """
        raise self._cannot("patches")

    def images(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return unit rows (N, D) in the space shared with texts.

        Raises:
            BenchError: It has none.
        """
        raise self._cannot("texts")

    def texts(self, texts: Sequence[str]) -> Floats32:
        """Return unit rows (N, D) in the space shared with pictures.

        Raises:
            BenchError: It has none.
        """
        raise self._cannot("texts")

    def captions(self, tiles: Sequence[TileImage]) -> list[str]:
        """Return what the model's own decoder says of each picture.

        Raises:
            BenchError: It has none.
        """
        raise self._cannot("captions")

    def answers(self, tiles: Sequence[TileImage], questions: Sequence[str]) -> list[str]:
        """Return what the model's own decoder answers to each picture's question.

        Raises:
            BenchError: It has none.
        """
        raise self._cannot("answers")

    def trainable(self) -> Trainable:
        """Return a copy of the image encoder that may be trained.

        Raises:
            BenchError: It has no weights.
        """
        raise self._cannot("training")

    def _cannot(self, ability: Ability) -> BenchError:
        can = ", ".join(sorted(self.card.abilities))
        return BenchError(f"{self.name} gives no {ability}, only {can}", "choose another model")
