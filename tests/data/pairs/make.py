"""Small annotated corpora: tiles of distinct look, each with its own sentences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import rasterio
from affine import Affine

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.store import (
    CLAIMS,
    EVIDENCE,
    MANIFEST,
    TEXTS,
    claims_table,
    texts_table,
)
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import ANNOTATIONS, Catalog
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.store import evidence_table

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


def write_texts(root: Path, version: str = "v0001", *, asked: bool = False) -> Path:
    """Write four sentences a tile, each of one claim; the first is shared by all.

    With `asked` there is a question about the second, too.
    """
    texts, claims, facts = [], [], []
    for index, record in enumerate(Catalog(root).records()):
        kind, level = KINDS[index % len(KINDS)], -22 + 2 * (index % 8)
        fact = Evidence.of(
            record.id, "image", "rows", unit="px", source="image", source_version="1",
            confidence=1.0, value=record.projection.shape[0],
        )  # fmt: skip
        facts.append(fact)
        told = [
            ("dominant_surface", {"surface": "land", "share_pct": 60},
             "The image shows land and water."),
            ("dominant_cover", {"cover": kind, "share_pct": 90 + index % 8},
             f"A {kind} of type {index} fills the tile."),
            ("two_tones", {"share_pct": 50, "contrast_db": index},
             f"Stripes repeat {1 + index // 2} times."),
            ("mean_backscatter", {"polarization": "VV", "mean_db": level},
             f"The dark part lies at {level} dB."),
        ]  # fmt: skip
        for predicate, arguments, sentence in told:
            claim = claim_about(record.id, predicate, arguments, [fact])
            claims.append(claim)
            texts.append(Text.of(record.id, "landform", "sentence", sentence, claim_ids=[claim.id]))
        texts.append(Text.of(record.id, "landform", "tag", kind, claim_ids=[claims[-3].id]))
        if asked:
            texts.append(
                Text.of(
                    record.id, "landform", "question-answer", f"A {kind} of type {index}.",
                    claim_ids=[claims[-3].id], question="What fills the tile?", topic="function",
                    choices=[f"A {kind} of type {index}.", "Nothing."],
                )
            )  # fmt: skip
    folder = root / ANNOTATIONS / version
    folder.mkdir(parents=True)
    pq.write_table(texts_table(texts), folder / TEXTS)
    pq.write_table(claims_table(claims), folder / CLAIMS)
    pq.write_table(evidence_table(facts), folder / EVIDENCE)
    (folder / MANIFEST).write_text(json.dumps({"version": version}))
    return folder


def claim_about(tile_id: str, predicate: str, arguments: dict, facts: list[Evidence]) -> Claim:
    """Return a claim that rests on facts."""
    return Claim.of(
        tile_id, "landform", predicate, arguments, confidence=0.9, stage="landform",
        stage_version="1", rule="rule", evidence_ids=[fact.id for fact in facts],
    )  # fmt: skip


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
