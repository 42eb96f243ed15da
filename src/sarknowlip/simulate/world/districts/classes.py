"""Classes of objects with their true dimensions; the table is classes.json, with sources."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from sarknowlip.core.config import Config
from sarknowlip.simulate.frame import Floats


class TargetClass(Config):
    """A class of objects of similar size.

    Attributes:
        kind: One of `layers.TARGET_KINDS`.
        subclass: As in `layers.Targets.subclass`.
        name: What people call it.
        length: Smallest and largest length (diameter, rotor diameter), metres.
        width: Smallest and largest width (wing span, beam), metres.
        height: Smallest and largest height above the surface (hub height), metres.
        share: Weight among the classes of its kind.
        source: Where the dimensions come from.
    """

    kind: str
    subclass: str
    name: str
    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    share: float
    source: str


@dataclass(frozen=True)
class Drawn:
    """Dimensions of objects drawn from classes; arrays of equal length, metres."""

    subclass: npt.NDArray[np.object_]
    length: Floats
    width: Floats
    height: Floats

    @classmethod
    def concat(cls, parts: Sequence[Drawn]) -> Drawn:
        """Return all objects of all parts, in order."""
        sizes = [
            np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)])
            for name in ("length", "width", "height")
        ]
        names = np.concatenate([np.empty(0, dtype=object), *(part.subclass for part in parts)])
        return cls(names, *sizes)

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Drawn:
        """Return some of them by index or mask."""
        return Drawn(
            self.subclass[which], self.length[which], self.width[which], self.height[which]
        )


@functools.cache
def target_classes(kind: str, *subclasses: str) -> tuple[TargetClass, ...]:
    """Return the classes of a kind, in the order of the table.

    Args:
        kind: One of `layers.TARGET_KINDS`.
        subclasses: Only these; all if none is given.
    """
    text = resources.files(__package__).joinpath("classes.json").read_text("utf-8")
    rows = [TargetClass(**row) for row in json.loads(text)]
    return tuple(
        row for row in rows if row.kind == kind and (not subclasses or row.subclass in subclasses)
    )


def draw(classes: tuple[TargetClass, ...], which: Floats, size: Floats) -> Drawn:
    """Return objects of classes chosen by their shares.

    Args:
        classes: To choose from, at least one.
        which: Numbers in [0, 1) that choose the class, shape (n,).
        size: Numbers in [0, 1) that place an object between smallest and largest, shape (n,);
            long objects are wide and high.
    """
    share = np.cumsum([row.share for row in classes])
    index = np.searchsorted(share / share[-1], which, side="right")
    limits = np.array([[row.length, row.width, row.height] for row in classes])[index]
    sizes = limits[..., 0] + (limits[..., 1] - limits[..., 0]) * size[:, None]
    names = np.array([row.subclass for row in classes], dtype=object)[index]
    return Drawn(names, sizes[:, 0], sizes[:, 1], sizes[:, 2])
