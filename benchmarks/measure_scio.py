"""Measure whether the closed loop finds planted errors and what that is worth.

    python benchmarks/measure_scio.py OUT --seeds 0 1 2 --processes 2
    python benchmarks/measure_scio.py OUT --collect > scio.csv

OUT holds the corpora of `learning_cities.py` (made here if absent): "held-out", and "more" or, with
`--corpus train`, the smaller "train". Of both at most `--sentences` sentences a tile are used and
nothing else (`learning_fewer.py`). OUT/scio/NAME holds a measurement of one setting: the corpora
with fewer texts, after which the others are not needed, a folder for each seed and arm, and a table
that appears when the arm is done. Processes that are started alike share the arms; run again, it
goes on. On a GPU: `--processes 8 --set score.how.batch=256`. Arms:

- begin: errors of five kinds planted in `--share` of the training sentences (validation texts stay
  as they are), the trainings of the first round and their scores, once for all loops on them;
- clean, corrupted: one training on the texts as they are, and on those with the errors;
- loop: the closed loop on the corrupted texts, with all signals;
- loop-NAME: the same without that signal. "loop-evidence" judges by pixels alone; what it finds
  bad it still mends from evidence, so that its models learn from texts that pixels alone could not
  have given. To hide facts from judging and mending alike: `--set 'score.hidden=["osm"]'`;
- loop-trusted: the same without trusted texts (not among the arms that are run by default);
- clean-loop: the loop on clean texts, which should leave them alone; without trusted texts.

With `--detection` only what is found and done is measured: `measure_scio_last.py` trains models on
the texts that arms end with, for as long as wanted, on another machine if need be.

The model of each arm learns for `--final` steps in the end. Arms without a loop are also trained
for as many steps as a loop takes in all, "same compute". Trusted texts are drawn at random from the
training sentences and labelled by the ledger, as a person would; they are repaired like others.

Rows: detection by kind (AUROC of P(bad), each kind against all texts that are right), precision of
what was changed, share of the errors found, shares of actions, and what `learning_scores.py` says
on cities never seen. In a round detection is of the texts that the round read, of which later ones
have fewer errors; round "end" is that of texts of the beginning, scored by the models and the
fusion of the last round. Trusted texts count neither for detection nor for precision. All models of
a seed begin alike.

`--collect` prints means and standard deviations over seeds, and what of the gap between corrupted
and clean each loop won back, (loop − corrupted) / (clean − corrupted): beside models of as many
steps as its last one, and beside models of as many as it took in all. "recovery" is the ratio of
mean differences; "recovery by seed" the mean of ratios, which says little where gaps are small.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from learning_cities import CORPORA, HELD_OUT, MORE, corpora, tell
from learning_fewer import READY, fewer
from scio_arms import ARMS, BEGIN, BEGUN, CLEAN, SINGLE, UNTRUSTED, Row, Seed, Setting
from shared_work import FAILED, Job, alone, minutes_left, side_by_side, work

from sarknowlip.annotate.store import TEXTS, annotation_folder
from sarknowlip.core.config import changed_keys
from sarknowlip.core.files import read_json, replacing, write_json

COLUMNS = ("arm", "seed", "round", "steps", "metric", "of", "k", "value", "chance", "count")
COLLECTED = ("arm", "round", "steps", "metric", "of", "k", "mean", "sd", "seeds")
STEP_S = 0.7
"""Seconds a step, as long as nothing is known."""

Key = tuple[str, ...]
Values = dict[Key, dict[str, float]]


def jobs_of(asked: argparse.Namespace, folder: Path, tiles: int, texts: int) -> list[Job]:
    """Return what is to be done, in order."""
    jobs = []
    for seed in asked.seeds:
        place = folder / f"seed-{seed}"
        begin = (place / f"{BEGIN}.csv",)
        arms = [arm for arm in asked.arms if not (asked.detection and arm in SINGLE)]
        if any(arm in BEGUN or arm == "corrupted" for arm in arms):
            arms.insert(0, BEGIN)
        for arm in arms:
            needs = begin if arm in BEGUN or arm == "corrupted" else ()
            effort = asked.setting.effort(arm, tiles, texts)
            jobs.append(Job(f"seed-{seed}/{arm}", place / f"{arm}.csv", effort, needs))
    return jobs


def run(asked: argparse.Namespace, folder: Path) -> None:
    """Do what no other process does, until all is done."""
    learned, held = folder / "learned", folder / "held-out"
    texts = pq.read_metadata(annotation_folder(learned, CLEAN) / TEXTS).num_rows
    jobs = jobs_of(asked, folder, texts // asked.sentences, texts)

    def left() -> str:
        took = {job.name: seconds_of(job.table) for job in jobs if job.done}
        count = sum(not job.done for job in jobs)
        minutes = minutes_left(jobs, took, STEP_S)
        return f"{count} of {len(jobs)} left, about {minutes:.0f} minutes of one process"

    def do(job: Job) -> None:
        tell(f"{job.name} begins; {left()}")
        place, arm = folder / job.table.parent.name, job.table.stem
        seed = int(place.name.removeprefix("seed-"))
        scored_on = None if asked.detection else held
        rows = Seed(asked.setting, seed, place, learned, scored_on).measured(arm)
        write(job.table, arm, seed, rows)
        tell(f"{job.name} took {seconds_of(job.table):.0f} s; {left()}")

    work(jobs, do)


def write(path: Path, arm: str, seed: int, rows: Sequence[Row]) -> None:
    """Write an arm's table, which appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([arm, seed, *row] for row in rows)


def seconds_of(path: Path) -> float:
    """Return how long an arm took."""
    return next(float(row["value"]) for row in rows_of(path) if row["metric"] == "seconds")


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of an arm's table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def collected(folder: Path, setting: Setting) -> Iterator[Row]:
    """Yield means and standard deviations over the seeds that are done."""
    values: Values = defaultdict(dict)
    for path in sorted(folder.glob("seed-*/*.csv")):
        for row in rows_of(path):
            if row["metric"] != "stop":  # of which the words are what counts
                key = tuple(row[name] for name in COLLECTED[:6])
                values[key][row["seed"]] = float(row["value"])
    for key, found in values.items():
        yield [*key, *spread(list(found.values())), len(found)]
    for arm in BEGUN:
        for name, steps in (("same steps", setting.final), ("same compute", setting.all_steps)):
            yield from recoveries(arm, name, (setting.final, steps), values)


def recoveries(
    arm: str, name: str, steps: tuple[int, int], values: Mapping[Key, Mapping[str, float]]
) -> Iterator[Row]:
    """Yield what of the gap between corrupted and clean an arm won back, by metric."""
    for key, own in values.items():
        if (key[0], key[2]) != (arm, str(steps[0])):
            continue
        other = [values.get((a, "", str(steps[1]), *key[3:]), {}) for a in ("corrupted", "clean")]
        seeds = sorted(set(own) & set(other[0]) & set(other[1]))
        if not seeds:
            continue
        won = np.array([own[seed] - other[0][seed] for seed in seeds])
        gap = np.array([other[1][seed] - other[0][seed] for seed in seeds])
        about = [arm, name, steps[1]]
        of = f"{key[3]} {key[4]}".strip(), key[5]
        yield [*about, "gap", *of, *spread(gap.tolist()), len(seeds)]
        ratio = f"{won.mean() / gap.mean():.3f}" if gap.mean() else ""
        yield [*about, "recovery", *of, ratio, "", len(seeds)]
        if gap.all():
            yield [*about, "recovery by seed", *of, *spread((won / gap).tolist()), len(seeds)]


def spread(values: Sequence[float]) -> tuple[str, str]:
    """Return mean and standard deviation (of a sample; empty for one value)."""
    deviation = f"{np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}", deviation


def parsed() -> argparse.Namespace:
    """Return what is asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--arms", nargs="+", choices=ARMS, default=[a for a in ARMS if a != UNTRUSTED]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--processes", type=int, default=1, help="that share the work, on this machine"
    )
    parser.add_argument("--collect", action="store_true", help="print what is done so far")
    learned = [name for name in CORPORA if name != HELD_OUT]
    parser.add_argument("--corpus", choices=learned, default=MORE, help="what is learned from")
    parser.add_argument("--name", default="", help="of the setting; that of the corpus")
    parser.add_argument("--sentences", type=int, default=12, help="of a tile, at most")
    parser.add_argument("--recipe", default="nano")
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--trusted", type=int, default=300)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--later", type=int, default=75)
    parser.add_argument("--final", type=int, default=500)
    parser.add_argument("--ended", type=int, default=6000, help="texts scored again at the end")
    parser.add_argument(
        "--detection", action="store_true", help="do not score last models on held-out tiles"
    )
    parser.add_argument("--set", nargs="*", default=[], help="further settings of the loop")
    asked = parser.parse_args()
    names = [name for name in Setting.model_fields if name != "settings"]
    asked.setting = Setting(
        settings=tuple(asked.set), **{name: getattr(asked, name) for name in names}
    )
    return asked


def require_same(path: Path, about: Mapping[str, object]) -> None:
    """Keep measurements of different settings apart."""
    if path.is_file():
        changed = changed_keys(read_json(path, "choose another --name"), about)
        if changed:
            sys.exit(f"{path} differs in {', '.join(changed)}: choose another --name")
    write_json(path, about)


def main() -> None:
    """Run and measure all arms, or print what was measured."""
    asked = parsed()
    folder = asked.out / "scio" / (asked.name or asked.corpus)
    if asked.collect:
        setting = read_json(folder / "setting.json", "measure first, or give its --name")["setting"]
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(COLLECTED)
        table.writerows(collected(folder, Setting(**setting)))
        return
    about = {"corpus": asked.corpus, "sentences": asked.sentences}
    require_same(
        folder / "setting.json", about | {"setting": asked.setting.model_dump(mode="json")}
    )
    with alone(asked.out / "scio" / ".corpora.lock"):
        sources = {folder / "learned": asked.corpus, folder / "held-out": HELD_OUT}
        if not all((target / READY).is_file() for target in sources):
            list(corpora(asked.out, names=(HELD_OUT, asked.corpus)))
        for target, source in sources.items():
            fewer(asked.out / source, target, asked.sentences)
    if asked.processes == 1:
        run(asked, folder)
        return
    if not side_by_side(lambda: run(asked, folder), asked.processes):
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
