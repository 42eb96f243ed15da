"""Which test items a model answered best and worst, in words and in small pictures.

Chosen by `Task.item_scores`; of equal scores by a draw that depends on the item's name alone, so
that all models show the same items where they can.

Legend of array names: N test items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sarknowlip.bench.dataset import DataSet
from sarknowlip.bench.example import (
    UNLABELLED,
    Answer,
    Boxes,
    Captions,
    Count,
    Example,
    Label,
    Mask,
    Region,
    Truth,
)
from sarknowlip.bench.metrics import Floats
from sarknowlip.bench.task import Predictions, Task
from sarknowlip.bench.thumbnails import class_colour, thumbnail
from sarknowlip.core.config import Config
from sarknowlip.core.files import write_bytes
from sarknowlip.core.hashing import unit_interval

SHOWN = 4
"""Items of either kind at most."""
LONGEST = 240
"""Characters of a text that are shown."""


class Item(Config):
    """One test item.

    Attributes:
        id: Of the example.
        score: 1 is perfect.
        asked: Question or expression, empty where the task asks the same of all.
        true: What is true, in words.
        told: What was told, in words.
        picture: PNG beside the cell, name of the file.
        key: Classes in the picture's maps, each with its colour.
    """

    id: str
    score: float
    asked: str
    true: str
    told: str
    picture: str
    key: tuple[tuple[str, str], ...] = ()


class Gallery(Config):
    """What is shown of a cell.

    Attributes:
        best: Best first; none of score 0.
        worst: Worst first; none of score 1, none of the best.
    """

    best: tuple[Item, ...] = ()
    worst: tuple[Item, ...] = ()


def gallery(task: Task, data: DataSet, predictions: Predictions, folder: Path) -> Gallery:
    """Choose items, and write their pictures to a folder; reads no other picture.

    Raises:
        SarKnowlipError: A picture cannot be read or written.
    """
    scores_N = task.item_scores(data, predictions)
    if scores_N is None:
        return Gallery()
    examples = data.examples(task.spec.asks, "test")
    best, worst = chosen(scores_N, [example.id for example in examples])

    def item(row: int, name: str) -> Item:
        example, told = examples[row], task.told(data, predictions, row)
        write_bytes(folder / name, thumbnail(example, told))
        return Item(
            id=example.id,
            score=float(scores_N[row]),
            asked=_asked(example),
            true=in_words(example.truth, data),
            told=in_words(told, data),
            picture=f"{folder.name}/{name}",
            key=_key([example.truth, told], data),
        )

    return Gallery(
        best=tuple(item(row, f"best-{place}.png") for place, row in enumerate(best)),
        worst=tuple(item(row, f"worst-{place}.png") for place, row in enumerate(worst)),
    )


def chosen(scores_N: Floats, names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return rows of the best and of the worst items, `SHOWN` of either at most.

    Args:
        scores_N: NaN is never chosen.
        names: Of the items.
    """
    draw = [unit_interval("gallery", name) for name in names]
    rows = [row for row in range(len(names)) if np.isfinite(scores_N[row])]
    rows.sort(key=lambda row: (-scores_N[row], draw[row]))
    best = [row for row in rows if scores_N[row] > 0.0][:SHOWN]
    rest = [row for row in rows if scores_N[row] < 1.0 and row not in best]
    rest.sort(key=lambda row: (scores_N[row], draw[row]))
    return best, rest[:SHOWN]


def in_words(told: Truth | str, data: DataSet) -> str:
    """Return a truth or an answer as a person reads it."""
    if isinstance(told, Label):
        return data.classes[told.index] if told.index >= 0 else "cannot tell"
    if isinstance(told, Boxes):
        counts = Counter(_name(data, index) for index in told.classes.tolist())
        return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
    if isinstance(told, Mask):
        return _shares(told, data)
    if isinstance(told, Count):
        return str(told.number)
    if isinstance(told, Region):
        left, top, right, bottom = told.box
        return f"columns {left:.0f} to {right:.0f}, rows {top:.0f} to {bottom:.0f}"
    text = told.text if isinstance(told, Answer) else told
    text = text.texts[0] if isinstance(text, Captions) else text
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _shares(told: Mask, data: DataSet) -> str:
    classes = told.read()
    counts = Counter(classes[classes != UNLABELLED].tolist())
    shares = [
        f"{_name(data, index)} {count / counts.total():.0%}"
        for index, count in counts.most_common(4)
    ]
    return ", ".join(shares) or "no label"


def _key(shown: Sequence[Truth | str], data: DataSet) -> tuple[tuple[str, str], ...]:
    maps = [np.unique(one.read()).tolist() for one in shown if isinstance(one, Mask)]
    indices = sorted({index for found in maps for index in found} - {UNLABELLED})
    return tuple((_name(data, i), f"#{bytes(class_colour(i)).hex()}") for i in indices)


def _asked(example: Example) -> str:
    if isinstance(example.truth, Answer):
        return example.truth.question
    return example.truth.expression if isinstance(example.truth, Region) else ""


def _name(data: DataSet, index: int) -> str:
    return data.classes[index] if index < len(data.classes) else "object"
