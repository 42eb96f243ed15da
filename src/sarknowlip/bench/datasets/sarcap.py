"""SARCAP, the set of SARCLIP: sentences made from labels, and boxes told as numbers.

A text like "ship 59 36 78 62 ; tank 8 147 25 174 ." names boxes: left, top, right and bottom,
pixels. It is no caption; each object that is alone of its kind in it is one to be pointed at.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from sarknowlip.bench.datasets.dialogues import Saying
from sarknowlip.bench.datasets.spoken import Spoken, SpokenSheet, TextList
from sarknowlip.bench.example import Captions, Region, Truth

BOX = re.compile(r"([a-z][a-z ]*?) (\d+) (\d+) (\d+) (\d+)")


class Sarcap(Spoken):
    """SARCAP; groups are pictures."""

    card: ClassVar[SpokenSheet] = SpokenSheet.beside(__file__)
    tasks = ("search", "captioning", "grounding")

    @classmethod
    def understood(cls, listed: TextList, name: str, saying: Saying) -> Iterator[Truth]:
        """Yield a caption, or the objects that are alone of their kind."""
        del listed, name
        parts = [part.strip() for part in saying.answer.lower().rstrip(" .").split(";")]
        boxes = [BOX.fullmatch(part) for part in parts]
        if not all(boxes):
            yield Captions((saying.answer,))
            return
        of_kind: dict[str, list[list[float]]] = defaultdict(list)
        for box in boxes:
            assert box is not None
            of_kind[box[1]].append([float(edge) for edge in box.groups()[1:]])
        for kind, edges in of_kind.items():
            if len(edges) == 1:
                yield Region(f"the {kind}", np.array(edges[0]))
