"""Rung 2: calibration and noise tables, against xarray-sentinel and against the XML itself."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from xarray_sentinel import calibrate_intensity
from xarray_sentinel.sentinel1 import open_calibration_dataset

from data.safe.make import Safe, make_safe
from sarknowlip.sar.radiometry import (
    Noise,
    NoiseBlock,
    Table,
    calibrate,
    read_calibration,
    read_noise,
)

NAMES = {"sigma0": "sigmaNought", "beta0": "betaNought", "gamma0": "gamma"}
SAMPLES = "sentinel1-safe"


def agrees(path: Path, lines: slice, pixels: slice) -> None:
    """Compare a window of random numbers, calibrated here and by xarray-sentinel."""
    rng = np.random.default_rng(1)
    number = rng.integers(1, 3000, (lines.stop - lines.start, pixels.stop - pixels.start))
    tables = open_calibration_dataset(path, attrs={})
    array = xr.DataArray(
        number.astype(np.uint16),
        dims=("line", "pixel"),
        coords={"line": np.arange(lines.start, lines.stop),
                "pixel": np.arange(pixels.start, pixels.stop)},
    )  # fmt: skip
    for quantity, name in NAMES.items():
        # A tolerance of 0 keeps xarray-sentinel from replacing smooth tables by their mean.
        theirs = calibrate_intensity(array, tables[name], rtol=0.0, atol=0.0).values
        table = read_calibration(path, quantity).window(lines, pixels)
        ours = calibrate(number.astype(np.float32) ** 2, table)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_calibration_is_that_of_xarray_sentinel(tmp_path: Path) -> None:
    path = next(make_safe(tmp_path).glob("annotation/calibration/calibration-*-vv-*"))
    agrees(path, slice(0, 300), slice(0, 790))
    agrees(path, slice(133, 190), slice(401, 402))


@pytest.mark.parametrize(
    ("name", "lines", "pixels"),
    [
        ("S1B_IW_GRDH_1SDV_20211223*", slice(8000, 8200), slice(8700, 9100)),
        ("S1B_IW_GRDH_1SDV_20211223*", slice(0, 50), slice(0, 90)),
        ("S1A_IW_SLC*", slice(7400, 7600), slice(12_345, 12_600)),
        ("S1B_IW_SLC*", slice(1480, 1530), slice(600, 900)),
    ],
)
def test_calibration_of_real_tables(name, lines, pixels, shared_data) -> None:
    found = sorted(shared_data(SAMPLES).glob(f"{name}/annotation/calibration/calibration-*"))
    assert found
    for path in found:
        agrees(path, lines, pixels)


def test_noise_of_a_real_table_is_range_times_azimuth(shared_data) -> None:
    path = next(shared_data(SAMPLES).glob("S1B_IW_GRDH*20211223*/*/calibration/noise-*"))
    noise = read_noise(path)
    root = ElementTree.parse(path).getroot()

    def numbers(element: ElementTree.Element, name: str) -> np.ndarray:
        return np.array(element.findtext(name).split(), dtype=float)

    vectors = root.findall("noiseRangeVectorList/noiseRangeVector")
    blocks = root.findall("noiseAzimuthVectorList/noiseAzimuthVector")
    assert len(blocks) == 3
    for index in (0, 7, 26):
        line = int(vectors[index].findtext("line"))
        window = noise.window(slice(line, line + 1), slice(0, 26_102))[0]
        expected = np.interp(
            np.arange(26_102), numbers(vectors[index], "pixel"),
            numbers(vectors[index], "noiseRangeLut"),
        )  # fmt: skip
        for block in blocks:
            first, last = (int(block.findtext(f"{end}RangeSample")) for end in ("first", "last"))
            factor = np.interp(line, numbers(block, "line"), numbers(block, "noiseAzimuthLut"))
            expected[first : last + 1] *= factor
        np.testing.assert_allclose(window, expected, rtol=1e-5)
    # Scalloping is real: within one swath the factors differ by 9 %.
    assert np.ptp(noise.along[1].factor) > 0.08


@pytest.mark.parametrize("kind", ["IW1", "IW2"])
def test_noise_of_real_slc_tables_is_read(kind: str, shared_data) -> None:
    pattern = f"S1B_IW_SLC*/annotation/calibration/noise-*-{kind.lower()}-*"
    paths = sorted(shared_data(SAMPLES).glob(pattern))
    assert paths
    for path in paths:
        window = read_noise(path).window(slice(3000, 3050), slice(5000, 5100))
        assert (window > 0).all()


def test_noise_factors_apply_inside_their_block_only() -> None:
    across = Table(np.array([0.0, 9.0]), np.array([0.0, 9.0]), np.full((2, 2), 10.0))
    block = NoiseBlock(slice(2, 5), slice(3, 7), np.array([2.0, 4.0]), np.array([1.0, 3.0]))
    noise = Noise(across, (block,))
    whole = noise.window(slice(0, 10), slice(0, 10))
    expected = np.full((10, 10), 10.0)
    expected[2:5, 3:7] *= np.array([1.0, 2.0, 3.0])[:, None]
    np.testing.assert_allclose(whole, expected)
    np.testing.assert_allclose(noise.window(slice(3, 6), slice(5, 9)), expected[3:6, 5:9])


@given(
    st.integers(1, 6), st.integers(2, 6), st.integers(0, 40), st.integers(1, 20),
    st.integers(0, 40), st.integers(1, 20), st.integers(0, 2**16),
)  # fmt: skip
def test_a_window_is_a_crop(rows, columns, top, height, left, width, seed) -> None:
    rng = np.random.default_rng(seed)
    table = Table(
        np.sort(rng.choice(50, rows, replace=False)).astype(float),
        np.sort(rng.choice(50, columns, replace=False)).astype(float),
        rng.uniform(1, 2, (rows, columns)),
    )
    whole = table.window(slice(0, 60), slice(0, 60))
    part = table.window(slice(top, top + height), slice(left, left + width))
    np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])
    assert whole.min() >= np.float32(table.values.min())
    assert whole.max() <= np.float32(table.values.max())


def test_calibration_subtracts_noise_before_scaling() -> None:
    power = np.array([[100.0, np.nan, 4.0]], dtype=np.float32)
    table = np.full((1, 3), 2.0, dtype=np.float32)
    noise = np.full((1, 3), 8.0, dtype=np.float32)
    np.testing.assert_allclose(calibrate(power, table, noise), [[23.0, np.nan, -1.0]])
    np.testing.assert_allclose(calibrate(power, table), [[25.0, np.nan, 1.0]])


def test_made_tables_agree_with_their_angle(tmp_path: Path) -> None:
    path = next(make_safe(tmp_path, Safe()).glob("annotation/calibration/calibration-*-vv-*"))
    sigma, gamma, beta = (
        read_calibration(path, q).window(slice(10, 20), slice(30, 60))
        for q in ("sigma0", "gamma0", "beta0")
    )
    angle = np.deg2rad(36.0)
    np.testing.assert_allclose((beta / sigma) ** 2, np.sin(angle), rtol=1e-5)
    np.testing.assert_allclose((beta / gamma) ** 2, np.tan(angle), rtol=1e-5)
