"""Classes of pixels of a polarimetric picture, each told from a small window around it.

Data sets offer windows of one large labelled picture as examples, train and test apart on the
ground. Scores are those of the literature: overall accuracy, mean IoU, kappa.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sarknowlip.bench.metrics import Floats
from sarknowlip.bench.pixels import segmentation
from sarknowlip.bench.tasks.segmentation import PixelSpec, PixelTask, read_pixel_spec


class PolsarTask(PixelTask):
    """PolSAR pixel classification."""

    spec: ClassVar[PixelSpec] = read_pixel_spec(__file__)

    def scores(self, matrix_KK: Floats) -> Floats:
        """Return accuracy, mean IoU and kappa."""
        accuracy, mean_iou, _, kappa = segmentation(matrix_KK)
        return np.array([accuracy, mean_iou, kappa])
