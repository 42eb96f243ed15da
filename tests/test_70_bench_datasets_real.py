"""Readers of public data sets on real samples, where these are at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets.hrsid import Hrsid
from sarknowlip.bench.datasets.mstar import Mstar
from sarknowlip.bench.datasets.opensarship import OpenSarShip
from sarknowlip.bench.datasets.pairs import ChangePairs
from sarknowlip.bench.datasets.polsf import PolSf
from sarknowlip.bench.datasets.published import Published
from sarknowlip.bench.datasets.sar_acd import SarAcd
from sarknowlip.bench.datasets.sen1floods11 import Sen1Floods11
from sarknowlip.bench.example import Boxes, Count, Example, Label, Mask
from sarknowlip.bench.fingerprint import ALIKE, alike, fingerprint, multilooked
from sarknowlip.bench.leaks import audit
from sarknowlip.sar.chip import chip
from sarknowlip.sar.tile import TileImage

Shared = Callable[[str], Path]
PARTS: tuple[Part, ...] = ("train", "test")


def split(dataset: Published, task: str) -> list[Sequence[Example]]:
    """Return train and test examples, groups checked to be apart."""
    found = [dataset.examples(task, part) for part in PARTS]
    assert not {e.group for e in found[0]} & {e.group for e in found[1]}
    ids = [e.id for part in found for e in part]
    assert len(ids) == len(set(ids))
    return found


def by_class(examples: Sequence[Example]) -> list[int]:
    counts = Counter(e.truth.index for e in examples if isinstance(e.truth, Label))
    return [counts[index] for index in range(max(counts) + 1)]


def by_pixel(examples: Sequence[Example]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for example in examples:
        assert isinstance(example.truth, Mask)
        values, numbers = np.unique(example.truth.read(), return_counts=True)
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    return counts


def test_mstar_has_the_published_counts(shared_data: Shared) -> None:
    mstar = Mstar.open(shared_data("mstar10").parent)
    train, test = split(mstar, "classification")
    assert by_class(train) == [299, 233, 298, 256, 233, 299, 299, 232, 299, 299]
    assert by_class(test) == [183, 130, 183, 130, 131, 183, 182, 131, 183, 183]
    tile = train[0].image()
    assert tile.db.shape == (1, 128, 128)
    assert tile.db.max() == 0.0


def test_mstar_neighbours_in_file_order_look_alike(shared_data: Shared) -> None:
    """Why groups are runs: chips are numbered by azimuth."""
    mstar = Mstar.open(shared_data("mstar10").parent)
    train = [e for e in mstar.examples("few-shot", "train") if e.truth == Label(9)]
    small = [e.image().db.reshape(32, 4, 32, 4).mean(axis=(1, 3)).ravel() for e in train]
    related = np.corrcoef(small)
    near, far = (float(np.diagonal(related, step).mean()) for step in (1, 20))
    assert near > far + 0.2


def test_sar_acd_has_look_alikes_that_stay_together(shared_data: Shared) -> None:
    acd = SarAcd.open(shared_data("sar-acd").parent)
    train, test = split(acd, "classification")
    assert len(train) + len(test) == 2023
    assert 500 < len(acd.groups) < 600, acd.notes
    shares = np.array(by_class(test)) / (np.array(by_class(train)) + by_class(test))
    assert (np.abs(shares - 0.3) < 0.08).all()


def test_the_audit_finds_what_sar_acd_repeats(shared_data: Shared) -> None:
    """Drawn at random, nearly all pictures asked have look-alikes to learn from; as dealt, none."""
    acd = SarAcd.open(shared_data("sar-acd").parent)
    assert audit(acd, "classification").leaks == ()
    every = [*acd.examples("few-shot", "train"), *acd.examples("few-shot", "test")]
    alone = [replace(example, group=example.id) for example in every]
    drawn = np.random.default_rng(0).permutation([example.id for example in alone])[:600]
    mixed = SarAcd(dict.fromkeys(SarAcd.tasks, alone), drawn.tolist())
    found = audit(mixed, "classification")
    assert set(found.counts) == {"look-alike"}
    assert found.touched > 500


def test_another_date_of_the_same_ground_is_found_without_a_map(shared_data: Shared) -> None:
    """Of a real series, tiles with structure; most of the others are sea. Nothing else is named."""

    def tiles(date: str) -> list[TileImage]:
        with rasterio.open(shared_data("sentinel1-timeseries") / f"{date}.tif") as source:
            db = 10 * np.log10(source.read(1))[None]
        corners = [(r, c) for r in range(0, 512, 64) for c in range(0, 1024, 64)]
        return [
            chip(f"{r}-{c}", db[:, r : r + 64, c : c + 64], polarizations=("VV",), gsd_m=10.0)
            for r, c in corners
        ]

    first, later = tiles("20190428"), tiles("20190510")
    prints = [np.stack([fingerprint(tile) for tile in date]) for date in (first, later)]
    found = {
        pair
        for rows, columns, _ in alike(prints[0], prints[1], ALIKE)
        for pair in zip(rows.tolist(), columns.tolist(), strict=True)
    }
    assert all(i == j for i, j in found)
    blocks = [10 * np.log10(multilooked(tile.power[0], 8)) for tile in first]
    clear = {n for n, block in enumerate(blocks) if block.std() >= 2.0}
    share = len(clear & {i for i, _ in found}) / len(clear)
    print(f"found {len(found)} of {len(first)}; of {len(clear)} with structure {share:.2f}")
    assert share > 0.8


def test_hrsid_boxes_lie_on_bright_ships(shared_data: Shared) -> None:
    hrsid = Hrsid.open(shared_data("hrsid-sample").parent)
    train, test = split(hrsid, "detection")
    assert len(train) + len(test) == 36
    assert sum(e.truth.number for p in PARTS for e in hrsid.examples("counting", p)
               if isinstance(e.truth, Count)) == 69  # fmt: skip
    above = []
    for example in [*train[:8], *test]:
        assert isinstance(example.truth, Boxes)
        db = example.image().db[0]
        for corners in example.truth.corners.astype(int):
            (left, top), (right, bottom) = corners[0], corners[2]
            around = np.zeros(db.shape, dtype=bool)
            around[max(top - 8, 0) : bottom + 8, max(left - 8, 0) : right + 8] = True
            around[top:bottom, left:right] = False
            above.append(db[top:bottom, left:right].mean() - db[around].mean())
    assert min(above) > 2.0, "decibels above the eight pixels around, on sea and in harbours"


def test_opensarship_scenes_and_types(shared_data: Shared) -> None:
    ships = OpenSarShip.open(shared_data("opensarship").parent)
    train, test = split(ships, "classification")
    assert np.add(by_class(train), by_class(test)).tolist() == [170, 103, 12]
    assert len(ships.groups) == 6
    for scene in ships.groups:
        asked = ships.leaving_out(scene).examples("classification", "test")
        tile = asked[0].image()
        assert -45 < np.nanmedian(tile.db) < 0, "sea"
        middle = tile.db[-1][tuple(slice(n // 3, n - n // 3) for n in tile.db.shape[1:])]
        assert np.nanmax(middle) > np.nanmedian(tile.db[-1]) + 6, "a ship in the middle"


def test_sen1floods11_windows(shared_data: Shared) -> None:
    floods = Sen1Floods11.open(shared_data("sen1floods11-sample").parent)
    train, test = split(floods, "segmentation")
    assert len(floods.groups) == 7
    assert "Ghana_83483" in floods.notes[0], "a chip that nobody could label"
    counts = by_pixel([*train, *test])
    assert (counts[0], counts[1]) == (1_174_399, 302_681), "each labelled pixel once"
    for name in ("India_900498", "Pakistan_849790", "Spain_6860600"):
        levels: dict[int, list[float]] = {0: [], 1: []}
        for example in floods.leaving_out(name).examples("segmentation", "test"):
            assert isinstance(example.truth, Mask)
            tile, mask = example.image(), example.truth.read()
            assert tile.geobox.crs is not None
            assert tile.geobox.crs.epsg == 4326
            assert tile.acquisition.polarizations == ("VV", "VH")
            for index in levels:
                levels[index] += tile.db[1][mask == index].tolist()
        assert np.nanmedian(levels[1]) < np.nanmedian(levels[0]) - 2.0, name


def test_bern_is_halved_across_its_changes(shared_data: Shared) -> None:
    pairs = ChangePairs.open(shared_data("change-pairs").parent)
    train, test = (by_pixel(part) for part in split(pairs, "change"))
    assert train[1] + test[1] > 0.7 * 1155, "of all changed pixels, few lie in the gap"
    assert min(train[1], test[1]) > 300


@pytest.mark.parametrize("part", [0, 1], ids=PARTS)
def test_polsf_has_all_classes_on_both_sides(part: int, shared_data: Shared) -> None:
    polsf = PolSf.open(shared_data("polsf-airsar").parent)
    counts = by_pixel(split(polsf, "polsar")[part])
    assert min(counts[index] for index in range(5)) > 1000


def test_polsf_classes_look_as_they_are_called(shared_data: Shared) -> None:
    """Why names differ from those published with the map: its class 3 is the ocean, not a town."""
    polsf = PolSf.open(shared_data("polsf-airsar").parent)
    levels: list[list[float]] = [[], [], [], [], []]
    for example in [*polsf.examples("polsar", "train"), *polsf.examples("polsar", "test")]:
        assert isinstance(example.truth, Mask)
        cross, mask = example.image().db[1], example.truth.read()
        for index in range(5):
            levels[index] += cross[mask == index].tolist()
    mean = {name: np.mean(found) for name, found in zip(polsf.classes, levels, strict=True)}
    assert sorted(mean, key=lambda name: mean[name])[0] == "water"
    assert {"bare soil", "water"} == set(sorted(mean, key=lambda name: mean[name])[:2])
    assert max(mean, key=lambda name: mean[name]) in ("urban", "vegetation")
