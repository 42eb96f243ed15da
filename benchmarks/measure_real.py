"""Score models on the real samples, each set split as its own terms of independence ask.

    python benchmarks/measure_real.py OUT
    python benchmarks/measure_real.py OUT --models 'clip@ours=ARMS/seed-{seed}/clip' …

The sets lie in $SARKNOWLIP_DATA, else in ../shared/data. `--models` come beside the three simple
baselines, as `sarknowlip bench run` names them; ARMS is what `measure_arms.py` made. OUT keeps all
cells; run again, it goes on. All scores that have an interval go to `results/real.csv`.

- `change-pairs`, `polsf`: one half of the picture each, apart by blocks;
- `each@opensarship`, `each@sen1floods11`: each scene in turn, learned from all others;
- `4@sar-acd`: four folds of groups of look-alikes;
- `mstar`: as published, 17° to learn from and 15° to be asked about. The same vehicles are in both,
  and the audit says so;
- `hrsid`: as published.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from pathlib import Path

from conftest import RESULTS, hardware

SIMPLE = ("random", "pixels", "texture")
ASKED = {
    "change-pairs": "change",
    "polsf": "polsar",
    "each@opensarship": "classification,few-shot",
    "each@sen1floods11": "segmentation",
    "mstar": "classification,few-shot,zero-shot",
    "4@sar-acd": "classification,few-shot",
    "hrsid": "counting,detection",
}
"""Tasks of each set."""
KEPT = (
    "task", "version", "dataset", "model", "score", "main", "value", "low", "high", "seed_sd",
    "chance", "p_against_best", "seeds", "items", "units", "unit", "seconds",
)  # fmt: skip


def main() -> None:
    """Run, report, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="*", default=[], help="beside the simple ones")
    parser.add_argument("--sets", nargs="+", choices=list(ASKED), default=list(ASKED))
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = asked.data or Path(os.environ.get("SARKNOWLIP_DATA", shared))
    if not data.is_dir():
        sys.exit(f"{data} is not there: give the folder by --data; sources are in docs/datasets.md")
    models = ",".join([*SIMPLE, *asked.models])
    common = ["sarknowlip", "bench", "run", "--out", str(asked.out), "--data", str(data)]
    failed = []
    for dataset in asked.sets:
        chosen = ["--sets", dataset, "--tasks", ASKED[dataset], "--models", models]
        if subprocess.run([*common, *chosen], check=False).returncode:
            failed.append(dataset)
    subprocess.run(["sarknowlip", "bench", "report", str(asked.out)], check=True)
    if failed:
        sys.exit(f"not complete, not recorded: {', '.join(failed)}; run again to go on")
    record(asked.out / "board.csv")


def record(board: Path) -> None:
    """Write the scores of a board that have an interval."""
    with board.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["low"]]
    about = hardware()
    with (RESULTS / "real.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [*KEPT, *about], extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(row | about for row in rows)


if __name__ == "__main__":
    main()
