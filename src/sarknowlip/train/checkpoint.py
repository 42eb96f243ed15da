"""Checkpoints that are whole or absent.

A checkpoint is a folder `step-00000120` with `state.pt` and `checkpoint.json` (step and SHA-256 of
the state). It is made beside the others under a temporary name, flushed, then renamed; only after
that the oldest goes. The two newest are kept.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from sarknowlip.core.config import Config
from sarknowlip.core.errors import CheckpointError, StorageError
from sarknowlip.core.files import TEMPORARY
from sarknowlip.core.hashing import file_sha256

STATE, ABOUT = "state.pt", "checkpoint.json"
KEPT = 2


class About(Config):
    """What a checkpoint says of itself.

    Attributes:
        step: Steps done.
        sha256: Digest of the state's file.
    """

    step: int
    sha256: str


def checkpoints(root: Path) -> list[Path]:
    """Return the checkpoints below a folder, oldest first."""
    found = root.iterdir() if root.is_dir() else iter(())
    return sorted(path for path in found if re.fullmatch(r"step-\d{8,}", path.name))


def save_checkpoint(root: Path, step: int, state: dict[str, Any]) -> Path:
    """Write a checkpoint and delete all but the newest two.

    Args:
        root: Folder of checkpoints.
        step: Steps done.
        state: Tensors, numbers, strings and containers of them.

    Raises:
        StorageError: It cannot be written; the checkpoints there are stay as they are.
    """
    final = root / f"step-{step:08d}"
    partial = root / f"{TEMPORARY}{final.name}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        torch.save(state, partial / STATE)
        about = About(step=step, sha256=file_sha256(partial / STATE))
        (partial / ABOUT).write_text(about.model_dump_json(indent=1) + "\n", "utf-8")
        for path in (partial / STATE, partial / ABOUT, partial):
            _flush(path)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        _flush(root)
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into RuntimeError
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(
            f"cannot write checkpoint {final}: {error}",
            "free space, then run again with --resume: older checkpoints are whole",
        ) from error
    for old in checkpoints(root)[:-KEPT]:
        shutil.rmtree(old)
    return final


def load_checkpoint(path: Path) -> tuple[int, dict[str, Any]]:
    """Return the steps done and the state, on the CPU.

    Raises:
        CheckpointError: A file is absent, cut short or altered; the message names the checkpoint
            before it, if there is one.
    """
    try:
        about = About.model_validate(json.loads((path / ABOUT).read_text("utf-8")))
        if file_sha256(path / STATE) != about.sha256:
            raise ValueError(f"{STATE} is cut short or altered")
        state = torch.load(path / STATE, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        before = [other for other in checkpoints(path.parent) if other.name < path.name]
        remedy = f"delete it to go on from {before[-1].name}" if before else "start a new run"
        raise CheckpointError(f"checkpoint {path} is damaged: {error}", remedy) from error
    return about.step, state


def remove_unfinished(root: Path) -> None:
    """Delete what an interrupted writer left."""
    for path in root.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
