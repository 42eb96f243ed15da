"""Rung 5: versions that were spoilt or revised are read like any other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.revise import Decision, revise
from sarknowlip.annotate.store import annotation_folder, read_texts
from sarknowlip.data.augment import AugmentConfig
from sarknowlip.data.pairs import PairDataset, Visit
from sarknowlip.data.shards import build_shards


def test_pairs_and_shards_of_spoilt_and_revised_versions(told: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(told, tmp_path / "corpus"))
    corrupt(root, CorruptConfig(splits=("train",)), tmp_path / "ledger.parquet")
    wrong = pq.read_table(tmp_path / "ledger.parquet")["text_id"].to_pylist()
    texts = {text.id: text for text in read_texts(annotation_folder(root, "v0002"))}
    decisions = {
        key: Decision(
            text_id=key, tile_id=texts[key].tile_id, action="rewrite", score=0.9, reason="test"
        )
        for key in wrong
    }
    revise(root, "v0002", decisions, about={"made_by": "scio", "round": 1})
    augment = AugmentConfig(smallest_crop=0.5, turn=0.5)
    sizes = set()
    for version in ("v0001", "v0002", "v0003"):
        report = build_shards(root, version)
        assert (report.tiles, report.untold) == (25, 0)
        one, other = (
            PairDataset(root, "train", annotation=version, augment=augment, shards=shards)
            for shards in (True, False)
        )
        assert len(one) == len(other) == 19
        for index in range(len(one)):
            visit = Visit(1, index)
            assert one[visit].caption == other[visit].caption
        sizes.add(len(set(one.texts())))
    assert len(sizes) == 3
    kept = [
        PairDataset(root, "val", annotation=v, shards=False).texts() for v in ("v0001", "v0003")
    ]
    assert kept[0] == kept[1]
