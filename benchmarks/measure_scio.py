"""Measure whether the closed loop finds planted errors and what that is worth, as CSV.

    python benchmarks/measure_scio.py OUT --seeds 0 1 2 > scio.csv
    python benchmarks/measure_scio.py OUT --arms corrupted loop --seeds 0

OUT holds the corpora of `learning_cities.py` (made here if absent): "held-out", and "more" or, with
`--corpus train`, the smaller "train"; and, for each arm and seed, a copy of the latter (hard links)
with its loop, in OUT/scio/CORPUS; run again, it goes on. Arms:

- clean, corrupted: one training on the texts as they are, and as they are after errors of five
  kinds were planted in `--share` of the training sentences (validation texts stay as they are);
- loop: the closed loop on the corrupted texts, with all signals;
- loop-NAME: the same without that signal. "loop-evidence" judges by pixels alone; what it finds
  bad it still mends from evidence, so that its models learn from texts that pixels alone could not
  have given. To hide facts from judging and mending alike: `--set 'score.hidden=["osm"]'`;
- clean-loop: the loop on clean texts, which should leave them alone.

The model of each arm learns for `--final` steps in the end. Arms without a loop are also trained
for as many steps as a loop takes in all, "same compute". Trusted texts are drawn at random from the
training sentences and labelled by the ledger, as a person would; they are repaired like others.

Rows: detection by kind (AUROC of P(bad), each kind against all texts that are right), precision of
what was changed, shares of actions, and what `learning_scores.py` says on cities never seen. In a
round detection is of the texts that the round read, of which later ones have fewer errors; round
"end" is that of the texts of the beginning, scored by the models and the fusion of the last round.
Trusted texts count neither for detection nor for precision. All models of a seed begin alike.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from learning_cities import CORPORA, HELD_OUT, MORE, corpora, tell
from learning_scores import HeldOut, Scorer, load
from sklearn.metrics import roc_auc_score

from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.store import annotation_folder, read_texts
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.train.loop import train
from sarknowlip.train.rounds.config import ScioConfig, with_settings
from sarknowlip.train.rounds.folds import FoldScorer, folds_of, judged_texts
from sarknowlip.train.rounds.fusion import Fusion
from sarknowlip.train.rounds.loop import FINAL, FUSION, scio
from sarknowlip.train.rounds.recipes import SCIO_RECIPES
from sarknowlip.train.rounds.record import JUDGED, rounds_of

SIGNALS = ("contrastive", "matching", "reconstruction", "regeneration", "evidence")
ARMS = ("clean", "corrupted", "loop", *(f"loop-{name}" for name in SIGNALS), "clean-loop")
CLEAN = "v0001"
COLUMNS = ("arm", "seed", "round", "steps", "metric", "of", "k", "value", "chance", "count")


def copied(corpus: Path, target: Path) -> Path:
    """Return a copy of a corpus that shares its files; versions are never changed in place."""
    if not (target / "copied").is_file():
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-al", str(corpus), str(target)], check=True)
        shutil.rmtree(target / "shards", ignore_errors=True)
        (target / "copied").touch()
    return target


def spoilt(root: Path, ledger: Path, asked: argparse.Namespace, seed: int) -> str:
    """Plant errors; return the version that has them."""
    config = CorruptConfig(
        share=asked.share, splits=("train",), levels=("sentence",), seed=seed
    )  # fmt: skip
    report = corrupt(root, config, ledger, version=CLEAN)
    tell(f"{report.version}: planted {report.planted}, {report.unplaced} found no room")
    return report.version


def trusted_set(root: Path, version: str, wrong: set[str], path: Path, count: int) -> Path:
    """Write which of some random training sentences are bad."""
    tiles = {record.id for record in Catalog(root).records("train")}
    texts = read_texts(annotation_folder(root, version))
    ids = sorted(t.id for t in texts if t.level == "sentence" and t.tile_id in tiles)
    drawn = np.random.default_rng(0).choice(len(ids), size=count, replace=False)
    chosen = [ids[i] for i in sorted(drawn)]
    pq.write_table(pa.table({"text_id": chosen, "bad": [i in wrong for i in chosen]}), path)
    return path


def configured(
    arm: str, asked: argparse.Namespace, seed: int, version: str, trusted: Path | None
) -> ScioConfig:
    """Return the loop of an arm; that of an arm without one tells its training."""
    left_out = arm.removeprefix("loop-") if arm.startswith("loop-") else ""
    names = [name for name in SIGNALS if name != left_out]
    settings = [
        f"train.data.annotation={version}",
        f"train.seed={seed}",
        f"train.steps={asked.steps}",
        f"later_steps={asked.later}",
        f"final_steps={asked.final}",
        f"rounds={asked.rounds}",
        f"folds={asked.folds}",
        "gain=-1",
        "score.signals=" + str(names).replace("'", '"'),
        *asked.set,
    ]
    if trusted is not None:
        settings.append(f"trusted={trusted}")
    return with_settings(SCIO_RECIPES[asked.recipe](), settings)


def detections(
    out: Path, kinds: Mapping[str, str], trusted: Collection[str]
) -> Iterator[list[Any]]:
    """Yield how well errors are told, and what was done, round by round; trusted texts apart."""
    for folder, one in rounds_of(out):
        table = pq.read_table(folder / JUDGED, columns=["text_id", "bad", "action"])
        rows = [row for row in table.to_pylist() if row["text_id"] not in trusted]
        yield from aurocs(one.number, [(row["text_id"], row["bad"]) for row in rows], kinds)
        for action, count in one.actions.items():
            share = count / one.judged
            yield [one.number, "", "share", action, "", f"{share:.4f}", "", count]
        changed = [row for row in rows if row["action"] in ("rewrite", "replace", "drop")]
        if changed:
            right = sum(row["text_id"] in kinds for row in changed) / len(changed)
            yield [one.number, "", "precision", "changed", "", f"{right:.4f}", "", len(changed)]
        yield [one.number, "", "vocabulary", "", "", one.before.vocabulary, "", one.judged]
        yield [one.number, "", "distinct-2", "", "", f"{one.before.distinct_2:.4f}", "", ""]
        if one.validation is not None:
            yield [one.number, "", "effective rank", "", "", f"{one.validation.rank:.2f}", "", ""]
            yield [one.number, "", "val recall", "", "", f"{one.validation.recall:.4f}", "", ""]


def aurocs(
    number: int | str, chances: Sequence[tuple[str, float]], kinds: Mapping[str, str]
) -> Iterator[list[Any]]:
    """Yield how well each kind of error is told from texts that are right."""
    good = [chance for text_id, chance in chances if text_id not in kinds]
    for kind in sorted(set(kinds.values())):
        bad = [chance for text_id, chance in chances if kinds.get(text_id) == kind]
        if bad and good:
            truth = [1] * len(bad) + [0] * len(good)
            auroc = roc_auc_score(truth, bad + good)
            yield [number, "", "detection auroc", kind, "", f"{auroc:.4f}", 0.5, len(bad)]


def at_the_end(
    config: ScioConfig, root: Path, out: Path, kinds: Mapping[str, str], trusted: Collection[str]
) -> Iterator[list[Any]]:
    """Yield how well the models of the last round tell the errors of the first version."""
    last, _ = rounds_of(out)[-1]
    catalog = Catalog(root)
    folds = folds_of(catalog, config)
    runs = [last / f"fold-{fold.number}" for fold in folds]
    first = annotation_folder(root, config.train.data.annotation)
    tiles = {record.id for fold in folds for record in fold.records}
    texts = [text for text in judged_texts(first, config, tiles) if text.id not in trusted]
    table = FoldScorer(catalog, out, config, folds, runs).score(texts, first, _progress("end"))
    chances = Fusion.load(last / FUSION).probability(table)
    told = list(zip(table["text_id"].to_pylist(), chances.tolist(), strict=True))
    yield from aurocs("end", told, kinds)


def held_out(run: Path, corpus: Path, steps: int) -> Iterator[list[Any]]:
    """Yield what a model is worth on cities never seen."""
    model, processor = load(run)
    scorer = Scorer(model, processor, HeldOut.read(corpus, "test", CLEAN, processor))
    recalls: list[float] = []
    for part in (scorer.retrieval(), scorer.matching(), scorer.captions()):
        for s in part:
            if s.metric == "whole":
                recalls.append(s.value)
            chance = "" if np.isnan(s.chance) else f"{s.chance:.4f}"
            yield ["", steps, s.metric, s.direction, s.k or "", f"{s.value:.4f}", chance, s.count]
    yield ["", steps, "mean recall", "both", "", f"{np.mean(recalls):.4f}", "", len(scorer.held)]


def measured(arm: str, seed: int, asked: argparse.Namespace) -> Iterator[list[Any]]:
    """Run an arm and yield its rows."""
    folder = asked.out / "scio" / asked.corpus / f"seed-{seed}"
    root = copied(asked.out / asked.corpus, folder / arm / "corpus")
    version, kinds = CLEAN, dict[str, str]()
    if not arm.startswith("clean"):
        ledger = folder / arm / "ledger.parquet"
        version = spoilt(root, ledger, asked, seed)
        kinds = {row["text_id"]: row["kind"] for row in pq.read_table(ledger).to_pylist()}
    path = folder / arm / "trusted.parquet"
    trusted = trusted_set(root, version, set(kinds), path, asked.trusted) if kinds else None
    config = configured(arm, asked, seed, version, trusted)
    all_steps = asked.folds * (asked.steps + (asked.rounds - 1) * asked.later) + asked.final
    if "loop" not in arm:
        for steps in (asked.final, all_steps):
            run = folder / arm / f"run-{steps}"
            training = config.model_copy(update={"final_steps": steps}).at_the_end(version)
            train(training, root, run, resume=True, progress=_progress(f"{arm} {steps}"))
            yield from held_out(run, asked.out / HELD_OUT, steps)
        return
    out = folder / arm / "loop"
    scio(config, root, out, resume=True, progress=_progress(arm), tell=tell)
    looked_at: set[str] = set()
    if trusted is not None:
        looked_at = set(pq.read_table(trusted, columns=["text_id"])["text_id"].to_pylist())
    yield from detections(out, kinds, looked_at)
    if kinds:
        yield from at_the_end(config, root, out, kinds, looked_at)
    yield from held_out(out / FINAL, asked.out / HELD_OUT, asked.final)


def _progress(what: str) -> Any:
    def told(done: int, total: int, item: str) -> None:
        if done % 100 == 0:
            tell(f"{what} {done}/{total} {item}")

    return told


def main() -> None:
    """Run and measure all arms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    learned = [name for name in CORPORA if name != HELD_OUT]
    parser.add_argument("--corpus", choices=learned, default=MORE, help="what is learned from")
    parser.add_argument("--recipe", default="nano")
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--trusted", type=int, default=300)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--later", type=int, default=150)
    parser.add_argument("--final", type=int, default=600)
    parser.add_argument("--set", nargs="*", default=[], help="further settings of the loop")
    asked = parser.parse_args()
    list(corpora(asked.out, names=(HELD_OUT, asked.corpus)))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for seed in asked.seeds:
        for arm in asked.arms:
            for row in measured(arm, seed, asked):
                table.writerow([arm, seed, *row])
                sys.stdout.flush()


if __name__ == "__main__":
    main()
