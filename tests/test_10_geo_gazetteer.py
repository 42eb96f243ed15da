"""Rung 1: the nearest city, against a search over all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import Geod

from sarknowlip.geo.gazetteer import city_points, find_city, nearest_city


@given(st.floats(-180, 180), st.floats(-90, 90))
@example(179.999, -16.5)
@example(-180.0, 0.0)
@example(0.0, 90.0)
@settings(max_examples=60, deadline=None)
def test_no_city_is_nearer(lon: float, lat: float) -> None:
    """On the sphere; the ellipsoid's distances differ by up to 0.6 %, so near ties may swap."""
    city, distance_km = nearest_city(lon, lat)
    points = city_points()
    geod = Geod(ellps="WGS84")
    here = np.full(len(points), lon), np.full(len(points), lat)
    _, _, metres = geod.inv(*here, points[:, 0], points[:, 1])
    assert distance_km * 1000 <= metres.min() * 1.012
    own = geod.inv(lon, lat, city.lon, city.lat)[2]
    assert distance_km * 1000 == pytest.approx(own, rel=0.006, abs=1.0)


def test_names_find_the_largest_city() -> None:
    rome = find_city("rome")
    assert rome is not None
    assert rome.country == "IT"
    assert rome.slug == f"rome-{rome.id}"
    assert find_city("Nowhere upon Nothing") is None
    zurich = nearest_city(8.55, 47.37)[0]
    assert zurich.slug == f"zurich-{zurich.id}", "folders are plain ASCII"
