"""Small pictures with planted objects and regions, and a model that sees local means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sarknowlip.bench.adapter import Adapter, AdapterCard
from sarknowlip.bench.dataset import DataCard, DataSet
from sarknowlip.bench.example import Boxes, Example, Mask, Region
from sarknowlip.bench.probes.boxes import rectangles
from sarknowlip.sar.chip import chip
from sarknowlip.sar.tile import TileImage

SIDE = 64
LEVEL = (-4.0, -12.0)
"""Decibels of objects of each class."""


class LocalMeans(Adapter):
    """Gives means of parts of each cell; a part without data counts as dark.

    Args:
        cells: Along an edge.
        parts: Of a cell, along an edge.
    """

    def __init__(self, cells: int = 8, parts: int = 2) -> None:
        self.cells, self.parts = cells, parts
        self.card = AdapterCard(
            name="local-means",
            title="Local means",
            parameters=None,
            licence="none",
            source="here",
            paper="none",
            channels="Any polarisation is taken as it is, averaged.",
            normalisation="Decibels plus 20, divided by 10.",
            abilities=frozenset({"features", "patches"}),
        )

    def features(self, tiles: Sequence[TileImage]) -> np.ndarray:
        return self.patches(tiles).mean(axis=(1, 2))

    def patches(self, tiles: Sequence[TileImage]) -> np.ndarray:
        return np.stack([self._cells(tile) for tile in tiles])

    def _cells(self, tile: TileImage) -> np.ndarray:
        level = np.nan_to_num((tile.db.mean(axis=0) + 20.0) / 10.0, nan=-2.0)
        finer = self.cells * self.parts
        for axis in (0, 1):
            edges = np.linspace(0, level.shape[axis], finer + 1).astype(int)
            sums = np.add.reduceat(level, edges[:-1], axis=axis)
            level = sums / np.diff(edges).reshape((-1, 1) if axis == 0 else (1, -1))
        blocks = level.reshape(self.cells, self.parts, self.cells, self.parts)
        return blocks.transpose(0, 2, 1, 3).reshape(self.cells, self.cells, -1).astype(np.float32)


@dataclass(frozen=True)
class Scene:
    """A picture with what is in it."""

    db: np.ndarray
    boxes: Boxes
    mask: np.ndarray


def inside(corners: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return the pixels whose middles lie in a rectangle."""
    x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    held = np.ones((rows, columns), dtype=bool)
    for one, other in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge, away = other - one, (x - one[0], y - one[1])
        held &= edge[0] * away[1] - edge[1] * away[0] >= 0
    return held


def scene(
    seed: int, *, objects: int = 2, size: tuple[int, int] = (SIDE, SIDE), oriented: bool = True
) -> Scene:
    """Plant rectangles that do not touch, bright ones of class 0 and dim ones of class 1."""
    rng = np.random.default_rng(seed)
    rows, columns = size
    db = rng.normal(-20.0, 1.0, size).astype(np.float32)
    mask = np.zeros(size, dtype=np.int64)
    kept: list[np.ndarray] = []
    labels: list[int] = []
    while len(kept) < objects:
        centre = rng.uniform(9, (columns - 9, rows - 9), size=(1, 2))
        angle = rng.uniform(0, np.pi, 1) if oriented else np.zeros(1)
        corners = rectangles(centre, rng.uniform(12, 16, 1), rng.uniform(6, 9, 1), angle)[0]
        middles = np.array([one.mean(axis=0) for one in kept]).reshape(-1, 2)
        if (np.hypot(*(middles - centre).T) < 18).any():
            continue
        label = int(rng.integers(2))
        held = inside(corners, rows, columns)
        db[held] += LEVEL[label] + 20.0
        mask[held] = label + 1
        kept.append(corners)
        labels.append(label)
    boxes = Boxes(np.array(kept).reshape(-1, 4, 2), np.array(labels, dtype=np.int64))
    return Scene(db, boxes, mask)


def picture(name: str, db: np.ndarray) -> TileImage:
    return chip(name, db[None], polarizations=("VV",), gsd_m=1.0)


class Planted(DataSet):
    """Serves all dense tasks.

    Args:
        train: Scenes to learn from.
        test: Scenes to be asked about.
        classes: Names; for change two.
    """

    card = DataCard(
        name="planted",
        title="Planted",
        what="Rectangles on noise.",
        size="nothing",
        licence="none",
        citation="none",
        source="here",
        folder="planted",
        layout=("nothing",),
        split="by seed",
    )
    tasks = ("detection", "segmentation", "change", "grounding", "polsar")

    def __init__(self, train: Sequence[Scene], test: Sequence[Scene]) -> None:
        self.parts = {"train": tuple(train), "test": tuple(test)}
        self.classes = ("ground", "bright", "dim")

    @classmethod
    def open(cls, data: Path) -> Planted:
        return cls([scene(seed) for seed in range(40)], [scene(seed) for seed in range(100, 120)])

    def for_task(self, task: str) -> Planted:
        """Return the set with the classes of a task."""
        names = {"detection": ("bright", "dim"), "change": ("same", "changed")}
        other = Planted(self.parts["train"], self.parts["test"])
        other.classes = names.get(task, self.classes)
        return other

    def examples(self, task: str, part: str) -> Sequence[Example]:
        made = []
        for number, one in enumerate(self.parts[part]):
            name = f"{part}{number}"
            example = Example(
                name, f"{part}-{number // 4}", lambda n=name, o=one: picture(n, o.db), one.boxes
            )
            if task == "detection":
                made.append(example)
            elif task in ("segmentation", "polsar"):
                made.append(replace(example, truth=Mask(lambda o=one: o.mask)))
            elif task == "change":
                before = np.random.default_rng(number).normal(-20, 1, one.db.shape)
                made.append(
                    replace(
                        example,
                        truth=Mask(lambda o=one: (o.mask > 0).astype(np.int64)),
                        before=lambda n=name, b=before: picture(f"{n}-before", b),
                    )
                )
            else:
                made.extend(self._expressions(example, one))
        return made

    def _expressions(self, example: Example, one: Scene) -> list[Example]:
        labels = one.boxes.classes
        found = []
        for number, (corners, label) in enumerate(zip(one.boxes.corners, labels, strict=True)):
            if (labels == label).sum() != 1:
                continue
            box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
            told = f"the {('bright', 'dim')[label]} thing"
            truth = Region(told, box, lambda c=corners: inside(c, *one.db.shape))
            found.append(replace(example, id=f"{example.id}-{number}", truth=truth))
        return found
