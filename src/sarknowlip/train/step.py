"""What a step computes: model and objective as one module."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from sarknowlip.core.errors import ConfigError
from sarknowlip.data.loader import Batch
from sarknowlip.losses import PairLoss
from sarknowlip.models.model import SarKnowLIP

Precision = Literal["fp32", "bf16"]


class TrainStep(nn.Module):
    """Model and objective as one module, so that copies and shards of weights see one forward.

    Args:
        model: To be trained.
        objective: What is asked of it.
        precision: "bf16" computes matrix products in bfloat16 (autocast); weights, sums and the
            optimiser's state are float32 in both.
    """

    def __init__(self, model: SarKnowLIP, objective: PairLoss, precision: Precision) -> None:
        super().__init__()
        self.model, self.objective, self.precision = model, objective, precision

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, with gradient, and its parts, without.

        Args:
            batch: On the weights' device.
            generator: For what the objective draws.
        """
        del generator
        device = batch.group.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16"):
            out = self.model(**batch.images, **batch.texts)
        loss = self.objective(out.image_embeds, out.text_embeds, out.scale, batch.group)
        return loss, {}


def chance(seed: int, *place: int, device: torch.device) -> torch.Generator:
    """Seed torch for a place in the run, and return a generator for it.

    What is drawn in a step follows from its place alone, so that no state has to be kept.

    Args:
        seed: Of the run.
        place: Step, part of the step, rank: whatever tells draws apart.
        device: Of the generator.
    """
    own, other = (
        int(word) >> 1
        for word in np.random.SeedSequence([seed, *place]).generate_state(2, np.uint64)
    )
    torch.manual_seed(own)
    return torch.Generator(device=device).manual_seed(other)


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
