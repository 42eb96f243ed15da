"""Rung 7: yardsticks without a network: levels, textures, draws."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from sarknowlip.bench.adapters import ADAPTERS
from sarknowlip.bench.adapters.pixels import GRID, PERCENTILES, THUMBNAIL
from sarknowlip.bench.adapters.random import Random
from sarknowlip.bench.adapters.sheet import Given
from sarknowlip.bench.adapters.texture import (
    CELLS,
    DIRECTIONS,
    EDGE,
    LEVELS,
    binary_patterns,
    cooccurrence,
    haralick,
)
from sarknowlip.models.channels import POLARIZATIONS
from sarknowlip.sar.chip import chip


def test_pixels_tell_levels() -> None:
    draw = np.random.default_rng(0)
    db = draw.normal(-14, 4, (1, 48, 64)).astype(np.float32)
    db[0, :5, :9] = np.nan
    made = ADAPTERS["pixels"].make(Given())
    rows = made.features([chip("a", db, polarizations=("HV",), gsd_m=1.0)])[0]
    rows = rows.reshape(len(POLARIZATIONS), -1)
    known = db[np.isfinite(db)]
    mine = rows[POLARIZATIONS.index("HV")]
    assert mine[:3] == pytest.approx([1.0, known.mean(), known.std()], rel=1e-4)
    assert mine[3:10] == pytest.approx(np.percentile(known, PERCENTILES), rel=1e-4)
    assert mine.shape == (3 + len(PERCENTILES) + THUMBNAIL**2,)
    last = db[0, 42:48, 56:64].mean()  # a thumbnail's pixel is 6 × 8 of the picture's
    assert mine[-1] == pytest.approx(last, rel=1e-4)
    others = [row for name, row in zip(POLARIZATIONS, rows, strict=True) if name != "HV"]
    assert not np.any(others)


def test_cells_tell_mean_and_spread() -> None:
    draw = np.random.default_rng(1)
    db = draw.normal(-14, 4, (1, 64, 32)).astype(np.float32)
    made = ADAPTERS["pixels"].make(Given())
    cells = made.patches([chip("a", db, polarizations=("VV",), gsd_m=1.0)])[0]
    assert cells.shape == (GRID, GRID, 2 * len(POLARIZATIONS))
    own = db[0, 4 * 5 : 4 * 6, 2 * 3 : 2 * 4]
    first = 2 * POLARIZATIONS.index("VV")
    assert cells[5, 3, first : first + 2] == pytest.approx([own.mean(), own.std()], rel=1e-3)


def test_cells_smaller_than_pixels() -> None:
    db = np.array([[[-10.0, -20.0], [-5.0, np.nan]]], np.float32)
    cells = (
        ADAPTERS["pixels"]
        .make(Given())
        .patches([chip("a", db, polarizations=("VV",), gsd_m=1.0)])[0]
    )
    assert cells[0, 0, :2] == pytest.approx([-10.0, 0.0], abs=1e-4)
    assert cells[0, 15, :2] == pytest.approx([-20.0, 0.0], abs=1e-4)
    assert cells[15, 15, :2] == pytest.approx([-35.0 / 3, 0.0], abs=1e-4)  # no data: the mean


def test_power_zero_is_finite() -> None:
    db = np.full((1, 8, 8), -np.inf, np.float32)
    made = ADAPTERS["pixels"].make(Given())
    tile = chip("a", db, polarizations=("VV",), gsd_m=1.0)
    assert np.isfinite(made.features([tile])).all()
    assert np.isfinite(made.patches([tile])).all()


def picture(seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.integers(0, LEVELS, (EDGE, EDGE))


def test_pairs_are_counted_in_the_cell_of_the_first() -> None:
    grey = picture()
    counts = cooccurrence(grey, 3)
    expected = np.zeros((CELLS, LEVELS, LEVELS))
    for down, right in DIRECTIONS:
        for y in range(EDGE):
            for x in range(EDGE):
                v, u = y + 3 * down, x + 3 * right
                if 0 <= v < EDGE and 0 <= u < EDGE:
                    cell = (y // 8) * 16 + x // 8
                    expected[cell, grey[y, x], grey[v, u]] += 1
                    expected[cell, grey[v, u], grey[y, x]] += 1
    assert np.array_equal(counts, expected)


def test_textures_by_hand() -> None:
    # a board of two levels, pairs always of different ones
    counts = np.zeros((1, LEVELS, LEVELS))
    counts[0, 2, 5] = counts[0, 5, 2] = 10
    expected = [9.0, 3.0, 0.1, np.sqrt(0.5), -1.0, np.log(2.0)]
    assert haralick(counts)[0] == pytest.approx(expected)
    counts[:] = 0
    counts[0, 7, 7] = 4
    assert haralick(counts)[0] == pytest.approx([0.0, 0.0, 1.0, 1.0, 1.0, 0.0])


@pytest.mark.skipif(
    importlib.util.find_spec("skimage") is None, reason="scikit-image is not installed"
)
def test_textures_are_scikit_images() -> None:
    from skimage.feature import graycomatrix, graycoprops

    grey = picture(1)
    grey[20:60, 30:90] = 3
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    # at other distances it takes diagonal neighbours on a circle, Haralick on a square
    theirs = graycomatrix(grey.astype(np.uint8), [1], angles, LEVELS, symmetric=True)
    together = theirs.sum(axis=3)
    ours = cooccurrence(grey, 1).sum(axis=0)
    assert np.array_equal(ours, together[:, :, 0])
    shares = (together / together.sum())[..., None]
    names = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
    expected = [graycoprops(shares, name)[0, 0] for name in names]
    assert haralick(ours[None])[0, :5] == pytest.approx(expected, rel=1e-6)


def test_patterns_by_hand() -> None:
    level = np.zeros((EDGE, EDGE), np.float32)
    assert binary_patterns(level).sum() == (EDGE - 2) ** 2
    assert binary_patterns(level)[:, 8].sum() == (EDGE - 2) ** 2  # flat: all are not darker
    level[64, 64] = 1.0  # a bright pixel: no neighbour is as bright
    counts = binary_patterns(level)
    assert counts[8 * 16 + 8, 0] == 1
    assert counts[:, 8].sum() == (EDGE - 2) ** 2 - 1  # around it all neighbours still count
    level[:, 64:] = 1.0  # an edge: pixels on its bright side have five neighbours of eight
    counts = binary_patterns(level)
    assert counts[:, 5].sum() == EDGE - 2


def test_textures_do_not_depend_on_a_gain() -> None:
    draw = np.random.default_rng(2)
    db = draw.normal(-14, 5, (1, 128, 128)).astype(np.float32)
    made = ADAPTERS["texture"].make(Given())
    tiles = [
        chip(str(by), db + np.float32(by), polarizations=("HH",), gsd_m=1.0) for by in (0, 16.0)
    ]
    first, second = made.features(tiles)
    assert np.allclose(first, second, atol=0.05)
    assert first.shape == (2 * (2 * 6 + 10 + 3 * 9 + 2),)


def test_textures_of_a_picture_come_of_all_cells() -> None:
    """Shares of patterns over a picture are the mean of those of cells, but for the border."""
    draw = np.random.default_rng(4)
    tile = chip(
        "a", draw.normal(-14, 5, (1, 128, 128)).astype(np.float32), polarizations=("HH",), gsd_m=1.0
    )
    made = ADAPTERS["texture"].make(Given())
    whole, cells = made.features([tile])[0], made.patches([tile])[0]
    assert cells.shape == (16, 16, len(whole))
    patterns = slice(12, 22)
    inner = cells[1:-1, 1:-1].reshape(-1, len(whole))[:, patterns].mean(axis=0)
    assert np.allclose(whole[patterns], inner, atol=0.02)


def test_draws_depend_on_seed_and_name_alone() -> None:
    tile = chip("a", np.zeros((1, 4, 4), np.float32), polarizations=("HH",), gsd_m=1.0)
    other = chip("a", np.ones((1, 9, 9), np.float32), polarizations=("VV",), gsd_m=1.0)
    made: Random = ADAPTERS["random"].make(Given(seed=3))
    assert np.array_equal(made.features([tile]), made.features([other]))
    rows = made.features(
        [chip(str(n), tile.db, polarizations=("HH",), gsd_m=1.0) for n in range(400)]
    )
    assert abs(rows.mean()) < 0.03
    assert rows.std() == pytest.approx(1.0, abs=0.03)
    together = rows @ rows.T / rows.shape[1]
    assert np.abs(together[np.triu_indices(400, 1)]).mean() < 0.15
    # a picture and a text of one name have nothing to do with each other
    assert abs(float(made.images([tile])[0] @ made.texts(["a"])[0])) < 0.5


def test_constants_are_ties() -> None:
    made = ADAPTERS["constant"].make(Given())
    tiles = [
        chip(str(n), np.full((1, 4, 4), n, np.float32), polarizations=("HH",), gsd_m=1.0)
        for n in range(3)
    ]
    assert len(np.unique(made.images(tiles) @ made.texts(["a", "b"]).T)) == 1
    assert len(np.unique(made.features(tiles))) == 1
