"""Rung 3: looks, populations, water and built-up ground."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tiles.make import coast, make_tile, speckled
from sarknowlip.knowledge.looks import equivalent_looks, texture_variation
from sarknowlip.knowledge.mixture import fit_mixture
from sarknowlip.knowledge.surface import map_surfaces, share_confidence
from sarknowlip.sar.scaling import power_to_db
from sarknowlip.sar.sensors.geotiff import GeoTiffProduct
from sarknowlip.sar.tile import TileImage


@pytest.mark.parametrize("looks", [1.0, 4.4, 20.0])
def test_looks_of_uniform_ground(looks: float) -> None:
    power = speckled(np.ones((256, 256)), looks)
    estimate = equivalent_looks(power, np.ones(power.shape, dtype=bool))
    assert estimate == pytest.approx(looks, rel=0.12)


def test_looks_of_a_mixed_scene_are_those_of_its_uniform_parts() -> None:
    mean = np.ones((256, 256))
    mean[:, 128:] = 30.0
    mean[::16, 128:] = 300.0
    estimate = equivalent_looks(speckled(mean, 4.4), np.ones(mean.shape, dtype=bool))
    assert estimate == pytest.approx(4.4, rel=0.15)


def test_too_little_data_has_no_looks() -> None:
    assert equivalent_looks(np.ones((12, 12)), np.ones((12, 12), dtype=bool)) is None
    assert equivalent_looks(np.ones((99, 99)), np.zeros((99, 99), dtype=bool)) is None


def test_texture_is_what_speckle_does_not_explain() -> None:
    valid = np.ones((512, 512), dtype=bool)
    assert texture_variation(speckled(np.ones(valid.shape), 4.0), valid, 4.0) < 0.1
    rough = np.random.default_rng(1).gamma(4.0, 0.25, valid.shape)
    assert texture_variation(speckled(rough, 4.0), valid, 4.0) == pytest.approx(0.5, rel=0.06)


@given(st.floats(6.0, 15.0), st.floats(0.25, 0.75), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_mixture_finds_two_populations(gap: float, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dark = rng.random(20_000) < share
    values = np.where(dark, rng.normal(-20, 1.2, dark.size), rng.normal(-20 + gap, 1.2, dark.size))
    mixture = fit_mixture(values)
    assert mixture is not None
    assert mixture.share[0] == pytest.approx(share, abs=0.03)
    assert mixture.mean == pytest.approx((-20.0, -20.0 + gap), abs=0.15)
    assert mixture.mean[0] < mixture.threshold < mixture.mean[1]
    assert np.mean((values < mixture.threshold) != dark) < 0.03


def test_mixture_refuses_what_is_none() -> None:
    assert fit_mixture(np.full(1000, -9.0)) is None
    assert fit_mixture(np.zeros(10)) is None


@pytest.mark.parametrize("looks", [1.0, 4.4])
def test_water_of_a_coast(looks: float) -> None:
    tile, water = coast(looks)
    surfaces = map_surfaces(tile, looks)
    assert surfaces is not None
    found = surfaces.masks["water"]
    assert (found & water).sum() / (found | water).sum() > 0.93
    assert {threshold.origin for threshold in surfaces.thresholds} == {"mixture"}
    total = sum(mask.astype(int) for mask in surfaces.masks.values())
    assert (total == 1).all(), "every valid pixel is of exactly one surface"


def test_a_tile_of_one_surface_is_not_split() -> None:
    for level, expected in ((-9.0, 0.0), (-21.0, 1.0)):
        power = speckled(np.full((1, 128, 128), 10 ** (level / 10)), 4.4)
        surfaces = map_surfaces(make_tile(power), 4.4)
        assert surfaces is not None
        assert surfaces.share("water") == pytest.approx(expected, abs=0.02)
        assert surfaces.thresholds[0].origin == "published"


def test_textured_bright_ground_is_built_up_and_smooth_bright_ground_is_not() -> None:
    rng = np.random.default_rng(2)
    streets = np.kron(rng.random((32, 32)) < 0.5, np.ones((4, 4)))
    textured = np.where(streets, 10**0.3, 10**-1.2)
    smooth = np.full(textured.shape, 10**-0.4)
    shares = []
    for mean in (textured, smooth):
        surfaces = map_surfaces(make_tile(speckled(mean, 4.4)[None]), 4.4)
        assert surfaces is not None
        shares.append(surfaces.share("bright_structure"))
    assert shares[0] > 0.6
    assert shares[1] < 0.05


@pytest.mark.parametrize(
    "change", [{"calibrated": False, "quantity": "amplitude"}, {"band": "X"}, {"quantity": "beta0"}]
)
def test_no_surfaces_without_published_levels(change: dict) -> None:
    power = speckled(np.full((1, 64, 64), 0.1), 4.4)
    assert map_surfaces(make_tile(power, **change), 4.4) is None


def test_water_of_real_chips_against_hand_labels(shared_data) -> None:
    """Sen1Floods11: the share of water agrees where the label is open water; printed per chip."""
    folder = shared_data("sen1floods11-sample")
    errors = {}
    for path in sorted((folder / "S1Hand").glob("*.tif")):
        product = GeoTiffProduct.open(path)
        db = power_to_db(product.power(product.grid))
        tile = TileImage(product.name, db, product.grid, product.acquisition, product.radiometry)
        surfaces = map_surfaces(tile, 4.4)
        with rasterio.open(folder / "LabelHand" / path.name.replace("S1Hand", "LabelHand")) as file:
            label = file.read(1)
        known = (label >= 0) & tile.valid
        if not known.any():
            continue
        found, truth = surfaces.masks["water"] & known, (label == 1) & known
        union = (found | truth).sum()
        iou = (found & truth).sum() / union if union else 1.0
        errors[path.stem] = abs(float(found.sum() - truth.sum())) / known.sum()
        print(f"{path.stem}: IoU {iou:.3f}, share error {errors[path.stem]:.3f}")
        if path.stem.startswith("India"):
            assert iou > 0.7
    assert np.median(list(errors.values())) < 0.03


@given(st.integers(0, 10_000), st.floats(-2.0, 2.0))
@settings(max_examples=30, deadline=None)
def test_confidence_is_that_of_drawn_threshold_errors(seed: int, middle: float) -> None:
    rng = np.random.default_rng(seed)
    margin = rng.normal(middle, rng.uniform(0.5, 20.0), 4000)
    shifts = rng.normal(0.0, 1.0, 4000)
    moved = np.abs(np.searchsorted(np.sort(margin), shifts) / margin.size - (margin < 0).mean())
    assert share_confidence(margin) == pytest.approx((moved <= 0.05).mean(), abs=0.04)


def test_ground_without_a_valley_makes_the_share_doubtful() -> None:
    ramp = np.tile(np.linspace(-19.0, -12.0, 192), (192, 1))
    doubtful = map_surfaces(make_tile(speckled(10 ** (ramp / 10), 16.0)[None]), 16.0)
    clear, _ = coast(16.0)
    sure = map_surfaces(clear, 16.0)
    assert doubtful is not None
    assert sure is not None
    assert doubtful.confidence["water"] < 0.5
    assert sure.confidence["water"] > 0.95


def test_small_dark_patches_are_not_water() -> None:
    level = np.full((128, 128), 10**-1.0)
    level[20:24, 20:24] = level[60:90, 60:90] = 10**-2.2
    surfaces = map_surfaces(make_tile(speckled(level, 16.0)[None]), 16.0)
    assert surfaces is not None
    assert not surfaces.masks["water"][15:30, 15:30].any()
    assert surfaces.masks["water"][65:85, 65:85].all()
