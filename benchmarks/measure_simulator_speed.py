"""Print time and memory of simulated cities, from nothing to products and truth, as CSV.

    python benchmarks/measure_simulator_speed.py sentinel1-iw-grd:8:2 > simulator_speed.csv

A case is sensor:size_km:workers. Cases run in turn, `--rounds` times over, each with a process of
its own. Columns: square kilometres of the world; seconds of wall time in all and until the truth
was written; seconds of processor time of all processes; cores that others kept busy meanwhile (wall
time means little unless that is near 0); square kilometres per second of wall time of the whole and
of the product alone (wall time less that of truth); greatest sums over the tree of processes,
sampled ten times a second, of resident memory (which counts shared pages once for each process, and
pages of mapped files, which the kernel may drop) and of anonymous memory (which it may not), and
the greatest anonymous memory of any one process; MiB. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from conftest import hardware

COLUMNS = (
    "sensor", "km2", "workers", "round", "wall_s", "truth_s", "cpu_s", "others_cores", "km2_per_s",
    "product_km2_per_s", "rss_mib", "anon_mib", "process_anon_mib",
)  # fmt: skip
PERIOD_S = 0.1


def memory(root: int) -> list[tuple[float, float]]:
    """Return resident and anonymous MiB of a process and all below it."""
    found = []
    for process in [psutil.Process(root), *psutil.Process(root).children(recursive=True)]:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except OSError:
            continue  # it has ended
        kib = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith("R")}
        if "RssAnon" in kib:
            anonymous = int(kib["RssAnon"])
            total = anonymous + int(kib["RssFile"]) + int(kib["RssShmem"])
            found.append((total / 1024, anonymous / 1024))
    return found


def busy_s() -> float:
    """Return seconds that all cores have worked since the machine started."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system


def measure(sensor: str, size_km: float, workers: int, out: Path) -> dict[str, str]:
    """Simulate one city in a process of its own."""
    command = [sys.executable, "-m", "sarknowlip", "simulate", "--city", "Hamburg", "--seed", "7"]
    command += ["--sensor", sensor, "--size-km", f"{size_km:g}", "--workers", str(workers)]
    before, start, truth_s = os.times(), time.perf_counter(), float("nan")
    busy_before = busy_s()
    peaks = [0.0, 0.0, 0.0]
    with subprocess.Popen(
        [*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            sizes = memory(process.pid)
            if sizes:
                rss, anonymous = (sum(column) for column in zip(*sizes, strict=True))
                now = rss, anonymous, max(size[1] for size in sizes)
                peaks = [max(pair) for pair in zip(peaks, now, strict=True)]
            if truth_s != truth_s and (out / "truth" / "1" / "truth.json").exists():
                truth_s = time.perf_counter() - start
            time.sleep(PERIOD_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    wall_s, after = time.perf_counter() - start, os.times()
    cpu_s = sum(after[2:4]) - sum(before[2:4])
    own_s = sum(after[:4]) - sum(before[:4])
    km2 = size_km**2
    return {
        "sensor": sensor,
        "km2": f"{km2:.0f}",
        "workers": str(workers),
        "wall_s": f"{wall_s:.1f}",
        "truth_s": f"{truth_s:.1f}",
        "cpu_s": f"{cpu_s:.1f}",
        "others_cores": f"{max(0.0, busy_s() - busy_before - own_s) / wall_s:.2f}",
        "km2_per_s": f"{km2 / wall_s:.3g}",
        "product_km2_per_s": f"{km2 / (wall_s - truth_s):.3g}",
    } | {name: f"{peak:.0f}" for name, peak in zip(COLUMNS[-3:], peaks, strict=True)}


def main() -> None:
    """Measure all cases, in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="+", help="sensor:size_km:workers")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    record = hardware()
    table = csv.DictWriter(sys.stdout, [*COLUMNS, *record], lineterminator="\n")
    table.writeheader()
    for number in range(1, arguments.rounds + 1):
        for case in arguments.case:
            sensor, size_km, workers = case.split(":")
            with tempfile.TemporaryDirectory() as folder:
                row = measure(sensor, float(size_km), int(workers), Path(folder) / "out")
            table.writerow(row | {"round": str(number)} | record)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
