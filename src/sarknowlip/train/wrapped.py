"""A module whose weights lie whole in one process, as copies in many, or in shards.

- "none": one process.
- "ddp": a copy in each process, gradients averaged while they are computed
  (`DistributedDataParallel`, Li et al. 2020).
- "fsdp2": each process holds a part of each weight, of its gradient and of the optimiser's state,
  and gathers a block's weights while it computes with them (`fully_shard`; ZeRO-3, Rajbhandari et
  al. 2020). Scalars cannot be split and stay as copies.

In the three a step is that of one process with the joint batch, up to rounding.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from sarknowlip.train.distributed import Parallel, Ranks


class Wrapped:
    """A module, its copies or shards.

    Args:
        module: On the device of the process, equal in all processes. Sharding changes it in place.
        kind: How weights lie.
        ranks: The processes.
        some_unused: Whether some weights take no part in a step.

    Attributes:
        module: The module.
        call: What computes a training step: the module, or what keeps its copies equal.
    """

    def __init__(self, module: nn.Module, kind: Parallel, ranks: Ranks, some_unused: bool) -> None:
        self.module, self.ranks = module, ranks
        self.call: nn.Module = module
        if kind == "fsdp2":
            mesh = init_device_mesh(ranks.device.type, (ranks.count,))
            whole = {p for p in module.parameters() if p.ndim == 0}
            for part in [*blocks(module), module]:
                fully_shard(part, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
        elif kind == "ddp":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # the argument's successor is newer
                self.call = DistributedDataParallel(
                    module,
                    broadcast_buffers=False,
                    gradient_as_bucket_view=True,
                    find_unused_parameters=some_unused,
                )

    @contextlib.contextmanager
    def gradients(self, *, last: bool) -> Iterator[None]:
        """Surround the forward and backward pass of a part of a batch.

        Args:
            last: Whether it is the last part: only then gradients are averaged over processes.
        """
        if isinstance(self.call, DistributedDataParallel) and not last:
            with self.call.no_sync():
                yield
            return
        if isinstance(self.module, FSDPModule):
            self.module.set_requires_gradient_sync(last)
        yield
        if isinstance(self.module, FSDPModule) and last:
            for p in self.module.parameters():
                if p.grad is not None and not isinstance(p, DTensor):
                    self.ranks.total(p.grad).div_(self.ranks.count)

    def clip(self, largest: float) -> Tensor:
        """Scale all gradients down to a norm; return the norm they had, equal in all processes."""
        if not isinstance(self.module, FSDPModule):
            return nn.utils.clip_grad_norm_(self.module.parameters(), largest)
        grads = [p.grad for p in self.module.parameters() if p.grad is not None]
        shards = [g.to_local() for g in grads if isinstance(g, DTensor)]
        copies = [g for g in grads if not isinstance(g, DTensor)]
        square = self.ranks.total(nn.utils.get_total_norm(shards).square())
        if copies:
            square = square + nn.utils.get_total_norm(copies).square()
        norm = square.sqrt()
        torch._foreach_mul_([*shards, *copies], (largest / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def local_tensors(self) -> list[Tensor]:
        """Return this process's part of all weights, and all buffers of numbers with fractions."""
        kept = [*self.module.parameters(), *self.module.buffers()]
        with torch.no_grad():
            return [
                t.to_local() if isinstance(t, DTensor) else t.detach()
                for t in kept
                if t.is_floating_point()
            ]

    def weights(self) -> dict[str, Any]:
        """Return all weights and buffers by name, whole, on the CPU; empty but in process 0."""
        found: dict[str, Any] = get_model_state_dict(self.module, options=_whole())
        return {name: value.clone() for name, value in found.items()}  # on a CPU it is no copy

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return the state of an optimizer by name of weight, as `weights` does."""
        return get_optimizer_state_dict(self.module, optimizer, options=_whole())

    def load_weights(self, weights: dict[str, Any]) -> None:
        """Take weights as `weights` gave them; only those of process 0 count."""
        options = StateDictOptions(
            full_state_dict=True, broadcast_from_rank0=self.ranks.count > 1, strict=True
        )
        set_model_state_dict(self.module, weights, options=options)

    def load_optimizer_state(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        """Take a state as `optimizer_state` gave it; only that of process 0 counts."""
        options = StateDictOptions(
            full_state_dict=True,
            broadcast_from_rank0=self.ranks.count > 1,
            strict=False,  # weights that took no part have no state
        )
        set_optimizer_state_dict(self.module, optimizer, state, options=options)


def blocks(module: nn.Module) -> list[nn.Module]:
    """Return the members of all lists of modules: what is sharded or compiled one by one."""
    return [
        block
        for holder in module.modules()
        if isinstance(holder, nn.ModuleList)
        for block in holder
    ]


def _whole() -> StateDictOptions:
    return StateDictOptions(full_state_dict=True, cpu_offload=True)
