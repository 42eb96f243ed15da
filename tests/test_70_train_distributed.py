"""Rung 7: several processes train as one would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from data.pairs.make import make_corpus
from data.runs import small
from data.runs.small import curve, run_job
from sarknowlip.core.errors import ConfigError
from sarknowlip.data.pairs import Visit
from sarknowlip.train.checkpoint import checkpoints
from sarknowlip.train.distributed import processes
from sarknowlip.train.meter import read_log
from sarknowlip.train.shares import Shares, require_shares

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
SAVING = {
    "fsdp2-recomputed": ["parallel=fsdp2", "gradient_checkpointing=true"],
    "fsdp2-chunks": ["parallel=fsdp2", "objective.chunk=2"],
    "ddp-both": ["parallel=ddp", "gradient_checkpointing=true", "objective.chunk=2"],
}
"""What saves memory, in two processes."""
SHORT = [*VARIED, "steps=3"]
DISTILLED = [*PLAIN, "data.batch=20", "accumulate=2", "objective.name=distilled"]
"""A teacher and a centre that change between steps."""


def torchrun(corpus: Path, jobs: list[dict[str, Any]], count: int = 2) -> subprocess.Popen[str]:
    start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    command = [sys.executable, *start]
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
    settings = {"plain": PLAIN, "varied": VARIED, "short": SHORT, "distilled": DISTILLED}
    runs = {name: corpus.parent / f"alone-{name}" for name in settings}
    for name, out in runs.items():
        run_job(corpus, str(out), settings[name])
    return runs


@pytest.fixture(scope="module")
def together(corpus: Path) -> dict[str, Path]:
    """Return runs of two processes."""
    settings = {
        f"{kind}-{name}": [*base, f"parallel={kind}"]
        for kind in ("ddp", "fsdp2")
        for name, base in (("plain", PLAIN), ("varied", VARIED), ("distilled", DISTILLED))
    } | {name: [*SHORT, *more] for name, more in SAVING.items()}
    runs = {name: corpus.parent / name for name in settings}
    jobs = [{"out": str(out), "settings": settings[name]} for name, out in runs.items()]
    process = torchrun(corpus, jobs)
    errors = process.communicate(timeout=500)[1]
    assert process.returncode == 0, errors
    return runs


PAIRS = {"ddp-plain": "plain", "ddp-varied": "varied", "fsdp2-plain": "plain"}
PAIRS |= {"fsdp2-varied": "varied"} | dict.fromkeys(SAVING, "short")
PAIRS |= {"ddp-distilled": "distilled", "fsdp2-distilled": "distilled"}
"""Runs of two processes, and the run of one that they equal."""


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PAIRS))
def test_two_processes_train_as_one(
    alone: dict[str, Path], together: dict[str, Path], name: str
) -> None:
    one, two = curve(alone[PAIRS[name]]), curve(together[name])
    assert [point[:2] for point in one] == [point[:2] for point in two]
    for (step, what, mine), (_, _, theirs) in zip(one, two, strict=True):
        assert theirs == pytest.approx(mine, rel=1e-5, abs=1e-5), (step, what)
    mine, theirs = (
        load_file(out / "model" / "model.safetensors")
        for out in (alone[PAIRS[name]], together[name])
    )
    assert mine.keys() == theirs.keys()
    worst = max(float((mine[key] - theirs[key]).abs().max()) for key in mine)
    assert worst < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddp-varied", "fsdp2-varied", "ddp-distilled"])
def test_two_processes_resume_exactly(
    corpus: Path, together: dict[str, Path], tmp_path: Path, name: str
) -> None:
    kind, _, base = name.partition("-")
    asked = {"varied": VARIED, "distilled": DISTILLED}[base]
    settings = [*asked, f"parallel={kind}", "checkpoint_every=3"]
    job = {"out": str(tmp_path / "run"), "settings": settings}
    process = torchrun(corpus, [job | {"die_at": 5}])
    process.communicate(timeout=300)
    assert process.returncode != 0
    assert [p.name for p in checkpoints(tmp_path / "run" / "checkpoints")] == ["step-00000003"]
    process = torchrun(corpus, [job])
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors
    whole = together[name]
    assert curve(tmp_path / "run") == curve(whole)
    mine, theirs = (
        load_file(run / "model" / "model.safetensors") for run in (tmp_path / "run", whole)
    )
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


@pytest.mark.slow
def test_a_stop_leaves_a_checkpoint_that_one_process_goes_on_from(
    corpus: Path, tmp_path: Path
) -> None:
    settings = [*PLAIN, "steps=60", "optim.warmup_steps=6", "optim.lr=1e-4", "parallel=ddp"]
    out = tmp_path / "run"
    job = {"out": str(out), "settings": settings}
    process = torchrun(corpus, [job])
    while process.poll() is None and len(read_log(out / "log.jsonl")) < 3:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    at = checkpoints(out / "checkpoints")[-1].name
    assert "step-00000003" <= at < "step-00000060"
    assert read_log(out / "log.jsonl")[-1]["step"] == int(at.removeprefix("step-"))
    process = torchrun(corpus, [job], count=1)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors
    run_job(corpus, str(tmp_path / "alone"), [*settings, "parallel=none"])
    for mine, theirs in zip(curve(out), curve(tmp_path / "alone"), strict=True):
        assert mine[:2] == theirs[:2]
        assert mine[2] == pytest.approx(theirs[2], rel=1e-4, abs=1e-4), mine[:2]


@pytest.mark.slow
def test_numbers_that_are_none_stop_all_processes(corpus: Path, tmp_path: Path) -> None:
    wild = [*PLAIN, "optim.lr=1e30", "optim.clip_norm=1e30", "parallel=fsdp2"]
    process = torchrun(corpus, [{"out": str(tmp_path / "run"), "settings": wild}])
    errors = process.communicate(timeout=300)[1]
    assert process.returncode != 0
    assert errors.count("the last good step is") == 1
    assert not (tmp_path / "run" / "report.json").exists()


def test_shares_make_up_the_batch() -> None:
    order = [[Visit(0, k) for k in range(size)] for size in (12, 13)]
    for parts, count in ((1, 1), (2, 3), (3, 2), (1, 4)):
        shares = [list(Shares(order, parts, rank, count)) for rank in range(count)]
        assert all(len(share) == len(Shares(order, parts, 0, count)) for share in shares)
        for number, visits in enumerate(order):
            for part in range(parts):
                mine = [share[number * parts + part] for share in shares]
                assert len({len(share) for share in mine}) == 1
                start, stop = (len(visits) * k // parts for k in (part, part + 1))
                joint = [visit for share in mine for visit in share]
                assert joint == visits[start:stop][: len(joint)]
                assert stop - start - len(joint) < count


def test_too_small_batches_are_refused() -> None:
    require_shares(8, parts=2, count=4)
    with pytest.raises(ConfigError, match=r"batches of 8 pairs are too small .*raise data\.batch"):
        require_shares(8, parts=4, count=4)
    with pytest.raises(ConfigError, match="2 parts and 1 processes"):
        require_shares(3, parts=2, count=1)


def test_the_way_of_starting_must_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ConfigError, match="torchrun did not start this process; run `torchrun"):
        processes("ddp", "cpu").__enter__()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="parallel=none, but there are 2 processes; set"):
        processes("none", "cpu").__enter__()
