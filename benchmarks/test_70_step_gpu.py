"""Steps of ViT-S and ViT-B on a GPU beside a bare loop: images a second, MFU and memory.

As `test_70_step.py`, in bfloat16, by the wall clock with the device waited for. MFU counts model
arithmetic only (`train.flops`). Batches lie in memory that the device reads directly, as a loader
gives them. Where there is no GPU the reason is printed.

    pytest -q benchmarks/test_70_step_gpu.py -s
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

import pytest
import torch
from test_70_step import bare, engine, make_corpus

from sarknowlip.train.config import with_settings
from sarknowlip.train.distributed import Ranks
from sarknowlip.train.flops import peak_flops, try_out
from sarknowlip.train.recipes import RECIPES
from sarknowlip.train.step import chance
from sarknowlip.train.task import PairTask, with_annotation

STEPS, ROUNDS, WARM_UP, GATE = 10, 7, 5, 0.95
BATCH = {"small": 256, "base": 128}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["small", "small-combined", "base", "base-combined"])
def test_engine_beside_bare_loop_on_a_gpu(
    tmp_path: Path, record: Callable[..., None], recipe: str
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU: torch.cuda.is_available() is false")
    device = torch.device("cuda")
    ranks = Ranks(0, 1, device)
    batch = BATCH[recipe.partition("-")[0]]
    settings = [
        f"steps={100 * STEPS * ROUNDS}", f"data.batch={batch}", "accumulate=1", "precision=bf16",
        "parallel=none", "vocab_size=1024", "validate_every=100000", "checkpoint_every=100000",
    ]  # fmt: skip
    corpus = make_corpus(tmp_path / "corpus", batch, tile_px=224)
    config = with_annotation(with_settings(RECIPES[recipe](), settings), corpus)
    tasks = [PairTask(config, corpus, ranks) for _ in range(2)]
    batches = list(tasks[0].batches(0, 1))
    (tmp_path / "run").mkdir()
    trial = try_out(tasks[0].module, tasks[0].first_batch(), chance(config.seed, 0, 0, ranks))
    loops = {
        "bare": bare(config, tasks[0], batches),
        "engine": engine(config, tasks[1], batches, tmp_path / "run"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for loop in loops.values():
        loop(WARM_UP)
    torch.cuda.reset_peak_memory_stats()
    for number in range(ROUNDS):
        for name in sorted(loops, reverse=bool(number % 2)):
            torch.cuda.synchronize()
            start = time.perf_counter()
            loops[name](STEPS)
            torch.cuda.synchronize()
            seconds[name].append((time.perf_counter() - start) / STEPS)
    ratios = [b / e for b, e in zip(seconds["bare"], seconds["engine"], strict=True)]
    low, _, high = quantiles(ratios, n=4)
    rate = batch / median(seconds["engine"])
    peak = peak_flops(device, "bf16")
    record(
        "step_gpu",
        device=torch.cuda.get_device_name(),
        recipe=recipe,
        batch=batch,
        precision="bf16",
        compiled=config.compile,
        images_per_s=round(rate, 1),
        bare_images_per_s=round(batch / median(seconds["bare"]), 1),
        mfu_pct="" if peak is None else round(100 * rate * trial.flops_per_image / peak, 1),
        gigaflops_per_image=round(trial.flops_per_image / 1e9, 2),
        memory_gib=round(torch.cuda.max_memory_allocated() / 2**30, 2),
        speed_ratio=round(median(ratios), 3),
        quartiles=f"{low:.3f}-{high:.3f}",
        rounds=ROUNDS,
        torch=torch.__version__,
    )
    assert median(ratios) >= GATE
