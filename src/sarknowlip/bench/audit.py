"""Leakage audit: no tile that is asked about may share ground with a tile trained on."""

from __future__ import annotations

import shapely

from sarknowlip.bench.metrics import BenchError
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.split import shared_ground


def refuse_leaks(catalog: Catalog, split: str) -> None:
    """Check that a split shares neither blocks nor ground with the rest of its corpus.

    The rest is training and validation: the one gave the weights, the other may have chosen them.
    Tiles of no split ("unassigned") serve neither.

    Raises:
        BenchError: A block or a piece of ground lies on both sides; names one culprit.
    """
    ids, splits, blocks, outlines = [], [], [], []
    for row in catalog.rows():
        if row["sarknowlip:split"] != "unassigned":
            ids.append(row["id"])
            splits.append(row["sarknowlip:split"])
            blocks.append(row["sarknowlip:block"])
            outlines.append(shapely.from_wkb(row["geometry"]))
    remedy = "run `sarknowlip corpus validate`, then build the corpus again: it assigns the splits"
    asked = {block for block, own in zip(blocks, splits, strict=True) if own == split}
    for tile, block, own in zip(ids, blocks, splits, strict=True):
        if own != split and block in asked:
            raise BenchError(
                f"{catalog.root}: block {block} of split {split} also holds {tile} of split {own}",
                remedy,
            )
    for i, j in shared_ground(splits, outlines):
        if split in {splits[i], splits[j]}:
            raise BenchError(
                f"{catalog.root}: tile {ids[i]} of split {splits[i]} shares ground with "
                f"{ids[j]} of split {splits[j]}",
                remedy,
            )
