"""Rung 7: training that starts from a public image encoder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from data.pairs.make import make_corpus
from data.runs.small import SIZE, config, curve, train_cut
from sarknowlip.core.errors import ConfigError
from sarknowlip.models.model import SarKnowLIP, without_bars
from sarknowlip.train.loop import train
from sarknowlip.train.optim import OptimConfig


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("init") / "corpus", 8)


KINDS = {
    "clip": ("CLIPVision", "encoder.layers.1.mlp.fc1.weight"),
    "dinov3": ("DINOv3ViT", "layer.1.mlp.up_proj.weight"),
}
"""Kind of model, and the name of what becomes mlp.0 of the second block."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """Return a folder with a folder for each kind."""
    shapes = {
        "hidden_size": SIZE.image_width,
        "num_hidden_layers": SIZE.image_depth,
        "num_attention_heads": SIZE.image_heads,
        "intermediate_size": 4 * SIZE.image_width,
        "patch_size": SIZE.patch_px,
        "image_size": 64,
    }
    root = tmp_path_factory.mktemp("sources")
    torch.manual_seed(3)
    for name, (kind, _) in KINDS.items():
        of_kind = getattr(transformers, f"{kind}Config")(**shapes)
        with without_bars():
            getattr(transformers, f"{kind}Model")(of_kind).save_pretrained(root / name)
    return root


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, sources: Path) -> Path:
    return sources / request.param


def test_a_run_starts_from_it_and_tells_so(corpus: Path, source: Path, tmp_path: Path) -> None:
    told: list[str] = []
    slow = config(init=str(source), steps=1, optim=OptimConfig(lr=1e-12))
    report = train(slow, corpus, tmp_path / "run", tell=told.append)
    assert told == [report.origin]
    assert told[0].startswith(f"{source.name}/model.safetensors is ")
    assert "without effect at first" in told[0]
    model = SarKnowLIP.from_pretrained(tmp_path / "run" / "model")
    assert model.config.image_style["patch_path"] == "residual"
    theirs = load_file(source / "model.safetensors")[KINDS[source.name][1]]
    assert torch.allclose(model.image.blocks[1].mlp[0].weight, theirs, atol=1e-6)


def test_resumed_as_if_never_stopped(corpus: Path, source: Path, tmp_path: Path) -> None:
    settings = {"init": str(source), "steps": 6, "checkpoint_every": 2}
    train_cut(corpus, tmp_path, **settings)
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    weights = [load_file(tmp_path / run / "model/model.safetensors") for run in ("cut", "whole")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])


def test_what_does_not_fit_leaves_no_run(corpus: Path, sources: Path, tmp_path: Path) -> None:
    model = SIZE.model_copy(update={"image_depth": 5})
    with pytest.raises(ConfigError, match="has image_depth=2, the model has 5"):
        train(config(init=str(sources / "clip"), model=model), corpus, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_the_command_line(corpus: Path, sources: Path, tmp_path: Path) -> None:
    shapes = {key: getattr(SIZE, key) for key in SIZE.model_fields_set}
    settings = {f"model.{key}": value for key, value in shapes.items()}
    settings |= {"steps": 1, "device": "cpu", "data.batch": 4, "vocab_size": 400}

    def run(init: Path) -> subprocess.CompletedProcess[str]:
        options = [
            word
            for key, value in (settings | {"init": str(init)}).items()
            for word in ("--set", f"{key}={json.dumps(value) if key != 'init' else value}")
        ]
        command = [sys.executable, "-m", "sarknowlip", "train", "tiny", "--json", *options]
        command += ["--data", str(corpus), "--out", str(tmp_path / init.name)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    done = run(sources / "clip")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("are used; taken:") == 1
    assert json.loads(done.stdout)["origin"] in done.stderr
    (tmp_path / "wrong.pth").write_bytes(b"no weights")
    wrong = run(tmp_path / "wrong.pth")
    assert wrong.returncode == 1
    errors = [line for line in wrong.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "wrong.pth" in errors[0]
    assert "Traceback" not in wrong.stderr
