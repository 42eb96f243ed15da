"""The loop: steps, checkpoints, log. It knows no modality; `task` does.

A run folder holds `config.json` (configuration and identity of the data), `log.jsonl`,
`checkpoints/`, and when finished `model/` and `report.json`. A run that was killed goes on from its
last checkpoint, and ends with the same weights, to the last bit, as one that was not (same machine,
same number of threads and processes): order, captions, learning rate and all that is drawn follow
from the step, everything else is in the checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sarknowlip import __version__
from sarknowlip.core.errors import CheckpointError, SarKnowlipError
from sarknowlip.core.files import exclusive, write_json
from sarknowlip.core.progress import Progress
from sarknowlip.data.loader import Batch
from sarknowlip.train import folder
from sarknowlip.train.board import Board, require_board
from sarknowlip.train.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from sarknowlip.train.compiled import compile_blocks
from sarknowlip.train.config import TrainConfig
from sarknowlip.train.distributed import Ranks, processes
from sarknowlip.train.ema import Ema
from sarknowlip.train.flops import Trial, peak_flops, try_out
from sarknowlip.train.folder import CHECKPOINTS, LOG, REPORT, TrainReport
from sarknowlip.train.interrupt import ECHO_S, gentle_interrupt
from sarknowlip.train.meter import Log, Meter, last_validation, memory_gib, read_log
from sarknowlip.train.optim import learning_rate, make_optimizer
from sarknowlip.train.readings import Readings
from sarknowlip.train.step import chance, require_precision
from sarknowlip.train.task import PairTask, Task, data_identity, with_annotation
from sarknowlip.train.wrapped import Wrapped

STOP, DUE = "_stop", "_due"
"""Names of what processes tell each other beside the numbers of a step."""


class DivergedError(SarKnowlipError):
    """The loss or its gradient is no longer a number."""


def train(
    config: TrainConfig,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    tell: Callable[[str], None] | None = None,
) -> TrainReport:
    """Run a training, or go on with one.

    With `parallel` other than "none" every process that `torchrun` started calls this.

    Args:
        config: Complete configuration.
        data: Corpus folder with annotations.
        out: Run folder. A finished run of the same configuration and data returns at once.
        resume: Go on from the last checkpoint; without one, start.
        progress: Called with steps done, steps in all, and the latest loss as text.
        tell: Called with where first weights come from, if not from chance.

    Raises:
        ConfigError: The folder holds something else, another run, or an unfinished one and `resume`
            is false; or a setting that this machine cannot do.
        CheckpointError: The last checkpoint is damaged.
        CorpusError: The corpus is damaged or has too few pairs.
        DivergedError: The loss is no longer a number.
        StorageError: The disk is full or not writable.
        KeyboardInterrupt: Interrupted; a checkpoint of the last whole step was written before.
        SystemExit: Process 0 failed and told why.
    """
    with processes(config.parallel, config.device) as ranks:
        return _train(config, data, out, ranks, resume=resume, progress=progress, tell=tell)


def _train(
    config: TrainConfig,
    data: Path,
    out: Path,
    ranks: Ranks,
    *,
    resume: bool,
    progress: Progress | None,
    tell: Callable[[str], None] | None,
) -> TrainReport:
    config = with_annotation(config, data)
    require_precision(config.precision, ranks.device)
    if config.tensorboard:
        require_board()
    identity = {
        "config": config.model_dump(mode="json"),
        "data": ranks.on_first(lambda: data_identity(config, data)),
        "sarknowlip": __version__,
    }
    with contextlib.ExitStack() as held:

        def known() -> TrainReport | None:
            folder.refuse_other_content(out)
            held.enter_context(exclusive(out / folder.LOCK))
            return folder.known_run(identity, out, resume)

        finished = ranks.on_first(known)
        if finished is not None:
            return finished
        held.enter_context(_threads(config.threads))
        task = PairTask(config, data, ranks)
        if task.origin is not None and tell is not None and ranks.first:
            tell(task.origin)
        ranks.on_first(lambda: folder.begin(identity, out))
        return _Run(task, config, out, ranks).finish(progress)


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Run:
    """One process's part of a run."""

    def __init__(self, task: Task, config: TrainConfig, out: Path, ranks: Ranks) -> None:
        self.task, self.config, self.out, self.ranks = task, config, out, ranks
        self.total = config.total_steps(task.steps_per_epoch)
        self.parameters = sum(p.numel() for p in task.module.parameters())
        peak = peak_flops(ranks.device, config.precision)
        trial = self._trial() if peak or config.parallel == "ddp" else Trial(0.0, False)
        if config.gradient_checkpointing:
            task.save_memory()
        if config.compile:
            compile_blocks(task.module)
        self.wrapped = Wrapped(task.module, config.parallel, ranks, trial.some_unused)
        self.optimizer = make_optimizer(task.module, config.optim)
        decay = config.optim.ema_decay
        self.ema = Ema(self.wrapped.local_tensors(), decay) if decay else None
        self.step = self._restore()
        self.latest: dict[str, float] = {"loss": math.nan}
        self.readings = Readings(lag=1 if ranks.device.type == "cuda" else 0)
        self.meter = Meter(flops=trial.flops_per_image, peak=peak and peak * ranks.count)
        self.logs: list[Log | Board] = []
        if ranks.first:
            self.logs.append(Log(out / LOG, self.step))
            if config.tensorboard:
                self.logs.append(Board(out / folder.BOARD, self.step))
        self.saved_at = time.monotonic()

    def finish(self, progress: Progress | None) -> TrainReport:
        """Train to the end, write the model, return the report."""
        self.task.module.train()
        batches = iter(self.task.batches(self.step, self.total))
        with gentle_interrupt(ECHO_S if self.ranks.count > 1 else 0.0) as asked:
            while self.step < self.total:
                self._advance(batches, asked.is_set())
                if progress is not None:
                    progress(self.step, self.total, f"loss {self.latest['loss']:.3f}")
                stop = self.latest.pop(STOP, 0.0) > 0
                stop = stop or (self.ranks.count == 1 and asked.is_set())
                self._look_up(stop or self.latest.pop(DUE, 0.0) > 0)
                if stop:
                    raise KeyboardInterrupt
        return self._report()

    def _advance(self, batches: Iterator[Batch], asked: bool) -> None:
        """Take one step and log it."""
        before = time.perf_counter()
        parts = [next(batches) for _ in range(self.config.accumulate)]
        self.meter.wait(time.perf_counter() - before)
        rate = learning_rate(self.step, self.total, self.config.optim)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        values = self._agreed(self._gradients(parts), asked)
        values["grad_norm"] = self.wrapped.clip(self.config.optim.clip_norm)
        self.readings.send(self.step + 1, values)
        if self.readings.lag == 0:  # before weights change
            self._read()
        self.optimizer.step()
        self.step += 1
        self.task.advance(self.step)
        if self.ema is not None:
            self.ema.update(self.step)
        self._read()
        self.meter.images(sum(map(len, parts)) * self.ranks.count)
        if self.step % self.config.log_every == 0 or self.step == self.total:
            self._read(everything=True)
            epoch = round(self.step / self.task.steps_per_epoch, 4)
            numbers = {k: v for k, v in self.latest.items() if k not in {STOP, DUE}}
            numbers |= {"lr": rate, **self.task.readings()}
            memory = memory_gib(self.ranks.device)
            self._log(epoch=epoch, **numbers, **self.meter.rates(), memory_gib=memory)

    def _gradients(self, parts: list[Batch]) -> dict[str, Tensor]:
        """Add up the gradients of the parts of a batch; return the loss and its parts."""
        whole = sum(map(len, parts))
        balances = self.task.balance(parts) if len(parts) > 1 else [{}]
        values: dict[str, Tensor] = {}
        for number, (batch, balance) in enumerate(zip(parts, balances, strict=True)):
            share = len(batch) / whole
            generator = chance(self.config.seed, self.step, number, self.ranks)
            with self.wrapped.gradients(last=number == len(parts) - 1):
                loss, found = self.wrapped.call(batch.to(self.ranks.device), generator, balance)
                (loss * share if len(parts) > 1 else loss).backward()
            for name, value in {"loss": loss, **found}.items():
                weighted = value.detach().float() * share
                values[name] = values[name] + weighted if name in values else weighted
        return values

    def _agreed(self, values: dict[str, Tensor], asked: bool) -> dict[str, Tensor]:
        """Return means over processes, and what any of them asks for."""
        minutes = self.config.checkpoint_minutes
        late = minutes is not None and time.monotonic() - self.saved_at >= 60 * minutes
        flags = {STOP: float(asked), DUE: float(late and self.ranks.first)}
        device = self.ranks.device
        told = values | {name: torch.full((), flag, device=device) for name, flag in flags.items()}
        if self.ranks.count > 1:
            mean = self.ranks.total(torch.stack(list(told.values()))) / self.ranks.count
            told = dict(zip(told, mean.unbind(), strict=True))
        return told

    def _read(self, *, everything: bool = False) -> None:
        """Take in numbers that have arrived.

        Raises:
            DivergedError: One of them is none.
        """
        for reading in self.readings.arrived(everything=everything):
            self.latest = reading.values
            for name in ("loss", "grad_norm"):
                value = self.latest[name]
                if not math.isfinite(value):
                    self._stop_diverged(f"{name} is {value}", reading.step)

    def _stop_diverged(self, what: str, step: int) -> None:
        if not self.ranks.first:
            raise SystemExit(1)  # process 0 tells
        raise DivergedError(
            f"{what} at step {step} of {self.out}; the last good step is {step - 1}",
            "lower optim.lr in a new folder; checkpoints before it are kept",
        )

    def _log(self, **values: float | None) -> None:
        for log in self.logs:
            log.add(step=self.step, **values)

    def _look_up(self, asked: bool) -> None:
        """Validate and write a checkpoint where due."""
        last = self.step == self.total
        if last or self.step % self.config.validate_every == 0:
            self._read(everything=True)
            with self._averaged():
                held_out = self.task.validate()
            if held_out:
                self._log(**{f"val_{name}": value for name, value in held_out.items()})
            self.meter.rates()
        if last or asked or self.step % self.config.checkpoint_every == 0:
            self._read(everything=True)
            self._checkpoint()
            self.latest.pop(DUE, None)
            self.saved_at = time.monotonic()
            self.meter.rates()

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.ema is None else self.ema.applied()

    def _checkpoint(self) -> None:
        state: dict[str, Any] = {
            "weights": self.wrapped.weights(),
            "optimizer": self.wrapped.optimizer_state(self.optimizer),
            "sampler": {"step": self.step, "steps_per_epoch": self.task.steps_per_epoch},
        }
        if self.ema is not None:
            with self.ema.applied():
                state["ema"] = self.wrapped.weights()
        self.ranks.on_first(lambda: save_checkpoint(self.out / CHECKPOINTS, self.step, state))

    def _restore(self) -> int:
        """Load the last checkpoint, if there is one; return the steps done."""
        state: dict[str, Any] = {"weights": {}, "optimizer": {}, "ema": {}}

        def load() -> tuple[int, str]:
            found = checkpoints(self.out / CHECKPOINTS)
            if not found:
                return 0, ""
            step, loaded = load_checkpoint(found[-1])
            position = {"step": step, "steps_per_epoch": self.task.steps_per_epoch}
            if loaded.get("sampler") != position:
                raise CheckpointError(
                    f"checkpoint {found[-1]} does not fit this run: it was at"
                    f" {loaded.get('sampler')}, this run is at {position}",
                    "start a new run",
                )
            state.update(loaded)
            return step, str(found[-1])

        step, path = self.ranks.on_first(load)
        if not path:
            return 0
        try:
            self.wrapped.load_optimizer_state(self.optimizer, state["optimizer"])
            self.wrapped.load_weights(state["weights"])
            if self.ema is not None:
                with self.ema.applied():
                    self.wrapped.load_weights(state["ema"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"checkpoint {path} does not fit this run: {error}", "start a new run"
            ) from error
        return step

    def _trial(self) -> Trial:
        self.task.module.train()
        generator = chance(self.config.seed, 0, 0, self.ranks)
        return try_out(self.task.module, self.task.first_batch(), generator)

    def _report(self) -> TrainReport:
        self.task.module.eval()
        with self._averaged():
            weights = self.wrapped.weights()
        return self.ranks.on_first(lambda: self._written(weights))

    def _written(self, weights: dict[str, Tensor]) -> TrainReport:
        """Write model and report."""
        lines = read_log(self.out / LOG)
        results = last_validation(lines)
        folder.write_model(
            self.out,
            lambda path: self.task.save(path, weights, steps=self.total, results=results),
        )
        late = [
            line["loss"] for line in lines if "loss" in line and line["step"] > 0.9 * self.total
        ]
        report = TrainReport(
            recipe=self.config.recipe,
            steps=self.total,
            epochs=round(self.total / self.task.steps_per_epoch, 4),
            pairs=self.task.pairs,
            parameters=self.parameters,
            loss=sum(late) / len(late),
            val_loss=results.get("val_loss"),
            images_per_s=round(self.meter.total_images / self.meter.seconds, 2),
            seconds=round(self.meter.seconds, 3),
            device=str(self.ranks.device),
            threads=torch.get_num_threads(),
            processes=self.ranks.count,
            origin=self.task.origin,
        )
        write_json(self.out / REPORT, report.model_dump(mode="json"))
        return report
