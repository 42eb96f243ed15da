"""A data set whose pictures differ in brightness alone, and models that see brightness."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from sarknowlip.bench.adapter import Adapter, AdapterCard
from sarknowlip.bench.dataset import DataCard, DataSet, Part
from sarknowlip.bench.example import Answer, Captions, Count, Example, Label, Truth
from sarknowlip.bench.metrics import BenchError
from sarknowlip.sar.chip import chip
from sarknowlip.sar.tile import TileImage

NAMES = ("water", "field", "forest", "town")
SIDE = 10
STEP_DB = 8.0
TASKS = ("classification", "few-shot", "zero-shot", "counting", "captioning", "answering", "search")

CARD = DataCard(
    name="levelled",
    title="Levelled",
    what="Chips of one brightness a class.",
    size="nothing",
    licence="none stated",
    citation="none",
    source="this test",
    folder="levelled",
    layout=("nothing",),
    split="by the test",
)


def picture(name: str, level_db: float, bright: int, seed: int) -> TileImage:
    """Return a chip of one level with some bright pixels, and a little noise."""
    db = level_db + np.random.default_rng(seed).normal(size=(1, SIDE, SIDE))
    db.reshape(-1)[:bright] = 30.0
    return chip(name, db.astype(np.float32), polarizations=("VV",), gsd_m=1.0)


class Levelled(DataSet):
    """Four classes, `per_class` pictures each a part, `per_group` of them in a group."""

    card: ClassVar[DataCard] = CARD
    tasks: ClassVar[tuple[str, ...]] = TASKS

    def __init__(self, per_class: int = 12, per_group: int = 2) -> None:
        self.per_class, self.per_group = per_class, per_group
        self.classes = NAMES
        self.prompts = tuple((f"a picture of {name}", f"{name} seen by radar") for name in NAMES)

    @classmethod
    def open(cls, data: Path) -> Self:
        return cls()

    def examples(self, task: str, part: Part) -> Sequence[Example]:
        if task not in self.tasks:
            raise BenchError(f"no {task}", "ask for another")
        return [
            Example(
                f"{part}-{name}-{number}-{place}",
                f"{part}-{name}-{number // self.per_group}",
                partial(self._read, part, label, number),
                truth,
            )
            for number in range(self.per_class)
            for label, name in enumerate(NAMES)
            for place, truth in enumerate(truths(task, label, number))
        ]

    def _read(self, part: Part, label: int, number: int) -> TileImage:
        seed = 1000 * (part == "test") + 100 * label + number
        name = f"{part}-{label}-{number}"
        return picture(name, STEP_DB * label - 25.0, number % 9, seed)


def truths(task: str, label: int, number: int) -> list[Truth]:
    """Return what is true of a picture, one for each question about it."""
    name, many = NAMES[label], number % 9
    if task == "counting":
        return [Count(many)]
    if task in ("captioning", "search"):
        told = f"the radar shows {name} and {many} bright spots"
        return [Captions((told, f"there is {name} with {many} spots in view")[: 1 + number % 2])]
    if task == "answering":
        return [
            Answer("Is there water?", "Yes" if name == "water" else "No.", "presence"),
            Answer("Is there a town?", "yes" if name == "town" else "no", "presence"),
            Answer("What is it?", name, "class"),
        ]
    return [Label(label)]


class LevelAdapter(Adapter):
    """Sees mean and spread of a picture; texts and pictures share a quarter of a circle."""

    def __init__(self, abilities: Sequence[str] = ("features", "patches", "texts")) -> None:
        self.card = AdapterCard.model_validate(
            {
                "name": "level",
                "title": "Level",
                "parameters": None,
                "licence": "none",
                "source": "this test",
                "paper": "none",
                "channels": "all",
                "normalisation": "none",
                "abilities": frozenset(abilities),
            }
        )
        self.encoded = 0

    def features(self, tiles):
        self.encoded += len(tiles)
        level = np.array([np.median(tile.db) for tile in tiles])
        bright = np.array([(tile.db > 20.0).sum() for tile in tiles])
        rows = [level, level**2, np.log1p(bright), np.ones(len(tiles))]
        return np.stack(rows, axis=1).astype(np.float32)

    def patches(self, tiles):
        cells = [tile.db[0].reshape(2, SIDE // 2, 2, SIDE // 2).mean(axis=(1, 3)) for tile in tiles]
        return np.stack(cells)[..., None].astype(np.float32)

    def images(self, tiles):
        return circle([(np.median(tile.db) + 25.0) / STEP_DB for tile in tiles])

    def texts(self, texts):
        return circle([next(i for i, name in enumerate(NAMES) if name in text) for text in texts])

    def captions(self, tiles):
        return [f"the radar shows {self.name_of(tile)}" for tile in tiles]

    def answers(self, tiles, questions):
        said = []
        for tile, question in zip(tiles, questions, strict=True):
            name = self.name_of(tile)
            asked = next((known for known in NAMES if known in question), None)
            said.append(name if asked is None else ("no", "yes")[asked == name])
        return said

    def name_of(self, tile: TileImage) -> str:
        return NAMES[int(np.clip(np.rint((np.median(tile.db) + 25.0) / STEP_DB), 0, 3))]


def circle(places: Sequence[float]) -> np.ndarray:
    """Return unit rows, a third of a quarter turn apart for neighbouring classes."""
    angle = np.asarray(places, dtype=np.float64) * np.pi / 6
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
