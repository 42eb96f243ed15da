"""Rung 5: changed tiles are lawful radar images, and their captions still true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from data.claims.make import predicates
from data.pairs.make import make_corpus
from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.lookup import Stored
from sarknowlip.annotate.tile import AnnotateConfig, TileAnnotator
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.data.augment import (
    AugmentConfig,
    Chance,
    averaged,
    changed,
    crop,
    drawn_factor,
    drawn_window,
    speckled,
    turned,
    without_channels,
)
from sarknowlip.data.captions import Captions, Said, claim_scopes, judged
from sarknowlip.data.pairs import PairDataset, Visit
from sarknowlip.data.scope import (
    ANYWHERE,
    DETECTED,
    OF_THINGS,
    POLARIZATIONS,
    STEADY,
    UNKNOWN,
    Scope,
    joint,
    scope_of,
)
from sarknowlip.geo.grid import GridConfig, ground_sample_distance
from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.tile import TileImage
from sarknowlip.simulate.city import SimulationConfig, simulate
from sarknowlip.simulate.world.osm import OsmWorldConfig

EVERYWHERE = Scope(whole=False, box=None, turns=True, speckles=True, polarizations=())


def tile_of(shape: tuple[int, int, int] = (2, 24, 36), seed: int = 0) -> TileImage:
    db = np.random.default_rng(seed).normal(-12, 5, shape).astype(np.float32)
    db[:, 1:3, 2] = np.nan
    acquisition = Acquisition(
        polarizations=("VV", "VH", "HH", "HV")[: shape[0]], frequency_band="C",
        observation_direction="right", orbit_state="ascending", heading=350.0,
        incidence_angle=38.0, looks_equivalent_number=4.4, resolution_range=20.0,
    )  # fmt: skip
    grid = GeoBox(shape[1:], Affine(10, 0, 500_000, 0, -10, 4_700_000), "EPSG:32633")
    radiometry = Radiometry(quantity="sigma0", calibrated=True)
    return TileImage("t", db, grid, acquisition, radiometry)


def on_the_map(tile: TileImage) -> dict[tuple[float, float], tuple[float, ...]]:
    """Return the values of each pixel by the map coordinates of its centre."""
    _, rows, columns = tile.db.shape
    return {
        tuple(np.round(tile.geobox.affine * (c + 0.5, r + 0.5), 6)): tuple(
            np.nan_to_num(tile.db[:, r, c], nan=99.0)
        )
        for r, c in product(range(rows), range(columns))
    }


def test_nothing_changes_by_default() -> None:
    tile = tile_of()
    assert AugmentConfig().off
    assert drawn_window((24, 36), 1.0, Chance(0, 0, 0)) is None
    for config in (AugmentConfig(), AugmentConfig(turn=1.0)):
        assert changed(tile, UNKNOWN, config, Chance(0, 0, 0)) is tile
    every = AugmentConfig(turn=1.0, speckle=1.0, multilook=4, drop_polarization=1.0)
    for epoch in range(20):
        assert changed(tile, UNKNOWN, every, Chance(0, epoch, 0)) is tile
    for wrong in ({"speckle_looks": (3.0, 2.0)}, {"speckle_looks": (0.0, 2.0)}, {"turn": 1.5}):
        with pytest.raises(ValueError):
            AugmentConfig(**wrong)


@given(number=st.integers(0, 7), seed=st.integers(0, 99))
def test_turned_pixels_keep_their_place_on_the_map(number: int, seed: int) -> None:
    tile = tile_of((2, 4, 6), seed)
    after = turned(tile, number)
    assert on_the_map(after) == on_the_map(tile)
    assert after.geobox.shape == after.db.shape[1:]
    assert after.db.flags.c_contiguous
    assert (number == 0) == (after.acquisition.heading == 350.0)
    assert (number == 0) == (after.acquisition.observation_direction == "right")
    assert after.acquisition.incidence_angle == 38.0
    assert sorted(ground_sample_distance(after.geobox)) == pytest.approx(
        sorted(ground_sample_distance(tile.geobox)), rel=1e-5
    )


def test_turns_are_the_eight_of_the_square() -> None:
    tile = tile_of((1, 4, 4))
    images = {turned(tile, number).db.tobytes() for number in range(8)}
    assert len(images) == 8


@settings(deadline=None)
@given(
    rows=st.integers(1, 60), columns=st.integers(1, 60), smallest=st.floats(0.01, 1.0),
    epoch=st.integers(0, 1000),
)  # fmt: skip
def test_crops_lie_inside_and_keep_their_place(
    rows: int, columns: int, smallest: float, epoch: int
) -> None:
    window = drawn_window((rows, columns), smallest, Chance(1, epoch, 2))
    assert window == drawn_window((rows, columns), smallest, Chance(1, epoch, 2))
    if window is None:
        return
    x0, y0, x1, y1 = window
    assert 0 <= x0 < x1 <= columns
    assert 0 <= y0 < y1 <= rows
    assert x1 - x0 >= max(1, np.floor(smallest * columns))
    tile = tile_of((1, rows, columns)) if rows > 8 and columns > 8 else None
    if tile is not None:
        part = crop(tile, window)
        assert on_the_map(part).items() <= on_the_map(tile).items()
        assert part.geobox.shape == part.db.shape[1:] == (y1 - y0, x1 - x0)


@given(factor=st.integers(1, 12), seed=st.integers(0, 99))
def test_multilook_averages_power_not_decibels(factor: int, seed: int) -> None:
    tile = tile_of(seed=seed)
    after = averaged(tile, factor)
    if factor == 1 or 24 % factor or 36 % factor:
        assert after is tile
        return
    power = tile.power.astype(np.float64)
    for row, column in product(range(24 // factor), range(36 // factor)):
        block = power[:, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        mean = np.nanmean(block, axis=(1, 2))
        assert after.power[:, row, column] == pytest.approx(mean, rel=1e-5)
    assert after.geobox.extent.boundingbox == tile.geobox.extent.boundingbox
    assert ground_sample_distance(after.geobox) == pytest.approx(
        [factor * g for g in ground_sample_distance(tile.geobox)], rel=1e-4
    )
    assert after.acquisition.looks_equivalent_number is None


@settings(max_examples=10, deadline=None)
@given(looks=st.floats(1.0, 20.0), before=st.floats(1.0, 10.0), seed=st.integers(0, 99))
def test_speckle_keeps_mean_power_and_lowers_looks(looks: float, before: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    power = 0.05 * rng.gamma(before, 1 / before, (1, 400, 400))
    tile = tile_of((1, 400, 400))
    tile = replace(
        tile,
        db=(10 * np.log10(power)).astype(np.float32),
        acquisition=tile.acquisition.model_copy(update={"looks_equivalent_number": before}),
    )
    after = speckled(tile, looks, rng)
    found = after.power.astype(np.float64)
    assert found.mean() == pytest.approx(0.05, rel=0.02)
    enl = found.mean() ** 2 / found.var()
    assert after.acquisition.looks_equivalent_number == pytest.approx(enl, rel=0.06)
    assert np.isfinite(after.db).all()
    assert after.geobox is tile.geobox


def test_no_data_stays_and_grows_not() -> None:
    tile = tile_of()
    for number in range(8):
        assert np.isnan(turned(tile, number).db).sum() == np.isnan(tile.db).sum()
    after = speckled(tile, 3.0, np.random.default_rng(0))
    assert np.array_equal(np.isnan(after.db), np.isnan(tile.db))
    assert not np.isnan(averaged(tile, 3).db).any()


@given(
    count=st.integers(1, 4), share=st.floats(0.0, 1.0), seed=st.integers(0, 999),
    spoken=st.sets(st.sampled_from(POLARIZATIONS)),
)  # fmt: skip
def test_never_all_polarisations_go_and_none_that_is_spoken_of(
    count: int, share: float, seed: int, spoken: set[str]
) -> None:
    tile = tile_of((count, 9, 9))
    scope = replace(EVERYWHERE, polarizations=tuple(sorted(spoken)))
    after = without_channels(tile, scope, share, np.random.default_rng(seed))
    left = after.acquisition.polarizations
    assert 1 <= len(left) == len(after.db)
    assert spoken & set(tile.acquisition.polarizations) <= set(left)
    for name in left:
        assert np.array_equal(after.polarization(name), tile.polarization(name), equal_nan=True)
    if share == 1.0 and not spoken:
        assert len(left) == 1


def test_draws_of_one_change_leave_the_others() -> None:
    tile = tile_of()
    base = AugmentConfig(turn=0.5, drop_polarization=0.5)
    more = AugmentConfig(turn=0.5, drop_polarization=0.5, multilook=3, speckle=0.7)
    for epoch in range(30):
        one, other = (changed(tile, EVERYWHERE, c, Chance(0, epoch, 1)) for c in (base, more))
        again = changed(tile, EVERYWHERE, more, Chance(0, epoch, 1))
        assert np.array_equal(other.db, again.db, equal_nan=True)
        assert one.acquisition.polarizations == other.acquisition.polarizations
        assert np.sign(one.geobox.affine.a) == np.sign(other.geobox.affine.a)
        assert np.sign(one.geobox.affine.b) == np.sign(other.geobox.affine.b)


# What claims hold of


def fact(subject: str, predicate: str, value: float | None = None, **more: object) -> Evidence:
    return Evidence.of(
        "t", subject, predicate, unit="px", source="osm", source_version="1", confidence=0.9,
        value=value, **more,
    )  # fmt: skip


FACTS = [
    fact("image", "rows", 90), fact("image", "columns", 90),
    *(
        item
        for name, kind, x, y in (
            ("object/00", "bridge", 10, 10), ("object/01", "ship", 40, 60),
            ("target/00", "target", 70, 20), ("target/01", "target", 20, 70),
        )
        for item in (
            fact(name, "kind", label=kind, bbox_px=(x, y, x + 6, y + 4)),
            fact(name, "column", x + 3), fact(name, "row", y + 2),
            fact(name, "orientation", 30, bbox_px=(x, y, x + 6, y + 4)),
        )
    ),
    fact("place/00", "name", label="Oldtown"), fact("place/00", "column", 44.7),
    fact("place/00", "row", 50.2),
]  # fmt: skip


def claim(predicate: str, cited: list[str] | None = None, **arguments: object) -> Claim:
    ids = [f.id for f in FACTS if cited is None or f.subject in cited]
    return Claim.of(
        "t", "landform", predicate, arguments, confidence=0.9, stage="s", stage_version="1",
        rule="r", evidence_ids=ids,
    )  # fmt: skip


def scope(predicate: str, cited: list[str] | None = None, **arguments: object) -> Scope:
    known = {f.id: f for f in FACTS}
    return scope_of(claim(predicate, cited, **arguments), Facts(FACTS), known)


def thing(role: str, subject: str, part: str = "", name: str = "") -> dict[str, str]:
    return {role: subject, f"{role}_kind": "bridge", f"{role}_name": name, f"{role}_part": part}


def test_all_predicates_are_judged() -> None:
    assert set(predicates()) == STEADY | DETECTED
    assert not STEADY & DETECTED
    assert OF_THINGS <= STEADY
    assert ANYWHERE <= STEADY | DETECTED
    assert scope("invented", share_pct=3) == UNKNOWN


def test_shares_counts_and_places_in_the_image_hold_of_the_whole_only() -> None:
    for predicate, said in (
        ("surface_share", {"surface": "water", "share_pct": 30}),
        ("mean_backscatter", {"polarization": "VV", "mean_db": -9}),
        ("object_count", {"kind": "ship", "count": 2}),
        ("target_count", {"count": 2}),
        ("clearest_target", {"part": "centre", "length_m": 20}),
        ("position", {**thing("a", "object/00"), "part": "centre"}),
        ("surface_absent", {"surface": "water"}),
        ("object_size", {**thing("a", "object/00", part="centre"), "length_m": 9, "width_m": 3}),
        ("object_size", {**thing("a", "object/99"), "length_m": 9, "width_m": 3}),
        ("ship_axis", {"rank": 1, "bearing_deg": 30}),
        ("no_target", {}),
    ):
        assert not scope(predicate, **said).holds_in((0, 0, 90, 89)), predicate


def test_things_hold_where_they_are_whole() -> None:
    pair = thing("a", "object/00") | thing("b", "object/01")
    near = scope("distance", **pair, distance_m=400)
    assert near.box == (10, 10, 46, 64)
    assert near.holds_in((10, 10, 46, 64))
    for window in ((11, 10, 46, 64), (10, 11, 46, 64), (10, 10, 45, 64), (10, 10, 46, 63)):
        assert not near.holds_in(window)
    place = scope("place_name", ["place/00"], kind="suburb", name="Oldtown")
    assert place.box == (44, 50, 45, 51)
    assert scope("viewing", look_deg=80, incidence_deg=38).holds_in((3, 3, 4, 4))


def test_turning_is_for_claims_without_direction_place_or_name() -> None:
    assert scope("surface_share", surface="water", share_pct=30).turns
    assert scope("distance", **thing("a", "object/00"), **thing("b", "object/01")).turns
    for predicate, said in (
        ("direction", {**thing("a", "object/00"), "direction": "north"}),
        ("coast", {"direction": "south"}), ("viewing", {"look_deg": 8, "incidence_deg": 30}),
        ("slopes", {"facing_pct": 3, "away_pct": 4}), ("object_axis", {"bearing_deg": 3}),
        ("target_axis", {"rank": 1, "bearing_deg": 0}), ("line", {"part": "centre"}),
        ("adjacent", thing("a", "object/00", part="centre")),
        ("inside", thing("a", "object/00", name="Long Bridge")),
        ("place_name", {"kind": "suburb", "name": "Oldtown"}),
        ("city", {"name": "X", "country": "Y", "distance_km": 3, "direction": "north"}),
    ):  # fmt: skip
        assert not scope(predicate, **said).turns, predicate
    assert not scope("target_count", count=3).speckles
    assert scope("water_body", water="lake", share_pct=3, name="").turns


def test_channels_are_spoken_of() -> None:
    assert scope("cross_ratio", polarization="VH/VV", ratio_db=-7).polarizations == ("VH", "VV")
    assert scope("headline", main="water", second="").polarizations == ()
    assert UNKNOWN.polarizations == POLARIZATIONS


scopes = st.builds(
    Scope, st.booleans(),
    st.none() | st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(41, 90)] * 2),
    st.booleans(), st.booleans(), st.sampled_from([(), ("VV",), ("VH", "VV")]),
)  # fmt: skip


@given(
    st.lists(scopes, max_size=5), st.tuples(*[st.integers(0, 45)] * 2, *[st.integers(46, 90)] * 2)
)
def test_texts_hold_of_what_all_their_claims_do(parts: list[Scope], window) -> None:
    whole = joint(parts)
    assert whole.holds_in(window) == all(part.holds_in(window) for part in parts)
    assert whole.turns == all(part.turns for part in parts)
    assert whole.speckles == all(part.speckles for part in parts)
    assert set(whole.polarizations) == {n for part in parts for n in part.polarizations}


def test_texts_with_unknown_claims_hold_of_the_whole_only() -> None:
    known = claim("viewing", look_deg=80, incidence_deg=38)
    texts = [
        Text.of("t", "landform", "sentence", "A.", claim_ids=[known.id]),
        Text.of("t", "landform", "sentence", "B.", claim_ids=[known.id, "gone"]),
        Text.of("t", "landform", "question-answer", "C", claim_ids=[known.id], question="?"),
    ]
    captions = judged(Stored(FACTS, [known], texts))
    assert captions.sentences == ("A.", "B.")
    assert captions.holding((0, 0, 5, 5)).sentences == ("A.",)


@pytest.mark.slow
def test_claims_kept_in_a_crop_are_found_in_it_again(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    """Central Helsinki: what crops keep is what rules say of the crop as a tile of its own."""
    extract = shared_data("osm-helsinki")
    world = OsmWorldConfig(path=extract / "Helsinki.osm.pbf", seed=5)
    simulate(SimulationConfig(world=world), tmp_path / "world")
    grid = GridConfig(tile_px=48)
    build([tmp_path / "world" / "products"], tmp_path / "c", BuildConfig(grid=grid, max_nodata=0.6))
    catalog = Catalog(tmp_path / "c")
    annotator = TileAnnotator(AnnotateConfig(options=SourceOptions(osm=(extract,))), cached=False)

    def told(claims: list[Claim]) -> set[tuple[object, ...]]:
        things = {"a", "b"}  # Numbers of things are those of a tile.
        return {
            (c.predicate, *sorted(item for item in c.arguments.items() if item[0] not in things))
            for c in claims
        }

    kept: Counter[str] = Counter()
    for index, record in enumerate(catalog.records()):
        tile = catalog.image(record)
        evidence = annotator.evidence(tile)
        claims = annotator.derive(tile.id, evidence)
        scopes = claim_scopes(Stored(evidence, claims, []))
        for epoch in range(3):
            window = drawn_window(tile.db.shape[1:], 0.5, Chance(0, epoch, index))
            if window is None or not np.isfinite(crop(tile, window).db).any():
                continue
            left = [c for c in claims if scopes[c.id].holds_in(window)]
            part = crop(tile, window)
            again = told(annotator.derive(tile.id, annotator.evidence(part)))
            assert told(left) <= again
            kept.update(c.predicate for c in left)
    assert sum(kept.values()) > 100
    assert {"object_size", "direction", "distance", "place_name", "viewing"} <= kept.keys()


def test_crops_are_whole_blocks_and_are_averaged() -> None:
    config = AugmentConfig(smallest_crop=0.3, multilook=4)
    tile, factors = tile_of((2, 61, 90)), Counter()
    for epoch in range(200):
        chance = Chance(0, epoch, 0)
        factor = drawn_factor(config, chance)
        window = drawn_window((61, 90), config.smallest_crop, chance, block=factor)
        if window is None:
            continue
        x0, y0, x1, y1 = window
        assert 0 <= x0 < x1 <= 90
        assert 0 <= y0 < y1 <= 61
        assert (x1 - x0) % factor == (y1 - y0) % factor == 0
        before = crop(tile, window)
        after = changed(before, EVERYWHERE, config, chance)
        assert after.db.shape[1:] == ((y1 - y0) // factor, (x1 - x0) // factor)
        assert after.geobox.extent.geom.equals(before.geobox.extent.geom)
        factors[factor] += 1
    assert min(factors[k] for k in (1, 2, 3, 4)) > 30
    assert drawn_window((3, 90), 0.3, Chance(0, 0, 0), block=4) is not None


def test_pairs_average_their_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_corpus(tmp_path / "corpus", 2)
    config = AugmentConfig(smallest_crop=0.5, multilook=3)
    pairs = PairDataset(root, "train", augment=config)
    said = Captions((Said("sentence", "landform", "Land.", EVERYWHERE),))
    monkeypatch.setattr(pairs.source, "captions", lambda index: said)
    for epoch in range(40):
        factor = drawn_factor(config, Chance(0, epoch, 0))
        image = pairs[Visit(epoch, 0)].image
        if image.geobox.extent.boundingbox.span_x < 320:
            assert image.geobox.resolution.x == pytest.approx(10 * factor)
