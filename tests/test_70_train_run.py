"""Rung 7: training: it learns, resumes exactly, and fails in one line."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from data.pairs.make import make_corpus, write_texts
from data.runs import small
from data.runs.small import config, curve, run_job
from sarknowlip.core.errors import (
    CheckpointError,
    ConfigError,
    CorpusError,
    ProductError,
    StorageError,
)
from sarknowlip.data.loader import whole_loader
from sarknowlip.data.pairs import PairDataset
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import SarProcessor
from sarknowlip.train import checkpoint as checkpoint_module
from sarknowlip.train.checkpoint import checkpoints, load_checkpoint
from sarknowlip.train.config import DataConfig, with_settings
from sarknowlip.train.loop import DivergedError, train
from sarknowlip.train.meter import read_log
from sarknowlip.train.objectives.config import ObjectiveConfig
from sarknowlip.train.optim import OptimConfig
from sarknowlip.train.task import data_identity


def stamps(root: Path) -> dict[str, int]:
    return {
        path.relative_to(root).as_posix(): path.stat().st_mtime_ns
        for path in root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("train") / "corpus", 12, val=0.35, mixed=True)


@pytest.fixture(scope="module")
def whole(corpus: Path) -> Path:
    """Return a finished run."""
    out = corpus.parent / "whole"
    report = train(config(), corpus, out)
    assert report.steps == 30
    return out


def test_a_run_leaves_what_it_should(corpus: Path, whole: Path) -> None:
    names = {path.name for path in whole.iterdir()} - {".lock"}
    assert names == {"config.json", "log.jsonl", "report.json", "checkpoints", "model"}
    assert {path.name for path in (whole / "model").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "sarknowlip_processor.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert [path.name for path in checkpoints(whole / "checkpoints")] == [
        "step-00000028",
        "step-00000030",
    ]
    lines = read_log(whole / "log.jsonl")
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 31))
    assert [line["step"] for line in lines if "val_loss" in line] == [10, 20, 30]
    keys = {"step", "epoch", "loss", "lr", "grad_norm", "images_per_s", "data_wait_pct", "seconds"}
    assert all(keys <= set(line) for line in lines if "loss" in line)
    report = json.loads((whole / "report.json").read_text())
    assert report["val_loss"] == lines[-1]["val_loss"]
    assert report["loss"] == pytest.approx(
        sum(x["loss"] for x in lines if "loss" in x and x["step"] > 27) / 3
    )
    assert report["pairs"] == len(PairDataset(corpus, "train"))


@torch.no_grad()
def test_val_loss_is_that_of_the_saved_model(corpus: Path, whole: Path) -> None:
    from sarknowlip.losses.contrastive import contrastive

    model = SarKnowLIP.from_pretrained(whole / "model")
    processor = SarProcessor.from_pretrained(whole / "model")
    pairs = PairDataset(corpus, "val")
    assert len(pairs) >= 2
    total = 0.0
    for batch in whole_loader(pairs, processor, 4):
        out = model(**batch.images, **batch.texts)
        total += len(batch) * float(
            contrastive(out.image_embeds, out.text_embeds, out.scale, batch.group)
        )
    said = json.loads((whole / "report.json").read_text())["val_loss"]
    assert total / len(pairs) == pytest.approx(said, rel=1e-5)


def test_the_model_card_tells_of_the_run(corpus: Path, whole: Path, tmp_path: Path) -> None:
    card = (whole / "model" / "README.md").read_text("utf-8")
    assert "Data:" not in card
    root = tmp_path / "Delta"
    shutil.copytree(corpus, root)
    notes = {"osm": "© OpenStreetMap contributors, ODbL", "gazetteer": "GeoNames, CC BY 4.0"}
    manifest = root / "annotations" / "v0001" / "annotation.json"
    manifest.write_text(json.dumps({"attributions": notes | {"water": notes["osm"]}}))
    report = train(config(steps=3), root, tmp_path / "run")
    card = (tmp_path / "run" / "model" / "README.md").read_text("utf-8")
    for row in (
        "| recipe | test |",
        "| objective | contrastive |",
        "| data | Delta |",
        "| annotation | v0001 |",
        f"| pairs | {report.pairs} |",
        "| steps | 3 |",
        f"| val_loss | {report.val_loss:.4g} |",
        f"| val_contrastive | {report.val_loss:.4g} |",
        "Data:\n\n- GeoNames, CC BY 4.0\n- © OpenStreetMap contributors, ODbL\n\n",
        "Weights: not stated.",
    ):
        assert row in card, row
    assert str(tmp_path) not in card


def test_a_finished_run_is_left_alone(corpus: Path, whole: Path) -> None:
    before = stamps(whole)
    for resume in (False, True):
        report = train(config(), corpus, whole, resume=resume)
        assert report.model_dump(mode="json") == json.loads((whole / "report.json").read_text())
    assert stamps(whole) == before


def test_another_run_is_refused(corpus: Path, whole: Path, tmp_path: Path) -> None:
    other = config(seed=1, optim=OptimConfig(lr=1e-3, warmup_steps=5))
    for resume in (False, True):
        with pytest.raises(
            ConfigError, match=r"differs in config\.optim\.lr, config\.seed; choose"
        ):
            train(other, corpus, whole, resume=resume)
    folder = write_texts(corpus, "v0002")
    try:
        with pytest.raises(ConfigError, match=r"differs in config\.data\.annotation"):
            train(config(), corpus, whole)
        named = config(data=DataConfig(batch=4, annotation="v0001"))
        assert train(named, corpus, whole).steps == 30
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    other_data = make_corpus(tmp_path / "other", 4)
    with pytest.raises(ConfigError, match=r"data\.catalog_sha256, data\.texts_sha256"):
        train(config(), other_data, whole)


def test_all_that_a_run_reads_is_part_of_it(corpus: Path, tmp_path: Path) -> None:
    root, start, words = tmp_path / "corpus", tmp_path / "vit.pt", tmp_path / "words"
    shutil.copytree(corpus, root)
    words.mkdir()
    for path in (start, words / "model.safetensors"):
        path.write_bytes(b"weights")
    folder = root / "annotations" / "v0001"
    plain = config(data=DataConfig(batch=4, annotation="v0001"))
    cropped = with_settings(plain, ["data.augment.smallest_crop=0.5"])
    begun = with_settings(plain, [f"init={start}", f"model.text_init={words}"])
    changes = {
        "texts_sha256": (plain, folder / "texts.parquet"),
        "claims_sha256": (cropped, folder / "claims.parquet"),
        "evidence_sha256": (cropped, folder / "evidence.parquet"),
        "weights_sha256": (plain, folder / "weights.parquet"),
        "init_sha256": (begun, start),
        "text_init_sha256": (begun, words / "model.safetensors"),
    }
    assert set(data_identity(plain, root)) == {"catalog_sha256", "texts_sha256"}
    (folder / "weights.parquet").write_bytes(b"weights")
    assert set(data_identity(plain, root)) == {"catalog_sha256", "texts_sha256", "weights_sha256"}
    for name, (settings, path) in changes.items():
        before = data_identity(settings, root)
        path.write_bytes(path.read_bytes() + b"!")
        after = data_identity(settings, root)
        assert [key for key in before if before[key] != after[key]] == [name]


def test_a_folder_with_other_things_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds thesis\.txt and no run; choose a new"):
        train(config(), corpus, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_kill_before_the_model_is_written_is_made_good(
    corpus: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    (out / "report.json").unlink()
    shutil.move(out / "model", out / ".partial-model")
    report = train(config(), corpus, out, resume=True)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (out / "model" / name).read_bytes() == (whole / "model" / name).read_bytes()
    kept = json.loads((whole / "report.json").read_text())
    assert (report.loss, report.val_loss) == (kept["loss"], kept["val_loss"])
    assert not (out / ".partial-model").exists()


def test_a_damaged_tile_stops_the_run_in_one_line(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "corpus", 3)
    tile = next((root / "tiles").rglob("*.tif"))
    tile.write_bytes(tile.read_bytes()[:100])
    with pytest.raises(ProductError, match=tile.name) as caught:
        train(config(), root, tmp_path / "run")
    assert "\n" not in str(caught.value)


KILLED = {
    "plain": ["threads=1"],
    "rich": [
        "threads=1",
        "steps=24",
        "data.batch=6",
        "accumulate=2",
        "precision=bf16",
        "optim.ema_decay=0.9",
        "optim.schedule=wsd",
        "objective.name=combined",
        "objective.masked.target=db",
        "data.augment.smallest_crop=0.5",
        "checkpoint_minutes=0.002",
    ],
    "distilled": [
        "threads=1",
        "steps=24",
        "data.batch=6",
        "accumulate=2",
        "optim.ema_decay=0.9",
        "objective.name=distilled",
    ],
}
"""Settings of runs that are killed; "rich" has all that keeps state or draws."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KILLED))
def test_kill_nine_at_three_steps_changes_no_bit(corpus: Path, tmp_path: Path, kind: str) -> None:
    settings = KILLED[kind]
    run_job(corpus, str(tmp_path / "whole"), settings)
    out = tmp_path / "killed"
    log, job = out / "log.jsonl", json.dumps([{"out": str(out), "settings": settings}])
    command = [sys.executable, small.__file__, str(corpus), job]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    chance = random.Random(20260923)
    for low in (2, 9, 16):
        process = subprocess.Popen(command, env=environment)
        goal = chance.randint(low, low + 6)
        while process.poll() is None and log_step(log) < goal:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        saved = [path.name for path in checkpoints(out / "checkpoints")]
        print(f"killed after step {log_step(log)}, wanted {goal}; checkpoints {saved}")
    assert not (out / "report.json").is_file()
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert curve(out) == curve(tmp_path / "whole")
    mine, theirs = (
        load_file(run / "model" / "model.safetensors") for run in (out, tmp_path / "whole")
    )
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert not list(out.rglob(".partial-*"))


def log_step(log: Path) -> int:
    lines = read_log(log)
    return lines[-1]["step"] if lines else 0


@pytest.fixture
def halted(corpus: Path, tmp_path: Path) -> Path:
    """Return a run that was interrupted by Ctrl-C after 16 of 30 steps."""

    def stop(done: int, total: int, item: str) -> None:
        if done == 16:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(config(), corpus, tmp_path / "run", progress=stop)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return tmp_path / "run"


def test_interrupt_leaves_a_checkpoint_and_resume_is_exact(
    corpus: Path, whole: Path, halted: Path
) -> None:
    assert checkpoints(halted / "checkpoints")[-1].name == "step-00000016"
    with pytest.raises(ConfigError, match="unfinished run; add --resume or choose a new folder"):
        train(config(), corpus, halted)
    train(config(), corpus, halted, resume=True)
    assert curve(halted) == curve(whole)
    assert (halted / "model" / "model.safetensors").read_bytes() == (
        whole / "model" / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("damage", ["cut", "flip", "absent", "about"])
def test_damaged_checkpoint_is_named_with_the_way_out(
    corpus: Path, whole: Path, halted: Path, damage: str
) -> None:
    last = checkpoints(halted / "checkpoints")[-1]
    state = last / "state.pt"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "cut":
        state.write_bytes(state.read_bytes()[:-1000])
    elif damage == "flip":
        state.write_bytes(bytes(content))
    elif damage == "absent":
        state.unlink()
    else:
        (last / "checkpoint.json").write_text("{")
    with pytest.raises(CheckpointError) as caught:
        train(config(), corpus, halted, resume=True)
    message = str(caught.value)
    assert "\n" not in message
    assert f"checkpoint {last} is damaged" in message
    assert "delete it to go on from step-00000014" in message
    for path in last.iterdir():
        path.unlink()
    last.rmdir()
    train(config(), corpus, halted, resume=True)
    assert curve(halted) == curve(whole)


def test_full_disk_leaves_the_last_checkpoint_whole(
    corpus: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_save = torch.save
    saved = 0

    def save(state: Any, path: Path) -> None:
        nonlocal saved
        saved += 1
        if saved == 3:
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        real_save(state, path)

    out = tmp_path / "run"
    monkeypatch.setattr(checkpoint_module.torch, "save", save)
    with pytest.raises(StorageError, match=r"cannot write checkpoint .*No space left.*--resume"):
        train(config(), corpus, out)
    assert [path.name for path in (out / "checkpoints").iterdir()] != []
    assert [path.name for path in checkpoints(out / "checkpoints")] == [
        "step-00000007",
        "step-00000014",
    ]
    assert not list(out.rglob(".partial-*"))
    train(config(), corpus, out, resume=True)
    assert curve(out) == curve(whole)


def test_a_loss_that_is_no_number_stops_the_run(corpus: Path, tmp_path: Path) -> None:
    wild = config(optim=OptimConfig(lr=1e30, warmup_steps=0, clip_norm=1e30))
    with pytest.raises(DivergedError, match=r"is (nan|inf) at step (\d+) of .*last good step is"):
        train(wild, corpus, tmp_path / "run")
    good = [line for line in read_log(tmp_path / "run" / "log.jsonl") if "loss" in line]
    assert 1 <= len(good) < 30


def test_a_wrong_setting_does_not_spoil_the_folder(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown objective 'hinge'; choose one of: caption"):
        train(config(objective=ObjectiveConfig(name="hinge")), corpus, tmp_path / "run")
    assert train(config(steps=2), corpus, tmp_path / "run").steps == 2


def test_too_few_pairs(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "corpus", 1)
    with pytest.raises(CorpusError, match="1 tiles with sentences in split 'train'"):
        train(config(), root, tmp_path / "run")
    with pytest.raises(CorpusError, match=r"no corpus at|has no annotations"):
        train(config(), tmp_path / "absent", tmp_path / "run")


@pytest.mark.slow
@torch.no_grad()
def test_the_model_overfits_a_handful(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "corpus", 8)
    out = tmp_path / "run"
    with torch.enable_grad():
        report = train(config(steps=150, data=DataConfig(batch=8)), root, out)
    first = read_log(out / "log.jsonl")[0]["loss"]
    assert first > 1.5
    assert report.loss < 0.25 * first
    model = SarKnowLIP.from_pretrained(out / "model")
    processor = SarProcessor.from_pretrained(out / "model")
    batch = next(iter(whole_loader(PairDataset(root, "train"), processor, 8)))
    made = model(**batch.images, **batch.texts)
    similar = made.image_embeds @ made.text_embeds.T
    assert similar.argmax(dim=1).tolist() == similar.argmax(dim=0).tolist() == list(range(8))


def test_the_average_is_the_model(corpus: Path, tmp_path: Path) -> None:
    run_job(corpus, str(tmp_path), ["steps=6", "optim.ema_decay=0.9", "optim.warmup_steps=0"])
    _, state = load_checkpoint(checkpoints(tmp_path / "checkpoints")[-1])
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert all(torch.equal(saved[name], state["ema"][f"model.{name}"]) for name in saved)
    trained = [name for name in saved if name.startswith("image.blocks.")]
    assert trained
    assert not any(torch.equal(saved[name], state["weights"][f"model.{name}"]) for name in trained)


def test_recomputing_changes_no_result_and_event_files_follow_the_log(
    corpus: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = ["steps=4", "objective.name=combined", "objective.masked.target=db"]
    run_job(corpus, str(tmp_path / "kept"), settings)
    again = [*settings, "gradient_checkpointing=true", "tensorboard=true"]
    run_job(corpus, str(tmp_path / "again"), again)
    for mine, theirs in zip(curve(tmp_path / "kept"), curve(tmp_path / "again"), strict=True):
        assert mine[:2] == theirs[:2]
        assert mine[2] == pytest.approx(theirs[2], rel=1e-5)
    events = EventAccumulator(str(tmp_path / "again" / "tensorboard"))
    events.Reload()
    shown = [(e.step, pytest.approx(e.value, rel=1e-6)) for e in events.Scalars("loss")]
    logged = [
        (line["step"], line["loss"])
        for line in read_log(tmp_path / "again" / "log.jsonl")
        if "loss" in line
    ]
    assert logged == shown


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_blocks_compute_the_same(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    for name, compiled in (("eager", "false"), ("compiled", "true")):
        run_job(corpus, str(tmp_path / name), ["steps=3", f"compile={compiled}"])
    for mine, theirs in zip(curve(tmp_path / "eager"), curve(tmp_path / "compiled"), strict=True):
        assert mine[:2] == theirs[:2]
        assert mine[2] == pytest.approx(theirs[2], rel=1e-3, abs=1e-4), mine[:2]
