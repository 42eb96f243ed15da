"""Rung 3: the built-in scenes of the quickstart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sarknowlip.core.errors import ConfigError
from sarknowlip.geo.gazetteer import find_city, nearest_city
from sarknowlip.sar.sensors import open_product
from sarknowlip.simulate.builtin import CITIES, WATER, BuiltinConfig, write_scene


@pytest.mark.parametrize("city", CITIES)
def test_builtin_scene_lies_at_its_city_and_repeats(city: str, tmp_path: Path) -> None:
    config = BuiltinConfig(city=city, seed=3, size_px=160)
    first, second = (write_scene(config, tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    product = open_product(first)
    centre = product.footprint.centroid
    assert find_city(city) is not None
    assert nearest_city(centre.x, centre.y)[1] < 25.0
    power = product.power(product.grid)
    classes = np.load(tmp_path / "a" / "truth" / f"{first.stem}_classes.npy")
    assert classes.shape == power.shape[1:]
    water = classes == WATER
    if water.sum() > 500:
        assert 10 * np.log10(power[0][water].mean()) == pytest.approx(-20.0, abs=0.3)


def test_unknown_city_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no city named 'Nowhere upon Nothing'; see GeoNames"):
        write_scene(BuiltinConfig(city="Nowhere upon Nothing"), tmp_path)
