"""Examples of the built-in sets as rows of JSON, one file a set.

A row names a tile and perhaps a window of it, and holds one kind of truth; masks of pixels lie in
a `.npy` file beside it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.builtin.pictures import MaskAt, Tiles, corpus_folder
from sarknowlip.bench.dataset import Part
from sarknowlip.bench.example import (
    Answer,
    Boxes,
    Captions,
    Count,
    Example,
    Label,
    Mask,
    Region,
    Truth,
)
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.files import read_json, replacing, write_json
from sarknowlip.knowledge.masks import decode_mask

Row = dict[str, Any]
Rows = Mapping[str, Mapping[Part, Sequence[Row]]]
"""Rows by task and part."""


def rows_path(root: Path, name: str) -> Path:
    """Return the file of a set's rows."""
    return root / "sets" / f"{name}.json"


def masks_path(root: Path, name: str, part: Part) -> Path:
    """Return the file of a set's masks."""
    return root / "sets" / f"{name}-{part}.npy"


def write_rows(root: Path, name: str, kind: str, rows: Rows) -> None:
    """Write the rows of a set.

    Args:
        root: Folder of the built-in sets.
        name: Of the set.
        kind: Of the corpora whose tiles the rows name.
        rows: What to write.

    Raises:
        StorageError: The file cannot be written.
    """
    write_json(rows_path(root, name), {"kind": kind, "rows": rows})


def write_masks(root: Path, name: str, part: Part, masks: npt.NDArray[np.uint8]) -> None:
    """Write the masks of one part of a set, (N, rows, columns)."""
    with replacing(masks_path(root, name, part)) as partial, partial.open("wb") as handle:
        np.save(handle, masks)


def read_examples(root: Path, name: str) -> dict[str, dict[Part, tuple[Example, ...]]]:
    """Return the examples of a set by task and part, without reading pictures.

    Raises:
        SarKnowlipError: The set is not there or damaged.
    """
    path = rows_path(root, name)
    stored = read_json(path, "make the built-in sets again")
    tiles = functools.cache(lambda kind, part: Tiles(corpus_folder(root, kind, part)))
    try:
        return {
            task: {
                part: tuple(
                    _example(
                        row,
                        tiles(stored["kind"], part),
                        functools.partial(tiles, part=part),
                        masks_path(root, name, part),
                    )
                    for row in some
                )
                for part, some in parts.items()
            }
            for task, parts in stored["rows"].items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(f"{path} is damaged: {error!r}", "make the built-in sets again") from error


def _example(row: Row, tiles: Tiles, others: Callable[..., Tiles], masks: Path) -> Example:
    window = tuple(row["window"]) if "window" in row else None
    before = row.get("before")
    return Example(
        id=row["id"],
        group=row["group"],
        image=tiles.picture(row["tile"], window),
        truth=_truth(row, masks),
        before=None if before is None else others(row["before_kind"]).picture(before),
    )


def _truth(row: Row, masks: Path) -> Truth:
    return next(make for key, make in _TRUTHS.items() if key in row)(row, masks)


def _region(row: Row, _: Path) -> Region:
    box = np.array(row["box"], dtype=np.float64)
    mask = functools.partial(decode_mask, row["rle"], tuple(row["shape"]))
    return Region(row["expression"], box, mask)


def _boxes(row: Row, _: Path) -> Boxes:
    corners = np.array(row["corners"], dtype=np.float64).reshape(-1, 4, 2)
    return Boxes(corners, np.array(row["classes"], dtype=np.int64))


_TRUTHS: dict[str, Callable[[Row, Path], Truth]] = {
    "label": lambda row, _: Label(row["label"]),
    "corners": _boxes,
    "mask": lambda row, masks: Mask(MaskAt(masks, row["mask"])),
    "count": lambda row, _: Count(row["count"]),
    "texts": lambda row, _: Captions(tuple(row["texts"])),
    "question": lambda row, _: Answer(row["question"], row["answer"], row["asked"]),
    "expression": _region,
}
"""For what a row holds, the truth that it is."""
