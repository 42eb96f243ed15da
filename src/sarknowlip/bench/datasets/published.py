"""What all public data sets have in common: a card beside the module, and groups held out.

A set is a list of examples and the groups of its test part; so no group can be in two parts. Where
authors publish a split, groups follow it (`grouped.kept_apart`); otherwise groups are dealt
(`grouped.dealt`), and `leaving_out` gives any other choice, one scene at a time for example.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from sarknowlip.bench.dataset import DataCard, DataSet, Part
from sarknowlip.bench.example import Example
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.files import read_json
from sarknowlip.core.hashing import digest
from sarknowlip.core.settings import checked
from sarknowlip.sar.chip import chip
from sarknowlip.sar.product import Polarization, Radiometry
from sarknowlip.sar.tile import TileImage


class Sheet(DataCard):
    """A card, with what the module reads its pictures by.

    Attributes:
        pixels: What pixel values are, and which spacing or polarisation is only nominal.
        also: Other names under which the folder is found: samples in the shape of the set.
        classes: Names, in the order of indices; empty where the folders on disk name them.
        prompts: Texts that tell each class, or empty.
        gsd_m: Nominal metres between pixels.
        polarizations: Of a picture, in the order in which they are read.
        frequency_band: "C", "X"…; None where a set mixes several.
        window_px: Edge of the windows into which large pictures are cut; None cuts nothing.
        gap_px: Pixels between the train and the test half of one picture.
        block_px: Edge of the blocks of a half whose windows are one group; None takes `window_px`.
    """

    pixels: str
    also: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    prompts: tuple[tuple[str, ...], ...] = ()
    gsd_m: float = Field(gt=0.0)
    polarizations: tuple[Polarization, ...] = Field(min_length=1)
    frequency_band: str | None = None
    window_px: int | None = Field(None, ge=8)
    gap_px: int = Field(0, ge=0)
    block_px: int | None = Field(None, ge=8)

    @classmethod
    def beside(cls, module: str) -> Self:
        """Read the card from the JSON file beside a module, given its `__file__`."""
        path = Path(module).with_suffix(".json")
        remedy = "install the package again"
        return checked(cls, read_json(path, remedy), str(path), remedy)

    @property
    def window(self) -> int:
        """Edge of the windows of a set that is cut, pixels."""
        assert self.window_px is not None, f"{self.name} is not cut"
        return self.window_px

    def chip(
        self, chip_id: str, db: npt.NDArray[np.float32], radiometry: Radiometry | None = None
    ) -> TileImage:
        """Return a picture without a place from decibels (polarisations, rows, columns)."""
        return chip(
            chip_id,
            db,
            polarizations=self.polarizations,
            gsd_m=self.gsd_m,
            frequency_band=self.frequency_band,
            radiometry=radiometry,
        )


class Published(DataSet):
    """A set that lies in a folder.

    Args:
        examples: Of each task, in a fixed order.
        held_out: Groups of the test part.
        notes: What a reader of scores must know of the set as found.
        classes: Names of classes where the card has none.
    """

    card: ClassVar[Sheet]

    def __init__(
        self,
        examples: Mapping[str, Sequence[Example]],
        held_out: Collection[str],
        notes: Sequence[str] = (),
        classes: Sequence[str] = (),
    ) -> None:
        self.classes = tuple(classes) or self.card.classes
        self.prompts = self.card.prompts
        self.notes = tuple(notes)
        self._all = {task: tuple(examples[task]) for task in self.tasks}
        self._held_out = frozenset(held_out)
        self._parts = self._parted()

    @classmethod
    def found(cls, data: Path) -> Path:
        """Return the set's folder below a data folder.

        Raises:
            BenchError: There is none.
        """
        for name in (cls.card.folder, *cls.card.also):
            if (data / name).is_dir():
                return data / name
        raise cls.absent(data, "the set")

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups, sorted."""
        return tuple(sorted({e.group for examples in self._all.values() for e in examples}))

    def examples(self, task: str, part: Part) -> Sequence[Example]:
        """Return the examples of a task, always in the same order.

        Raises:
            BenchError: The set does not serve the task.
        """
        if task not in self._parts:
            raise BenchError(
                f"{self.card.title} has no examples for {task!r}",
                f"it serves {', '.join(self.tasks)}",
            )
        return self._parts[task][part]

    def leaving_out(self, *groups: str) -> Self:
        """Return the same set with these groups as its test part, and all others to learn from.

        Its card tells so, and has a name of its own, as its scores are others.

        Raises:
            BenchError: There is no such group, or none would be left.
        """
        unknown = sorted(set(groups) - set(self.groups))
        if unknown or not set(self.groups) - set(groups) or not groups:
            wrong = f"has no group {unknown[0]!r}" if unknown else "needs groups in both parts"
            raise BenchError(
                f"{self.card.title} {wrong}", f"choose from {', '.join(self.groups[:12])}"
            )
        told = " and ".join(sorted(set(groups)))
        card = self.card.model_copy(
            update={
                "name": f"{self.card.name}-{digest(sorted(set(groups)))[:8]}",
                "split": f"asked about {told}, learned from all other groups",
            }
        )
        other = copy.copy(self)
        vars(other)["card"] = card
        other._held_out = frozenset(groups)
        other._parts = other._parted()
        return other

    def _parted(self) -> dict[str, dict[Part, tuple[Example, ...]]]:
        held_out = self._held_out
        return {
            task: {
                "train": tuple(e for e in examples if e.group not in held_out),
                "test": tuple(e for e in examples if e.group in held_out),
            }
            for task, examples in self._all.items()
        }
