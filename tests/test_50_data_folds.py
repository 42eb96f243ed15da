"""Rung 5: folds of the training split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from shapely.geometry import shape

from data.geotiff.make import make_geotiff
from data.pairs.make import make_corpus
from sarknowlip.core.errors import CorpusError
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.data.folds import FoldConfig, fold_of, tiles_left
from sarknowlip.data.pairs import PairDataset, Visit
from sarknowlip.data.shards import build_shards
from sarknowlip.geo.grid import GridConfig


@settings(deadline=None)
@given(block=st.text(), folds=st.integers(2, 40), seed=st.integers(0, 2**40))
def test_a_block_has_one_fold(block: str, folds: int, seed: int) -> None:
    fold = fold_of(block, folds, seed)
    assert 0 <= fold < folds
    assert fold_of(block, folds, seed) == fold


def test_folds_are_equally_likely_and_follow_from_the_seed() -> None:
    blocks = [f"10km_{row}_{column}" for row in range(60) for column in range(50)]
    first, other = ([fold_of(block, 3, seed) for block in blocks] for seed in (0, 1))
    for found in (first, other):
        assert all(abs(count - 1000) < 110 for count in Counter(found).values())
    assert 900 < sum(a == b for a, b in zip(first, other, strict=True)) < 1100


@pytest.mark.parametrize("values", [{"folds": 1}, {"leave_out": 3}, {"leave_out": -1}])
def test_folds_that_are_not_there_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        FoldConfig.model_validate({"folds": 3, "leave_out": 0} | values)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("folds") / "corpus", 12, val=0.2)


def test_folds_share_out_the_split_by_block(corpus: Path) -> None:
    records = list(Catalog(corpus).records())
    wanted = {r.id for r in records if r.split == "train"}
    left_out: list[set[str]] = []
    for number in range(3):
        fold = FoldConfig(folds=3, leave_out=number, seed=4)
        kept = tiles_left(corpus, fold)
        out = {r.id for r in records} - kept
        assert out == {r.id for r in records if fold_of(r.block, 3, 4) == number}
        pairs = PairDataset(corpus, "train", fold=fold)
        seen = {pairs[Visit(0, index)].image.id for index in range(len(pairs))}
        assert seen == wanted & kept
        assert pairs.untold == 0
        left_out.append(wanted - seen)
    assert set.union(*left_out) == wanted
    assert sum(map(len, left_out)) == len(wanted)
    assert min(map(len, left_out)) > 0


def test_tiles_that_share_ground_with_what_is_left_out_are_left_out(tmp_path: Path) -> None:
    """Of scenes whose tiles overlap by parts, against every pair of tiles."""
    for shift in (0, 130, 470):
        place = Affine(10, 0, 500_000 + shift, 0, -10, 4_700_000 - shift)
        make_geotiff(tmp_path / "in" / f"{shift}.tif", shape=(200, 200), transform=place)
    config = BuildConfig(
        grid=GridConfig(tile_px=32, placement="native"),
        split=SplitConfig(block_km=0.7, val=0.0, test=0.0),
    )
    build([tmp_path / "in"], tmp_path / "corpus", config)
    records = list(Catalog(tmp_path / "corpus").records())
    ground = {r.id: shape(r.projection.footprint) for r in records}
    beside = 0
    for number in range(3):
        out = {r.id for r in records if fold_of(r.block, 3, 1) == number}
        kept = tiles_left(tmp_path / "corpus", FoldConfig(folds=3, leave_out=number, seed=1))
        assert out
        for key in ground.keys() - out:
            shared = max(ground[key].intersection(ground[other]).area for other in out)
            assert (key in kept) == (shared < 1e-3 * ground[key].area)
        assert not kept & out
        beside += len(ground) - len(out) - len(kept)
        assert kept
    assert beside > 0


def test_where_no_fold_is_left_out_all_tiles_stay(corpus: Path) -> None:
    ids = {r.id for r in Catalog(corpus).records()}
    empty = next(n for n in range(500) if all(fold_of(r.block, 500, 0) != n
                 for r in Catalog(corpus).records()))  # fmt: skip
    assert tiles_left(corpus, FoldConfig(folds=500, leave_out=empty)) == ids


def test_shards_leave_out_the_same_tiles(corpus: Path) -> None:
    fold = FoldConfig(folds=2, leave_out=1)
    plain = PairDataset(corpus, "train", fold=fold)
    build_shards(corpus)
    pairs = PairDataset(corpus, "train", fold=fold, shards=True)
    assert len(pairs) == len(plain)
    assert 0 < len(pairs) < len(PairDataset(corpus, "train"))
    for index in range(len(pairs)):
        one, other = (source[Visit(3, index)] for source in (pairs, plain))
        assert (one.image.id, one.caption) == (other.image.id, other.caption)


def test_a_damaged_catalog_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus at"):
        tiles_left(tmp_path, FoldConfig(folds=2, leave_out=0))
