"""How the batch of a step is spread: over parts of a step, and over processes.

A part is a slice of the step's batch, a process's share a slice of the part. So the joint batch of
all processes is, part by part and row by row, the one that a single process sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from sarknowlip.core.errors import ConfigError
from sarknowlip.data.pairs import Visit


class Order(Protocol):
    """The visits of each step."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sequence[Visit]]: ...


class Shares:
    """Batches of one process, `parts` a step.

    Args:
        order: The visits of each step, over all processes.
        parts: Parts of a step whose gradients are added up.
        rank: Number of the process.
        count: Processes. Shares are of equal size: up to count − 1 visits a part are left out.
    """

    def __init__(self, order: Order, parts: int, rank: int, count: int) -> None:
        self.order, self.parts, self.rank, self.count = order, parts, rank, count

    def __iter__(self) -> Iterator[list[Visit]]:
        for visits in self.order:
            cuts = [part * len(visits) // self.parts for part in range(self.parts + 1)]
            for start, stop in pairwise(cuts):
                share = (stop - start) // self.count
                first = start + self.rank * share
                yield list(visits[first : first + share])

    def __len__(self) -> int:
        return self.parts * len(self.order)


def require_shares(smallest: int, parts: int, count: int) -> None:
    """Check that each process finds something in each part, and all of them two pairs at least.

    Args:
        smallest: Visits of the smallest batch.
        parts: Parts of a step.
        count: Processes.

    Raises:
        ConfigError: The batch is too small.
    """
    share = smallest // parts // count
    if share * count < 2:
        raise ConfigError(
            f"batches of {smallest} pairs are too small for {parts} parts and {count} processes",
            "raise data.batch, or lower accumulate or the number of processes",
        )
