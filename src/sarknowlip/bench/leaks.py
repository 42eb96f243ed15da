"""Leakage audit of any data set: what of its test part could have been learned from its train part.

| kind | what both parts have | measure |
|---|---|---|
| group | examples of one group | 1 |
| scene | pictures of one acquisition, as far as the set tells of it | 1 |
| ground | pictures that share ground, as far as they lie on a map | share of the smaller one |
| look-alike | pictures that look alike, also turned, mirrored or with other speckle | correlation |

Pictures are read once, one at a time. What an audit cannot see: pictures without a map of the same
ground from another side, cut elsewhere, or of ground without any structure.

From which correlation pictures without a map count as copies goes by the set: unrelated pictures of
one kind of ground are hardly alike, those of coasts or of chips are. What pictures of different
groups of the training part reach is taken for what unrelated ones do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from shapely.geometry.base import BaseGeometry

from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.example import Example
from sarknowlip.bench.fingerprint import CHUNK, Floats32, alike, fingerprint
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.record import Split
from sarknowlip.corpus.split import shared_ground
from sarknowlip.geo.footprint import extent_footprint
from sarknowlip.sar.tile import TileImage

Kind = Literal["group", "scene", "ground", "look-alike"]

LEAST = 0.3
"""Correlation below which no pictures count as copies."""
ABOVE = 0.05
"""How far above unrelated pictures of the training part copies must be."""
ENOUGH = 500
"""Pairs of unrelated training pictures from which on they say what such pairs reach."""


@dataclass(frozen=True)
class Leak:
    """What two examples of different parts share.

    Attributes:
        kind: See the table above.
        train: Identifier of an example to learn from.
        test: Identifier of an example that is asked about.
        measure: How much.
    """

    kind: Kind
    train: str
    test: str
    measure: float


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        name: Of the data set.
        task: Of the examples.
        pictures: Different pictures in each part.
        mapped: Of these, those that lie on a map.
        leaks: Pairs, sorted by kind and identifiers. Of a group or scene in both parts the first
            example of either part stands for all.
    """

    name: str
    task: str
    pictures: dict[Part, int]
    mapped: dict[Part, int]
    leaks: tuple[Leak, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of leaks by kind."""
        return dict(sorted(Counter(leak.kind for leak in self.leaks).items()))

    @property
    def touched(self) -> int:
        """Number of test examples that are named in a leak."""
        return len({leak.test for leak in self.leaks})


@dataclass(frozen=True)
class _Side:
    """What is kept of the pictures of a part: everything but the pixels."""

    examples: tuple[str, ...]
    groups: tuple[str, ...]
    scenes: tuple[str, ...]
    grounds: tuple[BaseGeometry | None, ...]
    prints: Floats32


def audit(data: DataSet, task: str, *, progress: Progress | None = None) -> Audit:
    """Compare the parts of a data set.

    Args:
        data: The set.
        task: Whose examples are compared.
        progress: Called with examples read, examples in all, and the last one's name.

    Raises:
        SarKnowlipError: A picture cannot be read.
    """
    train, test = data.examples(task, "train"), data.examples(task, "test")
    total = len(train) + len(test)
    sides: dict[Part, _Side] = {
        "train": _read(train, 0, total, progress),
        "test": _read(test, len(train), total, progress),
    }
    leaks = [
        *_groups(train, test),
        *_scenes(sides["train"], sides["test"]),
        *_grounds(sides["train"], sides["test"]),
        *_look_alikes(sides["train"], sides["test"], data.alike),
    ]
    return Audit(
        name=data.card.name,
        task=task,
        pictures={part: len(side.examples) for part, side in sides.items()},
        mapped={part: sum(g is not None for g in side.grounds) for part, side in sides.items()},
        leaks=tuple(sorted(leaks, key=lambda leak: (leak.kind, leak.test, leak.train))),
    )


def _read(examples: Sequence[Example], before: int, total: int, progress: Progress | None) -> _Side:
    seen: set[tuple[str, bytes]] = set()
    names: list[str] = []
    groups: list[str] = []
    scenes: list[str] = []
    grounds: list[BaseGeometry | None] = []
    prints: list[Floats32] = []
    for number, example in enumerate(examples, start=1):
        for read in filter(None, (example.before, example.image)):
            tile = read()
            mark = tile.id, fingerprint(tile)
            if (key := (mark[0], mark[1].tobytes())) in seen:
                continue
            seen.add(key)
            names.append(example.id)
            groups.append(example.group)
            scenes.append(_scene(tile))
            grounds.append(_ground(tile))
            prints.append(mark[1])
        if progress is not None:
            progress(before + number, total, example.id)
    return _Side(tuple(names), tuple(groups), tuple(scenes), tuple(grounds), np.stack(prints))


def _ground(tile: TileImage) -> BaseGeometry | None:
    """Return the ground of a picture in WGS 84, or None if it lies nowhere."""
    return None if tile.geobox.crs is None else extent_footprint(tile.geobox)


def _scene(tile: TileImage) -> str:
    """Return what names an acquisition, or nothing if the set does not tell when it was."""
    about = tile.acquisition
    return "" if about.start_datetime is None else about.digest()


def _groups(train: Sequence[Example], test: Sequence[Example]) -> Iterator[Leak]:
    first = {example.group: example.id for example in reversed(train)}
    asked = {example.group: example.id for example in reversed(test)}
    for group in sorted(first.keys() & asked.keys()):
        yield Leak("group", first[group], asked[group], 1.0)


def _scenes(train: _Side, test: _Side) -> Iterator[Leak]:
    first = dict(reversed(list(zip(train.scenes, train.examples, strict=True))))
    asked = dict(reversed(list(zip(test.scenes, test.examples, strict=True))))
    for scene in sorted((first.keys() & asked.keys()) - {""}):
        yield Leak("scene", first[scene], asked[scene], 1.0)


def _grounds(train: _Side, test: _Side) -> Iterator[Leak]:
    names = [*train.examples, *test.examples]
    trained: list[Split] = ["train"] * len(train.examples)
    asked: list[Split] = ["test"] * len(test.examples)
    mapped = [
        (name, part, ground)
        for name, part, ground in zip(
            names, [*trained, *asked], [*train.grounds, *test.grounds], strict=True
        )
        if ground is not None
    ]
    found: dict[tuple[str, str], float] = defaultdict(float)
    outlines = [ground for _, _, ground in mapped]
    for i, j in shared_ground([part for _, part, _ in mapped], outlines):
        one, other = (i, j) if mapped[i][1] == "train" else (j, i)
        share = outlines[i].intersection(outlines[j]).area
        share /= min(outlines[i].area, outlines[j].area)
        pair = mapped[one][0], mapped[other][0]
        found[pair] = max(found[pair], float(share))
    for (one_name, other_name), share in found.items():
        yield Leak("ground", one_name, other_name, share)


def _look_alikes(train: _Side, test: _Side, most: float) -> Iterator[Leak]:
    found: dict[tuple[str, str], float] = defaultdict(float)
    least = _least(train, most)
    for rows, columns, much in alike(train.prints, test.prints, least):
        for i, j, how in zip(rows.tolist(), columns.tolist(), much.tolist(), strict=True):
            mapped = train.grounds[i] is not None and test.grounds[j] is not None
            if how >= (most if mapped else least):
                pair = train.examples[i], test.examples[j]
                found[pair] = max(found[pair], how)
    for (one, other), how in found.items():
        yield Leak("look-alike", one, other, how)


def _least(train: _Side, most: float) -> float:
    """Return the correlation from which pictures without a map count as copies, at most `most`.

    At most `CHUNK` training pictures are compared, taken evenly.
    """
    shows = np.flatnonzero(train.prints.any(axis=1))
    some = shows[np.unique(np.linspace(0, len(shows) - 1, min(len(shows), CHUNK)).astype(np.int64))]
    own = np.unique([train.groups[i] for i in some], return_inverse=True)[1]
    together = np.bincount(own)
    if len(some) ** 2 - int((together**2).sum()) < 2 * ENOUGH:
        return most
    greatest = LEAST - ABOVE
    for rows, columns, much in alike(train.prints[some], train.prints[some], greatest):
        apart = own[rows] != own[columns]
        greatest = max(greatest, float(much[apart].max(initial=0.0)))
    return min(most, greatest + ABOVE)
