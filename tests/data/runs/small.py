"""Short runs of a small model, in this process or as a program that `torchrun` starts.

As a program: a corpus and, as JSON, a list of jobs {out, settings, die_at}, done in turn. At the
step `die_at` a process kills itself.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.models.config import ModelSize
from sarknowlip.train.config import DataConfig, TrainConfig, with_settings
from sarknowlip.train.loop import train
from sarknowlip.train.meter import read_log
from sarknowlip.train.optim import OptimConfig

SIZE = ModelSize(
    image_px=32,
    patch_px=8,
    image_width=48,
    image_depth=2,
    image_heads=2,
    text_width=48,
    text_depth=1,
    text_heads=2,
    text_tokens=64,
    embed_dim=32,
)


def config(**changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "recipe": "test",
        "model": SIZE,
        "vocab_size": 400,
        "data": DataConfig(batch=4),
        "optim": OptimConfig(lr=3e-3, warmup_steps=5),
        "steps": 30,
        "device": "cpu",
        "checkpoint_every": 7,
        "validate_every": 10,
    }
    return TrainConfig(**values | changes)


def curve(out: Path) -> list[tuple[int, str, float]]:
    """Return all that a log holds and that does not depend on the clock."""
    clock = {"step", "epoch", "images_per_s", "data_wait_pct", "mfu_pct", "seconds", "memory_gib"}
    return [
        (line["step"], name, value)
        for line in read_log(out / "log.jsonl")
        for name, value in line.items()
        if name not in clock
    ]


def train_cut(corpus: Path, folder: Path, **settings: Any) -> None:
    """Train `folder/whole` at one go, and `folder/cut`, interrupted after step 3 and resumed."""
    train(config(**settings), corpus, folder / "whole")

    def stop(done: int, total: int, item: str) -> None:
        del total, item
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config(**settings), corpus, folder / "cut", progress=stop)
    train(config(**settings), corpus, folder / "cut", resume=True)


def run_job(corpus: Path, out: str, settings: list[str], die_at: int | None = None) -> None:
    def progress(done: int, total: int, item: str) -> None:
        del total, item
        if done == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    train(with_settings(config(), settings), corpus, Path(out), resume=True, progress=progress)


if __name__ == "__main__":
    torch.set_num_threads(1)
    jobs = json.loads(sys.argv[2])
    if len(jobs) > 1:
        torch.distributed.init_process_group("gloo")
    try:
        for job in jobs:
            run_job(Path(sys.argv[1]), **job)
    except SarKnowlipError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if len(jobs) > 1:
            gc.collect()
            torch.distributed.destroy_process_group()
