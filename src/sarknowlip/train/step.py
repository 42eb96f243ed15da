"""What a step computes: model and objective as one module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from sarknowlip.core.errors import ConfigError
from sarknowlip.data.loader import Batch
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.train.distributed import Ranks
from sarknowlip.train.objectives.objective import Objective

Precision = Literal["fp32", "bf16"]

VALIDATION = 2**32 - 1
"""In place of a step, for what validation draws."""


class TrainStep(nn.Module):
    """Model and objective as one module, so that copies and shards of weights see one forward.

    Args:
        model: To be trained.
        objective: What is asked of it.
        precision: "bf16" computes matrix products in bfloat16 (autocast); weights, sums and the
            optimiser's state are float32 in both.
    """

    def __init__(self, model: SarKnowLIP, objective: Objective, precision: Precision) -> None:
        super().__init__()
        self.model, self.objective, self.precision = model, objective, precision

    def forward(
        self,
        batch: Batch,
        generator: torch.Generator,
        balance: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, with gradient, and its parts, without.

        Args:
            batch: On the weights' device.
            generator: For what the objective draws.
            balance: Factors on terms, from `balance` of the parts of a step.
        """
        device = batch.group.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16"):
            loss, parts = self.objective(self.model, batch, generator, balance)
        return loss, parts

    def balance(self, parts: Sequence[Batch], ranks: Ranks) -> list[dict[str, Tensor]]:
        """Return factors that make means over parts, weighted by pairs, those over the whole.

        A term whose mean is over other elements than pairs, such as words, has one.

        Args:
            parts: Of a step's batch; this process's share of them.
            ranks: This process and those beside it.

        Returns:
            Factors by name of term, scalars on the device, for each part.
        """
        found: list[dict[str, Tensor]] = [{} for _ in parts]
        pairs = torch.tensor([len(part) for part in parts], device=ranks.device)
        for name, counts in self.objective.elements(parts).items():
            joint = ranks.total(counts.to(ranks.device, torch.float32))
            factors = joint / joint.sum().clamp_min(1.0) * (pairs.sum() / pairs)
            for part, factor in zip(found, factors.unbind(), strict=True):
                part[name] = factor
        return found


def chance(seed: int, step: int, part: int, ranks: Ranks) -> torch.Generator:
    """Seed torch for a place in the run, and return a generator for it.

    What is drawn follows from its place alone, so that no state has to be kept. The generator is
    the same in all processes; torch's own, from which the model draws, differs.

    Args:
        seed: Of the run.
        step: Steps done, or `VALIDATION`.
        part: Number of the batch within the step.
        ranks: This process and those beside it.
    """

    def drawn(*key: int) -> int:
        return int(np.random.SeedSequence([seed, step, part, *key]).generate_state(1)[0])

    torch.manual_seed(drawn(1, ranks.rank))
    return torch.Generator(device=ranks.device).manual_seed(drawn(0))


def require_precision(precision: Precision, device: torch.device) -> None:
    """Check that a device computes in a precision.

    Raises:
        ConfigError: It does not.
    """
    cuda = device.type == "cuda"
    if precision == "bf16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(
            f"precision=bf16, but {torch.cuda.get_device_name(device)} has no bfloat16",
            "set precision=fp32",
        )
