"""Print the power of the judge of truth, by predicate, as CSV.

    python benchmarks/measure_judge.py CORPUS TRUTH [CORPUS TRUTH …] [--step N] > power.csv

Corpora are of simulated products and annotated, truths are folders of the same worlds. Every claim
that is true is altered beyond tolerance (`annotate.truth.power`) and judged again; of every N-th
tile. Columns: predicate, or "all"; alterations called false, true and undecided; power, the share
called false of those decided.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.store import annotation_folder
from sarknowlip.annotate.truth.places import Places
from sarknowlip.annotate.truth.power import power
from sarknowlip.annotate.truth.scene import Scene
from sarknowlip.annotate.truth.world import world_of, worlds_below
from sarknowlip.corpus.catalog import Catalog

COLUMNS = ("predicate", "false", "true", "undecided", "power")


def measure(root: Path, truth: Path, step: int, total: dict[str, Counter[bool | None]]) -> None:
    """Add the verdicts on altered claims about a corpus's tiles."""
    worlds = worlds_below(truth)
    records = list(Catalog(root).records())[::step]
    found = stored(annotation_folder(root), [record.id for record in records])
    for record in records:
        world, held = world_of(record, worlds), found[record.id]
        if world is None:
            continue
        scene = Scene(record, world, Places.of(held.evidence, held.claims))
        for predicate, verdicts in power(scene, held.claims).items():
            total.setdefault(predicate, Counter()).update(verdicts)


def main() -> None:
    """Measure all corpora together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--step", type=int, default=1)
    asked = parser.parse_args()
    total: dict[str, Counter[bool | None]] = {}
    for root, truth in zip(asked.folders[::2], asked.folders[1::2], strict=True):
        measure(root, truth, asked.step, total)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    everything: Counter[bool | None] = Counter()
    for verdicts in total.values():
        everything.update(verdicts)
    for name, verdicts in [*sorted(total.items()), ("all", everything)]:
        decided = verdicts[False] + verdicts[True]
        share = f"{verdicts[False] / decided:.3f}" if decided else ""
        table.writerow([name, verdicts[False], verdicts[True], verdicts[None], share])


if __name__ == "__main__":
    main()
