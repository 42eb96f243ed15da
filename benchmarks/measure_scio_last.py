"""Train models on the texts that loops end with, and on those they began with, for equally long.

    python benchmarks/measure_scio.py OUT --final 5 --detection --seeds 0 1 2 --processes 2
    python benchmarks/measure_scio_last.py OUT --steps 1000 --processes 2
    python benchmarks/measure_scio_last.py OUT --steps 1000 --collect > scio_last.csv

`measure_scio.py` measures what loops find and do; this script, what their texts are worth, on
another machine if need be. Arms are those of `measure_scio.py` as far as they are done there, and

- clean, corrupted: texts as they are and with the errors, for `--steps`, "same steps", and for as
  many steps more as the loop's folds took in all, "same compute"; `--scoring` counts steps for what
  the loop did beside training, too. `--same` chooses one of both.

Models of a seed begin alike and see the same tiles in the same order. An arm that ended with the
very texts of an arm before it in the list, word for word and weight for weight, is not trained
again: its row "same as" names that arm, whose scores are its own. Columns and collected rows are
those of `measure_scio.py`.

`--beside TABLE` compares with clean and corrupted models of an earlier measurement, mean by mean.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure_scio import COLLECTED, Values, recoveries, rows_of, spread, write
from scio_arms import BEGIN, BEGUN, CLEAN, SINGLE, Row, Seed, Setting
from shared_work import FAILED, Job, side_by_side, work

from sarknowlip.annotate.store import CLAIMS, TEXTS, WEIGHTS, annotation_folder
from sarknowlip.core.files import read_json
from sarknowlip.core.hashing import file_sha256
from sarknowlip.train.loop import train
from sarknowlip.train.rounds.record import rounds_of

LAST, SAME = "last", "same as"
SAMES = ("steps", "compute")
ORDER = (*SINGLE, *BEGUN, "clean-loop")


@dataclass(frozen=True)
class Ended:
    """Texts that an arm ended with.

    Attributes:
        arm: Its name.
        seed: Of everything random.
        corpus: Folder.
        version: Of the annotations.
    """

    arm: str
    seed: int
    corpus: Path
    version: str

    def key(self) -> str:
        """Return what is equal for equal texts, claims and weights."""
        folder = annotation_folder(self.corpus, self.version)
        files = [folder / name for name in (TEXTS, CLAIMS, WEIGHTS)]
        return " ".join(file_sha256(path) for path in files if path.is_file())


def ended(folder: Path, seed: int) -> Iterator[Ended]:
    """Yield what there is of a seed: the texts of the beginning, and of loops that are done."""
    place = folder / f"seed-{seed}"
    for arm in ORDER:
        own = {"clean": folder / "learned", "corrupted": place / BEGIN / "corpus"}
        corpus = own.get(arm, place / arm / "corpus")
        if not (place / f"{BEGIN if arm in SINGLE else arm}.csv").is_file():
            continue
        if arm == "clean":
            version = CLEAN
        elif arm == "corrupted":
            version = annotation_folder(corpus).name
        else:
            version = rounds_of(place / arm / "loop")[-1][1].best
        yield Ended(arm, seed, corpus, version)


@dataclass(frozen=True)
class Budget:
    """For how many steps models are trained.

    Attributes:
        steps: Of a loop's last model.
        more: That others get for "same compute".
        same: What arms without a loop are compared at.
    """

    steps: int
    more: int
    same: Sequence[str] = SAMES

    @classmethod
    def of(cls, asked: argparse.Namespace, setting: Setting) -> Budget:
        """Return what was asked for."""
        same = [one for one in SAMES if one in asked.same]
        folds = setting.all_steps - setting.final
        return cls(asked.steps, asked.steps + folds + asked.scoring, same)

    def lengths(self, arm: str) -> list[int]:
        """Return for how many steps models of an arm are trained."""
        if arm not in SINGLE:
            return [self.steps]
        return [
            n for n, same in zip((self.steps, self.more), SAMES, strict=True) if same in self.same
        ]


def measured(one: Ended, setting: Setting, steps: int, folder: Path) -> list[Row]:
    """Train a model, or go on with it, and score it on held-out tiles.

    Args:
        one: What it learns from.
        setting: Of the loops.
        steps: Of the training.
        folder: Of the measurement, with the held-out tiles.
    """
    place = folder / LAST / f"seed-{one.seed}"
    seed = Seed(setting, one.seed, place, one.corpus, folder / "held-out")
    run = place / f"{one.arm}-{steps}"
    config = seed.config(one.arm, one.version).model_copy(update={"final_steps": steps})
    report = train(config.at_the_end(one.version), one.corpus, run, resume=True)
    took = ["", steps, "seconds", report.device, "", f"{report.seconds:.0f}", "", ""]
    return [*seed.held_out(run, steps), took]


def jobs_of(folder: Path, asked: argparse.Namespace, budget: Budget) -> dict[Job, Ended]:
    """Return what is to be trained, arms before seeds; equal texts of a seed once."""
    found: dict[Job, Ended] = {}
    known: dict[tuple[int, str], Path] = {}
    order = asked.arms or ORDER
    arms = [one for seed in asked.seeds for one in ended(folder, seed) if one.arm in order]
    for one in sorted(arms, key=lambda one: order.index(one.arm)):
        for length in budget.lengths(one.arm):
            table = folder / LAST / f"seed-{one.seed}" / f"{one.arm}-{length}.csv"
            first = known.setdefault((one.seed, f"{length} {one.key()}"), table)
            if first == table:
                found[Job(f"seed-{one.seed}/{one.arm}-{length}", table, length)] = one
            elif not table.is_file():
                write(
                    table,
                    one.arm,
                    one.seed,
                    [["", length, SAME, first.stem.rpartition("-")[0], "", "", "", ""]],
                )
    return found


def collected(folder: Path, budget: Budget) -> Iterator[Row]:
    """Yield means and standard deviations over the seeds that are done.

    An arm of which every seed ended with the texts of one other arm has one row, "same as".
    """
    values: Values = defaultdict(dict)
    same: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in sorted((folder / LAST).glob("seed-*/*.csv")):
        rows = rows_of(path)
        arm, length, first = rows[0]["arm"], rows[0]["steps"], ""
        if rows[0]["metric"] == SAME:
            first = rows[0]["of"]
            known = path.with_stem(f"{first}-{length}")
            rows = rows_of(known) if known.is_file() else []
        same[arm, length].append(first)
        for row in rows:
            key = (arm, *(row[name] for name in COLLECTED[1:6]))
            values[key][row["seed"]] = float(row["value"])
    copies = {of: firsts[0] for of, firsts in same.items() if firsts[0] and len({*firsts}) == 1}
    for (arm, length), first in copies.items():
        yield [arm, "", length, SAME, first, "", "", "", len(same[arm, length])]
    own = {key: found for key, found in values.items() if (key[0], key[2]) not in copies}
    for key, found in own.items():
        yield [*key, *spread(list(found.values())), len(found)]
    scores = {key: found for key, found in own.items() if key[3] != "seconds"}
    for arm in BEGUN:
        for kind, length in zip(budget.same, budget.lengths("clean"), strict=True):
            yield from recoveries(arm, f"same {kind}", (budget.steps, length), scores)


def beside(path: Path, folder: Path, budget: Budget) -> Iterator[Row]:
    """Yield what loops won back of the gap between means of another measurement.

    Args:
        path: Table of `--collect` that holds the clean and the corrupted models.
        folder: Of this measurement.
        budget: Steps of a last model, and of the others.
    """
    with path.open(newline="") as file:
        known = {tuple(row[name] for name in COLLECTED[:6]): row for row in csv.DictReader(file)}
    lengths = zip(budget.same, budget.lengths("clean"), strict=True)
    for kind, length in lengths:
        for arm, _, steps, *of, mean, _, seeds in collected(folder, budget):
            others = [known.get((one, "", str(length), *of)) for one in ("corrupted", "clean")]
            mine = arm in BEGUN and str(steps) == str(budget.steps) and of[0] != "seconds"
            if mine and all(others):
                low, high = (float(row["mean"]) for row in others if row is not None)
                ratio = f"{(float(mean) - low) / (high - low):.3f}" if high != low else ""
                about = [arm, f"same {kind}, means", length]
                yield [*about, "recovery", f"{of[0]} {of[1]}".strip(), of[2], ratio, "", seeds]


def main() -> None:
    """Train all models and score them, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", default="more", help="of the measurement")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--scoring", type=int, default=0, help="steps that others get for it")
    parser.add_argument("--same", nargs="+", choices=SAMES, default=list(SAMES))
    parser.add_argument(
        "--arms", nargs="+", choices=ORDER, help="in the order given; all if absent"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--collect", action="store_true", help="print what is done so far")
    parser.add_argument(
        "--beside", type=Path, help="table with clean and corrupted models, for those not trained"
    )
    asked = parser.parse_args()
    folder = asked.out / "scio" / asked.name
    found = read_json(folder / "setting.json", "measure first, or give its --name")["setting"]
    setting = Setting(**found)
    budget = Budget.of(asked, setting)
    if asked.collect:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(COLLECTED)
        table.writerows(collected(folder, budget))
        if asked.beside is not None:
            table.writerows(beside(asked.beside, folder, budget))
        return
    jobs = jobs_of(folder, asked, budget)

    def do(job: Job) -> None:
        one = jobs[job]
        write(job.table, one.arm, one.seed, measured(one, setting, int(job.effort), folder))
        print(f"{job.name} is done", flush=True)

    if not side_by_side(lambda: work(list(jobs), do), asked.processes):
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
