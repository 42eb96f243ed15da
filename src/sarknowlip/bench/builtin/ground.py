"""Rows of the tasks about ground: land cover of windows and of pixels, and what changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from sarknowlip.bench.builtin.covers import Codes, shares
from sarknowlip.bench.builtin.pictures import NO_CLASS, Tiles
from sarknowlip.bench.builtin.rows import Row
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.hashing import unit_interval
from sarknowlip.corpus.record import TileRecord

ClassesAt = Callable[[TileRecord], Codes]
"""From a tile to the class of each of its pixels."""
LEAST_SHARE = 0.6
"""Of a window that its class covers."""


def grid_of(record: TileRecord) -> GeoBox:
    """Return the pixels of a tile."""
    projection = record.projection
    return GeoBox(projection.shape, Affine(*projection.transform[:6]), projection.code)


def cover_rows(
    tiles: Tiles, classes_at: ClassesAt, codes: Sequence[int], *, most: int, least: int
) -> list[Row]:
    """Return windows of a quarter of a tile that one class covers, as many of each class.

    Args:
        tiles: Corpus.
        classes_at: Codes of land cover.
        codes: Those that are classes, in the order of indices.
        most: Windows of a class at most.
        least: Of each class, or nothing is made.

    Raises:
        BenchError: There are too few windows of a class.
    """
    found: dict[int, list[Row]] = defaultdict(list)
    for record in tiles.records.values():
        cover = classes_at(record)
        for window in _quarters(record):
            top, left, rows, columns = window
            held = shares(cover[top : top + rows, left : left + columns])
            code = max(held, key=lambda code: (held[code], code), default=0)
            if code in codes and held[code] >= LEAST_SHARE:
                row: Row = {"id": f"{record.id}-r{top}-c{left}", "group": record.block}
                row |= {"tile": record.id, "window": window, "label": codes.index(code)}
                found[codes.index(code)].append(row)
    return balanced([found[index] for index in range(len(codes))], most, least)


def balanced(rows_of: Sequence[Sequence[Row]], most: int, least: int) -> list[Row]:
    """Return as many rows of each class, chosen by a hash of their names, sorted by name.

    Raises:
        BenchError: There are less than `least` of a class.
    """
    count = min(most, *(len(rows) for rows in rows_of))
    if count < least:
        sizes = ", ".join(str(len(rows)) for rows in rows_of)
        raise BenchError(
            f"the simulated cities hold too little of a class ({sizes} pictures by class)",
            "give more or larger cities",
        )
    return sorted(
        (row for rows in rows_of for row in drawn(rows, count)), key=lambda row: str(row["id"])
    )


def drawn(rows: Sequence[Row], most: int) -> list[Row]:
    """Return so many rows at most, chosen by a hash of their names, sorted by name."""
    chosen = sorted(rows, key=lambda row: unit_interval("builtin", str(row["id"])))[:most]
    return sorted(chosen, key=lambda row: str(row["id"]))


def mask_rows(
    tiles: Tiles, classes_at: ClassesAt, codes: Mapping[int, int]
) -> tuple[list[Row], npt.NDArray[np.uint8]]:
    """Return a row of each tile, and masks (N, rows, columns).

    Args:
        tiles: Corpus.
        classes_at: Codes.
        codes: Index of the class of each code; pixels of other codes have none.
    """
    index_of = np.full(256, NO_CLASS, dtype=np.uint8)
    for code, index in codes.items():
        index_of[code] = index
    rows: list[Row] = []
    masks = []
    for number, record in enumerate(tiles.records.values()):
        rows.append({"id": record.id, "group": record.block, "tile": record.id, "mask": number})
        masks.append(index_of[classes_at(record)])
    return rows, np.stack(masks)


def change_rows(
    first: Tiles, later: Tiles, changed_at: ClassesAt
) -> tuple[list[Row], npt.NDArray[np.uint8]]:
    """Return rows of the tiles that both dates have, and masks of 0 and 1.

    Args:
        first: Corpus of the first date.
        later: Corpus of the second date.
        changed_at: 2 where anything changed, 1 elsewhere, 0 beyond the world.
    """
    before = {record.tile_key: record.id for record in first.records.values()}
    rows: list[Row] = []
    masks: list[Codes] = []
    for record in later.records.values():
        if record.tile_key in before:
            row = {"id": record.id, "group": record.block, "tile": record.id}
            row |= {"before": before[record.tile_key], "before_kind": "first"}
            rows.append(row | {"mask": len(masks)})
            changed = changed_at(record)
            masks.append(np.where(changed == 0, NO_CLASS, changed - 1).astype(np.uint8))
    return rows, np.stack(masks)


def _quarters(record: TileRecord) -> Iterator[tuple[int, int, int, int]]:
    rows, columns = (edge // 2 for edge in record.projection.shape)
    for top in (0, rows):
        for left in (0, columns):
            yield top, left, rows, columns
