"""What an expression refers to: a heat map from cells and text, then a box and a mask.

The heat of a cell is a bilinear form of its feature and the text's, t ↦ w(t) = U V t + w₀, cell ↦
exp(w(t) · cell), with two positions (across, down) added to the features so that "in the north" can
be learned by all models. It is trained, by cross-entropy over the cells of a picture, to be
proportional to the share of each cell that the region covers. The region told is the connected part
around the peak of the enlarged heat map that lies above a level; its bounding box is the box.
Weight decay and level are chosen within train, by whole groups; then the head learns from all of
train.

Legend of array names: N examples, B of a batch, G cells along an edge, F width of features, D width
of texts, H rows, W columns.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import nn

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.metrics import Floats
from sarknowlip.bench.probes.dense import enlarged
from sarknowlip.bench.probes.standard import Standard
from sarknowlip.core.config import Config

Bools = npt.NDArray[np.bool_]

WORDS = 512
"""Width of hashed words."""


class PointingSettings(Config):
    """Budget of the head, the same for all models.

    Attributes:
        steps: Of training.
        batch: Expressions a step.
        rank: Of the bilinear form.
        rate: Greatest learning rate: rises for a third of the steps, then falls to 0.
        decays: Weight decays (AdamW) to choose from.
        levels: Shares of the peak to choose from.
        alone: Decay and level where train is of one group, so that nothing can be chosen.
    """

    steps: int = 300
    batch: int = 32
    rank: int = 64
    rate: float = 1e-2
    decays: tuple[float, ...] = (0.03, 1.0)
    levels: tuple[float, ...] = (0.15, 0.25, 0.35, 0.45, 0.55, 0.7)
    alone: tuple[float, float] = (1.0, 0.35)


@dataclass(frozen=True)
class Pointed:
    """What an expression is thought to refer to.

    Attributes:
        box: Left, top, right, bottom, pixels, float64 (4,).
        mask: True inside (H, W).
    """

    box: Floats
    mask: Bools


def hashed_words(texts: Sequence[str], width: int = WORDS) -> Floats32:
    """Return unit rows (N, width) of words and pairs of words, each at a place given by its hash.

    The text features of models that have none: signed feature hashing (Weinberger et al., ICML
    2009). A text without words is 0.
    """
    rows = np.zeros((len(texts), width), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        words = re.findall(r"[^\W_]+", text.lower())
        for term in [*words, *(f"{one} {two}" for one, two in pairwise(words))]:
            key = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "big")
            row[(key >> 1) % width] += 1.0 if key & 1 else -1.0
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), dtype=np.float32)


def covered(mask_HW: Bools, cells: int) -> Floats32:
    """Return the share of each cell of a grid (G, G) that a mask covers, by area."""
    down, across = (_overlaps(length, cells) for length in mask_HW.shape)
    return np.asarray(down @ mask_HW.astype(np.float64) @ across.T, dtype=np.float32)


def region(heat_GG: npt.NDArray[np.floating], size: tuple[int, int], level: float) -> Pointed:
    """Return the connected part of the enlarged heat map around its peak, above a level.

    Args:
        heat_GG: Heat of cells, not below 0.
        size: Rows and columns of the picture.
        level: Share of the peak, 0…1.
    """
    heat_HW = enlarged(np.asarray(heat_GG, dtype=np.float64)[..., None], size)[..., 0]
    peak = np.unravel_index(heat_HW.argmax(), heat_HW.shape)
    parts, _ = ndimage.label(heat_HW >= level * heat_HW[peak])
    mask = parts == parts[peak]
    return Pointed(bounds(mask), mask)


def bounds(mask_HW: Bools) -> Floats:
    """Return left, top, right, bottom of what is True, (4,); zeros if nothing is."""
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    if not len(rows):
        return np.zeros(4)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float64)


class PointingHead:
    """Heat of cells for a text; make it with `fit`.

    Args:
        form: From standardised texts to weights of cells.
        cells: Standard of cells' features.
        texts: Standard of texts' features.
    """

    def __init__(self, form: _Form, cells: Standard, texts: Standard) -> None:
        self._form, self._cells, self._texts = form, cells, texts

    @classmethod
    def fit(
        cls,
        patches_NGGF: Floats32,
        texts_ND: Floats32,
        shares_NGG: Floats32,
        *,
        decay: float,
        seed: int,
        settings: PointingSettings | None = None,
    ) -> PointingHead:
        """Train the form.

        Args:
            patches_NGGF: Of pictures; may lie on disk.
            texts_ND: Of expressions.
            shares_NGG: Share of each cell that is referred to (`covered`).
            decay: Of weights.
            seed: Of the first weights and of the order of examples.
            settings: Budget.
        """
        settings = settings or PointingSettings()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            form = _Form(patches_NGGF.shape[-1] + 2, texts_ND.shape[1], settings.rank)
        head = cls(form, Standard.fit(patches_NGGF), Standard.fit(texts_ND))
        aims_NC = torch.from_numpy(shares_NGG.reshape(len(shares_NGG), -1)).clamp(min=0.0)
        aims_NC = aims_NC / aims_NC.sum(dim=1, keepdim=True).clamp(min=1e-9)
        generator = np.random.Generator(np.random.PCG64(seed))
        optimiser = torch.optim.AdamW(form.parameters(), lr=settings.rate, weight_decay=decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.rate, total_steps=settings.steps
        )
        for _ in range(settings.steps):
            rows = np.sort(generator.integers(len(patches_NGGF), size=settings.batch))
            logits_BC = head._logits(patches_NGGF[rows], texts_ND[rows])
            loss = -(aims_NC[rows] * logits_BC.log_softmax(dim=1)).sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        return head

    def __call__(self, patches_BGGF: Floats32, texts_BD: Floats32) -> Floats32:
        """Return heat (B, G, G), 1 at the peak of each picture."""
        with torch.inference_mode():
            logits_BC = self._logits(patches_BGGF, texts_BD)
        heat_BC = torch.exp(logits_BC - logits_BC.amax(dim=1, keepdim=True)).numpy()
        return np.asarray(heat_BC.reshape(patches_BGGF.shape[:3]), dtype=np.float32)

    def _logits(self, patches_BGGF: Floats32, texts_BD: Floats32) -> torch.Tensor:
        """Return logits (B, G·G); weights, not the many cells, take the scale of features."""
        count, down, across, width = patches_BGGF.shape
        weights = self._form(torch.from_numpy(self._texts(texts_BD)))
        scaled = weights[:, :width] * torch.from_numpy(self._cells.factor.astype(np.float32))
        mean = torch.from_numpy(self._cells.mean.astype(np.float32))
        cells_BCF = torch.from_numpy(np.array(patches_BGGF).reshape(count, -1, width))
        middles = np.meshgrid(_middles(down), _middles(across), indexing="ij")
        places_C2 = torch.from_numpy(np.stack(middles, axis=-1).reshape(-1, 2).astype(np.float32))
        told_BC = torch.bmm(cells_BCF, scaled[:, :, None])[:, :, 0] - (scaled @ mean)[:, None]
        logits_BC: torch.Tensor = told_BC + weights[:, width:] @ places_C2.T
        return logits_BC


class _Form(nn.Module):
    """w(t) = U V t + w₀: weights of cells' features, and of their two positions."""

    def __init__(self, cells: int, texts: int, rank: int) -> None:
        super().__init__()
        self.inner = nn.Linear(texts, rank, bias=False)
        self.outer = nn.Linear(rank, cells)
        nn.init.normal_(self.inner.weight, std=texts**-0.5)
        nn.init.normal_(self.outer.weight, std=0.1 * (rank * cells) ** -0.5)
        nn.init.zeros_(self.outer.bias)

    def forward(self, texts_BD: torch.Tensor) -> torch.Tensor:
        weights: torch.Tensor = self.outer(self.inner(texts_BD))
        return weights


def _middles(cells: int) -> Floats:
    """Return positions of cells along an edge, of mean 0 and variance about 1."""
    return np.asarray(((np.arange(cells) + 0.5) / cells - 0.5) * np.sqrt(12.0))


def _overlaps(length: int, cells: int) -> Floats:
    """Return which share of each cell each pixel along an edge makes, (G, length)."""
    edges = np.linspace(0.0, length, cells + 1)
    pixel = np.arange(length)
    high = np.minimum(edges[1:, None], pixel + 1.0)
    low = np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.maximum(high - low, 0.0) * cells / length)
