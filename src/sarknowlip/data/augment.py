"""Changes to a tile that leave it a lawful radar image and its caption true.

No flip and no rotation: captions state directions, and a mirrored radar image would look from the
wrong side. No change of brightness: calibrated backscatter is a measurement. A crop keeps both, but
shares and counts in a caption hold for the whole tile only; it is off unless asked for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sarknowlip.sar.tile import TileImage

STREAM = 2
"""Tells crops from other draws of the same seed."""


def drawn_crop(tile: TileImage, smallest: float, *, seed: int, epoch: int, index: int) -> TileImage:
    """Return a random window of a tile; its grid moves along.

    Args:
        tile: Any tile.
        smallest: Least edge as a share of the tile's, 0…1; 1 returns the tile.
        seed: Of the run, not negative.
        epoch: Of the visit.
        index: Position of the tile in its split.
    """
    if smallest >= 1.0:
        return tile
    rng = np.random.Generator(np.random.Philox(key=[seed, STREAM], counter=[0, 0, epoch, index]))
    share = rng.uniform(smallest, 1.0)
    windows = []
    for length in tile.db.shape[1:]:
        edge = max(1, round(share * length))
        start = int(rng.integers(0, length - edge + 1))
        windows.append(slice(start, start + edge))
    rows, columns = windows
    return replace(tile, db=tile.db[:, rows, columns], geobox=tile.geobox[rows, columns])
