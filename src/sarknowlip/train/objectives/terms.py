"""What a term of an objective is, and what it is given.

Shapes: B batch, L tokens or patches, K patches seen, D width of tokens, E width of the joint space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.distributed import ProcessGroup

from sarknowlip.data.loader import Batch
from sarknowlip.models.model import SarKnowLIP


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
    image_BKD: Tensor  # noqa: N815
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
    """

    chances: int
    reads: bool
    compares: bool

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
