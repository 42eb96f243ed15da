"""Runs a function in two processes that form a group (gloo), and collects what they return."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing


def in_two_processes(function: Callable[..., Any], folder: Path, *args: Any) -> list[Any]:
    """Return function(rank, *args) of ranks 0 and 1.

    Args:
        function: At the top level of a module; gives what torch.save can write.
        folder: Empty folder of this call.
        args: What can be pickled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    multiprocessing.spawn(_run, (function, folder, args), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def _run(rank: int, function: Callable[..., Any], folder: Path, args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2
    )
    torch.save(function(rank, *args), folder / f"{rank}.pt")
    leave_group()


def leave_group() -> None:
    """Leave the group when its threads hold no tensor any more.

    A thread of gloo may let go of a tensor after the process that waited for it has gone on; if the
    interpreter is ending by then, that aborts the process.
    """
    gc.collect()
    distributed.barrier()
    distributed.destroy_process_group()
