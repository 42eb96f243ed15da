"""A small detector on frozen patch features: a point for each object, with its box.

As in "Objects as Points" (Zhou et al., arXiv 1904.07850): a map of each class is near 1 at centres
of objects and falls off around them, and what stands there tells the offset of the centre and the
size of the box. Beside the horizontal box there is an oriented one, whose direction is told as sine
and cosine of twice the angle, so that both ends of an object are alike. Features are standardised,
brought to a few channels, joined with their eight neighbours and told for four sub-cells a cell.
The budget of steps is fixed, the same for all models; nothing is chosen.

Positions and sizes are fractions of a window's side. Legend of array names: N windows, B of a
batch, G cells along an edge, F width of features, S sub-cells along an edge (2 G), K classes, M
objects or detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
import torch
from torch import nn
from torch.nn import functional

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.detections import overlap
from sarknowlip.bench.metrics import BenchError, Floats
from sarknowlip.bench.probes.standard import Standard
from sarknowlip.core.config import Config

Wholes = npt.NDArray[np.int64]

FINER = 2
"""Sub-cells along an edge of a cell."""

NUMBERS = 8
"""What is told of a box: offset x and y in sub-cells, logarithms of width, height, length and
breadth against the mean, sine and cosine of twice the angle."""

REACH = 1.5
"""Sub-cells from an object's centre up to which its box is learned."""


class BoxSettings(Config):
    """Budget of the detector, the same for all models.

    Attributes:
        steps: Of training.
        batch: Windows a step; half of them hold an object, where there are such.
        width: Channels.
        rate: Greatest learning rate: rises for a third of the steps, then falls to 0.
        decay: Of weights (AdamW).
        most: Detections kept of a window and class.
        least: Score below which nothing is kept.
    """

    steps: int = 300
    batch: int = 16
    width: int = 64
    rate: float = 3e-3
    decay: float = 1e-2
    most: int = 100
    least: float = 0.01


@dataclass(frozen=True)
class Objects:
    """Objects of a window.

    Attributes:
        corners: Fractions of the side, (M, 4, 2), in order around each box.
        classes: 0…K − 1 (M,).
    """

    corners: Floats
    classes: Wholes

    @property
    def centres(self) -> Floats:
        """Middles of the horizontal boxes, (M, 2)."""
        return np.asarray((self.corners.min(axis=1) + self.corners.max(axis=1)) / 2.0)

    @property
    def shapes(self) -> Floats:
        """Width, height, length, breadth, angle of the length in radians, (M, 5)."""
        extent = self.corners.max(axis=1) - self.corners.min(axis=1)
        sides = np.roll(self.corners, -1, axis=1) - self.corners
        pairs = np.stack([sides[:, 0] - sides[:, 2], sides[:, 1] - sides[:, 3]], axis=1) / 2.0
        lengths = np.hypot(pairs[..., 0], pairs[..., 1])
        longer = lengths.argmax(axis=1)
        along = np.take_along_axis(pairs, longer[:, None, None], axis=1)[:, 0]
        angle = np.arctan2(along[:, 1], along[:, 0])
        return np.stack([*extent.T, lengths.max(axis=1), lengths.min(axis=1), angle], axis=1)


@dataclass(frozen=True)
class Detections:
    """What was found in a window or a picture, by falling score.

    Attributes:
        horizontal: Corners of horizontal boxes (M, 4, 2).
        oriented: Corners of oriented boxes (M, 4, 2).
        scores: 0…1 (M,).
        classes: 0…K − 1 (M,).
    """

    horizontal: Floats
    oriented: Floats
    scores: Floats
    classes: Wholes

    def rows(self, index: npt.NDArray[np.generic]) -> Detections:
        """Return some of them."""
        return Detections(
            self.horizontal[index], self.oriented[index], self.scores[index], self.classes[index]
        )

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        """Return all of several, by falling score."""
        if not parts:
            return cls(np.empty((0, 4, 2)), np.empty((0, 4, 2)), np.empty(0), np.empty(0, np.int64))
        whole = cls(
            np.concatenate([part.horizontal for part in parts]),
            np.concatenate([part.oriented for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.classes for part in parts]),
        )
        return whole.rows(np.argsort(-whole.scores, kind="stable"))


class BoxHead:
    """The detector; make it with `fit`.

    Args:
        net: From standardised features (B, F, G, G) to (B, K + 8, S, S).
        standard: Of features.
        sizes: Mean logarithms of width, height, length and breadth (4,).
        settings: Budget.
    """

    def __init__(
        self, net: nn.Module, standard: Standard, sizes: Floats, settings: BoxSettings
    ) -> None:
        self._net, self._standard, self._sizes = net, standard, sizes
        self.settings = settings

    @classmethod
    def fit(
        cls,
        patches_NGGF: Floats32,
        objects: Sequence[Objects],
        classes: int,
        *,
        seed: int,
        settings: BoxSettings | None = None,
    ) -> BoxHead:
        """Train the detector.

        Args:
            patches_NGGF: Of windows; may lie on disk.
            objects: Of each window, those whose centres it holds.
            classes: K; some may have no object.
            seed: Of the first weights and of the order of windows.
            settings: Budget.

        Raises:
            BenchError: There is no object at all.
        """
        settings = settings or BoxSettings()
        full = np.array([len(one.classes) > 0 for one in objects])
        if not full.any():
            raise BenchError("no object to learn detection from", "choose another data set")
        shapes = np.concatenate([one.shapes for one in objects if len(one.classes)])
        sizes = np.log(np.maximum(shapes[:, :4], 1e-4)).mean(axis=0)
        standard = Standard.fit(patches_NGGF)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = _net(patches_NGGF.shape[-1], classes, settings.width)
        head = cls(net, standard, sizes, settings)
        head._train(patches_NGGF, objects, full, seed)
        return head

    def __call__(self, patches_BGGF: Floats32) -> list[Detections]:
        """Return what is found in each window; corners are fractions of its side."""
        with torch.inference_mode():
            maps = self._net(self._input(patches_BGGF))
        heat = torch.sigmoid(maps[:, :-NUMBERS])
        peak = heat == functional.max_pool2d(heat, 3, stride=1, padding=1)
        heat_BKSS = torch.where(peak, heat, 0.0).numpy().astype(np.float64)
        boxes_BSS8 = maps[:, -NUMBERS:].permute(0, 2, 3, 1).numpy().astype(np.float64)
        return [self._found(*pair) for pair in zip(heat_BKSS, boxes_BSS8, strict=True)]

    def _input(self, patches_BGGF: Floats32) -> torch.Tensor:
        mean, factor = (
            torch.from_numpy(values.astype(np.float32))
            for values in (self._standard.mean, self._standard.factor)
        )
        return ((torch.from_numpy(np.array(patches_BGGF)) - mean) * factor).permute(0, 3, 1, 2)

    def _train(
        self,
        patches_NGGF: Floats32,
        objects: Sequence[Objects],
        full_N: npt.NDArray[np.bool_],
        seed: int,
    ) -> None:
        settings = self.settings
        generator = np.random.Generator(np.random.PCG64(seed))
        halves = [np.flatnonzero(full_N), np.flatnonzero(~full_N)]
        sizes = [settings.batch - settings.batch // 2, settings.batch // 2]
        if not len(halves[1]):
            halves, sizes = halves[:1], [settings.batch]
        optimiser = torch.optim.AdamW(
            self._net.parameters(), lr=settings.rate, weight_decay=settings.decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.rate, total_steps=settings.steps
        )
        classes = self._net[-2].out_channels // FINER**2 - NUMBERS  # type: ignore[index]
        for _ in range(settings.steps):
            drawn = [generator.choice(h, size=n) for h, n in zip(halves, sizes, strict=True)]
            rows = np.sort(np.concatenate(drawn))
            maps = self._net(self._input(patches_NGGF[rows]))
            targets = [_targets(objects[row], classes, maps.shape[-1], self._sizes) for row in rows]
            loss = _loss(maps, *(torch.from_numpy(np.stack(t)) for t in zip(*targets, strict=True)))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()

    def _found(self, heat_KSS: Floats, boxes_SS8: Floats) -> Detections:
        finer = heat_KSS.shape[-1]
        kept = []
        for label, heat in enumerate(heat_KSS):
            best = np.argsort(-heat, axis=None, kind="stable")[: self.settings.most]
            best = best[heat.flat[best] >= self.settings.least]
            rows, columns = np.unravel_index(best, heat.shape)
            told_M8 = boxes_SS8[rows, columns]
            cells_M2 = np.stack([columns, rows], axis=1) + 0.5
            centres_M2 = (cells_M2 + np.clip(told_M8[:, :2], -REACH, REACH)) / finer
            sizes_M4 = np.exp(np.clip(told_M8[:, 2:6] + self._sizes, -9.0, 1.0))
            angle = np.arctan2(told_M8[:, 6], told_M8[:, 7]) / 2.0
            horizontal = rectangles(centres_M2, sizes_M4[:, 0], sizes_M4[:, 1], 0.0 * angle)
            oriented = rectangles(centres_M2, sizes_M4[:, 2], sizes_M4[:, 3], angle)
            same = np.full(len(best), label, dtype=np.int64)
            kept.append(Detections(horizontal, oriented, heat.flat[best].copy(), same))
        return Detections.joined(kept)


def rectangles(centres_M2: Floats, along_M: Floats, across_M: Floats, angle_M: Floats) -> Floats:
    """Return the corners (M, 4, 2) of rectangles, in order around each.

    Args:
        centres_M2: Middles, x and y.
        along_M: Sides in the direction of the angle.
        across_M: The other sides.
        angle_M: Radians from the x axis towards the y axis; of 0, the upper left corner is first.
    """
    forward = np.stack([np.cos(angle_M), np.sin(angle_M)], axis=1)
    sideways = np.stack([-forward[:, 1], forward[:, 0]], axis=1)
    a_M2, b_M2 = forward * along_M[:, None] / 2.0, sideways * across_M[:, None] / 2.0
    corners = [-a_M2 - b_M2, a_M2 - b_M2, a_M2 + b_M2, -a_M2 + b_M2]
    return np.asarray(centres_M2[:, None] + np.stack(corners, axis=1), dtype=np.float64)


def suppressed(corners_M42: Floats, classes_M: Wholes, most: float = 0.5) -> Wholes:
    """Return the rows that stay when boxes that overlap a better one of their class go.

    Non-maximum suppression of horizontal or oriented boxes, greedy by order.

    Args:
        corners_M42: Boxes, the best first.
        classes_M: Class of each.
        most: Overlap (intersection over union) from which the later box goes.
    """
    shapes = shapely.convex_hull(shapely.multipoints(corners_M42))
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pair = (one < other) & (classes_M[one] == classes_M[other])
    one, other = one[pair], other[pair]
    near = overlap(corners_M42[one], corners_M42[other]) >= most
    one, other = one[near], other[near]
    order = np.argsort(one, kind="stable")
    stays = np.ones(len(shapes), dtype=np.bool_)
    for first, second in zip(one[order], other[order], strict=True):
        if stays[first]:
            stays[second] = False
    return np.flatnonzero(stays)


def _net(width_in: int, classes: int, width: int) -> nn.Sequential:
    last = nn.Conv2d(width, (classes + NUMBERS) * FINER**2, 1)
    with torch.no_grad():
        last.bias.zero_()  # type: ignore[union-attr]
        last.bias[: classes * FINER**2] = -4.0  # type: ignore[index]
    return nn.Sequential(
        nn.Conv2d(width_in, width, 1),
        nn.GELU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.GELU(),
        last,
        nn.PixelShuffle(FINER),
    )


def _targets(
    objects: Objects, classes: int, finer: int, sizes: Floats
) -> tuple[Floats32, Floats32, Floats32]:
    """Return heat (K, S, S), what is told of boxes (8, S, S) and how much it matters (S, S)."""
    heat = np.zeros((classes, finer, finer), dtype=np.float32)
    told = np.zeros((NUMBERS, finer, finer), dtype=np.float32)
    matter = np.zeros((finer, finer), dtype=np.float32)
    if not len(objects.classes):
        return heat, told, matter
    middle = np.arange(finer) + 0.5
    centres, shapes = objects.centres * finer, objects.shapes
    dx_MS, dy_MS = centres[:, :1] - middle, centres[:, 1:] - middle
    spread = np.maximum(shapes[:, :2] * finer / 6.0, 0.5)
    fall_M = np.exp(-((dy_MS / spread[:, 1:]) ** 2)[:, :, None] / 2.0) * np.exp(
        -((dx_MS / spread[:, :1]) ** 2)[:, None, :] / 2.0
    )
    column, row = np.clip(centres.astype(np.int64), 0, finer - 1).T
    fall_M[np.arange(len(row)), row, column] = 1.0
    np.maximum.at(heat, objects.classes, fall_M.astype(np.float32))
    far_MSS = dy_MS[:, :, None] ** 2 + dx_MS[:, None, :] ** 2
    nearest = far_MSS.argmin(axis=0)
    rows, columns = np.nonzero(far_MSS.min(axis=0) <= REACH**2)
    own = nearest[rows, columns]
    twice = 2.0 * shapes[own, 4]
    told[:, rows, columns] = [
        dx_MS[own, columns],
        dy_MS[own, rows],
        *(np.log(np.maximum(shapes[own, :4], 1e-4)) - sizes).T,
        np.sin(twice),
        np.cos(twice),
    ]
    matter[rows, columns] = np.exp(-far_MSS[own, rows, columns])
    return heat, told, matter


def _loss(
    maps: torch.Tensor, heat: torch.Tensor, told: torch.Tensor, matter: torch.Tensor
) -> torch.Tensor:
    """Return the penalty-reduced focal loss of heat, plus the error of boxes where it matters."""
    logits = maps[:, :-NUMBERS]
    chance = torch.sigmoid(logits)
    centre = heat == 1.0
    right = functional.logsigmoid(logits) * (1.0 - chance) ** 2
    wrong = functional.logsigmoid(-logits) * chance**2 * (1.0 - heat) ** 4
    focal = -torch.where(centre, right, wrong).sum() / centre.sum().clamp(min=1)
    error = functional.smooth_l1_loss(maps[:, -NUMBERS:], told, reduction="none", beta=0.1)
    return focal + (error.sum(dim=1) * matter).sum() / matter.sum().clamp(min=1e-6)
