"""Counts and distributions of a corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from sarknowlip.core.config import Config
from sarknowlip.corpus.catalog import Catalog


class Spread(Config):
    """Smallest, median and largest of a property; null if no tile has it."""

    low: float | None
    median: float | None
    high: float | None


class CorpusStats(Config):
    """What a corpus holds.

    Attributes:
        tiles: Tiles.
        scenes: Products.
        area_km2: Ground covered by valid pixels, overlaps between scenes counted each time.
        counts: Tiles by value, for each categorical property.
        spreads: Spread of each numeric property.
        missing: Tiles that lack a property, by property.
    """

    tiles: int
    scenes: int
    area_km2: float
    counts: dict[str, dict[str, int]]
    spreads: dict[str, Spread]
    missing: dict[str, int]


_CATEGORICAL = {
    "split": "sarknowlip:split",
    "sensor": "sarknowlip:sensor",
    "platform": "platform",
    "polarizations": "sar:polarizations",
    "frequency band": "sar:frequency_band",
    "orbit": "sat:orbit_state",
    "quantity": "sarknowlip:quantity",
    "city": "sarknowlip:city",
    "country": "sarknowlip:country",
}
_NUMERIC = {
    "gsd (m)": "gsd",
    "incidence (°)": "view:incidence_angle",
    "no data": "sarknowlip:nodata_fraction",
    "clipped": "sarknowlip:clipped_fraction",
    "distance to city (km)": "sarknowlip:city_distance_km",
}


def corpus_stats(root: Path) -> CorpusStats:
    """Summarise a corpus from its catalog alone.

    Raises:
        CorpusError: There is no catalog, or it cannot be read.
    """
    catalog = Catalog(root)
    counts: dict[str, Counter[str]] = {name: Counter() for name in _CATEGORICAL}
    values: dict[str, list[float]] = {name: [] for name in _NUMERIC}
    missing: Counter[str] = Counter()
    scenes: set[str] = set()
    area = 0.0
    for row in catalog.rows():
        scenes.add(row["sarknowlip:scene"])
        height, width = row["proj:shape"]
        pixel = row["sarknowlip:gsd_x"] * row["sarknowlip:gsd_y"]
        area += height * width * pixel * (1 - row["sarknowlip:nodata_fraction"]) / 1e6
        missing.update(row["sarknowlip:missing"])
        for name, column in _CATEGORICAL.items():
            value = row[column]
            text = "+".join(value) if isinstance(value, list) else str(value or "unknown")
            counts[name][text] += 1
        for name, column in _NUMERIC.items():
            if row[column] is not None:
                values[name].append(row[column])
    return CorpusStats(
        tiles=len(catalog),
        scenes=len(scenes),
        area_km2=area,
        counts={name: dict(counter.most_common()) for name, counter in counts.items()},
        spreads={name: _spread(numbers) for name, numbers in values.items()},
        missing=dict(missing.most_common()),
    )


def _spread(numbers: list[float]) -> Spread:
    if not numbers:
        return Spread(low=None, median=None, high=None)
    low, median, high = (float(q) for q in np.quantile(numbers, [0, 0.5, 1]))
    return Spread(low=low, median=median, high=high)
