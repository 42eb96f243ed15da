"""Operators that torchvision lacks beside a CPU build of torch."""

from __future__ import annotations

import importlib
import importlib.util


def mend_torchvision() -> None:
    """Declare them, if need be.

    Without them torchvision cannot be imported, nor `transformers` beside it, nor timm and
    open_clip. They are never called.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        import torch

        operators = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor dets, Tensor scores, float t) -> Tensor")
        mend_torchvision.operators = operators  # they are undone when the object goes
