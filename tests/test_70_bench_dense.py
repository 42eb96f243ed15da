"""Rung 7: windows of pictures, and heads on patch features, against brute force and plain cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from planted import picture, scene
from sarknowlip.bench.detections import corners_of, overlap
from sarknowlip.bench.example import Example, Label
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.probes import boxes
from sarknowlip.bench.probes.boxes import (
    BoxHead,
    BoxSettings,
    Detections,
    Objects,
    rectangles,
    suppressed,
)
from sarknowlip.bench.probes.dense import DenseHead, drawn_pixels, enlarged, sampled
from sarknowlip.bench.probes.linear import Linear
from sarknowlip.bench.probes.referring import (
    PointingHead,
    PointingSettings,
    bounds,
    covered,
    hashed_words,
    region,
)
from sarknowlip.bench.probes.standard import Standard
from sarknowlip.bench.windows import sizes_of, streamed, windows


def example(rows: int, columns: int, name: str = "one") -> Example:
    db = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    return Example(name, "g", lambda: picture(name, db), Label(0))


SIZES = st.integers(1, 30)


@given(SIZES, SIZES, st.integers(1, 24), st.integers(0, 24))
@settings(max_examples=25, deadline=None)
def test_each_pixel_is_owned_by_one_window_that_shows_it(rows, columns, side, lap) -> None:
    one = example(rows, columns)
    cut = windows([one], sizes_of([one]), side=side, overlap=lap)
    times = np.zeros((rows, columns), dtype=int)
    whole = np.full((rows, columns), np.nan, dtype=np.float32)
    y, x = np.mgrid[:rows, :columns] + 0.5
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    for window in cut:
        left, top, right, bottom = window.owned
        assert left >= window.left
        assert top >= window.top
        assert right <= window.left + window.side
        assert bottom <= window.top + window.side
        times[top:bottom, left:right] += 1
        db = window.example.image().db[0]
        assert db.shape == (min(side, max(rows, columns)),) * 2
        window.paste(db, whole)
        held = np.zeros((rows, columns), dtype=bool)
        held[top:bottom, left:right] = True
        np.testing.assert_array_equal(window.owns(points, (rows, columns)), held.ravel())
    assert (times == 1).all()
    np.testing.assert_array_equal(whole, one.image().db[0])
    assert len({window.example.id for window in cut}) == len(cut)


def test_neighbours_overlap_and_missing_ground_has_no_data() -> None:
    one = example(10, 23)
    cut = windows([one], [(10, 23)], side=12, overlap=4)
    assert [(w.left, w.top, w.owned) for w in cut] == [
        (0, 0, (0, 0, 10, 10)),
        (8, 0, (10, 0, 15, 10)),
        (11, 0, (15, 0, 23, 10)),
    ]
    tile = cut[1].example.image()
    assert np.isnan(tile.db[0, 10:]).all()
    assert np.isfinite(tile.db[0, :10]).all()
    assert tile.geobox.pix2wld(0, 0) == one.image().geobox.pix2wld(8, 0)
    points = np.array([[-5.0, 3.0], [9.5, 3.0], [11.0, 12.0]])
    assert cut[0].owns(points, (10, 23)).tolist() == [True, True, False]
    assert cut[0].owns(points, (10, 23), slack=2.0).tolist() == [True, True, True]
    labels = np.ones((10, 23), dtype=np.int64)
    assert cut[1].cut_owned(labels, -1).sum() == 10 * 5 - (144 - 10 * 5)


def test_features_come_in_order_with_and_without_a_cache() -> None:
    many = [example(2, 2, str(number)) for number in range(600)]
    asked = []

    def encode(some, source):
        asked.append((len(some), source))
        return (np.array([[float(one.id)] for one in some], dtype=np.float32),)

    for kept in (False, True):
        parts = list(streamed(encode, many, "here", kept=kept))
        assert [place.start for place, _ in parts] == [0, 256, 512]
        rows = np.concatenate([one for _, (one,) in parts])[:, 0]
        np.testing.assert_array_equal(rows, np.arange(600))
    assert asked == [(256, ""), (256, ""), (88, ""), (600, "here")]


@pytest.mark.parametrize(
    ("cells", "size"), [((3, 3), (11, 11)), ((4, 2), (7, 13)), ((1, 1), (5, 2))]
)
def test_enlarging_is_the_bilinear_one_of_torch(cells, size) -> None:
    values = np.random.default_rng(0).normal(size=(*cells, 5))
    expected = functional.interpolate(
        torch.from_numpy(values).permute(2, 0, 1)[None], size=size, mode="bilinear"
    )[0].permute(1, 2, 0)
    np.testing.assert_allclose(enlarged(values, size), expected.numpy(), atol=1e-12)


def test_a_sample_of_pixels_is_that_of_the_enlarged_picture() -> None:
    rng = np.random.default_rng(1)
    patches = rng.normal(size=(4, 4, 6)).astype(np.float32)
    rows, columns = rng.integers(17, size=(2, 50))
    np.testing.assert_allclose(
        sampled(patches, rows, columns, 17), enlarged(patches, (17, 17))[rows, columns], atol=1e-5
    )
    assert sampled(patches, rows[:0], columns[:0], 17).shape == (0, 6)


def test_pixels_are_drawn_by_the_root_of_frequency_and_are_what_they_say() -> None:
    rng = np.random.default_rng(2)
    maps = [rng.choice([-1, 0, 1, 3], p=[0.1, 0.8, 0.05, 0.05], size=(40, 40)) for _ in range(6)]
    drawn = drawn_pixels(lambda: iter(maps), 4, seed=5, most=600)
    places = (drawn.window, drawn.row, drawn.column)
    got = np.array([maps[w][r, c] for w, r, c in zip(*places, strict=True)])
    np.testing.assert_array_equal(got, drawn.label)
    total = np.array([(np.array(maps) == k).sum() for k in range(4)])
    share = np.sqrt(total) / np.sqrt(total).sum()
    np.testing.assert_array_equal(np.bincount(drawn.label, minlength=4), np.ceil(600 * share))
    assert len(set(zip(*places, strict=True))) == len(drawn.label)
    assert (np.bincount(drawn.window, minlength=6) > 60).all()
    again = drawn_pixels(lambda: iter(maps), 4, seed=5, most=600)
    np.testing.assert_array_equal(again.row, drawn.row)
    every = drawn_pixels(lambda: iter(maps), 4, seed=5, most=10**6)
    assert len(every.label) == total.sum()
    with pytest.raises(BenchError, match="no pixel"):
        drawn_pixels(lambda: [np.full((3, 3), -1)], 2, seed=0)


def test_a_class_that_is_absent_from_train_is_never_told() -> None:
    rng = np.random.default_rng(3)
    patches = rng.normal(size=(5, 4, 4, 3)).astype(np.float32)
    labels = np.repeat(np.repeat((patches[..., 0] > 0) * 2, 2, axis=1), 2, axis=2)
    pixels = drawn_pixels(lambda: iter(labels), 4, seed=0)
    head = DenseHead.fit(
        [(slice(0, 2), patches[:2]), (slice(2, 5), patches[2:])],
        pixels,
        ["a", "b", "c", "d", "e"],
        sides=[8] * 5,
        classes=4,
    )
    told = np.stack([head(one, 8) for one in patches])
    assert set(np.unique(told)) == {0, 2}
    assert (told == labels).mean() > 0.75


def test_scores_of_cells_enlarged_are_those_of_enlarged_features() -> None:
    rng = np.random.default_rng(4)
    standard = Standard(rng.normal(size=6), rng.uniform(0.5, 2.0, size=6))
    linear = Linear(
        standard,
        rng.normal(size=(3, 6)).astype(np.float32),
        np.array([0.1, -np.inf, 0.0], dtype=np.float32),
        1.0,
    )
    patches = rng.normal(size=(4, 4, 6)).astype(np.float32)
    plain = linear.scores(enlarged(patches, (9, 9)).reshape(-1, 6)).argmax(axis=1)
    np.testing.assert_array_equal(DenseHead(linear)(patches, 9).ravel(), plain)


def test_shapes_of_rectangles_are_found_again() -> None:
    corners = rectangles(
        np.array([[10.0, 20.0], [5.0, 5.0]]),
        np.array([8.0, 2.0]),
        np.array([3.0, 6.0]),
        np.array([0.3, 0.0]),
    )
    one = Objects(corners, np.zeros(2, dtype=np.int64))
    np.testing.assert_allclose(one.centres, [[10, 20], [5, 5]])
    np.testing.assert_allclose(one.shapes[:, 2:4], [[8, 3], [6, 2]])
    np.testing.assert_allclose(np.mod(one.shapes[:, 4], np.pi), [0.3, np.pi / 2])
    np.testing.assert_allclose(one.shapes[1, :2], [2, 6])
    np.testing.assert_allclose(corners[1], [[4, 2], [6, 2], [6, 8], [4, 8]])


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_what_is_to_be_told_of_objects_tells_the_objects(seed: int) -> None:
    """Perfect maps give the boxes back, horizontal and oriented."""
    planted = scene(seed, objects=2)
    objects = Objects(planted.boxes.corners / 64.0, planted.boxes.classes)
    sizes = np.array([-1.0, -2.0, -1.5, -2.5])
    heat, told, matter = boxes._targets(objects, 2, 32, sizes)
    assert (heat == 1.0).sum() == 2
    assert matter.max() <= 1.0
    head = BoxHead(torch.nn.Identity(), Standard(np.zeros(1), np.ones(1)), sizes, BoxSettings())
    peaks = np.where(heat == 1.0, heat, 0.0)
    found = head._found(peaks.astype(np.float64), told.transpose(1, 2, 0).astype(np.float64))
    order = np.argsort(found.classes * 1000.0 + found.horizontal[:, 0, 0])
    truth = np.argsort(objects.classes * 1000.0 + objects.corners[..., 0].min(axis=1))
    np.testing.assert_array_equal(found.classes[order], objects.classes[truth])
    straight = corners_of(
        np.concatenate([objects.corners.min(axis=1), objects.corners.max(axis=1)], axis=1)
    )
    np.testing.assert_allclose(found.horizontal[order], straight[truth], atol=1e-5)
    assert (overlap(found.oriented[order], objects.corners[truth]) > 1 - 1e-4).all()


def test_overlapping_boxes_go_as_in_the_plain_loop() -> None:
    rng = np.random.default_rng(6)
    corners = rectangles(
        rng.uniform(0, 30, (80, 2)),
        rng.uniform(4, 12, 80),
        rng.uniform(3, 8, 80),
        rng.uniform(0, np.pi, 80),
    )
    label = rng.integers(2, size=80)
    kept: list[int] = []
    for row in range(80):
        rivals = [k for k in kept if label[k] == label[row]]
        near = overlap(corners[rivals], np.repeat(corners[row : row + 1], len(rivals), axis=0))
        if not (near >= 0.3).any():
            kept.append(row)
    np.testing.assert_array_equal(suppressed(corners, label, 0.3), kept)
    assert 10 < len(kept) < 75
    assert len(suppressed(np.empty((0, 4, 2)), np.empty(0, np.int64))) == 0


def test_detections_are_joined_by_score() -> None:
    one = Detections(
        np.zeros((2, 4, 2)), np.zeros((2, 4, 2)), np.array([0.9, 0.1]), np.array([0, 1])
    )
    assert Detections.joined([one, one]).scores.tolist() == [0.9, 0.9, 0.1, 0.1]
    assert Detections.joined([one, one]).classes.tolist() == [0, 0, 1, 1]
    assert len(Detections.joined([]).scores) == 0


def test_the_detector_repeats_itself_and_wants_an_object() -> None:
    rng = np.random.default_rng(7)
    patches = rng.normal(size=(6, 4, 4, 3)).astype(np.float32)
    nothing = Objects(np.empty((0, 4, 2)), np.empty(0, dtype=np.int64))
    box = rectangles(np.array([[0.4, 0.6]]), np.array([0.3]), np.array([0.2]), np.zeros(1))
    some = [Objects(box, np.array([1])), *[nothing] * 5]
    budget = BoxSettings(steps=5, batch=4, width=8)
    state = torch.random.get_rng_state()
    first, second = (
        BoxHead.fit(patches, some, 2, seed=3, settings=budget)(patches) for _ in range(2)
    )
    assert torch.equal(state, torch.random.get_rng_state())
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.oriented, other.oriented)
    with pytest.raises(BenchError, match="no object"):
        BoxHead.fit(patches, [nothing] * 6, 2, seed=3, settings=budget)


@given(st.integers(1, 9), st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_covered_shares_are_areas(cells, rows, columns, seed) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.4
    share = covered(mask, cells)
    finer = np.kron(mask, np.ones((cells, cells)))
    plain = finer.reshape(cells, rows, cells, columns).mean(axis=(1, 3))
    np.testing.assert_allclose(share, plain, atol=1e-6)


def test_the_region_is_the_connected_part_around_the_peak() -> None:
    heat = np.zeros((8, 8))
    heat[2, 1:4] = (0.8, 1.0, 0.8)
    heat[6, 6] = 0.9
    found = region(heat, (8, 8), 0.5)
    assert found.box.tolist() == [1, 2, 4, 3]
    assert found.mask.sum() == 3
    larger = region(heat, (32, 32), 0.5)
    assert overlap(corners_of(larger.box), corners_of([4, 8, 16, 12]))[0] > 0.7
    assert bounds(larger.mask).tolist() == larger.box.tolist()
    assert region(np.ones((2, 2)), (6, 9), 0.5).box.tolist() == [0, 0, 9, 6]
    assert bounds(np.zeros((3, 3), dtype=bool)).tolist() == [0, 0, 0, 0]


def test_hashed_words_tell_words_and_their_order() -> None:
    rows = hashed_words(["The large ship!", "the LARGE ship", "ship the large", "a tank", "…"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 1, 1, 1, 0], atol=1e-6)
    np.testing.assert_array_equal(rows[0], rows[1])
    assert 0.3 < rows[0] @ rows[2] < 0.95
    assert abs(rows[0] @ rows[3]) < 0.3


def test_pointing_learns_which_cell_a_text_means() -> None:
    rng = np.random.default_rng(8)
    kind = rng.integers(3, size=240)
    texts = np.eye(3, dtype=np.float32)[kind]
    patches = (100.0 + rng.normal(size=(240, 4, 4, 5))).astype(np.float32)
    east = np.broadcast_to(np.arange(4.0), (240, 4, 4))
    meant = np.stack([patches[..., 0], patches[..., 1], patches[..., 0] + 100.0 * east])
    best = meant[kind, np.arange(240)].reshape(240, -1).argmax(axis=1)
    shares = np.eye(16, dtype=np.float32)[best].reshape(240, 4, 4)
    budget = PointingSettings(steps=150, batch=32, rank=4)
    head = PointingHead.fit(
        patches[:180], texts[:180], shares[:180], decay=0.01, seed=0, settings=budget
    )
    heat = head(patches[180:], texts[180:])
    assert (heat.max(axis=(1, 2)) == 1.0).all()
    found, right = heat.reshape(60, -1).argmax(axis=1), best[180:]
    assert (found == right)[kind[180:] < 2].mean() > 0.7
    assert (found % 4 == right % 4)[kind[180:] == 2].mean() > 0.7
    np.testing.assert_allclose(head(patches[180:181], texts[180:181]), heat[:1], atol=1e-3)
