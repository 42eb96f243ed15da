"""Figures of the report, as PNG or SVG bytes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import Polygon as Patch

from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.geo.gazetteer import city_points
from sarknowlip.sar.quicklook import Rgb, composite
from sarknowlip.sar.scaling import db_to_power, power_to_db
from sarknowlip.sar.tile import TileImage

SPLIT_COLOURS = {"train": "#2a6f97", "val": "#d9a21b", "test": "#c8384f", "unassigned": "#777777"}
INK, MUTED, LAND = "#1d2730", "#66727c", "#c9d1d6"
MOSAIC_PX = 720
"""Longest edge of a scene's picture."""


def png(picture: Rgb) -> bytes:
    """Return a picture as PNG."""
    buffer = io.BytesIO()
    imsave(buffer, picture, format="png")
    return buffer.getvalue()


def world_map(records: Sequence[TileRecord]) -> bytes:
    """Return an SVG of where the tiles lie, one mark a block; land is shown by its cities."""
    figure = Figure(figsize=(9.0, 4.1))
    axes = figure.add_axes((0, 0, 1, 1))
    land = city_points()
    axes.plot(*land.T, ",", color=LAND, rasterized=True)
    axes.plot(*land.T, ".", color=LAND, markersize=1.1, rasterized=True)
    places: dict[tuple[str, str], tuple[float, float]] = {}
    for record in records:
        west, south, east, north = record.projection.bbox
        middle = (west + east) / 2 if west <= east else ((west + east) / 2 + 360) % 360 - 180
        places.setdefault((record.block, record.split), (middle, (south + north) / 2))
    for (_, split), (lon, lat) in places.items():
        axes.plot(lon, lat, "o", color=SPLIT_COLOURS[split], markersize=7, alpha=0.85, mec="white")
    axes.set(xlim=(-180, 180), ylim=(-60, 80), aspect=1.15)
    axes.axis("off")
    return svg(figure)


def scene_map(catalog: Catalog, records: Sequence[TileRecord]) -> bytes:
    """Return a PNG of one scene with its tiles outlined in the colour of their split.

    Args:
        catalog: Corpus.
        records: Tiles of the scene; of several map projections the one with most tiles is shown.
    """
    code, _ = Counter(record.projection.code for record in records).most_common(1)[0]
    shown = [record for record in records if record.projection.code == code]
    boxes = np.array([record.projection.proj_bbox for record in shown])
    west, south = (float(value) for value in boxes[:, :2].min(axis=0))
    east, north = (float(value) for value in boxes[:, 2:].max(axis=0))
    wide, high = east - west, north - south
    longest = max(wide, high) / abs(shown[0].projection.transform[0])
    step = max(1, int(np.ceil(longest / MOSAIC_PX)))
    cell = step * max(wide, high) / longest
    mosaic: npt.NDArray[np.float32] | None = None
    for record, box in zip(shown, boxes, strict=True):
        db = _coarser(catalog.image(record).db, step)
        if mosaic is None:
            rows, columns = round(high / cell) + 1, round(wide / cell) + 1
            mosaic = np.full((db.shape[0], rows, columns), np.nan, dtype=np.float32)
        row, column = round((north - box[3]) / cell), round((box[0] - west) / cell)
        part = mosaic[:, row : row + db.shape[1], column : column + db.shape[2]]
        np.copyto(part, db[:, : part.shape[1], : part.shape[2]])
    assert mosaic is not None
    figure = Figure(figsize=(4.2, max(1.2, 4.2 * high / wide)), dpi=130)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(composite(mosaic), extent=(west, east, south, north), interpolation="nearest")
    for record, box in zip(shown, boxes, strict=True):
        _outline(axes, box, 0.004 * max(wide, high), SPLIT_COLOURS[record.split])
    axes.axis("off")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def loss_curve(log: Sequence[Mapping[str, float | None]]) -> bytes:
    """Return an SVG of training and validation loss by step.

    Args:
        log: Lines of a training log with "step", "loss" and, where measured, "val_loss".
    """
    figure = Figure(figsize=(9.0, 2.9))
    axes = figure.add_axes((0.07, 0.17, 0.91, 0.78))
    for name, colour, label in (
        ("loss", SPLIT_COLOURS["train"], "training"),
        ("val_loss", SPLIT_COLOURS["val"], "validation"),
    ):
        points = [
            (step, value)
            for line in log
            if (value := line.get(name)) is not None and (step := line.get("step")) is not None
        ]
        if points:
            mark = "o" if name == "val_loss" else "None"
            axes.plot(*np.array(points).T, marker=mark, color=colour, lw=1.4, ms=4, label=label)
    axes.set_xlabel("step", color=MUTED)
    axes.set_ylabel("contrastive loss", color=MUTED)
    axes.tick_params(colors=MUTED, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LAND)
    axes.legend(frameon=False, labelcolor=INK)
    return svg(figure)


def tile_picture(image: TileImage) -> bytes:
    """Return a PNG of a tile at its own size."""
    return png(composite(image.db))


def _coarser(db: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float32]:
    """Return the power mean of step × step pixels in dB."""
    if step == 1:
        return db
    power = xr.DataArray(db_to_power(db), dims=("pol", "y", "x"))
    return power_to_db(power.coarsen(y=step, x=step, boundary="pad").mean().to_numpy())


def _outline(axes: Axes, box: npt.NDArray[np.float64], inset: float, colour: str) -> None:
    west, south, east, north = box + np.array([inset, inset, -inset, -inset])
    corners = [(west, south), (east, south), (east, north), (west, north)]
    axes.add_patch(Patch(corners, closed=True, fill=False, ec=colour, lw=1.6))


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG; equal figures give equal bytes but for the names of clips."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", dpi=150, transparent=True, metadata={"Date": None})
    return buffer.getvalue()
