"""Scoring texts again after a few of them changed, beside scoring all of them.

A corpus of 484 tiles around a coast with a small town, all its sentences, and a model of size
`nano` that trained for a few steps. Then 5 % of the sentences are spoilt, as a new version. Peer:
scoring all texts of that version into an empty folder. Ours: the same with the scores of the
version before at hand. The tables must be equal; both times include reading weights for their
digest, tiles and facts. Processor time of one thread, rounds interleaved; the ratio is peer time by
our time, so more is better.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from affine import Affine
from odc.geo.geobox import GeoBox

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from data.geotiff.make import make_geotiff
from data.knowledge.make import make_options
from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.store import annotation_folder, read_texts
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig
from sarknowlip.infer.encoder import ModelEncoder
from sarknowlip.train.config import with_settings
from sarknowlip.train.loop import train
from sarknowlip.train.recipes import nano_combined
from sarknowlip.train.rounds.scorer import ABOUT, TextScorer

SIDE, TILE_PX, SHARE, ROUNDS, STEPS = 22, 64, 0.05, 3, 10
GRID = GeoBox(
    (SIDE * TILE_PX, SIDE * TILE_PX), Affine(10, 0, 500_000, 0, -10, 4_700_000), "EPSG:32633"
)


@dataclass(frozen=True)
class Case:
    """A corpus with two versions of its texts, and a model."""

    root: Path
    encoder: ModelEncoder

    def texts(self, version: str) -> list[Text]:
        """Return the sentences of a version."""
        found = read_texts(annotation_folder(self.root, version))
        return [text for text in found if text.level == "sentence"]

    def score(self, version: str, folder: Path) -> pa.Table:
        """Score them, with what a folder holds."""
        catalog = Catalog(self.root)
        scorer = TextScorer(
            self.encoder.model, self.encoder.processor, catalog, list(catalog.records()),
            folder=folder, annotation=annotation_folder(self.root, version),
        )  # fmt: skip
        return scorer.score(self.texts(version))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("rescoring")
    make_geotiff(folder / "in" / "s.tif", shape=GRID.shape, transform=GRID.affine)
    split = SplitConfig(block_km=1.0, val=0.0, test=0.0)
    recipe = BuildConfig(grid=GridConfig(tile_px=TILE_PX), split=split)
    build([folder / "in"], folder / "corpus", recipe)
    annotate(folder / "corpus", AnnotateConfig(options=make_options(folder, GRID)))
    settings = [f"steps={STEPS}", "data.batch=16", "device=cpu", "data.annotation=v0001"]
    train(with_settings(nano_combined(), settings), folder / "corpus", folder / "run")
    config = CorruptConfig(share=SHARE, splits=("train",), levels=("sentence",))
    corrupt(folder / "corpus", config, folder / "ledger.parquet")
    return Case(folder / "corpus", ModelEncoder.load(folder / "run", device="cpu"))


def test_rescoring(case: Case, record: Callable[..., None], tmp_path: Path) -> None:
    torch.set_num_threads(1)
    before, after = ({text.id for text in case.texts(v)} for v in ("v0001", "v0002"))
    changed = len(after - before)
    assert 0.04 < changed / len(after) < 0.06
    case.score("v0001", tmp_path / "known")
    ratios, ours = [], []
    for number in range(ROUNDS):
        at_hand = shutil.copytree(tmp_path / "known", tmp_path / f"again-{number}")
        start = time.process_time()
        again = case.score("v0002", at_hand)
        middle = time.process_time()
        whole = case.score("v0002", tmp_path / f"whole-{number}")
        ours.append(middle - start)
        ratios.append((time.process_time() - middle) / ours[-1])
        assert again.column_names == whole.column_names
        for name in whole.column_names:
            one, two = again[name].to_pylist(), whole[name].to_pylist()
            if name in ABOUT:
                assert one == two
            else:
                np.testing.assert_array_equal(np.array(one), np.array(two), err_msg=name)
    ratios.sort()
    record(
        "rescoring",
        tiles=SIDE * SIDE,
        texts=len(after),
        changed=changed,
        ratio=f"{statistics.median(ratios):.2f}",
        low=f"{ratios[0]:.2f}",
        high=f"{ratios[-1]:.2f}",
        rounds=ROUNDS,
        seconds=f"{statistics.median(ours):.3f}",
        threads=1,
    )
    assert statistics.median(ratios) >= 10.0
