"""Rung 3: geographic-block splits."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from sarknowlip.corpus.split import SplitConfig, assign_splits, block_name, shared_ground

PLACES = st.tuples(st.floats(-179.5, 179.5), st.floats(-80, 80))


@settings(deadline=None, max_examples=50)
@given(st.lists(PLACES, min_size=1, max_size=30), st.sampled_from([1.0, 5.0, 50.0]))
def test_no_two_splits_share_ground(places, block_km) -> None:
    config = SplitConfig(block_km=block_km)
    shapes = [box(lon, lat, lon + 0.3, lat + 0.3) for lon, lat in places]
    blocks = [block_name(lon, lat, block_km) for lon, lat in places]
    splits = assign_splits(blocks, shapes, config)
    assert shared_ground(splits, shapes) == []
    for block in set(blocks):
        assert len({s for b, s in zip(blocks, splits, strict=True) if b == block}) == 1


@settings(deadline=None, max_examples=50)
@given(st.lists(PLACES, min_size=2, max_size=30, unique=True), st.randoms())
def test_order_does_not_matter(places, random) -> None:
    config = SplitConfig(block_km=1.0)

    def run(order):
        shapes = [box(lon, lat, lon + 0.01, lat + 0.01) for lon, lat in order]
        blocks = [block_name(lon, lat, 1.0) for lon, lat in order]
        return dict(zip(order, assign_splits(blocks, shapes, config), strict=True))

    shuffled = list(places)
    random.shuffle(shuffled)
    assert run(places) == run(shuffled)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 40), st.integers(1, 40))
def test_growth_never_moves_training_ground_into_the_test_set(first: int, more: int) -> None:
    config = SplitConfig()
    names = [f"block{i}" for i in range(first + more)]
    shapes = [box(i, 0, i + 0.5, 0.5) for i in range(first + more)]
    before = assign_splits(names[:first], shapes[:first], config)
    after = assign_splits(names, shapes, config)
    assert "test" in before
    for old, new in zip(before, after[:first], strict=True):
        assert not (old == "train" and new == "test")


def test_shares_come_out_as_asked() -> None:
    config = SplitConfig(val=0.1, test=0.2)
    names = [f"b{i}" for i in range(5000)]
    shapes = [box(i % 360 - 180, i // 360, i % 360 - 179.5, i // 360 + 0.5) for i in range(5000)]
    splits = assign_splits(names, shapes, config)
    assert 0.18 < splits.count("test") / 5000 < 0.22
    assert 0.08 < splits.count("val") / 5000 < 0.12


@given(PLACES)
def test_blocks_have_about_the_asked_size(place) -> None:
    lon, lat = place
    assert block_name(lon, lat, 10.0) == block_name(lon, lat, 10.0)
    assert block_name(lon, lat, 10.0) != block_name(
        lon, -lat + (0.5 if abs(lat) < 0.2 else 0), 10.0
    )
