"""Measure what masked pre-training is worth on real chips: a linear probe on MSTAR, as CSV.

    python benchmarks/measure_mstar.py DATA [--minutes 20] [--threads 1] > mstar.csv

DATA is the folder of MSTAR's ten targets, a folder a class: `train` (2,747 chips, depression 17°)
and `val` (15°), which is the test set. The image encoder of size tiny learns from training chips
without their labels, for the same number of steps with either target. Then it is frozen, and a
logistic regression on the mean of its tokens learns from 5, 20 or all labels a class. Beside it:
the same network with its first weights, and a logistic regression on pixels (decibels, 64 × 64).

- Every feature is standardised by the labelled chips. The regression's C is chosen by
  cross-validation among the labelled chips. With 5 and 20 labels: five draws, the same for all.
- Nothing is chosen by the test set; each fit is scored on it once.
- Chips of a class were recorded in few places, and clutter tells much of the class: accuracies on
  this set are no proof of recognising targets, but all rows share that.

Chips are magnitude in 8 bits without calibration: decibels are centred on each chip's median, as
the processor does with uncalibrated tiles. Chips are shifted at random by up to 8 pixels in
training.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from torch import Tensor

from sarknowlip.data.loader import Batch, EpochBatches
from sarknowlip.losses.targets import Target
from sarknowlip.models.channels import channel_id
from sarknowlip.models.config import SIZES
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import LIMIT, NUDGE, SPREAD_DB
from sarknowlip.train.objectives import OBJECTIVES
from sarknowlip.train.objectives.config import MaskedConfig, ObjectiveConfig
from sarknowlip.train.objectives.kinds import with_features
from sarknowlip.train.optim import OptimConfig, learning_rate, make_optimizer
from sarknowlip.train.step import TrainStep

CHIP_PX, SHIFT_PX, RAW_PX = 128, 8, 64
GSD_M = 0.3
DARKEST = 0.5
"""Level that stands for 0, of 255."""
TARGETS: tuple[Target, ...] = ("db", "gradient")
LABELS = (5, 20, None)
DRAWS = 5
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
COLUMNS = (
    "features", "target", "steps", "epochs", "seconds", "masked_error", "labels_a_class", "draws",
    "accuracy", "sd",
)  # fmt: skip
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def chips(folder: Path) -> tuple[Floats, Labels]:
    """Return decibels (N, 128, 128), centred on each chip's median, and classes (N,)."""
    paths = sorted(folder.glob("*/*.jpeg"))
    level = np.stack([np.asarray(Image.open(path).convert("L"), np.float32) for path in paths])
    assert level.shape[1:] == (CHIP_PX, CHIP_PX), level.shape
    db = 20.0 * np.log10(np.maximum(level, DARKEST) / 255.0)
    db -= np.median(db, axis=(1, 2), keepdims=True)
    return db, np.array([int(path.parent.name) for path in paths])


def batch_of(db: Floats) -> Batch:
    """Return chips as a batch; there are no texts."""
    pixels = torch.from_numpy(np.clip(db / SPREAD_DB["HH"] + NUDGE, -LIMIT, LIMIT)[:, None])
    images = {
        "pixel_values": pixels,
        "channel_ids": torch.full((len(db), 1), channel_id("HH", "X")),
        "gsd_m": torch.full((len(db),), GSD_M),
    }
    return Batch(images=images, texts={}, group=torch.arange(len(db)))


def shifted(db: Floats, generator: np.random.Generator) -> Floats:
    """Return chips moved by up to `SHIFT_PX` pixels, mirrored at their edges."""
    padded = np.pad(db, ((0, 0), (SHIFT_PX, SHIFT_PX), (SHIFT_PX, SHIFT_PX)), mode="reflect")
    starts = generator.integers(0, 2 * SHIFT_PX + 1, size=(len(db), 2))
    return np.stack(
        [
            chip[y : y + CHIP_PX, x : x + CHIP_PX]
            for chip, (y, x) in zip(padded, starts, strict=True)
        ]
    )


class Pretraining:
    """Masked pre-training with one target.

    Args:
        db: Chips.
        target: What hidden patches are to tell.
        asked: Settings of the command line.
    """

    def __init__(self, db: Floats, target: Target, asked: argparse.Namespace) -> None:
        self.db, self.asked = db, asked
        config = ObjectiveConfig(
            name="masked",
            mask_share=asked.mask_share,
            masked=MaskedConfig(target=target, text=False),
        )
        size = with_features(SIZES["tiny"], config)
        self.model = SarKnowLIP.fresh(size, vocab_size=259, seed=asked.seed)
        self.step = TrainStep(self.model, OBJECTIVES["masked"](config, size), "fp32")
        self.error = float("nan")

    def run(self, steps: int) -> float:
        """Take steps; return seconds."""
        config = OptimConfig(lr=self.asked.lr, warmup_steps=max(1, min(100, steps // 10)))
        optimizer = make_optimizer(self.step, config)
        order = EpochBatches(
            len(self.db), self.asked.batch, seed=self.asked.seed, start=0, stop=steps
        )
        numbers = np.random.default_rng(self.asked.seed)
        hidden = torch.Generator().manual_seed(self.asked.seed)
        start, errors = time.perf_counter(), []
        self.step.train()
        for number, visits in enumerate(order):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(number, steps, config)
            batch = batch_of(shifted(self.db[[visit.tile for visit in visits]], numbers))
            loss, _ = self.step(batch, hidden)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.step.parameters(), config.clip_norm)
            optimizer.step()
            errors.append(float(loss.detach()))
            if (number + 1) % 50 == 0 or number + 1 == steps:
                self.error = float(np.mean(errors[-50:]))
                tell(f"step {number + 1}/{steps}: error {self.error:.4f}")
        return time.perf_counter() - start


@torch.no_grad()
def features(model: SarKnowLIP, db: Floats) -> Floats:
    """Return the mean token of each chip, (N, D)."""
    model.eval()
    parts: list[Tensor] = []
    for start in range(0, len(db), 64):
        images = batch_of(db[start : start + 64]).images
        parts.append(model.image_tokens(**images).mean(dim=1))
    return torch.cat(parts).numpy()


def pixels(db: Floats) -> Floats:
    """Return mean-power decibels on 64 × 64 pixels, (N, 4096)."""
    every = CHIP_PX // RAW_PX
    power = 10.0 ** (db.reshape(len(db), RAW_PX, every, RAW_PX, every) / 10.0)
    return (10.0 * np.log10(power.mean(axis=(2, 4)))).reshape(len(db), -1).astype(np.float32)


def score(train: Floats, labels: Labels, test: Floats, truth: Labels, folds: int) -> float:
    """Return the accuracy of a logistic regression whose C is chosen among `train`."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread[spread == 0] = 1.0
    known = ((train - mean) / spread).astype(np.float64)
    asked = ((test - mean) / spread).astype(np.float64)
    if len(known) < known.shape[1]:  # a rotation: the penalty, and so the fit, stays the same
        axes = np.linalg.svd(known, full_matrices=False)[2].T
        known, asked = known @ axes, asked @ axes
    search = GridSearchCV(
        LogisticRegression(max_iter=2000),
        {"C": STRENGTHS},
        cv=StratifiedKFold(folds, shuffle=True, random_state=0),
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ConvergenceWarning)
        search.fit(known, labels)
    unconverged = sum(issubclass(one.category, ConvergenceWarning) for one in told)
    chosen = search.best_params_["C"]
    if unconverged or chosen == STRENGTHS[-1]:
        tell(f"    {unconverged} fits did not converge; C {chosen}")
    return float((search.predict(asked) == truth).mean())


def drawn(labels: Labels, each: int, draw: int) -> Labels:
    """Return the places of `each` chips of every class."""
    generator = np.random.default_rng([draw, each])
    return np.concatenate(
        [generator.permutation(np.flatnonzero(labels == k))[:each] for k in np.unique(labels)]
    )


def probes(
    of: Callable[[Floats], Floats], train: tuple[Floats, Labels], test: tuple[Floats, Labels]
) -> Iterator[list[str]]:
    """Yield labels a class, draws, mean accuracy and its standard deviation."""
    known, asked = of(train[0]), of(test[0])
    for each in LABELS:
        if each is None:
            found = [score(known, train[1], asked, test[1], folds=3)]
        else:
            places = [drawn(train[1], each, draw) for draw in range(DRAWS)]
            found = [score(known[p], train[1][p], asked, test[1], folds=5) for p in places]
        spread = f"{np.std(found, ddof=1):.4f}" if len(found) > 1 else ""
        tell(f"  {each or 'all'} labels a class: {np.mean(found):.4f} {spread}")
        yield [str(each or "all"), str(len(found)), f"{np.mean(found):.4f}", spread]


def steps_of(db: Floats, asked: argparse.Namespace) -> int:
    """Return steps: as asked, or as many as the slower target takes in the minutes asked."""
    if asked.steps:
        return int(asked.steps)
    pace = max(Pretraining(db, target, asked).run(12) / 12 for target in TARGETS)
    epoch = -(-len(db) // asked.batch)
    tell(f"{pace:.3f} s a step, {pace * epoch:.1f} s an epoch")
    return max(1, int(60 * asked.minutes / pace))


def tell(what: str) -> None:
    """Say how far the work is."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0, help="for each target")
    parser.add_argument("--steps", type=int, default=0, help="instead of minutes")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--mask-share", type=float, default=0.75)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", default=TARGETS, choices=TARGETS)
    parser.add_argument("--no-pixels", action="store_true", help="leave out the slow baseline")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    train, test = chips(asked.data / "train"), chips(asked.data / "val")
    tell(f"{len(train[0])} chips to learn from, {len(test[0])} to test")
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    if not asked.no_pixels:
        for row in probes(pixels, train, test):
            table.writerow(["pixels", "", 0, 0, 0, "", *row])
    steps = steps_of(train[0], asked)
    epochs = round(steps * asked.batch / len(train[0]), 2)
    first = Pretraining(train[0], "db", asked)
    for row in probes(lambda db: features(first.model, db), train, test):
        table.writerow(["first weights", "", 0, 0, 0, "", *row])
    for target in asked.targets:
        tell(f"target {target}")
        run = Pretraining(train[0], target, asked)
        seconds = run.run(steps)
        about = [target, steps, epochs, round(seconds, 1), f"{run.error:.4f}"]
        for row in probes(lambda db, run=run: features(run.model, db), train, test):
            table.writerow(["pre-trained", *about, *row])
            sys.stdout.flush()


if __name__ == "__main__":
    main()
