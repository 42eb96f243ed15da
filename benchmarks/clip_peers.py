"""Imports open_clip, which imports torchvision.

Install both with `--no-deps` beside a CPU build of torch:
`pip install --no-deps open_clip_torch==3.3.0 torchvision==0.28.0 timm==1.0.31 ftfy wcwidth`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from torchvision_operators import mend_torchvision

mend_torchvision()  # before transformers is imported, which imports torchvision if it can


def open_clip_or_skip() -> ModuleType:
    """Return open_clip; the benchmark is skipped, with the reason, where it cannot be imported."""
    try:
        import open_clip
        import open_clip.loss
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no peer: open_clip cannot be imported ({error})")
    return open_clip
