"""Which polygons lie on which footprints, beside geopandas' `sjoin` with a loop over rows.

Peer: `geopandas.sjoin(footprints, polygons)`, then the area of each intersection in a loop over the
rows. 10,000 square footprints of 2.56 km and 100,000 buildings; rounds are interleaved; the ratio
is peer time by our time, so more is better. Pairs and areas are compared first.
"""

from __future__ import annotations

import statistics
import time

import geopandas as gpd
import numpy as np
import pytest
import shapely

from sarknowlip.knowledge.maps.join import overlaps

FOOTPRINTS, POLYGONS, ROUNDS = 10_000, 100_000, 5
EDGE_M, EXTENT_M = 2560.0, 256_000.0


@pytest.fixture(scope="module")
def shapes() -> tuple[np.ndarray, np.ndarray]:
    """Return footprints side by side, and polygons of 8 corners, 10 to 300 m wide."""
    random = np.random.default_rng(0)
    side = int(FOOTPRINTS**0.5)
    x, y = (part.ravel() * EDGE_M for part in np.meshgrid(np.arange(side), np.arange(side)))
    places = shapely.points(random.uniform(0, EXTENT_M, (POLYGONS, 2)))
    radius = np.exp(random.uniform(np.log(5), np.log(150), POLYGONS))
    return shapely.box(x, y, x + EDGE_M, y + EDGE_M), shapely.buffer(places, radius, quad_segs=2)


def loop(footprints: np.ndarray, polygons: np.ndarray) -> dict[tuple[int, int], float]:
    left, right = gpd.GeoDataFrame(geometry=footprints), gpd.GeoDataFrame(geometry=polygons)
    joined = gpd.sjoin(left, right, predicate="intersects")
    found = {}
    for row, other in joined["index_right"].items():
        area = left.geometry.iloc[row].intersection(right.geometry.iloc[other]).area
        found[row, other] = area
    return found


def test_evidence_join(shapes, record, benchmark) -> None:
    footprints, polygons = shapes
    row, number, area = overlaps(footprints, polygons)
    expected = loop(footprints, polygons)
    assert list(zip(row.tolist(), number.tolist(), strict=True)) == sorted(expected)
    order = [expected[pair] for pair in sorted(expected)]
    np.testing.assert_allclose(area, order, rtol=1e-9, atol=1e-6)
    ours, peer = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        loop(footprints, polygons)
        middle = time.perf_counter()
        overlaps(footprints, polygons)
        peer.append(middle - start)
        ours.append(time.perf_counter() - middle)
    ratios = sorted(p / o for p, o in zip(peer, ours, strict=True))
    record(
        "evidence_join",
        footprints=FOOTPRINTS,
        polygons=POLYGONS,
        pairs=len(row),
        ratio=f"{statistics.median(ratios):.2f}",
        low=f"{ratios[0]:.2f}",
        high=f"{ratios[-1]:.2f}",
        rounds=ROUNDS,
        seconds=f"{statistics.median(ours):.3f}",
    )
    benchmark.pedantic(overlaps, args=(footprints, polygons), rounds=3)
    assert statistics.median(ratios) >= 3.0
