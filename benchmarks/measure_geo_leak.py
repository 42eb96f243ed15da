"""Measure what geographic tokens give away, as CSV.

    python benchmarks/measure_geo_leak.py OUT --steps 1500 > geo_leak.csv

Texts tell how far a city is and in which direction, and from where the radar looked; geographic
tokens hold place, incidence, orbit, side and season. So a model can find a tile by its place
instead of its pixels. Four contrastive models: with geographic tokens and without (all unknown
throughout training), each with all texts and with those that do not name a city. Each is scored on

- test: cities never seen, where place says least,
- val: ground never seen of cities that were, where place says most,

with its tokens ("geo"), with the place unknown ("no place"), and with all unknown ("no geo"). The
tiles of a comparison are the same. Runs lie in OUT/runs; run again, it goes on. A model with all
texts and tokens is that of `measure_retrieval.py` with the same settings.
"""

from __future__ import annotations

import argparse
import copy
import csv
import sys
from pathlib import Path

from learning_cities import HELD_OUT, TRAIN, corpora
from learning_names import version
from learning_scores import GEO_COLUMNS, HeldOut, Scorer, load, rows
from measure_retrieval import trained

COLUMNS = (
    "recipe", "trained_with", "texts", "scored_on", "seen", "steps", "metric", "direction", "k",
    "value", "chance", "count",
)  # fmt: skip
ARM = "contrastive"


def main() -> None:
    """Train and measure all four models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], help="further settings of the recipe")
    asked = parser.parse_args()
    asked.minutes, asked.mask_share, asked.name = 0.0, 0.0, ""
    list(corpora(asked.out))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for nameless in (False, True):
        for geo in (True, False):
            own = copy.copy(asked)
            own.without_names = nameless
            kind = "nameless" if nameless else "named"
            if not geo:
                own.set = [*asked.set, "model.geo_dropout=1.0"]
                own.name = f"{asked.recipe}-{ARM}-{kind}-no-geo-{asked.seed}"
            _, run, report = trained(ARM, own)
            model, processor = load(run)
            for on, corpus in (("test", asked.out / HELD_OUT), ("val", asked.out / TRAIN)):
                texts = version(corpus, names=not nameless)
                held = HeldOut.read(corpus, on, texts, processor)
                for seen in GEO_COLUMNS if geo else ("no geo",):
                    scorer = Scorer(model, processor, held, seen)
                    about = [asked.recipe, "geo" if geo else "no geo", kind, on, seen, report.steps]
                    for row in rows(about, scorer.retrieval()):
                        table.writerow(row)
                sys.stdout.flush()


if __name__ == "__main__":
    main()
