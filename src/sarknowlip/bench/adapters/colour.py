"""From decibels to what models of others were made for: one rule, the same for all.

Grid: power is averaged under each pixel of the model's square (`models.processing`, as for our own
model), so that shrinking is multilooking and all models are given the same pixels. Level: decibels
less the centre of the processor, in its spreads: a fixed centre for calibrated values, the tile's
own median for others. Pixels without data have the level of the centre.

Colour, for models of photographs: levels −2.5…+4 become 0…1, clipped (co-polarised: −26 to +9.5 dB
if calibrated, −14 to +22 dB around the median otherwise; the centre is a dark grey, as in pictures
of radars). Red, green and blue are

- of one polarisation: the same three times, a grey picture;
- of one co- and one cross-polarised channel: co, cross, and co less cross, whose level is the ratio
  in decibels. It is the usual composite of Sentinel-1, and a photograph's third channel is not
  wasted on a copy;
- of two co-polarised channels: HH, VV and their difference; with a cross-polarised one, which
  carries what the difference would: HH, cross, VV.

HV and VH are equal by reciprocity: of both, the mean level is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sarknowlip.bench.metrics import BenchError
from sarknowlip.models.processing import NEPER, SPREAD_DB, area_mean, normalise
from sarknowlip.sar.tile import TileImage

Floats32 = npt.NDArray[np.float32]

LOW, HIGH = -2.5, 4.0
"""Levels that become 0 and 1."""
CO, CROSS = ("HH", "VV"), ("HV", "VH")
FULL_SCALE_DB = 0.0
"""Of an 8-bit amplitude picture (`sar.chip`): its level 255."""
STRETCH = 3.0
"""Standard deviations of amplitude above the mean that become white elsewhere."""


def levels(tile: TileImage, names: Sequence[str], edge: int) -> Floats32:
    """Return normalised decibels (polarisations, edge, edge), finite.

    Args:
        tile: A tile.
        names: Its polarisations, in the order wanted.
        edge: Rows and columns.

    Raises:
        BenchError: The tile has no polarisation, or one that the rule does not know.
    """
    require_known(tile)
    out = np.empty((len(names), edge, edge), dtype=np.float32)
    normalise(tile, names, out)
    return out


def colour(tile: TileImage, edge: int) -> Floats32:
    """Return red, green and blue (3, edge, edge), 0…1.

    Raises:
        BenchError: As `levels`.
    """
    co, cross = _co_and_cross(tile, edge)
    if not co or len(co) + len(cross) == 1:
        rgb = [*co, *cross] * 3
    elif len(co) == 2:
        rgb = [co[0], cross[0], co[1]] if cross else [co[0], co[1], co[0] - co[1]]
    else:
        rgb = [co[0], cross[0], co[0] - cross[0]]
    return np.clip((np.stack(rgb) - LOW) / (HIGH - LOW), 0.0, 1.0).astype(np.float32)


def pair(tile: TileImage, edge: int) -> Floats32:
    """Return levels of co- and cross-polarisation (2, edge, edge), for models of Sentinel-1.

    HH stands for VV, and HV for VH. Of a single polarisation both are the same: such models have
    seen channels that go together, and none that is constant.

    Raises:
        BenchError: As `levels`.
    """
    co, cross = _co_and_cross(tile, edge)
    first = co[-1] if co else cross[0]
    return np.stack([first, cross[0] if cross else first])


def amplitude(tile: TileImage, edge: int) -> Floats32:
    """Return amplitude (1, edge, edge), 0…1, for models of 8-bit amplitude pictures.

    A picture that was one (amplitude without calibration, none above `FULL_SCALE_DB`) comes back as
    it was. Others have white at the mean of the tile's amplitude plus three standard deviations.
    The first co-polarised channel is taken. Pixels without data are black, as there.

    Raises:
        BenchError: As `levels`.
    """
    require_known(tile)
    held = tile.acquisition.polarizations
    name = next((name for name in (*CO, *CROSS) if name in held), held[0])
    db = tile.db[held.index(name)]
    grey = np.sqrt(area_mean(np.exp(db[None] * NEPER), edge))
    known = np.sqrt(np.exp(db[np.isfinite(db)] * NEPER))
    if known.size == 0:
        return np.zeros((1, edge, edge), dtype=np.float32)
    picture = tile.radiometry.quantity == "amplitude" and not tile.radiometry.calibrated
    as_it_was = picture and float(known.max()) <= 10.0 ** (FULL_SCALE_DB / 20.0) + 1e-6
    white = 1.0 if as_it_was else float(known.mean() + STRETCH * known.std())
    scaled = np.nan_to_num(grey / max(white, 1e-12), nan=0.0)
    return np.clip(scaled, 0.0, 1.0).astype(np.float32)


def _co_and_cross(tile: TileImage, edge: int) -> tuple[list[Floats32], list[Floats32]]:
    """Return levels of the co-polarised channels, HH first, and the mean of cross ones."""
    require_known(tile)
    names = [name for name in (*CO, *CROSS) if name in tile.acquisition.polarizations]
    level = dict(zip(names, levels(tile, names, edge), strict=True))
    cross = [level[name] for name in CROSS if name in level]
    mean: list[Floats32] = [np.asarray(np.mean(cross, axis=0), np.float32)] if cross else []
    return [level[name] for name in CO if name in level], mean


def require_known(tile: TileImage) -> None:
    """Make sure that there is a rule for all polarisations of a tile.

    Raises:
        BenchError: It has none, or one without a rule.
    """
    names = tile.acquisition.polarizations
    unknown = [name for name in names if name not in SPREAD_DB]
    if unknown or not names:
        what = f"polarisation {unknown[0]}" if unknown else "no polarisation"
        raise BenchError(
            f"{tile.id} has {what}", f"give tiles of {', '.join(sorted(SPREAD_DB))}, one at least"
        )
