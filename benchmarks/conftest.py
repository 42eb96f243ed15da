"""Where benchmark results go: one CSV a suite, a row a measurement, hardware beside it."""

from __future__ import annotations

import csv
import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path(__file__).resolve().parent / "results"


def hardware() -> dict[str, str]:
    """Return processor, cores, memory, system and commit."""
    model = platform.processor() or "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "memory_gib": f"{pages / 2**30:.0f}",
        "system": platform.platform(),
        "commit": commit.stdout.strip(),
    }


@pytest.fixture
def record() -> Callable[..., None]:
    """Return a function that appends one measurement to `results/<suite>.csv`."""

    def write(suite: str, **values: Any) -> None:
        row = {key: str(value) for key, value in values.items()} | hardware()
        path = RESULTS / f"{suite}.csv"
        new = not path.is_file()
        path.parent.mkdir(exist_ok=True)
        with path.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(" ".join(f"{key}={value}" for key, value in values.items()))

    return write
