"""Windows of one labelled picture, parted into two halves with a gap between them."""

from __future__ import annotations

from collections.abc import Iterator

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.published import Sheet
from sarknowlip.bench.datasets.windows import Labels, Window, cut, halves
from sarknowlip.bench.example import UNLABELLED


def halved_windows(sheet: Sheet, labels: Labels) -> Iterator[tuple[Part, str, Window]]:
    """Yield the windows of both halves that hold a labelled pixel, train first.

    Before each window is the name of its block, a square of `Sheet.block_px` of its half: what lies
    in one block is much alike, so that blocks are groups.

    Raises:
        BenchError: The picture is too small, or nothing is labelled.
    """
    areas = halves(labels, len(sheet.classes), sheet.gap_px)
    parts: tuple[Part, Part] = ("train", "test")
    edge = sheet.block_px or sheet.window
    for part, area in zip(parts, areas, strict=True):
        for window in cut(area, sheet.window):
            if (window.labels(labels) != UNLABELLED).any():
                down, across = (window.top - area.top) // edge, (window.left - area.left) // edge
                yield part, f"{part}-block{down}-{across}", window
