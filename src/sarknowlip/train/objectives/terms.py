"""What a term of an objective is, and what it is given.

Shapes: B batch, L tokens or patches, K patches seen, D width of tokens, E width of the joint space.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.distributed import ProcessGroup

from sarknowlip.data.loader import Batch
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.train.distributed import Ranks


@dataclass(frozen=True)
class Seen:
    """A batch, and what the encoders made of it. What no term asks for is None.

    Attributes:
        model: The model.
        batch: The batch.
        image_BKD: Tokens of the patches seen.
        text_BLD: Tokens of the texts.
        image_BE: Images, unit length.
        text_BE: Texts, unit length.
        keep_BK: Which patches are seen; None for all.
        masked_BL: Which are hidden.
        across: Processes whose batches make one.
        chunk: Samples at a time.
    """

    model: SarKnowLIP
    batch: Batch
    image_BKD: Tensor | None  # noqa: N815
    text_BLD: Tensor | None  # noqa: N815
    image_BE: Tensor | None  # noqa: N815
    text_BE: Tensor | None  # noqa: N815
    keep_BK: Tensor | None  # noqa: N815
    masked_BL: Tensor | None  # noqa: N815
    across: ProcessGroup | None
    chunk: int | None


class Term(Protocol):
    """One question to the model.

    Attributes:
        chances: Uniform random numbers it needs a sample.
        reads: Whether it needs tokens of texts.
        compares: Whether it needs images and texts in the joint space.
        looks: Whether it needs tokens of images.
    """

    chances: int
    reads: bool
    compares: bool
    looks: bool

    def __call__(self, seen: Seen, drawn: Tensor) -> Tensor:
        """Return the mean loss of a batch, a scalar.

        Args:
            seen: The batch.
            drawn: Uniform random numbers in [0, 1), (B, chances).
        """
        ...

    def elements(self, batch: Batch) -> Tensor | None:
        """Return how many elements that mean is over, a scalar.

        Returns:
            None where they are as many as pairs, or follow from what is drawn.
        """
        ...


class Lasting(nn.Module, ABC):
    """A term with weights of its own, or with what it remembers from step to step (buffers).

    Its attributes, call and `elements` are those of a `Term`.
    """

    chances: int
    reads: bool
    compares: bool
    looks: bool

    @abstractmethod
    def forward(self, seen: Seen, drawn: Tensor) -> Tensor:
        """Return the mean loss of a batch; what it remembers for `advance` are sums over parts."""

    @abstractmethod
    def elements(self, batch: Batch) -> Tensor | None:
        """Return how many elements that mean is over, as `Term.elements`."""

    @abstractmethod
    def begin(self, model: SarKnowLIP, steps: int) -> None:
        """Take in the first weights.

        Args:
            model: Before anything moves, shards or compiles it.
            steps: Of the run.
        """

    @abstractmethod
    def advance(self, model: SarKnowLIP, step: int, ranks: Ranks) -> None:
        """Take in that weights have changed.

        Args:
            model: With the weights of the step.
            step: Steps done.
            ranks: This process and those beside it; all call this.
        """

    @abstractmethod
    def readings(self) -> dict[str, float]:
        """Return further values for the log, of the last step."""
