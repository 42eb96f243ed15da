"""The log of a run, `log.jsonl`: one JSON object a line, and the clocks behind it.

A training line has step, epoch, loss and its parts, grad_norm, lr, scale, images_per_s,
data_wait_pct, mfu_pct, seconds and memory_gib; a validation line has step and val_loss. `step`
counts steps done. What is unknown is null.
"""

from __future__ import annotations

import json
import math
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sarknowlip.core.errors import StorageError
from sarknowlip.core.files import write_bytes


class Log:
    """A JSON-lines file that grows, and can be cut back to a checkpoint.

    Args:
        path: The file.
        step: Steps done; later lines, and one cut short by a kill, are dropped.

    Raises:
        StorageError: The file cannot be written.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in read_log(path) if line["step"] <= step]
        write_bytes(path, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def add(self, **values: float | None) -> None:
        """Append a line.

        Raises:
            StorageError: The file cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(values) + "\n")
        except OSError as error:
            raise StorageError(
                f"cannot write {self.path}: {error}", "free space, then run again with --resume"
            ) from error


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a log in order; none if there is no file."""
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    for line in path.read_text("utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break  # a kill cut this line short; nothing follows it
    return lines


def last_validation(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the finite values of a log's last validation by name; none without one."""
    for line in reversed(lines):
        if "val_loss" in line:
            found = {name: value for name, value in line.items() if name.startswith("val_")}
            return {name: value for name, value in found.items() if math.isfinite(value)}
    return {}


class Meter:
    """Clocks between log lines: how many images, how long, how long waiting for data.

    Args:
        flops: Floating-point operations an image takes.
        peak: Those all devices together can do a second; None where unknown.
    """

    def __init__(self, flops: float = 0.0, peak: float | None = None) -> None:
        self.flops, self.peak = flops, peak
        self.start = time.perf_counter()
        self.total_images = 0
        self._reset()

    def _reset(self) -> None:
        self._since = time.perf_counter()
        self._images = 0
        self._waited = 0.0

    def wait(self, seconds: float) -> None:
        """Count time spent waiting for a batch."""
        self._waited += seconds

    def images(self, count: int) -> None:
        """Count images trained on."""
        self._images += count
        self.total_images += count

    @property
    def seconds(self) -> float:
        """Seconds since the process began to train."""
        return time.perf_counter() - self.start

    def rates(self) -> dict[str, float | None]:
        """Return what happened since the last call, and the seconds in all.

        Returns:
            images_per_s; data_wait_pct, time spent waiting for data; mfu_pct, arithmetic done of
            what the devices can do; seconds.
        """
        passed = max(time.perf_counter() - self._since, 1e-9)
        speed = self._images / passed
        rates = {
            "images_per_s": round(speed, 2),
            "data_wait_pct": round(100 * min(1.0, self._waited / passed), 2),
            "mfu_pct": round(100 * speed * self.flops / self.peak, 2) if self.peak else None,
            "seconds": round(self.seconds, 3),
        }
        self._reset()
        return rates


def memory_gib(device: torch.device) -> float:
    """Return the most memory taken so far, GiB: of tensors on CUDA, of the process on a CPU."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**30, 3)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)
