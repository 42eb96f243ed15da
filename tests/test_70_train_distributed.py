"""Rung 7: several processes train as one would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from data.pairs.make import make_corpus
from data.runs import small
from data.runs.small import curve, run_job
from sarknowlip.train.checkpoint import checkpoints

STEPS = 8
PLAIN = [
    "data.batch=10",
    f"steps={STEPS}",
    "model.geo_dropout=0",
    "optim.warmup_steps=2",
    "optim.eps=1e-4",  # biases that change nothing have gradients of rounding alone
]
VARIED = [
    *PLAIN,
    "data.batch=20",
    "accumulate=2",
    "optim.ema_decay=0.9",
    "objective.name=combined",
    "objective.matching.pool=5",
    "objective.masked.target=db",
    "objective.combined.learned=true",
]
"""Parts of a batch, averaged weights and all objectives."""


def torchrun(corpus: Path, jobs: list[dict[str, Any]]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen(
        [*command, small.__file__, str(corpus), json.dumps(jobs)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("distributed") / "corpus", 24, val=0.25, mixed=True)


@pytest.fixture(scope="module")
def alone(corpus: Path) -> dict[str, Path]:
    """Return runs of a single process."""
    runs = {name: corpus.parent / f"alone-{name}" for name in ("plain", "varied")}
    for name, out in runs.items():
        run_job(corpus, str(out), PLAIN if name == "plain" else VARIED)
    return runs


@pytest.fixture(scope="module")
def together(corpus: Path) -> dict[str, Path]:
    """Return runs of two processes."""
    runs = {
        f"{kind}-{name}": corpus.parent / f"{kind}-{name}"
        for kind in ("ddp", "fsdp2")
        for name in ("plain", "varied")
    }
    jobs = [
        {
            "out": str(out),
            "settings": [
                *(PLAIN if name.endswith("plain") else VARIED),
                f"parallel={name.partition('-')[0]}",
            ],
        }
        for name, out in runs.items()
    ]
    process = torchrun(corpus, jobs)
    errors = process.communicate(timeout=500)[1]
    assert process.returncode == 0, errors
    return runs


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
@pytest.mark.parametrize("name", ["plain", "varied"])
def test_two_processes_train_as_one(
    alone: dict[str, Path], together: dict[str, Path], kind: str, name: str
) -> None:
    one, two = curve(alone[name]), curve(together[f"{kind}-{name}"])
    assert [point[:2] for point in one] == [point[:2] for point in two]
    for (step, what, mine), (_, _, theirs) in zip(one, two, strict=True):
        assert theirs == pytest.approx(mine, rel=1e-5, abs=1e-5), (step, what)
    mine, theirs = (
        load_file(out / "model" / "model.safetensors")
        for out in (alone[name], together[f"{kind}-{name}"])
    )
    assert mine.keys() == theirs.keys()
    worst = max(float((mine[key] - theirs[key]).abs().max()) for key in mine)
    assert worst < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_two_processes_resume_exactly(
    corpus: Path, together: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    settings = [*VARIED, f"parallel={kind}", "checkpoint_every=3"]
    job = {"out": str(tmp_path / "run"), "settings": settings}
    process = torchrun(corpus, [job | {"die_at": 5}])
    process.communicate(timeout=300)
    assert process.returncode != 0
    assert [p.name for p in checkpoints(tmp_path / "run" / "checkpoints")] == ["step-00000003"]
    process = torchrun(corpus, [job])
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors
    whole = together[f"{kind}-varied"]
    assert curve(tmp_path / "run") == curve(whole)
    mine, theirs = (
        load_file(run / "model" / "model.safetensors") for run in (tmp_path / "run", whole)
    )
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
