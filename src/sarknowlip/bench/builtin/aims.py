"""Rows of the tasks about targets: boxes in pictures, counts of them, and chips around them.

Legend of array names: N boxes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.bench.builtin.ground import balanced, drawn, grid_of
from sarknowlip.bench.builtin.pictures import Tiles, Window
from sarknowlip.bench.builtin.rows import Row
from sarknowlip.core.files import read_json
from sarknowlip.corpus.record import TileRecord
from sarknowlip.geo.grid import apply_affine

PICTURES = 2
"""Pictures along the edge of a tile."""
CHIP_PX = 48
LEAST_INSIDE = 0.5
"""Share of a box that must lie in a picture; less is not asked for."""

Corners = npt.NDArray[np.float64]


def boxes_of(record: TileRecord, products: Sequence[Path]) -> tuple[list[str], Corners]:
    """Return kinds and corners (N, 4, 2) of the targets of a tile, in its pixels.

    Args:
        record: The tile.
        products: Of all pieces of ground; targets lie in the JSON file beside each.
    """
    path = next(path for path in products if path.stem == record.scene)
    truth = read_json(path.with_suffix(".json"), "make the built-in sets again")
    metres = np.array(truth["corners"], dtype=np.float64).reshape(-1, 2)
    to_pixels = ~grid_of(record).affine
    column, row = apply_affine(to_pixels, metres[:, 0], metres[:, 1])
    return list(truth["kinds"]), np.stack([column, row], axis=-1).reshape(-1, 4, 2)


def detection_rows(
    tiles: Tiles, products: Sequence[Path], classes: Sequence[str]
) -> tuple[list[Row], list[Row]]:
    """Return rows with the boxes of each picture, and rows with their number."""
    boxes, counts = [], []
    for record in tiles.records.values():
        kinds, corners = boxes_of(record, products)
        for window in _pictures(record):
            top, left, rows, columns = window
            row: Row = {"id": f"{record.id}-r{top}-c{left}", "group": record.block}
            row |= {"tile": record.id, "window": window}
            held = [
                (classes.index(kind), part)
                for kind, box in zip(kinds, corners - (left, top), strict=True)
                if kind in classes and (part := clipped(box, (rows, columns))) is not None
            ]
            truth = {
                "corners": [np.round(box, 2).tolist() for _, box in held],
                "classes": [index for index, _ in held],
            }
            boxes.append(row | truth)
            counts.append(row | {"count": len(held)})
    return boxes, counts


def chip_rows(
    tiles: Tiles, products: Sequence[Path], classes: Sequence[str], *, most: int, least: int | None
) -> list[Row]:
    """Return rows of chips around targets; one at the edge of its tile is off its chip's centre.

    Args:
        tiles: Corpus.
        products: See `boxes_of`.
        classes: Kinds of targets, in the order of indices.
        most: Chips of a class at most.
        least: Of each class, of which there are then as many; None takes all, up to the most.

    Raises:
        BenchError: There are too few of a class.
    """
    found: dict[int, list[Row]] = defaultdict(list)
    for record in tiles.records.values():
        kinds, corners = boxes_of(record, products)
        shape = record.projection.shape
        for number, (kind, box) in enumerate(zip(kinds, corners, strict=True)):
            if kind in classes and clipped(box, shape) is not None:
                window = _around(box.mean(axis=0), shape)
                row: Row = {"id": f"{record.id}-{number:03}", "group": record.block}
                row |= {"tile": record.id, "window": window, "label": classes.index(kind)}
                found[classes.index(kind)].append(row)
    rows_of = [found[index] for index in range(len(classes))]
    if least is not None:
        return balanced(rows_of, most, least)
    return sorted((row for rows in rows_of for row in drawn(rows, most)), key=_by_id)


def clipped(box: Corners, shape: tuple[int, int]) -> Corners | None:
    """Return a box cut at the edges of a picture, along its own axes; None if little is inside.

    Args:
        box: Corners (4, 2), column and row.
        shape: Rows and columns of the picture.
    """
    whole = shapely.Polygon(box)
    inside = whole.intersection(shapely.box(0.0, 0.0, shape[1], shape[0]))
    if inside.area < LEAST_INSIDE * whole.area:
        return None
    if inside.area > (1.0 - 1e-9) * whole.area:
        return box
    origin, along, across = box[3], box[0] - box[3], box[2] - box[3]
    points = shapely.get_coordinates(inside) - origin
    a = points @ along / (along @ along)
    c = points @ across / (across @ across)
    ends = [(a.max(), c.min()), (a.max(), c.max()), (a.min(), c.max()), (a.min(), c.min())]
    return np.array([origin + u * along + v * across for u, v in ends])


def _around(centre: npt.NDArray[np.float64], shape: tuple[int, int]) -> Window:
    top, left = (
        int(np.clip(round(float(place) - CHIP_PX / 2), 0, edge - CHIP_PX))
        for place, edge in zip(centre[::-1], shape, strict=True)
    )
    return top, left, CHIP_PX, CHIP_PX


def _pictures(record: TileRecord) -> Iterator[Window]:
    rows, columns = (edge // PICTURES for edge in record.projection.shape)
    for top in range(0, PICTURES * rows, rows):
        for left in range(0, PICTURES * columns, columns):
            yield top, left, rows, columns


def _by_id(row: Row) -> str:
    return str(row["id"])
