"""Rung 4: geographic features and tokens."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sarknowlip.models.geo import GEO_FEATURES, GEO_TOKENS, GeoTokens, geo_features


def layer(dropout: float = 0.0) -> GeoTokens:
    torch.manual_seed(0)
    return GeoTokens(12, dropout)


def known(count: int) -> torch.Tensor:
    return torch.randn(count, GEO_FEATURES, generator=torch.Generator().manual_seed(1))


def test_nothing_known_is_all_nan() -> None:
    assert np.isnan(geo_features()).all()
    assert np.isnan(geo_features(orbit="geostationary", side="up")).all()


@given(lon=st.floats(-180, 180), lat=st.floats(-90, 90))
def test_place_is_on_the_unit_sphere(lon: float, lat: float) -> None:
    x, y, z = geo_features(lonlat=(lon, lat))[:3]
    assert x * x + y * y + z * z == pytest.approx(1, abs=1e-6)
    assert math.degrees(math.asin(np.clip(z, -1, 1))) == pytest.approx(lat, abs=0.1)
    if abs(lat) < 89:
        turn = (math.degrees(math.atan2(y, x)) - lon + 180) % 360 - 180
        assert turn == pytest.approx(0, abs=0.01)


def test_the_two_sides_of_the_antimeridian_are_neighbours() -> None:
    west, east = geo_features(lonlat=(179.999, 10.0)), geo_features(lonlat=(-179.999, 10.0))
    assert np.allclose(west[:3], east[:3], atol=1e-4)


def test_view_and_season_are_as_said() -> None:
    first = geo_features(
        incidence_deg=45.0,
        orbit="descending",
        side="right",
        time=datetime(2020, 1, 1, tzinfo=UTC),
    )
    assert first[3:].tolist() == pytest.approx([0.5, -1, 1, 1, 0])
    july = geo_features(orbit="ascending", side="left", time=datetime(2021, 7, 2, 15, tzinfo=UTC))
    assert july[4:].tolist() == pytest.approx([1, -1, -1, 0], abs=0.01)
    end = geo_features(time=datetime(2019, 12, 31, 23, 59, tzinfo=UTC))
    assert end[6:].tolist() == pytest.approx([1, 0], abs=0.01)


@torch.no_grad()
def test_each_unknown_token_is_the_learned_one_and_no_other_changes() -> None:
    tokens, geo = layer(), known(1)
    whole = tokens(geo)
    start = 0
    for index, count in enumerate(GEO_TOKENS.values()):
        for column in range(start, start + count):
            for value in (math.nan, math.inf):
                holed = geo.clone()
                holed[0, column] = value
                out = tokens(holed)
                assert torch.equal(out[0, index], tokens.unknown.weight[index])
                others = [other for other in range(len(GEO_TOKENS)) if other != index]
                assert torch.equal(out[0, others], whole[0, others])
                assert not torch.equal(out[0, index], whole[0, index])
        start += count
    assert start == GEO_FEATURES


def test_unknown_values_send_no_nan_into_gradients() -> None:
    tokens, geo = layer(), known(4)
    geo[1:3, 2:] = math.nan
    tokens(geo).square().sum().backward()
    for name, weight in tokens.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


@torch.no_grad()
def test_dropout_takes_all_of_some_and_single_ones_of_others() -> None:
    share, count = 0.25, 20_000
    tokens = layer(share).train()
    gone = (tokens(known(1).expand(count, -1)) == tokens.unknown.weight).all(dim=2).float()
    none = share + (1 - share) * share ** len(GEO_TOKENS)
    assert float(gone.min(dim=1).values.mean()) == pytest.approx(none, abs=0.015)
    single = share + (1 - share) * share
    assert gone.mean(dim=0).tolist() == pytest.approx([single] * len(GEO_TOKENS), abs=0.015)
    left = gone[gone.min(dim=1).values == 0]
    assert torch.corrcoef(left.T).fill_diagonal_(0).abs().max() < 0.1


@torch.no_grad()
def test_dropout_is_for_training_only() -> None:
    tokens = layer(1.0)
    assert torch.equal(tokens.eval()(known(3)), layer(0.0).train()(known(3)))
    assert torch.equal(tokens.train()(known(3)), tokens.unknown.weight.expand(3, -1, -1))
