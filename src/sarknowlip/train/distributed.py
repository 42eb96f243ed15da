"""The processes of a run: who is who, and how they agree.

`torchrun` starts the processes and tells each its place in environment variables. Process 0 writes
all files; what it finds out, and what it fails at, the others learn from it.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeVar

import torch
from torch import distributed

from sarknowlip.core.errors import ConfigError

Parallel = Literal["none", "ddp", "fsdp2"]
Found = TypeVar("Found")

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others: process 0 may be writing a large checkpoint."""


@dataclass(frozen=True)
class Ranks:
    """A process among those of a run.

    Attributes:
        rank: Its number.
        count: Number of processes.
        device: Where its weights live.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def on_first(self, act: Callable[[], Found]) -> Found:
        """Return in all processes what process 0 gets from a function that only it calls.

        Raises:
            SarKnowlipError: In process 0, what the function raises.
            SystemExit: In the others, if it raises: process 0 tells.
        """
        if self.count == 1:
            return act()
        told: list[tuple[bool, Found | None]] = [(False, None)]
        try:
            if self.first:
                told = [(True, act())]
        finally:
            distributed.broadcast_object_list(told, src=0, device=torch.device("cpu"))
        well, found = told[0]
        if not well:
            raise SystemExit(1)
        return found  # type: ignore[return-value]

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of tensors over all processes, in place."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values


def own_rank() -> int:
    """Return the number of this process as `torchrun` tells it, 0 without it."""
    return int(os.environ.get("RANK", "0"))


@contextlib.contextmanager
def processes(parallel: Parallel, wanted: Literal["auto", "cpu", "cuda"]) -> Iterator[Ranks]:
    """Join the other processes of a run and leave them at the end, unless joined before.

    Args:
        parallel: How the processes share the work; "none" for a single process.
        wanted: Device; "auto" takes CUDA if there is one.

    Raises:
        ConfigError: No such device, or the way the program was started does not fit `parallel`.
    """
    started = int(os.environ.get("WORLD_SIZE", "0"))
    device = _device(wanted)
    if parallel == "none":
        if started > 1:
            raise ConfigError(
                f"parallel=none, but there are {started} processes", "set parallel=ddp or fsdp2"
            )
        yield Ranks(0, 1, device)
        return
    if not started:
        raise ConfigError(
            f"parallel={parallel}, but torchrun did not start this process",
            "run `torchrun --nproc-per-node N -m sarknowlip train ...`",
        )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    own = not distributed.is_initialized()
    if own:
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        if own:
            gc.collect()  # copies of weights that outlive their group hang when they go
            distributed.destroy_process_group()


def _device(wanted: str) -> torch.device:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ConfigError("device=cuda, but torch sees no CUDA device", "set device=cpu")
    if wanted == "cpu" or not available:
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise ConfigError(
            f"process {local} of this machine has no CUDA device of its own:"
            f" there are {torch.cuda.device_count()}",
            "start fewer processes a machine",
        )
    return torch.device("cuda", local)
