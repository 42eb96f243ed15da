"""SARChat-2M: dialogues about the objects in pictures of SARDet-100K.

A question begins with a mark of its task, or has none:

- [count]: how many objects of a class; the number becomes the answer;
- [identify]: what is in a box; the class becomes the answer;
- [refer]: where the object is; one box in the answer becomes a region, more are left out;
- [grounding]: a description with boxes, left out;
- none, and all classes are named in the question or the list is of classification: which class;
  answers that name several are left out;
- none otherwise: a description, a caption.

Boxes are {<left><top><right><bottom>}, pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from sarknowlip.bench.datasets.dialogues import Saying
from sarknowlip.bench.datasets.spoken import Spoken, SpokenSheet, TextList
from sarknowlip.bench.example import Answer, Captions, Label, Region, Truth

MARK = re.compile(r"\s*\[(count|identify|refer|grounding)\]\s*")
BOX = re.compile(r"\{\s*<(\d+)>\s*<(\d+)>\s*<(\d+)>\s*<(\d+)>\s*\}")
NUMBER = re.compile(r"\d+")
OF_CLASS = re.compile(r"sarchat_classify_(train|test)")


class SarChat(Spoken):
    """SARChat-2M; groups are pictures."""

    card: ClassVar[SpokenSheet] = SpokenSheet.beside(__file__)
    tasks = (
        "classification", "few-shot", "zero-shot", "search", "captioning", "answering", "grounding",
    )  # fmt: skip

    @classmethod
    def understood(cls, listed: TextList, name: str, saying: Saying) -> Iterator[Truth]:
        """Yield what is true by a saying; nothing if no task asks it."""
        del listed
        mark = MARK.match(saying.question)
        asked, answer = MARK.sub("", saying.question, count=1), saying.answer
        task = mark[1] if mark else ""
        told = cls._classes(answer)
        if task == "count":
            boxes, counts = BOX.findall(answer), NUMBER.findall(BOX.sub("", answer))
            if counts or boxes:
                yield Answer(asked, counts[0] if counts else str(len(boxes)), task)
        elif task == "identify":
            if len(told) == 1:
                yield Answer(asked, cls.card.classes[told[0]], task)
        elif task == "refer":
            boxes = BOX.findall(answer)
            if len(boxes) == 1:
                yield Region(asked, np.array([float(edge) for edge in boxes[0]]))
        elif not task and cls._of_class(name, asked):
            if len(told) == 1:
                yield Label(told[0])
        elif not task:
            yield Captions((answer,))

    @classmethod
    def _classes(cls, text: str) -> list[int]:
        """Return the classes that a text names, once or several times."""
        return [
            index
            for index, name in enumerate(cls.card.classes)
            if re.search(rf"\b{name}s?\b", text.lower())
        ]

    @classmethod
    def _of_class(cls, name: str, asked: str) -> bool:
        if OF_CLASS.fullmatch(name):
            return True
        return "describe" not in name and len(cls._classes(asked)) == len(cls.card.classes)
