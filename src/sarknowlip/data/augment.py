"""Changes to a tile that leave it a lawful radar image and its caption true.

- Crop: a window, of whole blocks of the multilooking to come; the map grid moves along. Texts that
  do not provably hold of it are dropped; where none is left, or no pixel has data, the tile stays
  whole.
- Turn: one of the seven quarter turns and mirrorings, only with a caption that holds then. The map
  grid turns along; heading, orbit and side of look are no longer those of the image: unknown.
- Polarisation dropout: never all, never one that the caption speaks of.
- Multilook: mean power of whole blocks of pixels, larger pixels, fewer looks of speckle.
- Speckle: power times a gamma variable of mean 1 and variance 1/L. Of N looks before,
  1/N' = 1/N + 1/L + 1/(N·L) after (independent multiplicative noise; Oliver and Quegan, 2004).

No change of brightness: calibrated backscatter is a measurement. Power is averaged, never decibels.
All draws are keyed by seed, epoch and index; all changes are off by default.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox
from pydantic import Field, model_validator

from sarknowlip.core.config import Config
from sarknowlip.data.scope import Scope
from sarknowlip.knowledge.evidence import Box
from sarknowlip.sar.scaling import power_to_db
from sarknowlip.sar.speckle import multilook
from sarknowlip.sar.tile import TileImage

CROP, TURN, CHANNELS, BLOCKS, SPECKLE = 2, 4, 5, 6, 7
"""Streams of chance: a change that is switched on leaves the others as they were. 1 draws captions,
3 orders."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class AugmentConfig(Config):
    """Which changes, how often. The defaults change nothing.

    Attributes:
        smallest_crop: Least edge of a crop as a share of the tile's; 1 for none.
        turn: Share of visits that are turned or mirrored, where the caption allows it.
        drop_polarization: Chance of each polarisation to be left out, where the caption allows it.
        multilook: Largest edge of the blocks of pixels that are averaged; 1 for none.
        speckle: Share of visits with speckle added.
        speckle_looks: Least and most looks of that speckle, drawn evenly in their logarithm.
    """

    smallest_crop: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    turn: Share = 0.0
    drop_polarization: Share = 0.0
    multilook: Annotated[int, Field(ge=1, le=16)] = 1
    speckle: Share = 0.0
    speckle_looks: tuple[float, float] = (2.0, 16.0)

    @model_validator(mode="after")
    def _ordered(self) -> AugmentConfig:
        if not 0 < self.speckle_looks[0] <= self.speckle_looks[1]:
            raise ValueError(f"speckle_looks: {self.speckle_looks} is not least and most")
        return self

    @property
    def off(self) -> bool:
        """Whether nothing is ever changed."""
        still = self.turn == self.drop_polarization == self.speckle == 0.0
        return still and self.smallest_crop == 1.0 and self.multilook == 1


class Chance:
    """Draws of one visit.

    Args:
        seed: Of the run, not negative.
        epoch: Of the visit, not negative.
        index: Position of the tile in its split.
    """

    def __init__(self, seed: int, epoch: int, index: int) -> None:
        self._key, self._counter = seed, [0, 0, epoch, index]

    def stream(self, number: int) -> np.random.Generator:
        """Return the generator of one kind of draw; the same again at each call."""
        bits = np.random.Philox(key=[self._key, number], counter=self._counter)
        return np.random.Generator(bits)


def drawn_factor(config: AugmentConfig, chance: Chance) -> int:
    """Return the edge of the blocks of pixels that are averaged; 1 for none."""
    if config.multilook == 1:
        return 1
    return int(chance.stream(BLOCKS).integers(1, config.multilook + 1))


def drawn_window(
    shape: tuple[int, int], smallest: float, chance: Chance, *, block: int = 1
) -> Box | None:
    """Return a random window x0, y0, x1, y1 of the tile's proportions; None for all of it.

    Args:
        shape: Rows, columns.
        smallest: Least edge as a share of the tile's, 0…1.
        chance: Of the visit.
        block: Edges are rounded up to a multiple of it, down where the tile ends before.
    """
    if smallest >= 1.0:
        return None
    rng = chance.stream(CROP)
    share = rng.uniform(smallest, 1.0)
    edges = [_rounded(max(1, round(share * length)), length, block) for length in shape]
    top, left = (
        int(rng.integers(0, length - edge + 1)) for length, edge in zip(shape, edges, strict=True)
    )
    whole = (0, 0, shape[1], shape[0])
    window = (left, top, left + edges[1], top + edges[0])
    return None if window == whole else window


def _rounded(edge: int, length: int, block: int) -> int:
    """Return an edge as whole blocks, if one fits into the length."""
    whole = min(-(-edge // block), length // block) * block
    return whole or edge


def crop(tile: TileImage, window: Box) -> TileImage:
    """Return a window of a tile; its grid moves along."""
    x0, y0, x1, y1 = window
    rows, columns = slice(y0, y1), slice(x0, x1)
    return replace(tile, db=tile.db[:, rows, columns], geobox=tile.geobox[rows, columns])


def changed(tile: TileImage, scope: Scope, config: AugmentConfig, chance: Chance) -> TileImage:
    """Return a tile with all changes that are drawn and leave its caption true, but the crop.

    Args:
        tile: A tile, or a window of one.
        scope: What its caption holds of.
        config: Which changes, how often.
        chance: Of the visit.
    """
    rng = chance.stream(CHANNELS)
    if config.drop_polarization:
        tile = without_channels(tile, scope, config.drop_polarization, rng)
    if scope.turns and config.turn:
        rng = chance.stream(TURN)
        if rng.random() < config.turn:
            tile = turned(tile, int(rng.integers(1, 8)))
    if scope.speckles:
        tile = averaged(tile, drawn_factor(config, chance))
    if scope.speckles and config.speckle:
        rng = chance.stream(SPECKLE)
        if rng.random() < config.speckle:
            low, high = np.log(config.speckle_looks)
            tile = speckled(tile, float(np.exp(rng.uniform(low, high))), rng)
    return tile


def turned(tile: TileImage, number: int) -> TileImage:
    """Return a tile turned or mirrored; every pixel keeps its place on the map.

    Args:
        tile: Any tile.
        number: Quarter turns against the clock (its remainder by 4), after mirroring left to right
            from 4 on; 0 is the tile itself.
    """
    quarters, mirrored = number % 4, number >= 4
    if not number:
        return tile
    db, affine = tile.db, tile.geobox.affine
    if mirrored:
        db, affine = db[..., ::-1], affine * Affine(-1, 0, db.shape[2], 0, 1, 0)
    for _ in range(quarters):
        # A pixel (column, row) of the turned image was at (width − row, column).
        affine = affine * Affine(0, -1, db.shape[2], 1, 0, 0)
        db = np.rot90(db, axes=(1, 2))
    seen = {"heading": None, "orbit_state": None, "observation_direction": None}
    return replace(
        tile,
        db=np.ascontiguousarray(db),
        geobox=GeoBox(db.shape[1:], affine, tile.geobox.crs),
        acquisition=tile.acquisition.model_copy(update=seen),
    )


def without_channels(
    tile: TileImage, scope: Scope, share: float, rng: np.random.Generator
) -> TileImage:
    """Return a tile without some polarisations, at least one left.

    Args:
        tile: Any tile.
        scope: What its caption holds of: the polarisations it speaks of stay.
        share: Chance of each other one to be left out.
        rng: One draw for each polarisation, and one for which is kept where all would go.
    """
    names = tile.acquisition.polarizations
    draws = rng.random(len(names))
    spared = int(rng.integers(len(names)))
    kept = [
        k
        for k, name in enumerate(names)
        if name in scope.polarizations or draws[k] >= share
    ] or [spared]  # fmt: skip
    if len(kept) == len(names):
        return tile
    left = {"polarizations": tuple(names[k] for k in kept)}
    return replace(tile, db=tile.db[kept], acquisition=tile.acquisition.model_copy(update=left))


def averaged(tile: TileImage, factor: int) -> TileImage:
    """Return a tile of pixels `factor` times as large, mean power of the old ones with data.

    A tile that is not a whole number of blocks, or would be one pixel, stays as it is. Resolution
    and looks become unknown.
    """
    rows, columns = tile.db.shape[1:]
    if factor == 1 or rows % factor or columns % factor or factor in (rows, columns):
        return tile
    blocks = multilook(tile.power, factor, factor)
    names = ("looks_range", "looks_azimuth", "resolution_range", "resolution_azimuth")
    unknown = dict.fromkeys((*names, "looks_equivalent_number"))
    return replace(
        tile,
        db=power_to_db(blocks),
        geobox=GeoBox(blocks.shape[1:], tile.geobox.affine * Affine.scale(factor), tile.geobox.crs),
        acquisition=tile.acquisition.model_copy(update=unknown),
    )


def speckled(tile: TileImage, looks: float, rng: np.random.Generator) -> TileImage:
    """Return a tile with power times independent gamma noise of mean 1 and variance 1/looks."""
    noise: npt.NDArray[np.float64] = rng.gamma(looks, 1.0 / looks, tile.db.shape)
    # A draw may be 0 in the last bit; no data must stay the only NaN or infinity.
    gain = power_to_db(np.maximum(noise, np.finfo(np.float32).tiny).astype(np.float32))
    before = tile.acquisition.looks_equivalent_number
    after = None if before is None else 1 / (1 / before + 1 / looks + 1 / (before * looks))
    acquisition = tile.acquisition.model_copy(update={"looks_equivalent_number": after})
    return replace(tile, db=tile.db + gain, acquisition=acquisition)
