"""Measure whether the closed loop finds planted errors in texts about real pixels, as CSV.

    python benchmarks/measure_scio_floods.py OUT [--data FOLDER] > floods.csv

FOLDER holds `S1Hand` of Sen1Floods11 (Bonafilia et al. 2020), by default that of the sample in
$SARKNOWLIP_DATA, else in ../shared/data: eight chips of 512 × 512 pixels, Sentinel-1, VV and VH.
They are cut to tiles of 128 × 128 of their own pixels; texts rest on what is measured in them and
nothing else. In 30 % of the sentences errors are planted, and two loops run on all (`scio_arms.py`;
nobody looks at any but `--trusted` of them, drawn at random): "loop", and "loop-evidence" without
the signal of evidence, so by pixels alone. Folds go by chip.

Rows: AUROC of P(bad) by round, kind of error and loop, each kind against all texts that are right,
trusted ones left out; with an interval of 95 % by bootstrap over chips (texts of a drawn chip come
together; a draw without wrong or right ones does not count). The same of the signals alone, larger
being better, where they know. OUT keeps everything; run again, it goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from learning_cities import tell
from learning_fewer import linked
from scio_arms import BEGIN, Seed, Setting
from sklearn.metrics import roc_auc_score

from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.data.shards import build_shards
from sarknowlip.geo.grid import GridConfig
from sarknowlip.train.rounds.record import JUDGED, rounds_of

COLUMNS = ("arm", "round", "of", "kind", "auroc", "low", "high", "wrong", "right", "chips")
LOOPS = ("loop", "loop-evidence")
DRAWS, ALL = 1000, "all"
BLOCK_KM = 25.0
"""With these blocks each chip of the sample lies in one, so that a chip is in one fold."""

Floats = npt.NDArray[np.float64]


def corpus(data: Path, out: Path) -> Path:
    """Return the corpus of all chips."""
    root = out / "corpus"
    if not (root / "ready").is_file():
        split = SplitConfig(block_km=BLOCK_KM, val=0.0, test=0.0)
        grid = GridConfig(tile_px=128, placement="native")
        report = build(
            sorted((data / "S1Hand").glob("*.tif")), root, BuildConfig(grid=grid, split=split)
        )
        tell(f"{root}: {report.splits}")
        told = annotate(root, AnnotateConfig(sources=("image",)))
        tell(f"{root}: {told.texts} texts")
        build_shards(root)
        (root / "ready").touch()
    return root


def measured(seed: Seed, arm: str) -> Iterator[list[object]]:
    """Yield the rows of a loop."""
    kinds = {row["text_id"]: row["kind"] for row in pq.read_table(seed.ledger).to_pylist()}
    trusted = set(pq.read_table(seed.trusted)["text_id"].to_pylist())
    chip_of = {record.id: record.scene for record in Catalog(seed.corpus).records()}
    for folder, one in rounds_of(seed.folder / arm / "loop"):
        rows = [
            row for row in pq.read_table(folder / JUDGED).to_pylist()
            if row["text_id"] not in trusted
        ]  # fmt: skip
        chips = np.array([chip_of[row["tile_id"]] for row in rows])
        truth = np.array([kinds.get(row["text_id"], "") for row in rows])
        for name, values in columns_of(rows).items():
            known = ~np.isnan(values)
            found = by_kind(values[known], truth[known], chips[known])
            yield from ([arm, one.number, name, *row] for row in found)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Floats]:
    """Return P(bad), and signals with their sign turned; NaN where one knows nothing."""
    signals = [json.loads(row["signals"]) for row in rows]
    names = sorted({name for told in signals for name in told})
    columns = {"P(bad)": np.array([row["bad"] for row in rows], dtype=np.float64)}
    for name in names:
        values = [told.get(name) for told in signals]
        columns[name] = -np.array([np.nan if v is None else v for v in values])
    return columns


def by_kind(
    values: Floats, truth: npt.NDArray[np.str_], chips: npt.NDArray[np.str_]
) -> Iterator[list[object]]:
    """Yield kind, AUROC and interval, and how many texts and chips it is of."""
    for kind in (ALL, *sorted(set(truth) - {""})):
        asked = (truth == "") | (truth == kind) if kind != ALL else np.ones(len(truth), bool)
        wrong, own = truth[asked] != "", chips[asked]
        if wrong.all() or not wrong.any():
            continue
        auroc = roc_auc_score(wrong, values[asked])
        low, high = interval(values[asked], wrong, own)
        counts = [int(wrong.sum()), int((~wrong).sum()), len(set(own))]
        yield [kind, f"{auroc:.4f}", f"{low:.4f}", f"{high:.4f}", *counts]


def interval(
    values: Floats, wrong: npt.NDArray[np.bool_], chips: npt.NDArray[np.str_]
) -> tuple[float, float]:
    """Return the interval of 95 % over draws of chips.

    Of each pair of chips it is counted once how often a wrong text of one is above a right one of
    the other (ties by half); a draw only weighs these counts.
    """
    names = sorted(set(chips))
    above_CC = np.zeros((len(names), len(names)))
    pairs_CC = np.zeros_like(above_CC)
    for row, one in enumerate(names):
        bad = values[wrong & (chips == one)]
        for column, other in enumerate(names):
            good = np.sort(values[~wrong & (chips == other)])
            sides = [np.searchsorted(good, bad, side) for side in ("left", "right")]
            above_CC[row, column] = np.sum(sides) / 2
            pairs_CC[row, column] = len(bad) * len(good)
    drawn_DC = np.random.default_rng(0).multinomial(
        len(names), [1 / len(names)] * len(names), DRAWS
    )
    counts = [np.einsum("dc,ce,de->d", drawn_DC, m, drawn_DC) for m in (above_CC, pairs_CC)]
    told = counts[1] > 0  # else all texts of the draw are wrong, or all right
    low, high = np.quantile(counts[0][told] / counts[1][told], [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Run both loops and measure them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    default = Path(os.environ.get("SARKNOWLIP_DATA", shared)) / "sen1floods11-sample"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trusted", type=int, default=100)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--later", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], help="further settings of the loop")
    asked = parser.parse_args()
    setting = Setting(
        recipe="nano", share=0.3, trusted=asked.trusted, folds=2, rounds=asked.rounds,
        steps=asked.steps, later=asked.later, final=1, ended=0,
        settings=("train.data.batch=32", *asked.set),
    )  # fmt: skip
    root = linked(corpus(asked.data, asked.out), asked.out / "learned")
    seed = Seed(setting, asked.seed, asked.out / f"seed-{asked.seed}", root, None)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    seed.measured(BEGIN)
    for arm in LOOPS:
        seed.measured(arm)
        table.writerows(measured(seed, arm))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
