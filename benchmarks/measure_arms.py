"""Train objectives from scratch on the same data, encoder and number of images: same-budget arms.

    python benchmarks/measure_arms.py CORPUS OUT --seeds 0 1 2 --steps 500 --processes 2
    sarknowlip bench run --models 'clip@ours=OUT/seed-{seed}/clip,mae@ours=OUT/seed-{seed}/mae' …

CORPUS is a corpus with texts, as `learning_cities.py` makes. All arms see the same tiles, texts,
changes of tiles and order, at one size of model, and differ in what they are asked:

- clip: images and texts compared over the batch (Radford et al. 2021; SARCLIP's objective);
- blip: that, matching with hard negatives, and captions (Li et al. 2022);
- mae: decibels of hidden patches told from the others, 75 % hidden (He et al. 2022);
- sar-jepa: multi-scale gradients by ratio of hidden patches, 75 % hidden (Li et al. 2024);
- dino: windows of a tile, turned and speckled, told from what a teacher, an average of the model
  over steps, makes of others (Caron et al. 2021);
- ours: all but dino on one pass over images of which half is hidden;
- ours-scio, with `--repaired VERSION` only: ours, on the version of the texts that a closed loop
  ended with. It says something where the other arms learn from texts with errors (`--annotation`).

Equal are images seen, not arithmetic: that is told, in operations an image, counted on the first
batch. OUT/seed-N/ARM is a training run without its checkpoints; OUT/arms.csv says what each cost.
Processes that are started alike share the arms; run again, it goes on.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from shared_work import FAILED, Job, side_by_side, work

from sarknowlip.core.files import replacing
from sarknowlip.train.config import TrainConfig, with_settings
from sarknowlip.train.distributed import processes
from sarknowlip.train.flops import try_out
from sarknowlip.train.loop import train
from sarknowlip.train.recipes import RECIPES
from sarknowlip.train.step import chance
from sarknowlip.train.task import PairTask, with_annotation

COMBINED = "objective.name=combined"
MASKED = ("objective.name=masked", "objective.mask_share=0.75", "objective.masked.text=false")
ARMS = {
    "clip": ("objective.name=contrastive",),
    "blip": (COMBINED, "objective.combined.masked=0", "objective.mask_share=0"),
    "mae": (*MASKED, "objective.masked.target=db"),
    "sar-jepa": (*MASKED, "objective.masked.target=gradient"),
    "dino": ("objective.name=distilled",),
    "ours": (COMBINED,),
}
"""Settings of each arm."""
REPAIRED = "ours-scio"
COLUMNS = (
    "arm", "seed", "steps", "images", "mflops_per_image", "loss", "images_per_s", "device",
    "seconds",
)  # fmt: skip


def trained(corpus: Path, run: Path, asked: argparse.Namespace) -> list[object]:
    """Train one arm, or go on with it; return what it cost."""
    arm, seed = run.name, run.parent.name.removeprefix("seed-")
    texts = asked.repaired if arm == REPAIRED else asked.annotation
    settings = [
        *ARMS["ours" if arm == REPAIRED else arm],
        f"seed={seed}",
        f"steps={asked.steps}",
        "validate_every=1000000",
        "checkpoint_every=250",
        *([f"data.annotation={texts}"] if texts else []),
    ]
    config = with_settings(RECIPES[asked.recipe](), settings)
    told = train(config, corpus, run, resume=True)
    print(f"{run}: loss {told.loss:.3f} in {told.seconds:.0f} s", flush=True)
    images = told.steps * config.data.batch
    mflops = f"{flops_per_image(config, corpus) / 1e6:.0f}"
    rate, seconds = f"{told.images_per_s:.1f}", f"{told.seconds:.0f}"
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
    return [arm, seed, told.steps, images, mflops, f"{told.loss:.4f}", rate, told.device, seconds]


def flops_per_image(config: TrainConfig, corpus: Path) -> float:
    """Return the floating-point operations of a step by its images, forward and backward."""
    with processes("none", config.device) as ranks:
        task = PairTask(with_annotation(config, corpus), corpus, ranks)
        task.module.train()
        batch = task.first_batch()
        return try_out(task.module, batch, chance(config.seed, 0, 0, ranks)).flops_per_image


def write(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write a table that appears whole."""
    with replacing(path) as partial, partial.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(rows)


def read(path: Path) -> list[list[str]]:
    """Return the rows of a table."""
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


def main() -> None:
    """Train all arms and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--recipe", default="nano")
    parser.add_argument("--annotation", help="version of the texts; the newest")
    parser.add_argument("--repaired", help="version of the texts that ours-scio learns from")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    arms = [*asked.arms, *([REPAIRED] if asked.repaired else [])]
    runs = [asked.out / f"seed-{seed}" / arm for seed in asked.seeds for arm in arms]
    jobs = [Job(str(run), run.with_suffix(".csv")) for run in runs]

    def do(job: Job) -> None:
        write(job.table, [trained(asked.corpus, job.table.with_suffix(""), asked)])

    well = side_by_side(lambda: work(jobs, do), asked.processes)
    write(asked.out / "arms.csv", [row for job in jobs if job.done for row in read(job.table)])
    if not well:
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
