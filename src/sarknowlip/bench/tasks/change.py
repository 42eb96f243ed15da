"""Change between two dates, pixel by pixel.

The head sees |later − earlier| of patch features: the label asks whether ground changed, not which
way, and so the order of dates does not matter; a linear head could not make it of the two features
side by side, and products of features mix change with what the ground is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.embedded import Embedded
from sarknowlip.bench.example import Example
from sarknowlip.bench.metrics import Floats
from sarknowlip.bench.pixels import change
from sarknowlip.bench.tasks.segmentation import PixelSpec, PixelTask, read_pixel_spec


class ChangeTask(PixelTask):
    """Change detection: F1, kappa and IoU; class 1 is "changed"."""

    spec: ClassVar[PixelSpec] = read_pixel_spec(__file__)

    def scores(self, matrix_KK: Floats) -> Floats:
        """Return F1 of what changed, kappa, and IoU of what changed."""
        f1, iou, kappa = change(matrix_KK)
        return np.array([f1, kappa, iou])

    def encoded(
        self, embedded: Embedded, examples: Sequence[Example], source: str
    ) -> tuple[Floats32, ...]:
        """Return patches of the earlier and of the later pictures."""
        return embedded.pairs(examples, "patches", source=source)

    def joined(self, *patches: Floats32) -> Floats32:
        """Return the absolute difference of the two dates."""
        before, after = patches
        return np.asarray(np.abs(after - before), dtype=np.float32)
