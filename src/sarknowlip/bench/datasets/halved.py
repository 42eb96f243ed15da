"""Windows of one labelled picture, parted into two halves with a gap between them."""

from __future__ import annotations

from collections.abc import Iterator

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.published import Sheet
from sarknowlip.bench.datasets.windows import Labels, Window, cut, halves
from sarknowlip.bench.example import UNLABELLED


def halved_windows(sheet: Sheet, labels: Labels) -> Iterator[tuple[Part, Window]]:
    """Yield the windows of both halves that hold a labelled pixel, train first.

    Raises:
        BenchError: The picture is too small, or nothing is labelled.
    """
    areas = halves(labels, len(sheet.classes), sheet.gap_px)
    parts: tuple[Part, Part] = ("train", "test")
    for part, area in zip(parts, areas, strict=True):
        for window in cut(area, sheet.window):
            if (window.labels(labels) != UNLABELLED).any():
                yield part, window
