"""Fine-tuning: an image encoder and a linear head trained together, end to end.

The head begins as the linear probe on the encoder's frozen features, so that the first steps don't
pull these apart (Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution", ICLR 2022). AdamW minimises the mean cross-entropy; its rate rises over the
first tenth of the steps and then falls as a cosine to 0. Gradients are clipped to length 1.
Pictures are shown as they are: mirrored or turned they would be seen from another side.

The rate is chosen within the training rows: a fifth of the groups is left out, and the rate with
most of their rows right is taken, of several the one with the least loss; one at which the loss is
no number is not taken. Then all rows are learned from. What is drawn follows the seed; on a CPU
with one thread the same arguments give the same weights.

Legend of array names: N rows, F width of features, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.probes.folds import splits
from sarknowlip.bench.probes.linear import Linear, fit_linear
from sarknowlip.bench.trainable import Trainable
from sarknowlip.core.config import Config
from sarknowlip.sar.tile import TileImage

Wholes = npt.NDArray[np.int64]
Step = Callable[[str], None]


class DivergedError(BenchError):
    """A loss is no number."""


class TuneConfig(Config):
    """How an encoder is fine-tuned; the same for every model.

    Attributes:
        rates: Candidates of the highest learning rate; one alone is taken without choice.
        alone: Rate where nothing can be chosen: training rows are of one group, or those left out
            are of classes that no other has.
        epochs: Times that each row is shown.
        most_steps: Of one training; many rows are shown less often.
        batch: Rows of a step.
        decay: Weight decay.
        folds: Parts of the groups, one of which is left out for the choice.
    """

    rates: tuple[float, ...] = Field((1e-5, 1e-4, 1e-3), min_length=1)
    alone: float = Field(1e-4, gt=0.0)
    epochs: int = Field(10, ge=1)
    most_steps: int = Field(1000, ge=1)
    batch: int = Field(32, ge=1)
    decay: float = Field(0.05, ge=0.0)
    folds: int = Field(5, ge=2)

    def steps(self, rows: int) -> int:
        """Return the steps of a training on so many rows."""
        return min(self.most_steps, self.epochs * math.ceil(rows / self.batch))

    def all_steps(self, groups: Sequence[str]) -> int:
        """Return the steps of all trainings, about."""
        rows = len(groups)
        tried = len(self.rates) if len(self.rates) > 1 and len(set(groups)) > 1 else 0
        return self.steps(rows) + tried * self.steps(rows - rows // self.folds)


@dataclass(frozen=True)
class Rows:
    """Labelled pictures.

    Attributes:
        read: Gives the picture of a row.
        features: What the frozen encoder gives for each (N, F).
        labels: Class of each (N,), 0 … K − 1.
        groups: Group of each.
    """

    read: Callable[[int], TileImage]
    features: Floats32
    labels: Wholes
    groups: Sequence[str]


class Tuned:
    """An encoder with a head that begins as a linear probe.

    Args:
        encoder: A copy.
        probe: On its features.
    """

    def __init__(self, encoder: Trainable, probe: Linear) -> None:
        self.encoder = encoder
        self.present = np.flatnonzero(np.isfinite(probe.bias))
        weight_KF = probe.weight[self.present] * probe.standard.factor
        bias_K = probe.bias[self.present] - weight_KF @ probe.standard.mean
        self.device = next(encoder.module.parameters()).device
        self.head = nn.Linear(weight_KF.shape[1], len(self.present), device=self.device)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weight_KF))
            self.head.bias.copy_(torch.from_numpy(bias_K))
        self.both = nn.ModuleList([encoder.module, self.head]).eval()

    def logits(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return logits (N, present classes)."""
        told: Tensor = self.head(self.encoder.features(self.encoder.inputs(tiles)))
        return told

    def scores(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return logits (N, present classes), without gradients."""
        with torch.inference_mode():
            return np.asarray(self.logits(tiles).cpu().numpy(), dtype=np.float32)

    def classes(self, tiles: Sequence[TileImage]) -> Wholes:
        """Return the most likely class of each picture (N,), the first of equally likely ones."""
        return np.asarray(self.present[self.scores(tiles).argmax(axis=1)], dtype=np.int64)


def fine_tuned(
    make: Callable[[], Trainable],
    rows: Rows,
    *,
    classes: int,
    seed: int,
    config: TuneConfig | None = None,
    step: Step | None = None,
) -> Tuned:
    """Choose a rate and train on all rows.

    Args:
        make: Gives a fresh copy of the encoder.
        rows: Training rows, at least one.
        classes: K; not all need training rows.
        seed: Of the order of rows, and of what the encoder draws.
        config: Settings.
        step: Told after every step.

    Raises:
        DivergedError: The loss of the last training is no number.
        SarKnowlipError: A picture cannot be read.
    """
    tuning = _Tuning(make, rows, classes, seed, config or TuneConfig(), step or _silent)
    return tuning.trained(np.arange(len(rows.labels)), tuning.rate())


@dataclass(frozen=True)
class _Tuning:
    """What `fine_tuned` is given."""

    make: Callable[[], Trainable]
    rows: Rows
    classes: int
    seed: int
    config: TuneConfig
    step: Step

    def rate(self) -> float:
        """Return the rate that does best on groups left out."""
        rates = self.config.rates
        if len(rates) == 1:
            return rates[0]
        split = next(splits(self.rows.groups, self.rows.labels, self.config.folds), None)
        if split is None:
            return self.config.alone
        learn, look = split
        look = look[np.isin(self.rows.labels[look], self.rows.labels[learn])]
        if not len(look):
            return self.config.alone
        found = [self._tried(learn, look, rate) for rate in rates]
        return rates[max(range(len(rates)), key=found.__getitem__)]

    def _tried(self, learn: Wholes, look: Wholes, rate: float) -> tuple[float, float]:
        """Return `_looked` after training; less than any of what does not train."""
        try:
            return self._looked(self.trained(learn, rate), look)
        except DivergedError:
            return -np.inf, -np.inf

    def _looked(self, tuned: Tuned, look: Wholes) -> tuple[float, float]:
        """Return how many rows, of classes learned, are right, and their log-likelihood."""
        right, likely = 0.0, 0.0
        for some in np.split(look, range(self.config.batch, len(look), self.config.batch)):
            scores = torch.from_numpy(tuned.scores([self.rows.read(int(row)) for row in some]))
            true = torch.from_numpy(np.searchsorted(tuned.present, self.rows.labels[some]))
            right += int((scores.argmax(dim=1) == true).sum())
            likely -= float(functional.cross_entropy(scores, true, reduction="sum"))
        return right, likely

    def trained(self, learn: Wholes, rate: float) -> Tuned:
        """Return what is trained on some rows."""
        rows, config = self.rows, self.config
        groups = [rows.groups[row] for row in learn]
        probe = fit_linear(rows.features[learn], rows.labels[learn], groups, classes=self.classes)
        tuned = Tuned(self.make(), probe)
        own_N = torch.from_numpy(np.searchsorted(tuned.present, rows.labels[learn]))
        weights = list(tuned.both.requires_grad_(True).train().parameters())
        steps = config.steps(len(learn))
        optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=config.decay)
        with torch.random.fork_rng(devices=[tuned.device] if tuned.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            for done, places in enumerate(_batches(len(learn), config.batch, steps, self.seed)):
                optimizer.param_groups[0]["lr"] = rate * _share(done, steps)
                logits = tuned.logits([rows.read(int(learn[place])) for place in places])
                true = own_N[torch.from_numpy(places)].to(tuned.device)
                loss = functional.cross_entropy(logits, true)
                if not torch.isfinite(loss):
                    raise DivergedError(
                        f"fine-tuning at rate {rate:g} gave a loss of {loss.item()}",
                        "leave the task out for this model",
                    )
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(weights, 1.0)
                optimizer.step()
                self.step(f"rate {rate:g}")
        tuned.both.eval()
        return tuned


def _silent(item: str) -> None:
    del item


def _share(step: int, steps: int) -> float:
    """Return the learning rate of a step, as a share of the highest."""
    first = max(1, steps // 10)
    if step < first:
        return (step + 1) / first
    return 0.5 * (1.0 + math.cos(math.pi * (step - first) / max(1, steps - first)))


def _batches(rows: int, size: int, steps: int, seed: int) -> Iterator[Wholes]:
    """Yield the rows of each step; all are shown before one is shown again."""
    generator = np.random.Generator(np.random.PCG64(seed))
    done = 0
    while done < steps:
        order = generator.permutation(rows)
        for start in range(0, rows, size):
            if done == steps:
                return
            yield np.asarray(order[start : start + size], dtype=np.int64)
            done += 1
