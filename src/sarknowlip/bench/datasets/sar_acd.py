"""SAR-ACD: six types of civil aircraft at about one metre.

The set was enlarged by changing brightness and contrast and adding noise, so most pictures have
near-copies, and a random split would ask about pictures that were learned: of 30 % drawn at random
the leakage audit names nine in ten. Pictures that the audit would call look-alikes are one group,
whatever their type: some copies bear two types.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from sarknowlip.bench.datasets.grouped import dealt, look_alikes
from sarknowlip.bench.datasets.pictures import listed, picture
from sarknowlip.bench.datasets.published import Published, Sheet
from sarknowlip.bench.example import Example, Label
from sarknowlip.bench.fingerprint import ALIKE_STRICT, fingerprint


class SarAcd(Published):
    """SAR-ACD."""

    card: ClassVar[Sheet] = Sheet.beside(__file__)
    tasks = ("classification", "few-shot")
    alike = ALIKE_STRICT

    @classmethod
    def open(cls, data: Path) -> Self:
        """Find the set below a data folder; all pictures are read once, to find look-alikes.

        Raises:
            BenchError: The set is not there or lacks files.
            ProductError: A picture is damaged.
        """
        root = cls.found(data)
        files = [
            (index, path)
            for index, name in enumerate(cls.card.classes)
            for path in listed(root / name)
        ]
        if {index for index, _ in files} != set(range(len(cls.card.classes))):
            raise cls.absent(data, "a folder of pictures of each type")
        named = [(index, f"{path.parent.name}-{path.stem}", path) for index, path in files]
        read = [picture(cls.card, chip_id, path) for _, chip_id, path in named]
        group_N, pairs = look_alikes(np.stack([fingerprint(one()) for one in read]), cls.alike)
        examples = [
            Example(chip_id, f"look-alikes-{group:04}", one, Label(index))
            for (index, chip_id, _), group, one in zip(named, group_N, read, strict=True)
        ]
        types = [cls.card.classes[index] for index, _ in files]
        held_out = dealt([e.group for e in examples], types, salt=cls.card.name)
        return cls(
            dict.fromkeys(cls.tasks, examples),
            held_out,
            _told(group_N, [i for i, _ in files], pairs),
        )


def _told(group_N: np.ndarray, types: Sequence[int], pairs: int) -> list[str]:
    sizes = np.bincount(group_N)
    kinds: dict[int, set[int]] = {}
    for group, kind in zip(group_N.tolist(), types, strict=True):
        kinds.setdefault(group, set()).add(kind)
    mixed = sum(len(found) > 1 for found in kinds.values())
    return [
        f"{len(group_N)} pictures are {len(sizes)} groups of look-alikes ({pairs} pairs; the "
        f"largest group has {sizes.max()}, {int((sizes == 1).sum())} pictures stand alone)",
        f"{mixed} groups hold pictures of more than one type",
    ]
