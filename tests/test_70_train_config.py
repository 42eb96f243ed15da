"""Rung 7: recipes, settings, schedule, checkpoints, log."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from typer.testing import CliRunner

from sarknowlip.core.config import changed_keys
from sarknowlip.core.errors import CheckpointError, ConfigError
from sarknowlip.train.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from sarknowlip.train.config import TrainConfig, with_settings
from sarknowlip.train.meter import Log, read_log
from sarknowlip.train.optim import OptimConfig, learning_rate, make_optimizer
from sarknowlip.train.recipes import RECIPES


@pytest.mark.parametrize("name", list(RECIPES))
def test_recipes_are_complete_and_named(name: str) -> None:
    config = RECIPES[name]()
    assert isinstance(config, TrainConfig)
    assert config.recipe == name
    assert TrainConfig.model_validate(config.model_dump()) == config
    assert config.total_steps(10) >= 1


def test_settings_change_what_they_name() -> None:
    tiny = RECIPES["tiny"]()
    settings = ["optim.lr=2e-3", "data.batch=8", "device=cpu", "data.annotation=v0002", "epochs=3"]
    changed = with_settings(tiny, settings)
    assert changed.optim.lr == 2e-3
    assert (changed.data.batch, changed.device, changed.data.annotation) == (8, "cpu", "v0002")
    assert (changed.epochs, changed.steps, changed.total_steps(7)) == (3, None, 21)
    assert changed_keys(tiny.model_dump(), changed.model_dump()) == [
        "data.annotation",
        "data.batch",
        "device",
        "epochs",
        "optim.lr",
        "steps",
    ]
    assert with_settings(tiny, []) == tiny


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optim.speed=1", r"unknown setting 'optim\.speed'; choose one of: lr, "),
        ("nothing=1", "unknown setting 'nothing'; choose one of: recipe, model"),
        ("seed.x=1", r"unknown setting 'seed\.x'"),
        ("seed", "has no '='"),
        ("optim.lr=fast", r"invalid setting optim\.lr: .*\(given 'fast'\)"),
        ("optim.lr=-1", r"invalid setting optim\.lr: .*\(given -1\)"),
        ("data.batch=2", r"invalid setting data\.batch: .*\(given 2\)"),
        ("steps=null", "steps=None and epochs=None; give exactly one"),
        ("model.patch_px=7", "image_px=128 is no multiple of patch_px=7"),
    ],
)
def test_wrong_settings_are_one_line(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        with_settings(RECIPES["tiny"](), [setting])
    assert "\n" not in str(caught.value)


@given(total=st.integers(1, 3000), warmup=st.integers(0, 200))
def test_learning_rate_rises_then_falls(total: int, warmup: int) -> None:
    config = OptimConfig(lr=1.0, last_lr_share=0.1, warmup_steps=warmup)
    rates = [learning_rate(step, total, config) for step in range(total)]
    top = rates.index(max(rates))
    assert all(0 < rate <= 1.0 for rate in rates)
    assert all(a <= b for a, b in pairwise(rates[: top + 1]))
    assert all(a >= b for a, b in pairwise(rates[top:]))
    assert max(rates) == pytest.approx(1.0)
    if total > 1:
        assert rates[-1] == pytest.approx(0.1)


def test_decay_is_on_matrices_only() -> None:
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.map, self.norm = nn.Embedding(5, 4), nn.Linear(4, 3), nn.LayerNorm(3)
            self.scale = nn.Parameter(torch.tensor(1.0))

    module = Small()
    groups = make_optimizer(module, OptimConfig(weight_decay=0.3)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in module.named_parameters()} == {
        "scale": 0.0,
        "table.weight": 0.0,
        "map.weight": 0.3,
        "map.bias": 0.0,
        "norm.weight": 0.0,
        "norm.bias": 0.0,
    }


def test_two_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        save_checkpoint(tmp_path, step, {"x": torch.full((3,), float(step))})
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000003", "step-00000010"]
    step, state = load_checkpoint(checkpoints(tmp_path)[-1])
    assert step == 10
    assert torch.equal(state["x"], torch.full((3,), 10.0))
    assert len(list(tmp_path.iterdir())) == 2


def test_the_only_checkpoint_damaged_means_a_new_run(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, {"x": torch.zeros(3)})
    (path / "state.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"step-00000001 is damaged.*; start a new run"):
        load_checkpoint(path)


def test_log_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = Log(path, 0)
    for step in (1, 2, 3):
        log.add(step=step, loss=1.0 / step)
    path.write_text(path.read_text() + '{"step": 4, "lo')
    assert [line["step"] for line in read_log(path)] == [1, 2, 3]
    Log(path, 2).add(step=3, loss=0.5)
    assert [(line["step"], line["loss"]) for line in read_log(path)] == [(1, 1), (2, 0.5), (3, 0.5)]


def test_command_line_reports_unknown_recipes(tmp_path: Path) -> None:
    import typer

    from sarknowlip.cli.train import train

    app = typer.Typer()
    app.command()(train)
    result = CliRunner().invoke(
        app, ["huge", "--data", str(tmp_path), "--out", str(tmp_path / "r")]
    )
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith("unknown recipe 'huge'; choose one of: base, base-comb")
