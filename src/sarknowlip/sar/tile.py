"""One tile with its pixels in memory: what evidence, annotation and models look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from sarknowlip.geo.raster import decode_tile
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.scaling import Encoding, db_to_power


@dataclass(frozen=True)
class Codes:
    """Stored integers and what they mean: shape (polarisations, rows, columns), 0 for no data."""

    pixels: npt.NDArray[np.uint16]
    encoding: Encoding


@dataclass(frozen=True)
class TileImage:
    """A tile's pixels and what they mean.

    Attributes:
        id: Tile identifier, unique in its corpus.
        db: Decibels, shape (polarisations, rows, columns), float32, NaN for no data.
        geobox: Map grid of the pixels.
        acquisition: How and when the radar looked; `polarizations` names the first axis of `db`.
        radiometry: Quantity and calibration of the pixels.
        codes: Stored integers that `db` comes from, where they are at hand.
    """

    codes: ClassVar[Codes | None] = None
    id: str
    db: npt.NDArray[np.float32]
    geobox: GeoBox
    acquisition: Acquisition
    radiometry: Radiometry

    @classmethod
    def read(
        cls, tile_id: str, path: Path, acquisition: Acquisition, radiometry: Radiometry
    ) -> TileImage:
        """Read a stored tile.

        Raises:
            ProductError: The file is absent or damaged.
        """
        stored = decode_tile(path)
        db = Encoding(stored.scale, stored.offset).decode_db(stored.pixels)
        return cls(tile_id, db, stored.geobox, acquisition, radiometry)

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """True where every polarisation has data, shape (rows, columns)."""
        return np.asarray(np.isfinite(self.db).all(axis=0))

    @property
    def power(self) -> npt.NDArray[np.float32]:
        """Linear power, same shape as `db`."""
        return db_to_power(self.db)

    def polarization(self, name: str) -> npt.NDArray[np.float32] | None:
        """Return the decibels of one polarisation, shape (rows, columns), or None if absent."""
        names: tuple[str, ...] = self.acquisition.polarizations
        return self.db[names.index(name)] if name in names else None


class CodedTile(TileImage):
    """A tile whose decibels are decoded when first asked for.

    `dataclasses.replace` gives another one; with new decibels it has no codes.

    Args:
        id: As in `TileImage`; so are the others.
        db: Stored integers, or decibels.
    """

    def __init__(
        self, id: str, db: Codes | npt.NDArray[np.float32], geobox: GeoBox, **about: Any
    ) -> None:
        codes = db if isinstance(db, Codes) else None
        own = {"codes": codes} if codes is not None else {"db": db}
        vars(self).update(id=id, geobox=geobox, **own, **about)

    @cached_property
    def db(self) -> npt.NDArray[np.float32]:
        """Decibels, shape (polarisations, rows, columns), float32, NaN for no data."""
        assert self.codes is not None
        return self.codes.encoding.decode_db(self.codes.pixels)
