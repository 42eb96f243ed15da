"""Measure what each objective is worth on cities never seen, as CSV.

    python benchmarks/measure_retrieval.py OUT --steps 1500 > retrieval.csv
    python benchmarks/measure_retrieval.py OUT --minutes 55 --arms contrastive combined
    python benchmarks/measure_retrieval.py OUT --steps 1500 --without-names --on val

OUT holds the corpora of `learning_cities.py` (made here if absent) and the runs, OUT/runs; run
again, it goes on. An arm is one or more objectives joined by "+", with equal weights, on one pass;
"combined" is all four. All arms learn from the same corpus, in the same order, by one recipe, for
the same number of steps, or each for as many as it does in some minutes on this machine. Scores
and protocol are those of `learning_scores.py`; what an arm was not asked to learn is not scored.

Choose by `--on val` (ground of the training cities), measure once by `--on test` (other cities).
`--without-names` learns from and asks with texts that do not name a city.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from learning_cities import HELD_OUT, TRAIN, corpora, tell
from learning_names import version
from learning_scores import HeldOut, Score, Scorer, load, rows

from sarknowlip.train.config import TrainConfig, with_settings
from sarknowlip.train.distributed import processes
from sarknowlip.train.folder import TrainReport
from sarknowlip.train.loop import train
from sarknowlip.train.recipes import RECIPES
from sarknowlip.train.task import PairTask

ARMS = (
    "contrastive", "contrastive+matching", "contrastive+caption", "contrastive+masked", "combined",
)  # fmt: skip
ALL = ("contrastive", "matching", "caption", "masked")
TRIAL_STEPS = 12
COLUMNS = (
    "recipe", "arm", "texts", "scored_on", "steps", "pairs", "seconds", "metric", "direction", "k",
    "value", "chance", "count",
)  # fmt: skip


def terms_of(arm: str) -> list[str]:
    """Return the objectives of an arm."""
    found = list(ALL) if arm == "combined" else arm.split("+")
    unknown = set(found) - set(ALL)
    if unknown:
        raise SystemExit(f"arm {arm}: no objective {', '.join(sorted(unknown))}; known: {ALL}")
    return found


def configured(arm: str, asked: argparse.Namespace, steps: int) -> TrainConfig:
    """Return the configuration of an arm."""
    terms = terms_of(arm)
    weights = {name: float(name in terms) for name in ALL}
    weights["pair"] = weights.pop("contrastive")
    settings = [f"objective.combined.{name}={weight}" for name, weight in weights.items()]
    settings += [
        "objective.name=combined",
        f"objective.mask_share={asked.mask_share if 'masked' in terms else 0.0}",
        f"data.annotation={version(asked.out / TRAIN, names=not asked.without_names)}",
        f"data.batch={asked.batch}",
        "optim.warmup_steps=100",
        f"steps={steps}",
        f"threads={asked.threads}",
        f"seed={asked.seed}",
        "log_every=20",
        "validate_every=250",
        "checkpoint_every=250",
        *asked.set,
    ]
    return with_settings(RECIPES[asked.recipe](), settings)


def pace(config: TrainConfig, corpus: Path) -> float:
    """Return seconds a step, reading included."""
    torch.set_num_threads(config.threads or torch.get_num_threads())
    with processes("none", config.device) as ranks:
        task = PairTask(config, corpus, ranks)
        task.module.train()
        generator, start = torch.Generator(), 0.0
        for number, batch in enumerate(task.batches(0, TRIAL_STEPS)):
            start = time.perf_counter() if number == 2 else start
            task.module(batch, generator)[0].backward()
    return (time.perf_counter() - start) / (TRIAL_STEPS - 2)


def trained(arm: str, asked: argparse.Namespace) -> tuple[TrainConfig, Path, TrainReport]:
    """Train an arm, or go on with it."""
    corpus, names = asked.out / TRAIN, "nameless" if asked.without_names else "named"
    run = asked.out / "runs" / (asked.name or f"{asked.recipe}-{arm}-{names}-{asked.seed}")
    steps = asked.steps
    fixed = run.parent / f"{run.name}.steps"
    if asked.minutes:
        if not fixed.is_file():
            seconds = pace(configured(arm, asked, TRIAL_STEPS), corpus)
            run.parent.mkdir(parents=True, exist_ok=True)
            fixed.write_text(str(max(1, int(60 * asked.minutes / seconds))))
            tell(f"{arm}: {seconds:.3f} s a step")
        steps = int(fixed.read_text())
    config = configured(arm, asked, steps)
    tell(f"{arm}: {steps} steps")

    def progress(done: int, total: int, what: str) -> None:
        if done % 50 == 0:
            tell(f"{arm} {done}/{total} {what}")

    return config, run, train(config, corpus, run, resume=True, progress=progress)


def scores(arm: str, scorer: Scorer, config: TrainConfig) -> Iterator[Score]:
    """Yield all scores of what an arm was asked to learn."""
    terms = terms_of(arm)
    if "contrastive" in terms:
        yield from scorer.retrieval()
    if "matching" in terms:
        yield from scorer.matching()
    if "caption" in terms:
        yield from scorer.captions()
    if "masked" in terms:
        yield from scorer.masked(config.objective)


def parsed() -> argparse.Namespace:
    """Return the settings of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--arms", nargs="+", default=ARMS)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int, default=0)
    length.add_argument("--minutes", type=float, default=0.0, help="of training, for each arm")
    parser.add_argument("--recipe", default="tiny", help="with the objectives of the arm")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--mask-share", type=float, default=0.5, help="of arms that mask")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-names", action="store_true")
    parser.add_argument("--on", choices=("val", "test"), default="test")
    parser.add_argument("--name", default="", help="of the run folder, for a single arm")
    parser.add_argument("--set", nargs="*", default=[], help="further settings of the recipe")
    return parser.parse_args()


def held_corpus(asked: argparse.Namespace) -> Path:
    """Return the corpus whose split `asked.on` is measured on."""
    return Path(asked.out / (HELD_OUT if asked.on == "test" else TRAIN))


def main() -> None:
    """Train and measure all arms."""
    asked = parsed()
    list(corpora(asked.out))
    corpus, names = held_corpus(asked), not asked.without_names
    texts = version(corpus, names=names)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for arm in asked.arms:
        config, run, report = trained(arm, asked)
        model, processor = load(run)
        scorer = Scorer(model, processor, HeldOut.read(corpus, asked.on, texts, processor))
        kind = "named" if names else "nameless"
        about = [
            asked.recipe,
            arm,
            kind,
            asked.on,
            report.steps,
            report.pairs,
            round(report.seconds),
        ]
        for row in rows(about, scores(arm, scorer, config)):
            table.writerow(row)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
