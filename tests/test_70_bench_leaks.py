"""The leakage audit: every planted leak is found, and nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy.ndimage import gaussian_filter

from sarknowlip.bench import leaks
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.example import Example, Label
from sarknowlip.bench.fingerprint import (
    ALIKE,
    alike,
    fingerprint,
    multilooked,
    turned_fingerprints,
)
from sarknowlip.bench.leaks import Audit, audit
from sarknowlip.geo.footprint import extent_footprint
from sarknowlip.sar.chip import chip
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.tile import TileImage

EDGE = 64
LOOKS = 4.4
PICTURES = 16
SYMMETRIES: tuple[Callable[[Any], Any], ...] = (
    lambda a: a,
    np.fliplr,
    np.flipud,
    np.rot90,
    lambda a: np.rot90(a, 2),
    lambda a: np.rot90(a, 3),
    np.transpose,
    lambda a: np.rot90(np.transpose(a), 2),
)


class Pictures(DataSet):
    """Two parts of given examples."""

    def __init__(self, **parts: Sequence[Example]) -> None:
        self._parts = parts

    @classmethod
    def open(cls, data: Any) -> Any:
        raise NotImplementedError

    @property
    def card(self) -> Any:  # type: ignore[override]
        return type("Card", (), {"name": "pictures"})

    def examples(self, task: str, part: Part) -> Sequence[Example]:
        return self._parts[part]


def ground(seed: int) -> npt.NDArray[np.float64]:
    """Return power of fields, blobs and a slope: structure at several scales, 3 to 4 dB in all."""
    rng = np.random.default_rng(seed)
    levels = sum(
        amplitude * field / field.std()
        for amplitude, width in ((2.0, 12.0), (1.6, 5.0), (1.4, 2.0))
        for field in [gaussian_filter(rng.normal(size=(EDGE, EDGE)), width)]
    )
    slope = rng.normal(size=2)
    levels = (
        levels + slope[0] * np.linspace(-1, 1, EDGE) + slope[1] * np.linspace(-1, 1, EDGE)[:, None]
    )
    return np.asarray(10 ** ((levels - 12.0) / 10))


def seen(seed: int, speckle: int) -> npt.NDArray[np.float32]:
    """Return decibels (1, rows, columns) of ground with one drawing of speckle."""
    rng = np.random.default_rng((seed, speckle, 1))
    power = ground(seed) * rng.gamma(LOOKS, 1 / LOOKS, size=(EDGE, EDGE))
    return np.asarray(10 * np.log10(power)[None], dtype=np.float32)


def picture(name: str, db: npt.NDArray[np.float32]) -> TileImage:
    return chip(name, db, polarizations=("VV",), gsd_m=10.0)


def example(tile: TileImage, group: str | None = None) -> Example:
    return Example(tile.id, group or tile.id, lambda: tile, Label(0))


def mapped(name: str, column: int, row: int, seed: int, epsg: int = 32631) -> TileImage:
    """Return a tile on a map whose corner is so many pixels east and south of a place."""
    corner = Affine(10.0, 0.0, 500_000.0 + 10 * column, 0.0, -10.0, 5_000_000.0 - 10 * row)
    geobox = GeoBox((EDGE, EDGE), corner, f"EPSG:{epsg}")
    return replace(picture(name, seen(seed, 0)), geobox=geobox)


def audited(train: Sequence[TileImage], test: Sequence[TileImage]) -> Audit:
    data = Pictures(train=[example(t) for t in train], test=[example(t) for t in test])
    return audit(data, "classification")


def independent(first: int, count: int, speckle: int = 0) -> list[TileImage]:
    return [
        picture(f"p{seed}-{speckle}", seen(seed, speckle)) for seed in range(first, first + count)
    ]


def test_nothing_is_found_where_nothing_leaks() -> None:
    found = audited(independent(0, PICTURES), independent(1000, PICTURES))
    assert found.leaks == ()
    assert found.pictures == {"train": PICTURES, "test": PICTURES}
    assert found.mapped == {"train": 0, "test": 0}


def test_every_turned_and_mirrored_copy_is_found() -> None:
    train = independent(0, PICTURES)
    for number, turn in enumerate(SYMMETRIES):
        turned = [
            picture(f"q{n}", np.ascontiguousarray(turn(tile.db[0]))[None])
            for n, tile in enumerate(train)
        ]
        found = audited(train, turned)
        pairs = {(leak.train, leak.test): leak.measure for leak in found.leaks}
        wanted = {(tile.id, copy.id) for tile, copy in zip(train, turned, strict=True)}
        assert set(pairs) == wanted, number
        assert min(pairs.values()) > 0.999
        assert found.touched == PICTURES


def test_every_copy_with_other_speckle_is_found_even_if_turned() -> None:
    train, again = independent(0, PICTURES), independent(0, PICTURES, speckle=1)
    turned = [replace(tile, db=np.rot90(tile.db, axes=(1, 2)).copy()) for tile in again]
    for copies in (again, turned):
        found = audited(train, copies)
        wanted = {(a.id, b.id) for a, b in zip(train, copies, strict=True)}
        assert {(leak.train, leak.test) for leak in found.leaks} == wanted
        assert found.counts == {"look-alike": PICTURES}


def test_brightness_contrast_and_size_hide_no_copy() -> None:
    train = independent(0, 5)
    louder = [replace(tile, id=f"l-{tile.id}", db=tile.db * 0.7 + 9.0) for tile in train]
    larger = [
        picture(f"m-{tile.id}", np.repeat(np.repeat(tile.db, 2, axis=1), 2, axis=2))
        for tile in train
    ]
    for copies in (louder, larger):
        wanted = {(a.id, b.id) for a, b in zip(train, copies, strict=True)}
        assert {(leak.train, leak.test) for leak in audited(train, copies).leaks} == wanted


@pytest.mark.parametrize(
    "shift", [(EDGE - 1, 0), (0, EDGE - 1), (0, 1 - EDGE), (EDGE - 1, EDGE - 7)]
)
def test_one_row_of_shared_ground_is_found(shift: tuple[int, int]) -> None:
    found = audited([mapped("a", 0, 0, 1)], [mapped("b", *shift, 2)])
    (leak,) = found.leaks
    assert (leak.kind, leak.train, leak.test) == ("ground", "a", "b")
    overlap = (EDGE - abs(shift[0])) * (EDGE - abs(shift[1])) / EDGE**2
    assert leak.measure == pytest.approx(overlap, rel=0.02)


@pytest.mark.parametrize("shift", [(EDGE, 0), (0, EDGE), (-EDGE, -EDGE), (5000, 0)])
def test_neighbours_that_only_touch_share_no_ground(shift: tuple[int, int]) -> None:
    assert audited([mapped("a", 0, 0, 1)], [mapped("b", *shift, 2)]).leaks == ()


def test_ground_is_shared_across_projections() -> None:
    near = mapped("a", 0, 0, 1)
    x, y = Transformer.from_crs(32631, 32632, always_xy=True).transform(500_000.0, 5_000_000.0)
    for away, expected in ((0.0, {"ground": 1}), (20_000.0, {})):
        corner = Affine(10.0, 0.0, x + away, 0.0, -10.0, y)
        geobox = GeoBox((EDGE, EDGE), corner, "EPSG:32632")
        other = replace(picture("b", seen(2, 0)), geobox=geobox)
        assert audited([near], [other]).counts == expected


def test_groups_and_scenes_in_both_parts_are_found() -> None:
    tiles = [picture(f"p{n}", seen(n, 0)) for n in range(4)]
    data = Pictures(
        train=[example(tiles[0], "x"), example(tiles[1], "y")],
        test=[example(tiles[2], "y"), example(tiles[3], "z")],
    )
    found = audit(data, "classification")
    assert [(leak.kind, leak.train, leak.test) for leak in found.leaks] == [("group", "p1", "p2")]
    when = Acquisition(start_datetime="2024-05-01T06:00:00Z", polarizations=("VV",))  # type: ignore[arg-type]
    same = [replace(tile, acquisition=when) for tile in tiles[:2]]
    assert audited(same[:1], same[1:]).counts == {"scene": 1}
    unknown = [replace(t, acquisition=Acquisition(polarizations=("VV",))) for t in tiles[:2]]
    assert audited(unknown[:1], unknown[1:]).leaks == ()


def test_pictures_of_nothing_are_no_copies() -> None:
    flat = np.zeros((1, EDGE, EDGE), dtype=np.float32)
    void = np.full((1, EDGE, EDGE), np.nan, dtype=np.float32)
    tiles = [picture("flat", flat), picture("void", void)]
    assert audited(tiles, [replace(t, id=f"{t.id}2") for t in tiles]).leaks == ()
    assert not fingerprint(tiles[1]).any()


def test_lone_ships_at_like_places_are_no_copies() -> None:
    def sea(name: str, seed: int, row: int) -> TileImage:
        rng = np.random.default_rng(seed)
        db = 10 * np.log10(rng.gamma(LOOKS, 1 / LOOKS, size=(1, EDGE, EDGE))) - 20.0
        db[0, row : row + 4, 20:24] = 10.0
        return picture(name, np.asarray(db, dtype=np.float32))

    train, test = [sea("a", 1, 30)], [sea("b", 2, 30), sea("c", 3, EDGE - 34)]
    assert audited(train, test).leaks == ()
    turned = replace(train[0], id="t", db=train[0].db[:, ::-1].copy())
    assert audited(train, [turned]).counts == {"look-alike": 1}


def test_earlier_pictures_of_two_dates_are_audited() -> None:
    shown, other, asked = independent(0, 3)
    train = [replace(example(other), before=lambda: shown)]
    copy = replace(shown, id="copy")
    data = Pictures(train=train, test=[replace(example(asked), before=lambda: copy)])
    (leak,) = audit(data, "change").leaks
    assert (leak.kind, leak.train, leak.test) == ("look-alike", other.id, asked.id)


def test_multilooking_shares_pixels_evenly() -> None:
    ramp = np.arange(9.0).reshape(3, 3)
    assert multilooked(ramp, 3) == pytest.approx(ramp)
    two = multilooked(ramp, 2)
    # The upper left block holds pixel 0, halves of 1 and 3, and a quarter of 4.
    assert two[0, 0] == pytest.approx((0.0 + 0.5 + 1.5 + 1.0) / 2.25)
    assert multilooked(ramp.T[::-1], 2) == pytest.approx(two.T[::-1])
    ramp[0, 0] = np.nan
    assert multilooked(ramp, 2)[0, 0] == pytest.approx(3.0 / 1.25)
    assert np.isnan(multilooked(np.full((4, 4), np.nan), 2)).all()


def test_cosines_turn_as_pictures_do() -> None:
    tile = picture("p", seen(3, 0))
    made = np.stack(list(turned_fingerprints(fingerprint(tile)[None])))[:, 0]
    straight = np.stack(
        [
            fingerprint(picture("q", np.ascontiguousarray(turn(tile.db[0]))[None]))
            for turn in SYMMETRIES
        ]
    )
    nearest = np.abs(made[:, None] - straight[None]).max(axis=-1)
    assert nearest.min(axis=1).max() < 1e-5
    assert sorted(nearest.argmin(axis=1)) == list(range(8))


def test_chunks_change_no_similarity(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    prints = np.stack([fingerprint(tile) for tile in independent(0, 9)])
    prints = np.concatenate([prints, prints[rng.permutation(9)]])

    def all_pairs() -> dict[tuple[int, int], float]:
        return {
            (int(i), int(j)): float(m)
            for rows, columns, much in alike(prints, prints[:11], ALIKE)
            for i, j, m in zip(rows, columns, much, strict=True)
        }

    whole = all_pairs()
    monkeypatch.setattr("sarknowlip.bench.fingerprint.CHUNK", 4)
    parts = all_pairs()
    assert parts.keys() == whole.keys()
    assert len(whole) >= 11
    assert all(parts[pair] == pytest.approx(whole[pair], abs=1e-6) for pair in whole)


def test_radiometry_is_of_no_account() -> None:
    tile = picture("p", seen(3, 0))
    other = replace(tile, radiometry=Radiometry(quantity="sigma0", calibrated=True))
    assert fingerprint(tile) @ fingerprint(other) == pytest.approx(1.0)


def side(prints: npt.NDArray[np.float32], groups: Sequence[str], ground: Any = None) -> Any:
    """Return what an audit keeps of pictures with given fingerprints."""
    names = tuple(f"{groups[0]}-{n}" for n in range(len(prints)))
    scenes, grounds = ("",) * len(prints), (ground,) * len(prints)
    return leaks._Side(names, tuple(groups), scenes, grounds, prints)


def unrelated(count: int) -> npt.NDArray[np.float32]:
    """Return fingerprints of ground that has nothing in common."""
    return np.stack([fingerprint(tile(n, seen(1000 + n, n))) for n in range(count)])


def tile(number: int, db: npt.NDArray[np.float32]) -> TileImage:
    return chip(f"t{number}", db, polarizations=("VV",), gsd_m=10.0)


def test_unrelated_training_pictures_say_what_counts_as_a_copy() -> None:
    prints = unrelated(40)
    apart = [f"g{n}" for n in range(40)]
    reached = max(
        float(much[rows != columns].max(initial=0.0))
        for rows, columns, much in alike(prints, prints, 0.0)
    )
    assert 0.2 < reached < 0.33
    least = leaks._least(side(prints, apart), ALIKE)
    assert least == pytest.approx(max(reached, 0.25) + 0.05)
    copied = np.concatenate([prints, prints[:1]])
    assert leaks._least(side(copied, [*apart, "g0"]), ALIKE) == least, "of one group"
    assert leaks._least(side(copied, [*apart, "g40"]), ALIKE) == ALIKE, "alike though apart"
    assert leaks._least(side(prints[:30], apart[:30]), ALIKE) == ALIKE, "435 pairs are too few"
    assert leaks._least(side(prints, ["g"] * 40), ALIKE) == ALIKE, "none is of another group"
    assert leaks._least(side(np.zeros_like(prints), apart), ALIKE) == ALIKE, "nothing is shown"


def test_where_maps_tell_pictures_must_be_more_alike() -> None:
    """A fingerprint halfway between the two limits is a copy's where no map tells."""
    prints = unrelated(40)
    groups = [f"g{n}" for n in range(40)]
    least = leaks._least(side(prints, groups), ALIKE)
    much = (least + ALIKE) / 2
    other = unrelated(41)[40]
    across = other - (other @ prints[0]) * prints[0]
    near = much * prints[0] + np.sqrt(1 - much**2) * across / np.linalg.norm(across)
    asked = near[None].astype(np.float32)
    here = extent_footprint(GeoBox((64, 64), Affine.scale(10, -10), "EPSG:32635"))
    for ground, found in ((None, 1), (here, 0)):
        told = list(
            leaks._look_alikes(side(prints, groups, ground), side(asked, ["asked"], ground), ALIKE)
        )
        assert [leak.train for leak in told] == ["g0-0"] * found
    assert not list(leaks._look_alikes(side(prints[:9], groups[:9]), side(asked, ["a"]), ALIKE))
