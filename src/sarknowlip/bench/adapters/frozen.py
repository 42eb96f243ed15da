"""What adapters of neural networks share: a device, no gradients, one pass for both features.

Legend of array names: N pictures, C channels, Y × X pixels, L = G × G cells, F width, T tokens.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sarknowlip.bench.adapter import Adapter, AdapterCard, Floats32
from sarknowlip.bench.adapters.colour import colour
from sarknowlip.bench.adapters.sheet import Given, Normalisation
from sarknowlip.bench.trainable import Trainable
from sarknowlip.sar.tile import TileImage


class Look(NamedTuple):
    """What a network makes of pictures.

    Attributes:
        whole_NF: Of a picture.
        cells_NLF: Of its cells, rows first.
    """

    whole_NF: Tensor  # noqa: N815
    cells_NLF: Tensor  # noqa: N815


class Frozen(Adapter):
    """A frozen network.

    Args:
        card: What it is.
        network: Goes to the device, and into evaluation mode.
        given: Names the device.
    """

    def __init__(self, card: AdapterCard, network: nn.Module, given: Given) -> None:
        self.card = card
        self.device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.eval()
        nn.Module.to(self.network, self.device)

    @abstractmethod
    def inputs(self, tiles: Sequence[TileImage]) -> Tensor:
        """Return what the network takes, (N, C, Y, X) float32."""

    @abstractmethod
    def look(self, pixels_NCYX: Tensor) -> Look:
        """Return what the network makes of `inputs`."""

    def features(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return what the network makes of whole pictures."""
        return array(self._look(tiles).whole_NF)

    def patches(self, tiles: Sequence[TileImage]) -> Floats32:
        """Return what the network makes of cells."""
        cells_NLF = self._look(tiles).cells_NLF
        side = math.isqrt(cells_NLF.shape[1])
        return array(cells_NLF).reshape(len(cells_NLF), side, side, -1)

    def trainable(self) -> Trainable:
        """Return the network's copy, with what it makes of whole pictures."""
        own = copy.copy(self)
        own.network = copy.deepcopy(self.network)
        return Trainable(
            module=own.network,
            inputs=lambda tiles: own.inputs(tiles).to(own.device),
            features=lambda pixels_NCYX: own.look(pixels_NCYX).whole_NF.float(),
        )

    def _look(self, tiles: Sequence[TileImage]) -> Look:
        with torch.inference_mode():
            return self.look(self.inputs(tiles).to(self.device))


def coloured(tiles: Sequence[TileImage], edge: int, colours: Normalisation) -> Tensor:
    """Return pictures (N, 3, edge, edge) by the rule of `colour`, in the values a model expects."""
    rgb = torch.from_numpy(np.stack([colour(tile, edge) for tile in tiles]))
    mean, spread = (torch.tensor(v)[:, None, None] for v in (colours.mean, colours.spread))
    return (rgb - mean) / spread


def array(tensor: Tensor) -> Floats32:
    """Return an array of a tensor, float32."""
    return np.ascontiguousarray(tensor.float().cpu().numpy(), dtype=np.float32)
