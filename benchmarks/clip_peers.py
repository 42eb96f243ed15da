"""Imports open_clip beside a torch without torchvision's operators.

open_clip imports torchvision, which fails on a CPU build of torch unless the operators that its
binary part would bring are declared. None of them is called here. Install both with `--no-deps`:
`pip install --no-deps open_clip_torch==3.3.0 torchvision==0.28.0 timm==1.0.31 ftfy wcwidth`.
"""

from __future__ import annotations

from types import ModuleType

import pytest
import torch


def open_clip_or_skip() -> ModuleType:
    """Return open_clip; the benchmark is skipped, with the reason, where it cannot be imported."""
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        open_clip_or_skip.library = library  # it is undone when the object goes
    try:
        import open_clip
        import open_clip.loss
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no peer: open_clip cannot be imported ({error})")
    return open_clip
