"""Small annotated corpora: tiles of distinct look, each with its own sentences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import rasterio
from affine import Affine

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.store import MANIFEST, TEXTS, texts_table
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import ANNOTATIONS, Catalog
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig

KINDS = ("sea", "lake", "field", "forest", "town", "desert", "harbour", "airport")


def make_corpus(
    root: Path, tiles: int = 8, *, tile_px: int = 32, val: float = 0.0, mixed: bool = False
) -> Path:
    """Build a corpus of `tiles` one-tile scenes with four sentences each.

    Scene k has a mean level and stripes of its own, so that tiles can be told apart.

    Args:
        root: Corpus folder.
        tiles: Scenes.
        tile_px: Edge of a tile.
        val: Share of blocks for validation.
        mixed: Whether every other scene has one polarisation only.
    """
    rows, columns = np.mgrid[:tile_px, :tile_px]
    for index in range(tiles):
        rng = np.random.default_rng(index)
        axis = rows if index % 2 else columns
        stripes = np.sin(axis * 2 * np.pi * (1 + index // 2) / tile_px) > 0
        db = np.where(stripes, -22 + 2.0 * (index % 8), -8.0)
        bands = ("HH",) if mixed and index % 2 else ("VV", "VH")
        power = [
            10 ** ((db - 7 * k) / 10) * rng.gamma(4, 0.25, db.shape) for k in range(len(bands))
        ]
        place = Affine(10, 0, 500_000 + 20_000 * index, 0, -10, 4_700_000)
        _write(
            root.parent / f"{root.name}-in" / f"scene{index:03d}.tif", np.stack(power), bands, place
        )
    config = BuildConfig(
        grid=GridConfig(tile_px=tile_px, placement="native"),
        split=SplitConfig(block_km=10.0, val=val, test=0.0),
    )
    build([root.parent / f"{root.name}-in"], root, config)
    write_texts(root)
    return root


def write_texts(root: Path, version: str = "v0001") -> Path:
    """Write four sentences a tile; the first is shared by all."""
    texts = []
    for index, record in enumerate(Catalog(root).records()):
        kind = KINDS[index % len(KINDS)]
        for sentence in (
            "The image shows land and water.",
            f"A {kind} of type {index} fills the tile.",
            f"Stripes repeat {1 + index // 2} times.",
            f"The dark part lies at {-22 + 2 * (index % 8)} dB.",
        ):
            texts.append(Text.of(record.id, "landform", "sentence", sentence, claim_ids=["0"]))
        texts.append(Text.of(record.id, "landform", "tag", kind, claim_ids=["0"]))
    folder = root / ANNOTATIONS / version
    folder.mkdir(parents=True)
    pq.write_table(texts_table(texts), folder / TEXTS)
    (folder / MANIFEST).write_text(json.dumps({"version": version}))
    return folder


def _write(path: Path, power: np.ndarray, bands: tuple[str, ...], place: Affine) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=power.shape[1],
        width=power.shape[2],
        count=len(bands),
        dtype="float32",
        crs="EPSG:32633",
        transform=place,
    ) as target:
        target.write((10 * np.log10(power)).astype("float32"))
        for index, name in enumerate(bands, start=1):
            target.set_band_description(index, name)
