"""A copy of an adapter's image encoder whose weights may be trained.

Legend of tensor names: N pictures, F width of features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sarknowlip.sar.tile import TileImage


@dataclass(frozen=True)
class Trainable:
    """An encoder of pictures with weights of its own; the adapter it came from stays as it is.

    Attributes:
        module: Holds the weights, all of which may be trained; those that features don't depend on,
            as of a text encoder, have no gradient.
        inputs: Gives what the encoder takes of pictures, on its device.
        features: From `inputs` to features (N, F) float32, as `Adapter.features` in evaluation
            mode, with gradients.
    """

    module: nn.Module
    inputs: Callable[[Sequence[TileImage]], Any]
    features: Callable[[Any], Tensor]
