"""The built-in data sets. All lie in one folder, `builtin`, below the data folder.

`make.make_builtin` makes them; opening one reads catalogs and rows, no pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Self

from sarknowlip.bench.builtin.rows import read_examples, rows_path
from sarknowlip.bench.dataset import DataCard, DataSet, Part
from sarknowlip.bench.example import Example
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.files import read_json

FOLDER = "builtin"

SAME_PIXELS = 0.95
"""Correlation from which pictures count as copies: maps are exact and tell whatever shows the same
ground, and of thousands of chips of single targets some pairs are as alike as 0.65."""


class BuiltinCard(DataCard):
    """What is to be known of a built-in set.

    Attributes:
        kind: Of the corpora that its pictures are of.
        tasks: Names of the tasks that it serves.
        classes: Names of classes, in the order of indices.
        codes: ESA WorldCover codes of the classes of land cover.
        prompts: Texts that tell each class.
        notes: What a reader of scores must know.
    """

    kind: str
    tasks: tuple[str, ...]
    classes: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    prompts: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


def _cards() -> Mapping[str, BuiltinCard]:
    path = Path(str(resources.files(__package__).joinpath("cards.json")))
    stored: dict[str, Any] = read_json(path, "install the package again")
    cards = {}
    for name, own in stored["sets"].items():
        notes = (*stored["notes"], *own.pop("notes", ()))
        cards[name] = BuiltinCard(name=name, folder=FOLDER, notes=notes, **stored["all"], **own)
    return cards


CARDS: Mapping[str, BuiltinCard] = _cards()
"""Cards of all built-in sets by name."""


class Builtin(DataSet):
    """A built-in set.

    Args:
        root: Folder `builtin`.

    Raises:
        SarKnowlipError: The set is damaged.
    """

    card: ClassVar[BuiltinCard]
    alike = SAME_PIXELS

    def __init__(self, root: Path) -> None:
        self.classes, self.prompts = self.card.classes, self.card.prompts
        self.notes = self.card.notes
        self._examples = read_examples(root, self.card.name)

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder, without reading pictures.

        Raises:
            BenchError: It was not made; says how to make it.
        """
        root = data / cls.card.folder
        if not (root / "manifest.json").is_file() or not rows_path(root, cls.card.name).is_file():
            raise cls.absent(data, "the set")
        return cls(root)

    def examples(self, task: str, part: Part) -> Sequence[Example]:
        """Return the examples of a task, always in the same order.

        Raises:
            BenchError: The set does not serve the task.
        """
        if task not in self._examples:
            raise BenchError(
                f"{self.card.title} has no examples for {task!r}",
                f"it serves {', '.join(self.tasks)}",
            )
        return self._examples[task][part]

    @classmethod
    def absent(cls, data: Path, what: str) -> BenchError:
        """Return the error that says how the set is made."""
        return BenchError(
            f"{cls.card.title}: {what} is not in {data / cls.card.folder}",
            f"make it: sarknowlip.bench.builtin.make.make_builtin({str(data / cls.card.folder)!r})",
        )


class BuiltinCover(Builtin):
    """Land cover of windows."""

    card = CARDS["builtin-cover"]
    tasks = CARDS["builtin-cover"].tasks


class BuiltinRecognition(Builtin):
    """Chips of targets."""

    card = CARDS["builtin-recognition"]
    tasks = CARDS["builtin-recognition"].tasks


class BuiltinDetection(Builtin):
    """Pictures with targets."""

    card = CARDS["builtin-detection"]
    tasks = CARDS["builtin-detection"].tasks


class BuiltinSegmentation(Builtin):
    """Land cover of pixels."""

    card = CARDS["builtin-segmentation"]
    tasks = CARDS["builtin-segmentation"].tasks


class BuiltinChange(Builtin):
    """Two dates."""

    card = CARDS["builtin-change"]
    tasks = CARDS["builtin-change"].tasks


class BuiltinLanguage(Builtin):
    """Pictures with captions, questions and expressions."""

    card = CARDS["builtin-language"]
    tasks = CARDS["builtin-language"].tasks


class BuiltinPolsar(Builtin):
    """Land cover of pixels in four polarisations."""

    card = CARDS["builtin-polsar"]
    tasks = CARDS["builtin-polsar"].tasks
