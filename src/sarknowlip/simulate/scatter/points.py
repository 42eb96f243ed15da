"""Tables of points: rows repeated into points, tables put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.image.contract import Scatterers


def repeated(count: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each row as often as its count, and the number of each repetition, from 0."""
    row = np.repeat(np.arange(len(count)), count)
    first = np.cumsum(count) - count
    return row, np.arange(len(row)) - first[row]


def joined(parts: Sequence[Scatterers]) -> Scatterers:
    """Return the scatterers of all parts, at least one, in order."""
    names = [field.name for field in fields(Scatterers)]
    columns = {n: np.concatenate([getattr(part, n) for part in parts], axis=-1) for n in names}
    return Scatterers(**columns)


def no_points(polarizations: int) -> Scatterers:
    """Return a table without rows."""
    none = np.zeros(0)
    return Scatterers.at(none, none, none, np.zeros((polarizations, 0)))
