"""Rung 4: from tiles and words to tensors."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from sarknowlip.core.errors import ConfigError
from sarknowlip.geo.grid import ground_sample_distance
from sarknowlip.models.channels import CHANNELS, POLARIZATIONS, channel_id
from sarknowlip.models.geo import GEO_FEATURES
from sarknowlip.models.processing import (
    LIMIT,
    MEAN_DB,
    SPREAD_DB,
    ProcessorConfig,
    SarProcessor,
    area_mean,
)
from sarknowlip.models.tokenizer import train_tokenizer
from sarknowlip.sar.chip import chip
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.scaling import CALIBRATED, RELATIVE, Encoding
from sarknowlip.sar.tile import CodedTile, Codes, TileImage

TEXTS = [f"Open water covers {n} percent of the tile." for n in range(0, 100, 5)] + [
    f"{n} bright targets stand on the water; the largest is {10 * n} m long." for n in range(2, 12)
]


def tile(
    db: np.ndarray,
    polarizations: tuple[str, ...] = ("VV", "VH"),
    *,
    band: str | None = "C",
    calibrated: bool = True,
    gsd: float = 10.0,
) -> TileImage:
    rows, columns = db.shape[1:]
    box = GeoBox((rows, columns), Affine(gsd, 0, 500_000, 0, -gsd, 4_700_000), "EPSG:32633")
    acquisition = Acquisition(polarizations=polarizations, frequency_band=band)
    radiometry = Radiometry(quantity="sigma0", calibrated=calibrated)
    return TileImage("t", db.astype(np.float32), box, acquisition, radiometry)


@pytest.fixture(scope="module")
def processor() -> SarProcessor:
    config = ProcessorConfig(image_px=32, text_tokens=16)
    return SarProcessor(config, train_tokenizer(TEXTS, 400))


def test_channel_ids_are_distinct() -> None:
    bands = (None, "P", "L", "S", "C", "X", "Ku", "K", "Ka")
    ids = [channel_id(name, band) for band in bands for name in POLARIZATIONS]
    assert sorted(ids) == list(range(1, CHANNELS))
    assert channel_id("VV", "W") == channel_id("VV", None)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(8, 70),
    columns=st.integers(8, 70),
    edge=st.integers(4, 80),
    seed=st.integers(0),
)
def test_area_mean_keeps_the_mean_power(rows: int, columns: int, edge: int, seed: int) -> None:
    power = np.random.default_rng(seed).gamma(1, 1, (2, rows, columns)).astype(np.float32)
    coarse = area_mean(power, edge)
    assert coarse.shape == (2, edge, edge)
    assert np.allclose(coarse.mean(axis=(1, 2)), power.mean(axis=(1, 2)), rtol=1e-5)


def test_area_mean_equals_block_means_and_skips_nodata() -> None:
    power = np.random.default_rng(0).gamma(1, 1, (1, 64, 64)).astype(np.float32)
    blocks = power.reshape(1, 32, 2, 32, 2).mean(axis=(2, 4))
    assert np.allclose(area_mean(power, 32), blocks, rtol=1e-5)
    power[0, :2, :2] = np.nan
    power[0, 4, 4] = np.nan
    coarse = area_mean(power, 32)
    assert np.isnan(coarse[0, 0, 0])
    assert np.isnan(coarse).sum() == 1
    rest = [power[0, 4, 5], power[0, 5, 4], power[0, 5, 5]]
    assert coarse[0, 2, 2] == pytest.approx(np.mean(rest), rel=1e-5)


def test_power_is_averaged_not_decibels(processor: SarProcessor) -> None:
    db = np.full((1, 64, 64), -20.0)
    db[:, ::2] = 0.0
    value = processor.images([tile(db, ("HH",))])["pixel_values"]
    mean_db = 10 * np.log10((1.0 + 0.01) / 2)
    expected = (mean_db - MEAN_DB["HH"]) / SPREAD_DB["HH"]
    assert torch.allclose(value, torch.full_like(value, expected), atol=1e-5)


def test_uncalibrated_tiles_are_relative_and_calibrated_are_not(processor: SarProcessor) -> None:
    db = np.random.default_rng(1).normal(-10, 3, (2, 64, 64))
    raw = [processor.images([tile(db + k, calibrated=False)])["pixel_values"] for k in (0.0, 30.0)]
    assert torch.allclose(*raw, atol=1e-4)
    own = [processor.images([tile(db + k)])["pixel_values"] for k in (0.0, 3.0)]
    assert torch.allclose(own[1][0, 0] - own[0][0, 0], torch.tensor(3 / SPREAD_DB["VV"]), atol=1e-4)


def by_way_of_power(image: TileImage, edge: int) -> np.ndarray:
    """What `normalise` must give, in float64 and by dense matrices."""
    power = 10 ** (image.db.astype(np.float64) / 10)
    valid = np.isfinite(power)
    shares = []
    for length in image.db.shape[1:]:
        cuts, pixel = np.arange(edge + 1) * (length / edge), np.arange(length)
        low, high = np.maximum(cuts[:-1, None], pixel), np.minimum(cuts[1:, None], pixel + 1)
        shares.append(np.maximum(high - low, 0))
    down, across = shares
    weight = down @ valid @ across.T
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = down @ np.where(valid, power, 0) @ across.T / np.where(weight > 1e-9, weight, 0)
    db = 10 * np.log10(np.maximum(mean, 1e-12))
    for channel, name in enumerate(image.acquisition.polarizations):
        known = db[channel][np.isfinite(db[channel])]
        relative = np.median(known) if known.size else 0.0
        db[channel] -= MEAN_DB[name] if image.radiometry.calibrated else relative
        db[channel] /= SPREAD_DB[name]
    return np.nan_to_num(np.clip(db, -LIMIT, LIMIT), nan=0.0)


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([(32, 32), (64, 96), (32, 64), (45, 32), (40, 70), (17, 20)]),
    share=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    calibrated=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_every_way_gives_what_power_gives(
    processor: SarProcessor, size: tuple[int, int], share: float, calibrated: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    encoding = CALIBRATED if calibrated else RELATIVE
    codes = np.clip(rng.normal(32_000, 4_000, (2, *size)), 1, 65_535).astype(np.uint16)
    codes[rng.random(codes.shape) < 0.02] = rng.integers(1, 65_535)
    codes[rng.random(codes.shape) < share] = 0
    plain = tile(encoding.decode_db(codes), calibrated=calibrated)
    about = {"acquisition": plain.acquisition, "radiometry": plain.radiometry}
    coded = CodedTile("t", Codes(codes, encoding), plain.geobox, **about)
    expected = by_way_of_power(plain, 32)
    for found in processor.images([plain, coded])["pixel_values"].numpy():
        assert np.allclose(found, expected, atol=1e-4)
    assert ("db" in vars(coded)) == (size != (32, 32)), "codes of the model's grid stay codes"


def test_a_changed_coded_tile_is_that_of_its_new_pixels(processor: SarProcessor) -> None:
    plain = tile(np.full((2, 32, 32), -12.5))
    about = {"acquisition": plain.acquisition, "radiometry": plain.radiometry}
    codes = Codes(np.full((2, 32, 32), 1, dtype=np.uint16), CALIBRATED)
    louder = replace(CodedTile("t", codes, plain.geobox, **about), db=plain.db)
    assert louder.codes is None
    assert torch.equal(*(processor.images([t])["pixel_values"] for t in (louder, plain)))


def test_places_of_a_batch_are_those_of_its_tiles(processor: SarProcessor) -> None:
    db = np.zeros((2, 32, 48))
    one, two = tile(db), tile(db, gsd=3.0)
    east = GeoBox((32, 48), Affine(1e-4, 2e-5, 27, 1e-5, -1e-4, 61), "EPSG:4326")
    tiles = [one, replace(one, geobox=east), two]
    together = processor.images(tiles)
    for row, each in enumerate(tiles):
        gsd = np.sqrt(np.prod(ground_sample_distance(each.geobox)) * 32 * 48) / 32
        assert together["gsd_m"][row] == pytest.approx(gsd, rel=1e-6)
        alone = processor.images([each])["geo"][0]
        assert torch.equal(together["geo"][row].nan_to_num(9), alone.nan_to_num(9))


def test_no_data_is_neutral_and_values_are_bounded(processor: SarProcessor) -> None:
    db = np.full((2, 64, 64), np.nan)
    blank = processor.images([tile(db)])["pixel_values"]
    assert torch.equal(blank, torch.zeros_like(blank))
    assert torch.equal(blank, processor.images([tile(db, calibrated=False)])["pixel_values"])
    db[:, :32] = 60.0
    db[:, 32:] = -80.0
    bounded = processor.images([tile(db)])["pixel_values"]
    assert bounded.abs().max() == LIMIT


def test_order_of_channels_in_the_file_does_not_matter(processor: SarProcessor) -> None:
    db = np.random.default_rng(2).normal(-12, 4, (4, 50, 50))
    names = ("VV", "VH", "HH", "HV")
    straight = processor.images([tile(db, names)])
    turned = processor.images([tile(db[::-1], names[::-1])])
    for key, value in straight.items():
        assert torch.equal(value.nan_to_num(9.0), turned[key].nan_to_num(9.0))


def test_mixed_batches_are_padded(processor: SarProcessor) -> None:
    one = tile(np.zeros((1, 64, 64)), ("HH",), band="X", gsd=3.0)
    two = tile(np.zeros((2, 32, 48)))
    batch = processor.images([one, two])
    assert batch["pixel_values"].shape == (2, 2, 32, 32)
    assert batch["channel_ids"].tolist() == [
        [channel_id("HH", "X"), 0],
        [channel_id("VV", "C"), channel_id("VH", "C")],
    ]
    assert torch.allclose(batch["gsd_m"], torch.tensor([6.0, 10.0 * 1536**0.5 / 32]), rtol=2e-3)


def test_geography_is_that_of_the_tile_and_its_scene(processor: SarProcessor) -> None:
    plain = tile(np.zeros((1, 64, 64)), ("HH",))
    told = replace(
        plain,
        acquisition=Acquisition(
            polarizations=("HH",),
            incidence_angle=36.0,
            orbit_state="descending",
            observation_direction="right",
            start_datetime=datetime(2024, 1, 1, tzinfo=UTC),
        ),
    )
    geo = processor.images([plain, told])["geo"]
    assert geo.dtype == torch.float32
    assert geo.shape == (2, GEO_FEATURES)
    assert torch.isnan(geo[0, 3:]).all()
    assert geo[1, 3:].tolist() == pytest.approx([0.4, -1, 1, 1, 0])
    corner = plain.geobox.affine * (32, 32)
    lon, lat = np.radians(Transformer.from_crs(32633, 4326, always_xy=True).transform(*corner))
    place = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    assert geo[:, :3].tolist() == [pytest.approx(place, abs=1e-6)] * 2


def test_geography_of_a_crop_is_its_own(processor: SarProcessor) -> None:
    whole = tile(np.zeros((1, 64, 64)), ("HH",))
    part = replace(whole, db=whole.db[:, :32, :32], geobox=whole.geobox[:32, :32])
    one, other = processor.images([whole, part])["geo"][:, :3]
    metres = float((one - other).double().norm()) * 6.371e6
    assert metres == pytest.approx(160 * 2**0.5, abs=2)


def test_texts_are_padded_cut_and_decodable(processor: SarProcessor) -> None:
    long = " ".join(TEXTS)
    strange = "größe ✓ \x00"
    batch = processor.texts([TEXTS[0], long, "", strange])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (4, 16)
    assert batch["attention_mask"].sum(dim=1)[1:3].tolist() == [16, 2]
    eos = processor.tokenizer.token_to_id("<eos>")
    whole = processor.tokenizer.encode(long).ids
    assert batch["input_ids"][1].tolist() == whole[:16]
    ends = (batch["input_ids"] == eos).sum(dim=1)
    assert ends.tolist() == [1, 0, 1, 1]  # what was cut does not end
    assert (batch["input_ids"][batch["attention_mask"] == 0] == 0).all()
    ids = processor.tokenizer.encode(strange).ids
    assert processor.tokenizer.decode(ids).strip() == strange.strip()


def test_tokenizer_does_not_depend_on_the_order_of_texts() -> None:
    straight, turned = train_tokenizer(TEXTS, 400), train_tokenizer(TEXTS[::-1], 400)
    assert straight.to_str() == turned.to_str()
    assert 259 < straight.get_vocab_size() <= 400
    with pytest.raises(ConfigError, match="vocab_size=100 is too small"):
        train_tokenizer(TEXTS, 100)


def test_saved_processor_is_the_same(processor: SarProcessor, tmp_path: Path) -> None:
    processor.save_pretrained(tmp_path)
    again = SarProcessor.from_pretrained(tmp_path)
    assert again.config == processor.config
    for key, value in processor.texts(TEXTS).items():
        assert torch.equal(value, again.texts(TEXTS)[key])
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ConfigError, match=r"cannot read .*tokenizer\.json"):
        SarProcessor.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="no model at"):
        SarProcessor.from_pretrained(tmp_path / "absent")


def test_a_chip_lies_nowhere_and_has_its_spacing(processor: SarProcessor) -> None:
    db = np.random.default_rng(0).normal(-10, 3, (1, 48, 64)).astype(np.float32)
    lost = chip("c", db, polarizations=("HH",), gsd_m=0.3, frequency_band="X")
    placed = tile(np.zeros((1, 32, 32)), ("VV",))
    both = processor.images([placed, lost, placed])
    alone = processor.images([lost])
    assert torch.isnan(both["geo"][1, :3]).all()
    assert torch.isfinite(both["geo"][0, :3]).all()
    assert both["gsd_m"][1].item() == pytest.approx(0.3 * (48 * 64) ** 0.5 / 32)
    assert both["gsd_m"][0].item() == pytest.approx(10.0, rel=2e-3)
    for name, value in alone.items():
        torch.testing.assert_close(both[name][1:2], value, equal_nan=True)


@pytest.mark.parametrize("calibrated", [True, False])
def test_only_what_has_no_data_is_zero(processor: SarProcessor, calibrated: bool) -> None:
    # stored integers repeat, so that many pixels are the median, or the centre of calibrated ones
    codes = np.random.default_rng(0).integers(2, 9, (1, 32, 32)).astype(np.uint16)
    codes[0, :3] = 0
    encoding = Encoding(scale=0.5, offset=MEAN_DB["VV"] - 2.5)
    flat = tile(np.zeros((1, 32, 32)), ("VV",), calibrated=calibrated)
    coded = CodedTile(
        "t", Codes(codes, encoding), flat.geobox,
        acquisition=flat.acquisition, radiometry=flat.radiometry,
    )  # fmt: skip
    for one in (coded, replace(flat, db=coded.db)):
        zero = processor.images([one])["pixel_values"][0, 0] == 0
        assert (zero.numpy() == (codes[0] == 0)).all()
