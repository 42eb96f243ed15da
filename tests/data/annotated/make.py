"""A small corpus with a map of land cover over it, for tests of annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from data.geotiff.make import make_geotiff
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig
from sarknowlip.knowledge.sources import SourceOptions

BUILD = BuildConfig(grid=GridConfig(tile_px=64), split=SplitConfig(block_km=1.0))


def make_corpus(folder: Path, pixels: int = 200) -> tuple[Path, SourceOptions]:
    """Return a corpus of a few tiles with a map of land cover over it."""
    place = Affine(10, 0, 500_000, 0, -10, 4_700_000)
    make_geotiff(folder / "in" / "s.tif", shape=(pixels, pixels), transform=place)
    build([folder / "in"], folder / "corpus", BUILD)
    codes = np.full((pixels, pixels), 30, np.uint8)
    codes[: pixels // 2, : pixels // 3] = 80
    codes[pixels // 2 :, pixels // 2 :] = 50
    path = folder / "cover.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=pixels, height=pixels, count=1, dtype="uint8", nodata=0,
        crs="EPSG:32633", transform=place,
    ) as target:  # fmt: skip
        target.write(codes, 1)
    return folder / "corpus", SourceOptions(landcover=(path,))
