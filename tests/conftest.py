"""Shared by all tests: where real data lies, and the tests folder on the import path."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS))


def mend_torchvision() -> None:
    """Declare the operators that torchvision lacks beside a CPU build of torch.

    Without them it cannot be imported, nor `transformers` beside it, nor timm and open_clip. They
    are never called.
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


mend_torchvision()


def data_root() -> Path:
    """Return the folder of real sample data: $SARKNOWLIP_DATA, or ../shared/data."""
    return Path(os.environ.get("SARKNOWLIP_DATA", TESTS.parent.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function from a sample's name to its path; the test is skipped if it is absent."""

    def find(name: str) -> Path:
        path = data_root() / name
        if not path.exists():
            pytest.skip(f"real sample {name!r} is not at {path.parent}; set SARKNOWLIP_DATA")
        return path

    return find
