"""Rung 3: backscatter of known ground against drawn levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tiles.make import coast, make_tile, speckled
from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.knowledge.masks import encode_mask, mask_box
from sarknowlip.knowledge.sources.image import ImageSource
from sarknowlip.knowledge.sources.zones import LEAST_PX, ZonesSource


def masked(subject: str, mask: np.ndarray, confidence: float = 0.8) -> Evidence:
    return Evidence.of(
        "tile", subject, "share", value=float(mask.mean()), unit="share", source="map",
        source_version="1", confidence=confidence, bbox_px=mask_box(mask),
        mask_rle=encode_mask(mask),
    )  # fmt: skip


def halves(size: int = 128) -> np.ndarray:
    return np.arange(size)[None, :] < np.full((size, 1), size // 2)


def test_levels_and_ratio_of_two_kinds_of_ground() -> None:
    left = halves()
    vv, vh = np.where(left, 10**-0.8, 10**-1.2), np.where(left, 10**-1.4, 10**-2.0)
    tile = make_tile(speckled(np.stack([vv, vh]), 4.4), polarizations=("VV", "VH"))
    known = [masked("function/forest", left), masked("cover/cropland", ~left, 0.7)]
    found = ZonesSource().evidence(tile, known)
    facts = Facts(found)
    assert facts.value("zone/function/forest", "mean_VV") == pytest.approx(-8, abs=0.1)
    assert facts.value("zone/function/forest", "ratio") == pytest.approx(-6, abs=0.15)
    assert facts.value("zone/cover/cropland", "mean_VH") == pytest.approx(-20, abs=0.1)
    assert facts.value("zone/cover/cropland", "variation") < 0.15
    assert {fact.confidence for fact in found} == {0.7, 0.8}
    assert {fact.unit for fact in found} == {"dB", "1"}


def test_rims_are_left_out_where_enough_remains() -> None:
    left = halves()
    power = np.where(left, 0.1, 0.01)
    power[:, 63] = 100.0  # mixed pixels on the rim of the left half
    tile = make_tile(power[None])
    facts = Facts(ZonesSource().evidence(tile, [masked("cover/grassland", left)]))
    assert facts.value("zone/cover/grassland", "mean_VV") == pytest.approx(-10, abs=1e-3)
    strip = np.zeros(left.shape, bool)
    strip[:, 63] = True
    facts = Facts(ZonesSource().evidence(tile, [masked("function/road", strip)]))
    assert facts.value("zone/function/road", "mean_VV") == pytest.approx(20, abs=1e-3)


def test_ships_are_not_water() -> None:
    tile, water = coast()
    image = ImageSource().evidence(tile)
    facts = Facts(ZonesSource().evidence(tile, [*image, masked("function/sea", water)]))
    assert facts.value("zone/function/sea", "mean_VV") == pytest.approx(-20, abs=0.1)
    with_ship = Facts(ZonesSource().evidence(tile, [masked("function/sea", water)]))
    assert with_ship.value("zone/function/sea", "mean_VV") > -17


@given(st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_few_pixels_are_not_spoken_of(count: int) -> None:
    mask = np.zeros(32 * 32, bool)
    mask[:count] = True
    tile = make_tile(speckled(np.full((1, 32, 32), 0.1), 4.0))
    found = ZonesSource().evidence(tile, [masked("cover/bare", mask.reshape(32, 32))])
    assert bool(found) == (count >= LEAST_PX)


def test_no_data_counts_as_no_pixel() -> None:
    left = halves()
    power = np.where(left, np.nan, 0.1)[None]
    known = [masked("cover/bare", left), masked("cover/built_up", ~left)]
    subjects = {fact.subject for fact in ZonesSource().evidence(make_tile(power), known)}
    assert subjects == {"zone/cover/built_up"}
    assert ZonesSource().evidence(make_tile(np.full((1, 128, 128), np.nan)), known) == []
    assert ZonesSource().evidence(make_tile(power)) == [], "no mask is known"


def test_levels_of_uncalibrated_images_are_relative() -> None:
    tile = make_tile(np.full((1, 128, 128), 90.0), calibrated=False, quantity="amplitude")
    found = ZonesSource().evidence(tile, [masked("cover/bare", halves())])
    assert next(f.unit for f in found if f.predicate == "mean_VV") == "dB relative"


def test_masks_of_another_shape_are_an_error() -> None:
    tile = make_tile(np.full((1, 64, 64), 0.1))
    with pytest.raises(ValueError, match="64 × 64"):
        ZonesSource().evidence(replace(tile), [masked("cover/bare", halves())])
