"""Power ↔ decibel ↔ stored integers.

Stored integers are uint16, 0 for no data, 1…65535 in steps of 0.002 dB: the rounding error is at
most 0.001 dB. Calibrated quantities cover −80…+51 dB; uncalibrated digital numbers, whose decibels
are relative, cover −10…+121 dB. Values beyond are clipped to the ends and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STEP_DB = 0.002
LAST = 65535


@dataclass(frozen=True)
class Encoding:
    """Linear map between stored integers and decibels: dB = offset + scale · integer."""

    scale: float
    offset: float

    def encode(self, power: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint16], int]:
        """Return stored integers for linear power and how many values were clipped.

        Args:
            power: Linear power; NaN is no data; zero and negative values (left by noise removal)
                are stored as the lowest level and counted as clipped.
        """
        valid = np.isfinite(power)
        level = (power_to_db(power).astype(np.float64) - self.offset) / self.scale
        with np.errstate(invalid="ignore"):
            rounded = np.rint(level)
            clipped = int(np.count_nonzero(valid & ((rounded < 1) | (rounded > LAST))))
            stored = np.where(valid, np.clip(rounded, 1, LAST), 0)
        return stored.astype(np.uint16), clipped

    def decode_db(self, stored: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
        """Return decibels, NaN where no data."""
        db = stored.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)
        return np.where(stored == 0, np.float32(np.nan), db)


CALIBRATED = Encoding(STEP_DB, -80.0)
RELATIVE = Encoding(STEP_DB, -10.0)


def power_to_db(power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return 10·log10(power); −inf where power ≤ 0, NaN where NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        db = 10.0 * np.log10(np.maximum(power, 0.0))
    return np.asarray(db, dtype=np.float32)


def db_to_power(db: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return 10^(dB/10)."""
    return np.asarray(np.power(np.float32(10.0), db / np.float32(10.0)), dtype=np.float32)
