"""What the built-in data sets are made of: cities, how they are seen, how much is kept."""

from __future__ import annotations

import functools
import json
from datetime import datetime, timedelta
from importlib import resources
from typing import Literal

from pydantic import Field

from sarknowlip.bench.dataset import Part
from sarknowlip.core.config import Config
from sarknowlip.simulate.acquire import AcquireConfig
from sarknowlip.simulate.scatter.conditions import Conditions
from sarknowlip.simulate.world.changes import Changes
from sarknowlip.simulate.world.config import WorldConfig

Size = Literal["mini", "full"]
DAYS = 700
"""Over which cities are seen: seeds that differ by less give different days."""
LATER_DAYS = 12
PARTS: tuple[Part, Part] = ("train", "test")

GROUND, TARGETS, POLSAR = "sentinel1-iw-grd", "alos2-stripmap", "gaofen3-qpsi"
"""Sensors: of ground at 10 m, of targets at 2.5 m, of four polarisations at 8 m."""


class Most(Config):
    """How much is kept at most.

    Attributes:
        cover: Windows of each class of land cover, in each part.
        recognition: Chips of each class of target, in each part.
        questions: About one tile.
        expressions: About one tile.
        sentences: That tell of one tile, beside its paragraph.
        least: Windows and chips of each class that there must be in each part, or nothing is made.
    """

    cover: int = Field(ge=1)
    recognition: int = Field(ge=1)
    questions: int = Field(ge=1)
    expressions: int = Field(ge=1)
    sentences: int = Field(ge=0)
    least: int = Field(default=5, ge=0)


class BuiltinPlan(Config):
    """Everything that decides the built-in sets; equal plans give equal sets.

    Attributes:
        train: Seed of each city to learn from, by its name in the gazetteer.
        test: Seed of each city that is asked about; no city is in both.
        size_km: Edge of a world.
        coast: Whether worlds have one; None lets seeds decide.
        ships: Relative to a busy coast.
        cells: Pieces of ground with targets that are seen at high resolution, of each city.
        polsar_cities: Cities of each part that are seen in four polarisations, the first ones.
        changes: What happens between the two dates.
        tile_px: Edge of tiles of the ground, pixels.
        block_km: Edge of groups of tiles.
        most: How much is kept.
    """

    train: dict[str, int] = Field(min_length=1)
    test: dict[str, int] = Field(min_length=1)
    size_km: float
    coast: bool | None = True
    ships: float = 4.0
    cells: int = Field(ge=1)
    polsar_cities: int = Field(ge=1)
    changes: Changes = Changes(
        flood_m=0.8, new_buildings=0.4, demolished=0.1, harvest=0.5, vehicles=False
    )
    tile_px: int = 64
    block_km: float = 1.28
    most: Most

    def cities(self) -> tuple[CityPlan, ...]:
        """Return the cities, those to learn from first.

        Raises:
            ConfigError: A city is not in the gazetteer.
        """
        found = []
        for part, seeds in (("train", self.train), ("test", self.test)):
            for number, (city, seed) in enumerate(seeds.items()):
                world = WorldConfig(
                    city=city, seed=seed, size_km=self.size_km, coast=self.coast, ships=self.ships
                )
                found.append(
                    CityPlan(
                        part=part,
                        world=world,
                        changes=self.changes,
                        cells=self.cells,
                        polsar=number < self.polsar_cities,
                    )
                )
        return tuple(found)


class CityPlan(Config):
    """One city: what is there, and how it is seen.

    Attributes:
        part: For which it is made.
        world: The city.
        changes: What happens before the second date.
        cells: Pieces of ground with targets that are seen at high resolution.
        polsar: Whether it is seen in four polarisations.
    """

    part: Part
    world: WorldConfig
    changes: Changes
    cells: int
    polsar: bool

    def view(self, sensor: str, days: int = 0) -> AcquireConfig:
        """Return how a sensor sees the city; day, pass, angle, wind and soil follow from its seed.

        Args:
            sensor: Its name.
            days: Later than at first.
        """
        turn = self.world.seed % 10
        start = datetime(2023, 1, 1, 6) + timedelta(days=self.world.seed % DAYS + days)
        angle = {GROUND: 32.0, TARGETS: 30.0, POLSAR: 28.0}[sensor]
        return AcquireConfig(
            sensor=sensor,
            orbit_state="ascending" if turn % 2 else "descending",
            incidence_deg=angle + turn,
            start=f"{start.isoformat()}Z",
            conditions=Conditions(wind_speed=3.0 + turn, soil_moisture=0.1 + 0.02 * turn),
        )

    def later(self) -> AcquireConfig:
        """Return how the ground is seen at the second date, 12 days on: as at the first."""
        return self.view(GROUND, LATER_DAYS)


@functools.cache
def plan_of(size: Size) -> BuiltinPlan:
    """Return the plan of a size."""
    text = resources.files(__package__).joinpath("plans.json").read_text("utf-8")
    return BuiltinPlan(**json.loads(text)[size])
