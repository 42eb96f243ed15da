"""What every data set of the benchmark offers, on disk or simulated.

A public set is read from the folder layout in which its authors publish it; nothing is fetched.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from sarknowlip.bench.example import Example
from sarknowlip.bench.fingerprint import ALIKE
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.config import Config

Part = Literal["train", "test"]
"""Heads learn from one part of a set, and choose their settings within it; the other is asked."""


class DataCard(Config):
    """What a reader must know of a data set; data, from the JSON file beside its module.

    Attributes:
        name: Name in `DATASETS`.
        title: As its authors call it.
        what: One sentence: sensor, pixels, labels.
        size: On disk, and how many pictures.
        licence: Terms, or "none stated".
        citation: Authors, title, venue, year.
        source: Where its authors offer it.
        folder: Name of its folder below the data folder, in the published layout.
        layout: What must lie in that folder, one line each.
        split: How train and test were parted, and by whom.
    """

    name: str
    title: str
    what: str
    size: str
    licence: str
    citation: str
    source: str
    folder: str
    layout: tuple[str, ...]
    split: str


class DataSet(ABC):
    """Examples of one or several tasks, in two parts that share no group.

    Attributes:
        card: What it is.
        tasks: Names of the tasks of `SUITE` that it serves.
        alike: Correlation of fingerprints from which two pictures count as copies of each other.
        classes: Names of classes, in the order of indices; empty where there are none.
        prompts: Texts that tell each class, for zero-shot classification; as many as classes, or
            empty.
        notes: What a reader of scores must know of the set as found on this disk.
    """

    card: ClassVar[DataCard]
    tasks: ClassVar[tuple[str, ...]]
    alike: ClassVar[float] = ALIKE

    classes: tuple[str, ...] = ()
    prompts: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    @abstractmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder, without reading pictures.

        Args:
            data: Folder that holds `card.folder`.

        Raises:
            BenchError: The set is not there or lacks files: says where to get it and where to put
                it (`absent`).
        """

    @abstractmethod
    def examples(self, task: str, part: Part) -> Sequence[Example]:
        """Return the examples of a task, always in the same order.

        Raises:
            BenchError: The set does not serve the task.
        """

    @classmethod
    def absent(cls, data: Path, what: str) -> BenchError:
        """Return the error that says what is missing, where to get it and where to put it."""
        card = cls.card
        return BenchError(
            f"{card.title}: {what} is not in {data / card.folder}",
            f"get it from {card.source} (licence: {card.licence}) and unpack it so that "
            f"{'; '.join(card.layout)} lie there",
        )
