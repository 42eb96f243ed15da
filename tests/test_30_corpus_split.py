"""Rung 3: geographic-block splits."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from sarknowlip.core.hashing import unit_interval
from sarknowlip.corpus.split import SplitConfig, assign_splits, block_name, shared_ground

PLACES = st.tuples(st.floats(-179.5, 179.5), st.floats(-80, 80))
SALTS = st.integers(0, 10_000).map(str)

CELLS = st.tuples(st.integers(0, 5), st.integers(0, 5))
BRIDGES = st.sampled_from([(0, 0), (0, 0), (0, 0), (1, 0), (0, 1), (2, 0)])
TILES = st.lists(st.tuples(CELLS, BRIDGES), min_size=1, max_size=25, unique=True)
"""Tiles of a six by six chequerboard of blocks: block, and how far the tile reaches beyond it."""


def block(tile) -> str:
    return "block_{}_{}".format(*tile[0])


def outline(tile):
    (column, row), (right, up) = tile
    return box(column + 0.2, row + 0.2, column + right + 0.8, row + up + 0.8)


def assign(tiles, config: SplitConfig) -> dict:
    """Return the split of each tile."""
    splits = assign_splits([block(t) for t in tiles], [outline(t) for t in tiles], config)
    return dict(zip(tiles, splits, strict=True))


def groups_of(tiles) -> list[set[str]]:
    """Return the groups of tied blocks, found by growing sets tile by tile."""
    groups: list[tuple[set[str], list]] = []
    for tile in tiles:
        names, outlines, apart = {block(tile)}, [outline(tile)], []
        for group in groups:
            if block(tile) in group[0] or any(outline(tile).intersects(o) for o in group[1]):
                names, outlines = names | group[0], outlines + group[1]
            else:
                apart.append(group)
        groups = [*apart, (names, outlines)]
    return [names for names, _ in groups]


def least(names, config: SplitConfig) -> float:
    return min(unit_interval(config.salt, name) for name in names)


@settings(deadline=None, max_examples=50)
@given(st.lists(PLACES, min_size=1, max_size=30), st.sampled_from([1.0, 5.0, 50.0]))
def test_no_two_splits_share_ground(places, block_km) -> None:
    config = SplitConfig(block_km=block_km)
    shapes = [box(lon, lat, lon + 0.3, lat + 0.3) for lon, lat in places]
    blocks = [block_name(lon, lat, block_km) for lon, lat in places]
    splits = assign_splits(blocks, shapes, config)
    assert shared_ground(splits, shapes) == []
    for name in set(blocks):
        assert len({s for b, s in zip(blocks, splits, strict=True) if b == name}) == 1


@settings(deadline=None, max_examples=100)
@given(TILES, SALTS, st.randoms())
def test_a_group_is_one_split_whatever_the_order(tiles, salt, random) -> None:
    config = SplitConfig(salt=salt)
    splits = assign(tiles, config)
    for names in groups_of(tiles):
        assert len({split for tile, split in splits.items() if block(tile) in names}) == 1
    shuffled = list(tiles)
    random.shuffle(shuffled)
    assert assign(shuffled, config) == splits


@settings(deadline=None, max_examples=150)
@given(TILES, SALTS, st.sampled_from([(0.1, 0.2), (0.1, 0.0), (0.0, 0.2), (0.0, 0.0), (0.4, 0.5)]))
def test_every_split_asked_for_gets_ground_training_first(tiles, salt, shares) -> None:
    val, test = shares
    wanted = ["train"] + ["test"] * (test > 0) + ["val"] * (val > 0)
    splits = assign(tiles, SplitConfig(val=val, test=test, salt=salt))
    assert set(splits.values()) == set(wanted[: len(groups_of(tiles))])


@settings(deadline=None, max_examples=100)
@given(TILES, SALTS)
def test_the_least_luck_of_a_group_decides(tiles, salt) -> None:
    config = SplitConfig(val=0.3, test=0.3, salt=salt)
    lucks = {least(names, config): names for names in groups_of(tiles)}
    by_luck = {x: "test" if x < 0.3 else "val" if x < 0.6 else "train" for x in lucks}
    assume({"test", "val", "train"} <= set(by_luck.values()))
    splits = {block(tile): split for tile, split in assign(tiles, config).items()}
    assert splits == {name: by_luck[x] for x, names in lucks.items() for name in names}


@settings(deadline=None, max_examples=300)
@given(TILES, SALTS, st.data())
def test_growth_brings_no_held_out_ground_into_training(tiles, salt, data) -> None:
    config = SplitConfig(val=0.15, test=0.25, salt=salt)
    early = tiles[: data.draw(st.integers(1, len(tiles)))]
    before, after = assign(early, config), assign(tiles, config)
    groups, grown = groups_of(early), groups_of(tiles)
    lucks = sorted(least(names, config) for names in grown)
    first = least(map(block, early), config)
    for tile in early:
        moved = before[tile], after[tile]
        luck = next(least(names, config) for names in groups if block(tile) in names)
        if moved == ("test", "train"):
            stood_in = first >= config.test and lucks[0] < first
            assert stood_in or lucks[-1] < config.test or len(grown) == 1
        if moved == ("val", "train"):
            assert luck >= config.test + config.val or lucks[-1] < config.test + config.val
        if moved == ("test", "val"):
            stood_in = first >= config.test and lucks[0] < first
            assert stood_in or lucks[-2] < config.test


def test_growth_keeps_the_test_set_of_a_corpus_of_some_size() -> None:
    config = SplitConfig()
    tiles = [((i % 30, i // 30), (0, 0)) for i in range(900)]
    bridges = [((7 * i % 29, 11 * i % 30), (1, 0)) for i in range(60)]
    splits = assign(tiles[:60], config)
    moves = set()
    for end in range(60, 961, 60):
        old, splits = splits, assign((tiles + bridges)[:end], config)
        moves |= {(old[tile], splits[tile]) for tile in old if old[tile] != splits[tile]}
    assert moves == {("train", "test"), ("train", "val"), ("val", "test")}


def test_shares_come_out_as_asked() -> None:
    config = SplitConfig(val=0.1, test=0.2)
    splits = list(assign([((i % 70, i // 70), (0, 0)) for i in range(4900)], config).values())
    assert splits.count("test") / 4900 == pytest.approx(0.2, abs=0.02)
    assert splits.count("val") / 4900 == pytest.approx(0.1, abs=0.02)


def test_ties_shift_shares_to_the_test_set() -> None:
    tiles = [((2 * i % 100, i // 50), (0, 0)) for i in range(2500)]
    tiles += [((column + 1, row), (0, 0)) for (column, row), _ in tiles]
    tiles += [((column, row), (1, 0)) for (column, row), _ in tiles[:2500]]
    splits = list(assign(tiles, SplitConfig(val=0.1, test=0.2)).values())
    assert splits.count("test") / 7500 == pytest.approx(1 - 0.8**2, abs=0.03)
    assert splits.count("train") / 7500 == pytest.approx(0.7**2, abs=0.03)


@given(PLACES)
def test_blocks_have_about_the_asked_size(place) -> None:
    lon, lat = place
    assert block_name(lon, lat, 10.0) == block_name(lon, lat, 10.0)
    assert block_name(lon, lat, 10.0) != block_name(
        lon, -lat + (0.5 if abs(lat) < 0.2 else 0), 10.0
    )
