"""Run the mini suite from nothing, and record what it costs.

    python benchmarks/measure_suite.py OUT [WORKERS]

OUT must be absent. Wall clock, processor time of all processes, and the load of the machine when
it began and ended go to `results/suite.csv`: other work makes the wall clock longer.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from conftest import RESULTS, hardware


def main() -> None:
    """Run, report, record."""
    out, workers = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "2"
    if out.exists():
        sys.exit(f"{out} is there already; choose another folder")
    run = ["sarknowlip", "bench", "run", "--suite", "mini", "--out", str(out), "--json"]
    load, begun = os.getloadavg()[0], time.perf_counter()
    subprocess.run([*run, "--workers", workers], check=True, stdout=subprocess.PIPE)
    wall = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = ["sarknowlip", "bench", "report", str(out), "--json"]
    told = json.loads(subprocess.run(report, check=True, stdout=subprocess.PIPE).stdout)
    row = {
        "suite": "mini",
        "models": " ".join(told["models"]),
        "tasks": len(told["tasks"]),
        "sets": len(told["sets"]),
        "cells": told["cells"],
        "workers": workers,
        "wall_s": round(wall),
        "cpu_s": round(used.ru_utime + used.ru_stime),
        "peak_mib": round(used.ru_maxrss / 1024),
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
    } | hardware()
    path = RESULTS / "suite.csv"
    new = not path.is_file()
    with path.open("a", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(row)


if __name__ == "__main__":
    main()
