"""How much arithmetic a step takes, and how much a device can do: model FLOPs utilisation (MFU).

Floating-point operations are counted as 2 × multiply–adds of matrix products and attention, forward
and backward, by `torch.utils.flop_counter`; recomputation for gradient checkpointing is not model
arithmetic, so counting comes before it is switched on. MFU is that of PaLM (Chowdhery et al. 2022).
Peaks are those of dense products on data sheets (`peak_flops.json`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from sarknowlip.data.loader import Batch


@dataclass(frozen=True)
class Trial:
    """What a forward and backward pass told.

    Attributes:
        flops_per_image: Floating-point operations.
        some_unused: Whether a weight got no gradient.
    """

    flops_per_image: float
    some_unused: bool


def try_out(module: nn.Module, batch: Batch, generator: torch.Generator) -> Trial:
    """Run a step forward and backward, count, and leave the module as it was.

    Args:
        module: From (batch, generator) to (loss, parts); whole in each process.
        batch: On the module's device.
        generator: For the objective.
    """
    kept = [buffer.clone() for buffer in module.buffers()]
    with FlopCounterMode(display=False, custom_mapping=_cpu_attention()) as counter:
        loss: Tensor = module(batch, generator)[0]
        loss.backward()  # type: ignore[no-untyped-call]
    weights = [p for p in module.parameters() if p.requires_grad]
    trial = Trial(
        flops_per_image=counter.get_total_flops() / len(batch),
        some_unused=any(p.grad is None for p in weights),
    )
    module.zero_grad(set_to_none=True)
    with torch.no_grad():
        for buffer, old in zip(module.buffers(), kept, strict=True):
            buffer.copy_(old)
    return trial


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Return the floating-point operations a second of a device, None where unknown.

    Args:
        device: CPUs are unknown: their peak depends on clock and kernels.
        precision: "fp32" or "bf16".
    """
    return (
        named_peak(torch.cuda.get_device_name(device), precision) if device.type == "cuda" else None
    )


def named_peak(name: str, precision: str) -> float | None:
    """Return the peak of a device by the name CUDA gives it: that of the longest entry in it."""
    table = json.loads((files("sarknowlip.train") / "peak_flops.json").read_text("utf-8"))
    known = [key for key in table["teraflops"] if re.search(rf"\b{key}\b", name)]
    if not known:
        return None
    value = table["teraflops"][max(known, key=len)][precision]
    return None if value is None else value * 1e12


def _cpu_attention() -> dict[Any, Any]:
    """Return the counts of torch's attention on CPUs, which its own table lacks."""

    def forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]

    def backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        count = sdpa_backward_flop_count(grad, query, key, value)  # type: ignore[no-untyped-call]
        return int(count)

    ops = torch.ops.aten
    return {
        ops._scaled_dot_product_flash_attention_for_cpu: forward,
        ops._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }
