"""A part of a batch at a time, each computed again in the backward pass.

Splitting alone does not save memory: autograd keeps what each part needs for its gradient. With
recomputation (Chen et al. 2016) it keeps the inputs only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def by_chunks(
    function: Callable[..., tuple[Tensor, ...]], chunk: int | None, *rows: Tensor
) -> tuple[Tensor, ...]:
    """Return what a function gives, computed for some rows at a time.

    Args:
        function: Of tensors with equally many rows, without chance; gives a tuple of tensors with
            as many rows, each of which depends on its own row only.
        chunk: Most rows at a time, at least 1; None for all at once, without recomputation.
        rows: Its arguments.
    """
    if chunk is None:
        return function(*rows)
    parts = [
        checkpoint(function, *part, use_reentrant=False, preserve_rng_state=False)
        for part in zip(*(torch.split(tensor, chunk) for tensor in rows), strict=True)
    ]
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))
