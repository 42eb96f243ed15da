"""Rung 7: what is measured on the way: arithmetic, rates, numbers in flight, event files."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sarknowlip.core.errors import ConfigError
from sarknowlip.data.loader import Batch
from sarknowlip.train import board as board_module
from sarknowlip.train.board import Board, require_board
from sarknowlip.train.flops import named_peak, peak_flops, try_out
from sarknowlip.train.meter import Meter, last_validation, memory_gib
from sarknowlip.train.readings import Readings

B, L, D, N = 3, 5, 8, 2


class Attends(nn.Module):
    """One map to queries, keys and values, attention, a norm that counts batches."""

    def __init__(self, unused: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(D, 3 * D, bias=False)
        self.norm = nn.BatchNorm1d(D)
        self.extra = nn.Linear(2, 2) if unused else nn.Identity()

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        x_BLD = batch.images["x"]
        qkv = self.qkv(x_BLD).reshape(B, L, 3, N, D // N).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(*qkv.unbind(0))
        seen_BLD = seen.transpose(1, 2).reshape(B, L, D)
        return self.norm(seen_BLD.mean(dim=1)).square().mean(), {}


@pytest.mark.parametrize("unused", [False, True])
def test_arithmetic_is_counted_with_attention(unused: bool) -> None:
    module = Attends(unused)
    batch = Batch({"x": torch.randn(B, L, D)}, {}, torch.arange(B))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trial = try_out(module, batch, torch.Generator())
    maps = 2 * B * L * D * 3 * D * 2  # forward; backward to weights alone: inputs need none
    forward = 2 * 2 * B * L * L * D
    # backward: scores again, and the gradients of queries, keys, values and scores
    attention = forward + 5 * 2 * B * L * L * D
    assert trial.flops_per_image * B == maps + attention
    assert trial.some_unused is unused
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "precision", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4),
        ("NVIDIA H100 PCIe", "bf16", 756.0),
        ("NVIDIA A100-SXM4-40GB", "fp32", 19.5),
        ("Tesla V100-SXM2-16GB", "bf16", None),
        ("Tesla T4", "fp32", 8.1),
        ("NVIDIA L4", "bf16", 121.0),
        ("NVIDIA L40S", "bf16", None),
        ("NVIDIA GeForce RTX 4090", "bf16", None),
    ],
)
def test_peaks_by_name(name: str, precision: str, teraflops: float | None) -> None:
    assert named_peak(name, precision) == (teraflops and teraflops * 1e12)


def test_peak_of_a_cpu_is_unknown() -> None:
    assert peak_flops(torch.device("cpu"), "fp32") is None


def test_peaks_are_in_the_package() -> None:
    table = json.loads((files("sarknowlip.train") / "peak_flops.json").read_text())
    assert all(set(row) == {"bf16", "fp32"} for row in table["teraflops"].values())


def test_utilisation_is_null_where_the_peak_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 0.0, 0.0, 10.0, 10.0, 10.0, 20.0, 20.0, 20.0])
    monkeypatch.setattr("sarknowlip.train.meter.time.perf_counter", lambda: next(clock))
    known, unknown = Meter(flops=100.0, peak=1000.0), Meter(flops=100.0)
    for meter in (known, unknown):
        meter.images(40)
    known.wait(2.5)
    rates = known.rates()
    assert (rates["images_per_s"], rates["data_wait_pct"], rates["mfu_pct"]) == (4.0, 25.0, 40.0)
    assert unknown.rates()["mfu_pct"] is None


def test_memory_is_what_the_process_takes() -> None:
    assert 0.05 < memory_gib(torch.device("cpu")) < 64


@pytest.mark.parametrize("lag", [0, 1])
def test_numbers_arrive_in_order_and_at_most_late_by_lag(lag: int) -> None:
    readings = Readings(lag)
    arrived = []
    for step in range(1, 6):
        readings.send(step, {"loss": torch.tensor(float(step)), "norm": torch.tensor(2.0)})
        arrived += readings.arrived()
        assert [r.step for r in arrived] == list(range(1, step - lag + 1))
    arrived += readings.arrived(everything=True)
    assert [(r.step, r.values) for r in arrived] == [
        (step, {"loss": float(step), "norm": 2.0}) for step in range(1, 6)
    ]


def test_event_files_hold_the_log(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = Board(tmp_path, 0)
    for step in (1, 2):
        board.add(step=step, loss=1.0 / step, mfu_pct=None)
    board.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Tags()["scalars"] == ["loss"]
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 1.0), (2, 0.5)]


def test_missing_tensorboard_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> Any:
        return None

    monkeypatch.setattr(board_module, "find_spec", nowhere)
    with pytest.raises(ConfigError, match=r"not installed; pip install .*\[tensorboard\]"):
        require_board()


def test_the_last_validation_of_a_log() -> None:
    lines = [
        {"step": 1, "val_loss": 3.0},
        {"step": 2, "val_loss": 2.0, "val_match": math.nan},
        {"step": 2, "loss": 1.0},
    ]
    assert last_validation(lines) == {"val_loss": 2.0}
    assert last_validation(lines[2:]) == last_validation([]) == {}
