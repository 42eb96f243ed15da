"""A training step of the engine beside a bare loop with the same modules, in one process.

The bare loop is what one would write by hand: data, seeds and learning rate of the step, forward,
backward, clip, step. The engine adds the log, the guard against numbers that are none and its
clocks. Rounds are interleaved, first in turn; each round is a few steps on batches that are in
memory, and the two start from the same weights: their losses must agree to the last bit.

    OMP_NUM_THREADS=1 pytest -q benchmarks/test_70_step.py -s
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from data.pairs.make import make_corpus
from sarknowlip.data.loader import Batch
from sarknowlip.train.config import TrainConfig, with_settings
from sarknowlip.train.distributed import Ranks
from sarknowlip.train.loop import _Run
from sarknowlip.train.optim import learning_rate, make_optimizer
from sarknowlip.train.recipes import RECIPES
from sarknowlip.train.step import chance
from sarknowlip.train.task import PairTask, with_annotation

STEPS, ROUNDS, GATE = 3, 9, 0.95


class Held:
    """A task whose batches are in memory."""

    def __init__(self, task: PairTask, batches: list[Batch]) -> None:
        self._task, self._batches = task, batches

    def __getattr__(self, name: str) -> object:
        return getattr(self._task, name)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        for step in range(start, stop):
            yield self._batches[step % len(self._batches)]


def bare(config: TrainConfig, task: PairTask, batches: list[Batch]) -> Callable[[int], float]:
    """Return a function that takes some steps and gives the last loss."""
    module, ranks = task.module, task.ranks
    optimizer = make_optimizer(module, config.optim)
    module.train()
    done = 0

    def steps(count: int) -> float:
        nonlocal done
        for _ in range(count):
            generator = chance(config.seed, done, 0, ranks)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(done, config.steps, config.optim)
            optimizer.zero_grad(set_to_none=True)
            loss, _ = module(batches[done % len(batches)].to(ranks.device), generator)
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), config.optim.clip_norm)
            optimizer.step()
            done += 1
        return float(loss.detach())

    return steps


def engine(
    config: TrainConfig, task: PairTask, batches: list[Batch], out: Path
) -> Callable[[int], float]:
    """Return the same for the engine's loop, as `_Run.finish` goes, a log line every step."""
    run = _Run(Held(task, batches), config, out, task.ranks)
    run.task.module.train()
    source = iter(run.task.batches(0, config.steps))

    def steps(count: int) -> float:
        for _ in range(count):
            run._advance(source, False)
            run._look_up(False)
        return run.latest["loss"]

    return steps


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["tiny", "tiny-combined"])
def test_engine_beside_bare_loop(tmp_path: Path, record: Callable[..., None], recipe: str) -> None:
    total = STEPS * (ROUNDS + 1)
    settings = [f"steps={10 * total}", "validate_every=100000", "checkpoint_every=100000"]
    corpus = make_corpus(tmp_path / "corpus", 32, tile_px=128)
    config = with_annotation(with_settings(RECIPES[recipe](), settings), corpus)
    ranks = Ranks(0, 1, torch.device("cpu"))
    tasks = [PairTask(config, corpus, ranks) for _ in range(2)]
    batches = list(tasks[0].batches(0, 2))
    (tmp_path / "run").mkdir()
    loops = {
        "bare": bare(config, tasks[0], batches),
        "engine": engine(config, tasks[1], batches, tmp_path / "run"),
    }
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(ROUNDS + 1):
        losses = set()
        for name in sorted(loops, reverse=bool(number % 2)):
            start = time.process_time()
            losses.add(loops[name](STEPS))
            seconds[name].append((time.process_time() - start) / STEPS)
        assert len(losses) == 1, "the two loops compute different things"
    torch.set_num_threads(before)
    ratios = [b / e for b, e in zip(seconds["bare"][1:], seconds["engine"][1:], strict=True)]
    low, _, high = quantiles(ratios, n=4)
    ratio = median(ratios)
    record(
        "step",
        recipe=recipe,
        batch=config.data.batch,
        bare_ms=round(1000 * median(seconds["bare"][1:]), 1),
        engine_ms=round(1000 * median(seconds["engine"][1:]), 1),
        speed_ratio=round(ratio, 3),
        quartiles=f"{low:.3f}-{high:.3f}",
        rounds=ROUNDS,
        clock="cpu",
        threads=1,
        torch=torch.__version__,
    )
    assert ratio >= GATE
