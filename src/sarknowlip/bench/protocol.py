"""What a task and a baseline offer: all the runner knows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.record import Split
from sarknowlip.infer.encoder import Encoder
from sarknowlip.infer.ranking import Ranks


class TaskSpec(Config):
    """What a task measures; data, read from the JSON file beside the task's module.

    Attributes:
        name: Name in `TASKS` and of the result files.
        version: Raised whenever a change could move a score.
        what: One sentence for the reader of a table.
        split: Split that is searched; models must not have seen it.
        k: Depths at which recall is reported, ascending.
    """

    name: str
    version: int = Field(ge=1)
    what: str
    split: Split
    k: tuple[int, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Setting:
    """What is at hand when a task or a baseline is made.

    Attributes:
        corpus: Corpus folder.
        annotations: Version of its texts ("v0001"); None takes the newest.
        model: Run or model folder, if a model is tested.
    """

    corpus: Path
    annotations: str | None = None
    model: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """How an encoder fared in one direction of a task.

    Attributes:
        direction: What was asked for what, "text → image".
        ranks: Rank of every query.
        blocks: Geographic block of every query.
    """

    direction: str
    ranks: Ranks
    blocks: Sequence[str]


class Task(Protocol):
    """A fair question to an encoder.

    Attributes:
        spec: What is measured.
        notes: What a reader of the scores must know about this corpus, one sentence each.
    """

    spec: ClassVar[TaskSpec]
    notes: tuple[str, ...]

    @classmethod
    def open(cls, setting: Setting) -> Self:
        """Collect queries and gallery, and make sure that the question is fair.

        Raises:
            BenchError: There is nothing to ask, or training has seen the ground asked about.
            CorpusError: The corpus or its annotations cannot be read.
        """

    def evaluate(
        self, encoder: Encoder, batch_size: int = 32, *, progress: Progress | None = None
    ) -> list[Outcome]:
        """Ask all questions; always the same directions and queries in the same order."""

    def oracle(self) -> Encoder:
        """Return an encoder that knows the answers: the contract demands that it score 1."""


class Baseline(Protocol):
    """A score to stand beside a model's.

    Attributes:
        seeded: Whether `make` depends on the seed; if so, scores are means over several.
        needs_model: Whether it takes its architecture from the model folder.
    """

    seeded: ClassVar[bool]
    needs_model: ClassVar[bool]

    @classmethod
    def make(cls, setting: Setting, seed: int) -> Encoder:
        """Return the encoder; the same arguments give the same one."""
