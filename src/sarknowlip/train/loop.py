"""The loop: steps, checkpoints, log. It knows no modality; `task` does.

A run folder holds `config.json` (configuration and identity of the data), `log.jsonl`,
`checkpoints/`, and when finished `model/` and `report.json`. A run that was killed goes on from its
last checkpoint, and ends with the same weights, to the last bit, as one that was not (same machine,
same number of threads): order and captions follow from the step, the learning rate too, everything
else is in the checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from sarknowlip import __version__
from sarknowlip.core.config import Config, changed_keys
from sarknowlip.core.errors import CheckpointError, ConfigError, SarKnowlipError, StorageError
from sarknowlip.core.files import TEMPORARY, exclusive, read_json, remove_partials, write_json
from sarknowlip.core.progress import Progress
from sarknowlip.data.loader import Batch
from sarknowlip.train.checkpoint import (
    checkpoints,
    load_checkpoint,
    remove_unfinished,
    save_checkpoint,
)
from sarknowlip.train.config import TrainConfig
from sarknowlip.train.meter import Log, Meter, read_log
from sarknowlip.train.optim import learning_rate, make_optimizer
from sarknowlip.train.task import ContrastiveTask, Task, data_identity, with_annotation

CONFIG, LOG, REPORT = "config.json", "log.jsonl", "report.json"
MODEL, CHECKPOINTS, LOCK = "model", "checkpoints", ".lock"


class DivergedError(SarKnowlipError):
    """The loss or its gradient is no longer a number."""


class TrainReport(Config):
    """What a finished run says of itself.

    Attributes:
        recipe: Name of the recipe.
        steps: Steps of the run.
        epochs: Passes over the training split.
        pairs: Training pairs.
        parameters: Weights of the model.
        loss: Mean training loss over the last tenth of the steps, as logged.
        val_loss: Validation loss after the last step; null without validation data.
        images_per_s: Mean over what this process trained.
        seconds: Time this process took.
        device: Where it ran.
        threads: Threads of torch.
    """

    recipe: str
    steps: int
    epochs: float
    pairs: int
    parameters: int
    loss: float
    val_loss: float | None
    images_per_s: float
    seconds: float
    device: str
    threads: int


def train(
    config: TrainConfig,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    """Run a training, or go on with one.

    Args:
        config: Complete configuration.
        data: Corpus folder with annotations.
        out: Run folder. A finished run of the same configuration and data returns at once.
        resume: Go on from the last checkpoint; without one, start.
        progress: Called with steps done, steps in all, and the latest loss as text.

    Raises:
        ConfigError: The folder holds something else, another run, or an unfinished one and `resume`
            is false.
        CheckpointError: The last checkpoint is damaged.
        CorpusError: The corpus is damaged or has too few pairs.
        DivergedError: The loss is no longer a number.
        StorageError: The disk is full or not writable.
        KeyboardInterrupt: Interrupted; a checkpoint of the last whole step was written before.
    """
    config = with_annotation(config, data)
    _refuse_other_content(out)
    with exclusive(out / LOCK):
        identity = {
            "config": config.model_dump(mode="json"),
            "data": data_identity(data, str(config.data.annotation)),
            "sarknowlip": __version__,
        }
        finished = _known_run(identity, out, resume)
        if finished is not None:
            return finished
        device = _device(config.device)
        task = ContrastiveTask(config, data, device)
        for folder in (out, out / CHECKPOINTS):
            remove_unfinished(folder)
        remove_partials(out)
        write_json(out / CONFIG, identity)
        with _threads(config.threads):
            return _Run(task, config, out, device).finish(progress)


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _refuse_other_content(out: Path) -> None:
    """Keep a run from being mixed with files that are not its own."""
    if (out / CONFIG).is_file() or not out.is_dir():
        return
    others = [path.name for path in out.iterdir() if not path.name.startswith((LOCK, TEMPORARY))]
    if others:
        raise ConfigError(
            f"{out} holds {sorted(others)[0]} and no run", "choose a new or an empty folder"
        )


def _known_run(identity: dict[str, Any], out: Path, resume: bool) -> TrainReport | None:
    """Return the report of a finished run, None if there is something to do; refuse another run."""
    if not (out / CONFIG).is_file():
        return None
    changed = changed_keys(read_json(out / CONFIG, "choose a new folder"), identity)
    if changed:
        raise ConfigError(
            f"{out} holds a run that differs in {', '.join(changed)}",
            "choose a new folder or repeat that run's settings and data",
        )
    if (out / REPORT).is_file():
        return TrainReport.model_validate(read_json(out / REPORT, "choose a new folder"))
    if not resume:
        raise ConfigError(f"{out} holds an unfinished run", "add --resume or choose a new folder")
    return None


def _device(wanted: str) -> torch.device:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ConfigError("device=cuda, but torch sees no CUDA device", "set device=cpu")
    return torch.device("cuda" if wanted != "cpu" and available else "cpu")


class _Run:
    """One process's part of a run."""

    def __init__(self, task: Task, config: TrainConfig, out: Path, device: torch.device) -> None:
        self.task, self.config, self.out, self.device = task, config, out, device
        self.total = config.total_steps(task.steps_per_epoch)
        self.optimizer = make_optimizer(task.module, config.optim)
        self.step = self._restore()
        self.log, self.meter = Log(out / LOG, self.step), Meter()

    def finish(self, progress: Progress | None) -> TrainReport:
        """Train to the end, write the model, return the report."""
        self.task.module.train()
        batches = iter(self.task.batches(self.step, self.total))
        with _gentle_interrupt() as interrupted:
            while self.step < self.total:
                loss = self._advance(batches)
                if progress is not None:
                    progress(self.step, self.total, f"loss {loss:.3f}")
                saved = self._look_up()
                if interrupted.is_set():
                    if not saved:
                        self._checkpoint()
                    raise KeyboardInterrupt
        return self._report()

    def _advance(self, batches: Iterator[Batch]) -> float:
        """Take one step and log it."""
        before = time.perf_counter()
        batch = next(batches)
        self.meter.wait(time.perf_counter() - before)
        rate = learning_rate(self.step, self.total, self.config.optim)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.task.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.task.module.parameters(), self.config.optim.clip_norm)
        values = {"loss": float(loss.detach()), "grad_norm": float(norm)}
        for name, value in values.items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"{name} is {value} at step {self.step + 1} of {self.out};"
                    f" the last good step is {self.step}",
                    "lower optim.lr in a new folder; checkpoints before it are kept",
                )
        self.optimizer.step()
        self.step += 1
        self.meter.images(len(batch))
        if self.step % self.config.log_every == 0 or self.step == self.total:
            epoch = self.step / self.task.steps_per_epoch
            values |= {"lr": rate, **self.task.readings(), **self.meter.rates()}
            self.log.add(step=self.step, epoch=round(epoch, 4), **values)
        return values["loss"]

    def _look_up(self) -> bool:
        """Validate and write a checkpoint where due; return whether one was written."""
        last = self.step == self.total
        if last or self.step % self.config.validate_every == 0:
            val_loss = self.task.validate()
            if val_loss is not None:
                self.log.add(step=self.step, val_loss=val_loss)
            self.meter.rates()
        due = last or self.step % self.config.checkpoint_every == 0
        if due:
            self._checkpoint()
            self.meter.rates()
        return due

    def _checkpoint(self) -> None:
        cuda = torch.cuda.get_rng_state_all() if self.device.type == "cuda" else []
        state = {
            "model": self.task.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": {"step": self.step, "steps_per_epoch": self.task.steps_per_epoch},
            "rng": {"torch": torch.get_rng_state(), "cuda": cuda},
        }
        save_checkpoint(self.out / CHECKPOINTS, self.step, state)

    def _restore(self) -> int:
        """Load the last checkpoint, if there is one; return the steps done."""
        found = checkpoints(self.out / CHECKPOINTS)
        if not found:
            return 0
        step, state = load_checkpoint(found[-1])
        position = {"step": step, "steps_per_epoch": self.task.steps_per_epoch}
        try:
            if state["sampler"] != position:
                raise ValueError(f"it was at {state['sampler']}, this run is at {position}")
            self.task.module.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["rng"]["torch"])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state_all(state["rng"]["cuda"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"checkpoint {found[-1]} does not fit this run: {error}", "start a new run"
            ) from error
        return step

    def _report(self) -> TrainReport:
        lines = read_log(self.out / LOG)
        late = [
            line["loss"] for line in lines if "loss" in line and line["step"] > 0.9 * self.total
        ]
        held_out = [line["val_loss"] for line in lines if "val_loss" in line]
        self._write_model()
        report = TrainReport(
            recipe=self.config.recipe,
            steps=self.total,
            epochs=round(self.total / self.task.steps_per_epoch, 4),
            pairs=self.task.pairs,
            parameters=sum(p.numel() for p in self.task.module.parameters()),
            loss=sum(late) / len(late),
            val_loss=held_out[-1] if held_out else None,
            images_per_s=round(self.meter.total_images / self.meter.seconds, 2),
            seconds=round(self.meter.seconds, 3),
            device=str(self.device),
            threads=torch.get_num_threads(),
        )
        write_json(self.out / REPORT, report.model_dump(mode="json"))
        return report

    def _write_model(self) -> None:
        final, partial = self.out / MODEL, self.out / f"{TEMPORARY}{MODEL}"
        try:
            self.task.module.eval()
            self.task.save(partial)
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise StorageError(
                f"cannot write {final}: {error}", "free space, then run again with --resume"
            ) from error


@contextlib.contextmanager
def _gentle_interrupt() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets; the second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    old = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: object) -> None:
        del number, frame
        asked.set()
        signal.signal(signal.SIGINT, old)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, old)
