"""A corpus of 25 tiles around a coast with a small town, annotated from all sources."""

from __future__ import annotations

from pathlib import Path

from affine import Affine
from odc.geo.geobox import GeoBox

from data.geotiff.make import make_geotiff
from data.knowledge.make import make_options
from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig

GRID = GeoBox((320, 320), Affine(10, 0, 500_000, 0, -10, 4_700_000), "EPSG:32633")
BUILD = BuildConfig(
    grid=GridConfig(tile_px=64), split=SplitConfig(block_km=1.0, val=0.2, test=0.1)
)  # fmt: skip


def make_told(folder: Path, grid: GeoBox = GRID) -> Path:
    """Return the corpus; of `GRID` 19 tiles are of split train, 2 of val, 4 of test."""
    make_geotiff(folder / "in" / "s.tif", shape=grid.shape, transform=grid.affine)
    build([folder / "in"], folder / "corpus", BUILD)
    annotate(folder / "corpus", AnnotateConfig(options=make_options(folder, grid)))
    return folder / "corpus"
