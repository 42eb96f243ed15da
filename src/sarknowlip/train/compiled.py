"""Transformer blocks compiled one by one, so that equal blocks of a stack share their code.

Torch counts versions of code over all blocks, not block by block, and gives up compiling, with no
more than a warning, when there are more than eight. A step with all terms has five kinds of blocks
(image, text, fusion, text decoder, image decoder), each with and without gradient; batches and
texts change their sizes every step. So sizes are left open in the code, and the count of versions
has room for all kinds, and for the sizes that are not left open (1, and equal ones at first sight).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch._dynamo
from torch import nn

from sarknowlip.train.wrapped import blocks

MOST_VERSIONS = 64


def compile_blocks(module: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
    """Have the blocks of a module compiled at their first call.

    Args:
        module: Changed in place.
        backend: What makes code of a graph.
    """
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.config.recompile_limit = max(limit, MOST_VERSIONS)
    for block in blocks(module):
        block.compile(dynamic=True, backend=backend)
