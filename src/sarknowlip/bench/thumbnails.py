"""Small pictures of examples with what is true and what was told, for a reader of the leaderboard.

Boxes and regions are drawn on the picture, the truth in `TRUE`, the answer in `TOLD`; it shows its
first polarisation in grey then, since colours would hide them. Maps of classes stand beside the
picture (of two dates the earlier one first), the truth, then the answer.
"""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw

from sarknowlip.bench.example import UNLABELLED, Boxes, Example, Mask, Region, Truth
from sarknowlip.sar.quicklook import Rgb, composite

PANEL_PX = 176
"""Longer side of a picture."""
GAP_PX = 4
TRUE, TOLD = (61, 220, 132), (255, 128, 30)
"""Colours of what is true and of what was told."""
TINT = 0.4
"""How much of a region's colour covers the picture."""
UNKNOWN = 60
"""Grey level of pixels that nobody labelled."""

Bools = npt.NDArray[np.bool_]


def thumbnail(example: Example, told: Truth | str) -> bytes:
    """Return the PNG of an example and of what was told of it.

    Raises:
        SarKnowlipError: A picture cannot be read.
    """
    marks = [(example.truth, TRUE), (told, TOLD)]
    grey = any(isinstance(mark, Boxes | Region) for mark, _ in marks)
    pixels = composite(example.image().db[: 1 if grey else None])
    panels = [] if example.before is None else [_panel(composite(example.before().db))]
    for mark, colour in marks:
        if isinstance(mark, Region) and mark.read is not None:
            pixels = _tinted(pixels, mark.read(), colour)
    panel = _panel(pixels)
    scale = panel.width / pixels.shape[1]
    for mark, colour in marks:
        if isinstance(mark, Boxes | Region):
            _outline(panel, _corners(mark) * scale, colour)
    panels.append(panel)
    panels += [_panel(_coloured(mark.read())) for mark, _ in marks if isinstance(mark, Mask)]
    return _png(_beside(panels))


def class_colour(index: int) -> tuple[int, int, int]:
    """Return the colour of a class in maps."""
    red, green, blue = to_rgb(matplotlib.color_sequences["tab20"][index % 20])
    return round(255 * red), round(255 * green), round(255 * blue)


def _panel(pixels: Rgb) -> Image.Image:
    """Return an image whose longer side is `PANEL_PX`."""
    rows, columns = pixels.shape[:2]
    scale = PANEL_PX / max(rows, columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    how = Image.Resampling.BOX if scale < 1.0 else Image.Resampling.NEAREST
    return Image.fromarray(pixels).resize(size, how)


def _coloured(classes_HW: npt.NDArray[np.int64]) -> Rgb:
    table = np.array([class_colour(index) for index in range(20)] + [(UNKNOWN,) * 3], np.uint8)
    return table[np.where(classes_HW == UNLABELLED, 20, classes_HW % 20)]


def _tinted(pixels: Rgb, inside: Bools, colour: tuple[int, int, int]) -> Rgb:
    out = pixels.copy()
    out[inside] = np.rint((1.0 - TINT) * out[inside] + TINT * np.array(colour))
    return out


def _corners(mark: Boxes | Region) -> npt.NDArray[np.float64]:
    """Return the corners of boxes, (N, 4, 2)."""
    if isinstance(mark, Boxes):
        return mark.corners.reshape(-1, 4, 2)
    left, top, right, bottom = mark.box
    return np.array([[(left, top), (right, top), (right, bottom), (left, bottom)]])


def _outline(
    panel: Image.Image, corners_N42: npt.NDArray[np.float64], colour: tuple[int, int, int]
) -> None:
    pen = ImageDraw.Draw(panel)
    for box in corners_N42:
        points = [(float(x), float(y)) for x, y in box]
        pen.line([*points, points[0]], fill=colour, width=1)


def _beside(panels: list[Image.Image]) -> Image.Image:
    width = sum(panel.width for panel in panels) + GAP_PX * (len(panels) - 1)
    page = Image.new("RGB", (width, max(panel.height for panel in panels)), "white")
    left = 0
    for panel in panels:
        page.paste(panel, (left, 0))
        left += panel.width + GAP_PX
    return page


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
