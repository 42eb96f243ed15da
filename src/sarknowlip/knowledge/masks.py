"""Masks as text: run-length encoding as COCO writes it, which its tools read.

Runs of zeros and ones alternate, zeros first, down the columns. Numbers from the third on are
differences to the run two before; each is written in groups of five bits, lowest first, as a
character from "0" on (pycocotools, `rleToString` in maskApi.c).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sarknowlip.knowledge.windows import Mask


def encode_mask(mask: Mask) -> str:
    """Return a mask (rows, columns) as a COCO string; its size is not part of it."""
    flat = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    if flat.size and flat[0]:
        runs.insert(0, 0)
    return "".join(
        _characters(run - runs[i - 2] if i > 2 else run) for i, run in enumerate(runs)
    )  # fmt: skip


def decode_mask(text: str, shape: tuple[int, int]) -> Mask:
    """Return the mask of a COCO string.

    Args:
        text: What `encode_mask` gave.
        shape: Rows, columns.

    Raises:
        ValueError: The string is not such an encoding of a mask of that shape.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"{character!r} is no character of a COCO mask")
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= (1 << shift) if code & 16 else 0
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift or min(runs, default=0) < 0 or sum(runs) != shape[0] * shape[1]:
        raise ValueError(f"mask does not have {shape[0]} × {shape[1]} pixels")
    ones = np.arange(len(runs)) % 2 == 1
    flat: npt.NDArray[np.bool_] = np.repeat(ones, runs)
    return flat.reshape(shape, order="F")


def mask_box(mask: Mask) -> tuple[int, int, int, int] | None:
    """Return x0, y0, x1, y1 of the true pixels, ends exclusive; None if there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _characters(number: int) -> str:
    found = ""
    while True:
        group, number = number & 31, number >> 5
        more = number != (-1 if group & 16 else 0)
        found += chr((group | 32 if more else group) + 48)
        if not more:
            return found
