"""What decides a procedural world: the city, a seed, and what nature gave the place."""

from __future__ import annotations

import functools

import numpy as np
from pydantic import Field, field_validator

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.geo.gazetteer import City, find_city, similar_cities
from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Bounds, Frame


class WorldConfig(Config):
    """A procedural world; equal values give equal worlds.

    Attributes:
        city: Name in the gazetteer; the world is a square around its centre.
        seed: Of everything random in the world, together with the city.
        size_km: Edge of the square, 1…32 km.
        coast: Whether one side is sea; None lets the seed decide.
        river: Whether a river runs through the city; None lets the seed decide.
        lakes: Whether there are lakes; None lets the seed decide.
        relief_m: Standard deviation of the heights of the land, metres; 0 is flat.
        base_height_m: Height of sea and river above the WGS 84 ellipsoid, metres.
        ships: Ships off the quays, relative to a busy coast (1).
        vehicles: Vehicles on main roads, relative to a working day (1).

    Raises:
        ConfigError: If the gazetteer does not know the city.
    """

    city: str
    seed: int = 0
    size_km: float = Field(default=10.0, ge=1.0, le=32.0)
    coast: bool | None = None
    river: bool | None = None
    lakes: bool | None = None
    relief_m: float = Field(default=12.0, ge=0.0, le=500.0)
    base_height_m: float = Field(default=40.0, ge=-120.0, le=6000.0)
    ships: float = Field(default=1.0, ge=0.0, le=4.0)
    vehicles: float = Field(default=1.0, ge=0.0, le=4.0)

    @field_validator("city")
    @classmethod
    def _known(cls, name: str) -> str:
        _place(name)
        return name

    @property
    def place(self) -> City:
        """The city's row in the gazetteer."""
        return _place(self.city)

    @property
    def own_seed(self) -> int:
        """Seed of this world alone: other cities with equal `seed` are laid out differently."""
        return int(keyed.bits(self.seed, "world", self.place.id) >> np.uint64(11))

    def frame(self) -> Frame:
        """Return the UTM zone of the city's centre."""
        return Frame.around(self.place.lon, self.place.lat)

    def bounds(self) -> Bounds:
        """Return the square around the city's centre, on whole metres."""
        x, y = self.frame().xy(self.place.lon, self.place.lat)
        west, south = (round(float(c) - self.size_km * 500.0) for c in (x, y))
        edge = round(self.size_km * 1000.0)
        return Bounds(west, south, west + edge, south + edge)

    @property
    def size_m(self) -> float:
        """Edge of the square, metres."""
        return float(round(self.size_km * 1000.0))

    @property
    def relief_step_m(self) -> float:
        """Distance of the nodes of the relief, metres: 8 in small worlds, 60 in the largest."""
        return float(np.clip(self.size_m / 400, 8.0, 60.0))

    @property
    def has_coast(self) -> bool:
        """Whether one side is sea: as set, else three seeds in five."""
        return self._given(self.coast, "coast", 0.6)

    @property
    def has_river(self) -> bool:
        """Whether there is a river: as set, else four seeds in five, and wherever no coast is."""
        if self.river is None and not self.has_coast:
            return True
        return self._given(self.river, "river", 0.8)

    @property
    def has_lakes(self) -> bool:
        """Whether there are lakes: as set, else three seeds in five."""
        return self._given(self.lakes, "lakes", 0.6)

    def _given(self, value: bool | None, stream: str, chance: float) -> bool:
        if value is not None:
            return value
        return bool(keyed.uniform(self.own_seed, f"world/{stream}") < chance)


@functools.cache
def _place(name: str) -> City:
    found = find_city(name)
    if found is None:
        near = ", ".join(similar_cities(name)) or "a city of 15,000 inhabitants or more"
        raise ConfigError(f"city: the gazetteer has no {name!r}", f"perhaps {near}")
    return found
