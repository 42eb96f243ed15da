"""Dealing groups, finding look-alikes, cutting windows: what readers of data sets share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.sets.make import geotiff, saved
from sarknowlip.bench.datasets.boxes import horizontal, mask_boxes, turned
from sarknowlip.bench.datasets.grouped import dealt, kept_apart, look_alikes
from sarknowlip.bench.datasets.pictures import decibels, indices, levels, size
from sarknowlip.bench.datasets.windows import Window, cut, halves
from sarknowlip.bench.example import UNLABELLED
from sarknowlip.bench.fingerprint import ALIKE, fingerprint
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.errors import ProductError
from sarknowlip.sar.chip import amplitude_db, chip

names = st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=60)


@given(names, st.floats(0.05, 0.9))
def test_dealing_holds_the_share_and_never_everything(groups: list[str], share: float) -> None:
    test = dealt(groups, share=share)
    assert test <= set(groups)
    assert bool(test) == (len(set(groups)) > 1)
    assert set(groups) - test
    held = sum(group in test for group in groups)
    largest = max(groups.count(group) for group in set(groups))
    assert held < share * len(groups) + largest


def test_two_groups_of_different_kinds_are_parted_too() -> None:
    assert len(dealt(["a", "b"], ["x", "y"])) == 1
    assert dealt(["a", "a"], ["x", "y"]) == frozenset()


@given(names, st.randoms())
def test_dealing_does_not_depend_on_order(groups: list[str], random: object) -> None:
    mixed = list(groups)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert dealt(groups) == dealt(mixed)


def test_dealing_gives_each_kind_its_share() -> None:
    groups = [f"g{n}" for n in range(200)]
    kinds = ["rare"] * 20 + ["common"] * 180
    test = dealt(groups, kinds, share=0.3)
    assert sum(g in test for g in groups[:20]) == 6
    assert sum(g in test for g in groups[20:]) == 54
    assert dealt(groups, kinds, share=0.3, salt="other") != test


def test_a_published_split_makes_two_groups_of_a_shared_scene() -> None:
    groups, test, shared = kept_apart(["a", "b", "b", "c"], ["train", "train", "test", "test"])
    assert groups == ("a", "b (train)", "b (test)", "c")
    assert test == {"b (test)", "c"}
    assert shared == 1


def speckled(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scene = np.kron(rng.rayleigh(50.0, (20, 20)), np.ones((3, 3)))
    return np.clip(scene, 0, 255).astype(np.uint8)


def prints(pictures: Sequence[np.ndarray]) -> np.ndarray:
    tiles = [
        chip("any", amplitude_db(one)[None], polarizations=("HH",), gsd_m=1.0) for one in pictures
    ]
    return np.stack([fingerprint(tile) for tile in tiles])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 3), st.booleans(), st.floats(0.5, 1.0))
def test_copies_turned_mirrored_and_dimmed_are_found(
    seed: int, turns: int, mirrored: bool, dimmed: float
) -> None:
    first = speckled(seed)
    copy = np.rot90(first[:, ::-1] if mirrored else first, turns)
    noisy = copy * dimmed + np.random.default_rng(seed).normal(0.0, 2.0, copy.shape)
    second = np.clip(noisy, 0, 255).astype(np.uint8)
    group_N, pairs = look_alikes(prints([first, second]), ALIKE)
    assert group_N.tolist() == [0, 0]
    assert pairs == 1


def test_independent_pictures_stay_apart() -> None:
    group_N, pairs = look_alikes(prints([speckled(seed) for seed in range(300)]), ALIKE)
    assert group_N.tolist() == list(range(300))
    assert pairs == 0


def test_look_alikes_of_look_alikes_are_one_group() -> None:
    apart = np.random.default_rng(0).normal(size=(3, prints([speckled(0)]).shape[1]))
    one, other, alone = (row / np.linalg.norm(row) for row in apart)
    between = (one + other) / np.linalg.norm(one + other)
    rows = np.stack([alone, one, other, between, alone]).astype(np.float32)
    assert one @ other < 0.1
    group_N, pairs = look_alikes(rows, 0.6)
    assert group_N.tolist() == [0, 1, 1, 1, 0]
    assert pairs == 3
    assert look_alikes(rows[:3], 0.6)[0].tolist() == [0, 1, 2]
    empty, none = look_alikes(rows[:0], 0.6)
    assert (len(empty), none) == (0, 0)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 40), st.integers(0, 5))
def test_windows_cover_each_pixel_of_an_area_once(
    rows: int, columns: int, edge: int, start: int
) -> None:
    area = Window(start, 2 * start, rows, columns)
    whole = np.zeros((rows + start + 3, columns + 2 * start + 3), dtype=np.int64)
    counted = np.zeros_like(whole)
    for window in cut(area, edge):
        assert (window.rows, window.columns) == (min(edge, rows), min(edge, columns))
        fresh = window.labels(whole) != UNLABELLED
        window.of(counted)[...] += fresh
    assert (area.of(counted) == 1).all()
    assert counted.sum() == rows * columns


def test_halves_cut_where_the_scarce_class_is_on_both_sides() -> None:
    labels = np.zeros((40, 60), dtype=np.int64)
    labels[30:38, 10:20] = 1
    labels[0, :] = UNLABELLED
    train, test = halves(labels, classes=2, gap=4)
    inside = [np.count_nonzero(side.of(labels) == 1) for side in (train, test)]
    assert min(inside) > 0
    assert train.left > test.left + test.columns + 3 or test.left > train.left + train.columns + 3
    counts = [np.count_nonzero(side.of(labels) >= 0) for side in (train, test)]
    assert counts[0] >= counts[1]
    with pytest.raises(BenchError, match="cannot be halved"):
        halves(np.full((40, 60), UNLABELLED), classes=2, gap=4)
    with pytest.raises(BenchError, match="cannot be halved"):
        halves(labels, classes=2, gap=30)


def test_boxes_are_corners_clockwise_from_the_upper_left() -> None:
    assert horizontal((-5, 2, 4, 99), (10, 8)) is not None
    np.testing.assert_array_equal(
        horizontal((-5, 2, 4, 99), (10, 8)), [[0, 2], [4, 2], [4, 10], [0, 10]]
    )
    assert horizontal((8, 2, 12, 5), (10, 8)) is None
    np.testing.assert_allclose(turned((10, 5), 6, 2, 0.0), [[7, 4], [13, 4], [13, 6], [7, 6]])
    quarter = turned((10, 5), 6, 2, np.pi / 2)
    np.testing.assert_allclose(quarter, [[11, 2], [11, 8], [9, 8], [9, 2]], atol=1e-12)
    assert mask_boxes(np.zeros((5, 5), bool)).corners.shape == (0, 4, 2)


def test_wider_integers_are_decibels_of_their_own_range() -> None:
    np.testing.assert_array_equal(
        decibels(np.arange(256, dtype=np.uint8)), amplitude_db(range(256))
    )
    found = decibels(np.array([65535, 655, 0], dtype=np.uint16))
    expected = 20 * np.log10(np.array([65535, 655, 0.5]) / 65535)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.isfinite(decibels(np.array([0.0, 1.0], dtype=np.float32))).all()


def test_pictures_are_read_grey_and_measured_by_their_header(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (7, 9)).astype(np.uint8)
    colour = saved(tmp_path / "colour.png", np.stack([grey] * 3, axis=2))
    np.testing.assert_array_equal(levels(colour), grey)
    assert size(colour) == (7, 9)
    wide = geotiff(tmp_path / "wide.tif", grey[None].astype(np.uint16) * 200)
    np.testing.assert_array_equal(levels(wide), grey.astype(np.uint16) * 200)
    assert size(wide) == (7, 9)
    (tmp_path / "cut.png").write_bytes(colour.read_bytes()[:50])
    with pytest.raises(ProductError, match=r"cut\.png"):
        levels(tmp_path / "cut.png")
    with pytest.raises(ProductError, match=r"absent\.png"):
        size(tmp_path / "absent.png")


def test_label_pictures_with_a_palette_give_indices(tmp_path: Path) -> None:
    from PIL import Image

    numbers = np.array([[0, 1], [2, 5]], dtype=np.uint8)
    picture = Image.fromarray(numbers, mode="P")
    picture.putpalette([200, 10, 10] * 6)
    picture.save(tmp_path / "labels.png")
    np.testing.assert_array_equal(indices(tmp_path / "labels.png"), numbers)
