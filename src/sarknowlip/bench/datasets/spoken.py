"""What all vision–language sets have in common: lists of texts that name pictures.

A list may be of a published part, or of none. The part is that of a picture, not of a text: a
picture that lists name in both is kept for asking alone, so that none asked about was learned.
Pictures of no part follow their scene, and scenes of no part are dealt.

Sets hold up to two million texts. Of questions of one kind, labels and regions in a part at most
`most` are kept, taken evenly while the list is read (each time there are more, every second one
goes); of pictures with captions likewise, after the captions of a picture are together.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
from pydantic import Field

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.boxes import horizontal
from sarknowlip.bench.datasets.dialogues import ENDINGS, Saying, sayings
from sarknowlip.bench.datasets.grouped import dealt, kept_apart
from sarknowlip.bench.datasets.pictures import PICTURES, decibels, levels, size
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Answer, Captions, Example, Label, Region, Truth
from sarknowlip.core.config import Config
from sarknowlip.sar.tile import TileImage

Thing = TypeVar("Thing")
SERVED: Mapping[type[Truth], tuple[str, ...]] = {
    Captions: ("search", "captioning"),
    Answer: ("answering",),
    Region: ("grounding",),
    Label: ("classification", "few-shot", "zero-shot"),
}
"""Tasks that a truth is for."""

OTHER = "other"
"""Kind of a question that no pattern tells."""


class TextList(Config):
    """A kind of file with texts.

    Attributes:
        name: Pattern of its whole name without the ending; small and capital letters count alike.
        tells: What its answers are; "dialogues" are of several kinds.
        part: That it was published for; None of none.
    """

    name: str
    tells: Literal["captions", "answers", "dialogues"]
    part: Part | None = None


class SpokenSheet(Sheet):
    """Card of a vision–language set.

    Attributes:
        texts: Folder below which lists of texts are sought.
        lists: What they are called; the first pattern that fits counts.
        pictures: Folders in which pictures are sought, from the set's folder.
        scenes: Patterns of names of pictures without their ending, from the start; what the first
            that fits holds in brackets is the scene. Others are scenes of their own.
        kinds: Of questions, each with a pattern; the first that is found in a question counts.
        most: Questions of a kind, labels, regions, and pictures with captions, of a part.
    """

    texts: str = "."
    lists: tuple[TextList, ...] = Field(min_length=1)
    pictures: tuple[str, ...] = Field(min_length=1)
    scenes: tuple[str, ...] = ()
    kinds: tuple[tuple[str, str], ...] = ()
    most: int = Field(ge=2)

    def scene(self, picture: Path) -> str:
        """Return the scene of a picture."""
        for pattern in self.scenes:
            if found := re.match(pattern, picture.stem):
                return found[1]
        return named(picture)

    def kind(self, question: str) -> str:
        """Return the kind of a question."""
        asked = question.lower()
        return next((kind for kind, pattern in self.kinds if re.search(pattern, asked)), OTHER)


class Pictures:
    """Finds the pictures that texts name by whatever path they had where they were written.

    The longest end of a path that lies in a folder counts; the file may have another ending.

    Args:
        folders: In which to look.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = [folder for folder in folders if folder.is_dir()]
        self._found: dict[str, Path | None] = {}

    def find(self, stated: str) -> Path | None:
        """Return the file, by one path whichever way it was found; None if there is none."""
        if stated not in self._found:
            found = next(self._candidates(stated), None)
            self._found[stated] = found and Path(os.path.normpath(found))
        return self._found[stated]

    def _candidates(self, stated: str) -> Iterator[Path]:
        steps = [step for step in re.split(r"[\\/]+", stated) if step.strip(". ")]
        ends = [Path(*steps[start:]) for start in range(len(steps))]
        for end in ends:
            for folder in self._folders:
                if (folder / end).is_file():
                    yield folder / end
        for end in ends:
            for folder in self._folders:
                for ending in PICTURES:
                    for other in (end.with_suffix(ending), end.with_name(end.name + ending)):
                        if (folder / other).is_file():
                            yield folder / other


class Even(Generic[Thing]):
    """At most so many of the things that are added, taken evenly.

    Args:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        self.things: list[Thing] = []
        self._most = most
        self._step, self._seen = 1, 0

    def add(self, thing: Thing) -> None:
        """Add a thing, or pass it by."""
        if self._seen % self._step == 0:
            self.things.append(thing)
        self._seen += 1
        if len(self.things) > self._most:
            del self.things[1::2]
            self._step *= 2


Kept = tuple[Path, Truth]


@dataclass
class Gathered:
    """Truths of pictures, as lists are read.

    Attributes:
        most: As on the card.
        notes: What a reader of scores must know.
        captions: Of each picture, in order, none twice.
        others: Other truths by their class, part of the list, and kind of question.
        stated: Parts that lists name of each picture.
        source: First list that names a picture.
    """

    most: int
    notes: list[str] = field(default_factory=list)
    captions: dict[Path, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    others: dict[tuple[type[Truth], Part | None, str], Even[Kept]] = field(default_factory=dict)
    stated: dict[Path, set[Part]] = field(default_factory=lambda: defaultdict(set))
    source: dict[Path, str] = field(default_factory=dict)

    def add(self, picture: Path, truth: Truth, part: Part | None, source: str) -> None:
        """Take a truth of a picture."""
        self.source.setdefault(picture, source)
        if part is not None:
            self.stated[picture].add(part)
        if isinstance(truth, Captions):
            self.captions[picture].update(dict.fromkeys(truth.texts))
            return
        key = (type(truth), part, truth.kind if isinstance(truth, Answer) else "")
        self.others.setdefault(key, Even(self.most)).add((picture, truth))


class Spoken(Published):
    """A vision–language set; groups are scenes."""

    card: ClassVar[SpokenSheet]

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder; lists are read, and headers of pictures with boxes.

        Raises:
            BenchError: The set is not there, lacks lists or pictures, or a list is of another form.
            ProductError: A picture with boxes is damaged.
        """
        root = cls.found(data)
        gathered = Gathered(cls.card.most)
        pictures = Pictures(root / folder for folder in cls.card.pictures)
        for path, listed in text_lists(root / cls.card.texts, cls.card.lists):
            cls._gather(data, path, listed, pictures, gathered)
        if not gathered.source:
            raise cls.absent(data, "a list of texts with its pictures")
        return cls._of(gathered)

    @classmethod
    def understood(cls, listed: TextList, name: str, saying: Saying) -> Iterator[Truth]:
        """Yield what is true by a saying; nothing if no task asks it.

        Args:
            listed: What the list tells.
            name: Of the list, in small letters.
            saying: With an answer.
        """
        del name
        if listed.tells == "captions":
            yield Captions((saying.answer,))
        elif saying.question:
            yield Answer(saying.question, saying.answer, cls.card.kind(saying.question))

    @classmethod
    def _gather(
        cls, data: Path, path: Path, listed: TextList, pictures: Pictures, gathered: Gathered
    ) -> None:
        """Read a list; one whose pictures all lack is left out, and told of."""
        lost: str | None = None
        count = unused = 0
        for saying in sayings(path):
            picture = pictures.find(saying.picture)
            if picture is None:
                lost = lost or saying.picture
                continue
            truths = (
                list(cls.understood(listed, path.stem.lower(), saying)) if saying.answer else []
            )
            for truth in truths:
                gathered.add(picture, truth, listed.part, path.stem)
            count += 1
            unused += not truths
        if lost and count:
            raise cls.absent(data, f"picture {lost}, which {path.name} names,")
        if lost:
            gathered.notes.append(f"{path.name} left out: none of its pictures is here ({lost})")
        elif unused:
            gathered.notes.append(f"{path.name}: {unused} of {count} texts tell nothing asked here")

    @classmethod
    def _of(cls, gathered: Gathered) -> Self:
        card = cls.card
        parts, notes = parted(gathered, card)
        names = list(parts)
        scenes = [card.scene(picture) for picture in names]
        groups, held_out, shared = kept_apart(scenes, [parts[picture] for picture in names])
        if shared:
            notes.append(f"{shared} scenes have pictures on both sides")
        group = dict(zip(names, groups, strict=True))
        made: dict[str, list[Example]] = {task: [] for task in cls.tasks}
        for picture, name, truth in _numbered(gathered, parts):
            own = Example(
                name, group[picture], partial(_read, card, named(picture), picture), truth
            )
            for task in SERVED[type(truth)]:
                if task in made:
                    made[task].append(own)
        idle = [task for task in cls.tasks if not made[task]]
        notes += [f"no texts for {', '.join(idle)}"] * bool(idle)
        return cls(made, held_out, [*gathered.notes, *notes])


def text_lists(folder: Path, lists: Sequence[TextList]) -> list[tuple[Path, TextList]]:
    """Return the lists below a folder; of one in several formats, one, JSON first."""
    found: dict[str, tuple[Path, TextList]] = {}
    for ending in ENDINGS:
        for path in sorted(folder.rglob(f"*{ending}")):
            for listed in lists:
                if re.fullmatch(listed.name, path.stem, re.IGNORECASE):
                    found.setdefault(path.stem.lower(), (path, listed))
                    break
    return [found[name] for name in sorted(found)]


def parted(gathered: Gathered, card: SpokenSheet) -> tuple[dict[Path, Part], list[str]]:
    """Return the part of each picture, in the order of their names, and what is to be told."""
    notes = []
    pictures = sorted(gathered.source)
    parts: dict[Path, Part] = {}
    of_scene: dict[str, set[Part]] = defaultdict(set)
    for picture in pictures:
        if stated := gathered.stated.get(picture):
            parts[picture] = "test" if "test" in stated else "train"
            of_scene[card.scene(picture)].add(parts[picture])
    both = sum(len(stated) > 1 for stated in gathered.stated.values())
    if both:
        notes.append(f"{both} pictures that lists name in both parts are asked about alone")
    free = [picture for picture in pictures if picture not in parts]
    loose = [picture for picture in free if card.scene(picture) not in of_scene]
    asked = dealt(
        [card.scene(picture) for picture in loose],
        [gathered.source[picture] for picture in loose],
        salt=card.name,
    )
    if loose and parts:
        notes.append(f"{len(loose)} pictures of no published part are dealt by their scenes")
    for picture in free:
        scene = card.scene(picture)
        tested = scene in asked or of_scene.get(scene) == {"test"}
        parts[picture] = "test" if tested else "train"
    return {picture: parts[picture] for picture in pictures}, notes


def named(picture: Path) -> str:
    """Return a name that no other picture of a set has."""
    return f"{picture.parent.name}-{picture.name}"


def _numbered(gathered: Gathered, parts: Mapping[Path, Part]) -> Iterator[tuple[Path, str, Truth]]:
    """Yield pictures, identifiers and truths; boxes cut at their pictures."""
    kept: dict[Part, Even[Path]] = {"train": Even(gathered.most), "test": Even(gathered.most)}
    for picture, part in parts.items():
        if picture in gathered.captions:
            kept[part].add(picture)
    for picture in sorted([*kept["train"].things, *kept["test"].things]):
        yield picture, named(picture), Captions(tuple(gathered.captions[picture]))
    many: dict[tuple[type[Truth], Path], int] = defaultdict(int)
    every = [pair for pairs in gathered.others.values() for pair in pairs.things]
    for picture, raw in sorted(every, key=lambda pair: pair[0]):
        truth = _cut(raw, picture) if isinstance(raw, Region) else raw
        key = (type(raw), picture)
        if truth is None or (isinstance(raw, Label) and many[key]):
            continue
        single = isinstance(raw, Label)
        yield picture, named(picture) + f"-q{many[key]}" * (not single), truth
        many[key] += 1


def _cut(region: Region, picture: Path) -> Region | None:
    """Return a region cut at its picture, None where nothing is left."""
    corners = horizontal(region.box.tolist(), size(picture))
    if corners is None:
        return None
    return replace(region, box=np.concatenate([corners[0], corners[2]]))


def _read(sheet: Sheet, chip_id: str, path: Path) -> TileImage:
    """Read a picture; of several bands, which are copies, the first."""
    found = levels(path)
    return sheet.chip(chip_id, decibels(found if found.ndim == 2 else found[0])[None])
