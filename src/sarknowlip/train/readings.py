"""Numbers of a step on their way from the device to the log.

On a GPU to read a number is to wait for it: the device would idle while Python prepares the next
step. So numbers are copied beside the computation and read one step later. On a CPU they are read
at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reading:
    """Numbers of a step.

    Attributes:
        step: Steps done with it.
        values: By name.
    """

    step: int
    values: dict[str, float]


class Readings:
    """Numbers in flight, read in the order in which they were sent.

    Args:
        lag: Steps by which reading may be late.
    """

    def __init__(self, lag: int) -> None:
        self.lag = lag
        self._sent: deque[tuple[int, list[str], Tensor, torch.cuda.Event | None]] = deque()

    def send(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Start the way of scalars, all on one device."""
        stacked = torch.stack([value.detach().float() for value in values.values()])
        event = None
        if stacked.is_cuda:
            host = torch.empty(stacked.shape, dtype=stacked.dtype, pin_memory=True)
            host.copy_(stacked, non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
            stacked = host
        self._sent.append((step, list(values), stacked, event))

    def arrived(self, *, everything: bool = False) -> list[Reading]:
        """Return what is `lag` steps old, or everything."""
        read = []
        while len(self._sent) > (0 if everything else self.lag):
            step, names, values, event = self._sent.popleft()
            if event is not None:
                event.synchronize()
            read.append(Reading(step, dict(zip(names, values.tolist(), strict=True))))
        return read
