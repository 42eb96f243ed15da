"""A whole simulation: one world, at one date or two, seen by sensors, with its truth.

The folder then holds simulation.json (what was asked for, and which parts are whole), `products` in
the formats of their sensors, and `truth/1`, `truth/2`: the truth files of the dates
(`world.truth`), if wanted with relations.parquet (`world.relations`).
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field, model_validator

from sarknowlip import __version__
from sarknowlip.core.config import Config, changed_keys
from sarknowlip.core.errors import ConfigError, SarKnowlipError
from sarknowlip.core.files import exclusive, read_json, remove_partials, write_json
from sarknowlip.core.progress import Bar, silent
from sarknowlip.simulate.acquire import AcquireConfig, acquire
from sarknowlip.simulate.layers import World
from sarknowlip.simulate.world.changes import ChangedWorld, Changes
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.geotable import Format
from sarknowlip.simulate.world.osm import OsmWorld, OsmWorldConfig
from sarknowlip.simulate.world.procedural import ProceduralWorld
from sarknowlip.simulate.world.relation_table import write_relations
from sarknowlip.simulate.world.relations import SpatialGraph
from sarknowlip.simulate.world.truth import MANIFEST, write_truth

PRODUCTS, TRUTH = "products", "truth"
RELATIONS = "relations.parquet"
RELATIONS_M = 100.0
"""Distance up to which relations are written: dense towns have thousands of pairs within 500 m."""

_STATE = "simulation.json"
_LOCK = ".lock"


class SimulationConfig(Config):
    """What to simulate.

    Attributes:
        world: From a seed, or from OpenStreetMap.
        views: How sensors look at it; one product each and date.
        changes: What happens before a second date; None for one date.
        later_days: Days between the dates.
        truth_gsd_m: Pixel of the land cover and elevation rasters, metres.
        truth_format: Of the truth tables; relations are made from parquet only.
        relations: Whether to write the relations between things but vehicles, too; they are many,
            and the graph of a whole world is held in memory for it.
    """

    world: WorldConfig | OsmWorldConfig
    views: tuple[AcquireConfig, ...] = Field(default=(AcquireConfig(),), min_length=1)
    changes: Changes | None = None
    later_days: float = Field(default=12.0, gt=0.0, le=3650.0)
    truth_gsd_m: float = Field(default=10.0, ge=0.5, le=1000.0)
    truth_format: Format = "parquet"
    relations: bool = False

    @model_validator(mode="after")
    def _relations_have_a_source(self) -> SimulationConfig:
        if self.relations and self.truth_format != "parquet":
            raise ConfigError("relations are made from parquet only", "leave truth_format as it is")
        return self

    @cached_property
    def title(self) -> str:
        """Name for files: city or map, and seed."""
        if isinstance(self.world, WorldConfig):
            return f"{self.world.place.slug}_{self.world.seed}"
        return f"{self.world.path.name.removesuffix('.pbf').removesuffix('.osm')}_{self.world.seed}"


class SimulationReport(Config):
    """What was made.

    Attributes:
        area_km2: Of the world.
        products: Paths, in the order of dates and views.
        truth: Folder of each date.
        objects: Buildings and targets at the first date.
        changes: Differences listed for the second date; None for one date.
    """

    area_km2: float
    products: tuple[Path, ...]
    truth: tuple[Path, ...]
    objects: int
    changes: int | None


def make_world(config: WorldConfig | OsmWorldConfig) -> World:
    """Return the world of a config."""
    if isinstance(config, WorldConfig):
        return ProceduralWorld(config)
    return OsmWorld(config)


def simulate(
    config: SimulationConfig, out: Path, *, bar: Bar = silent, workers: int = 1
) -> SimulationReport:
    """Make products and truth in a folder; what is whole already stays.

    Args:
        config: What to simulate.
        out: Folder.
        bar: Makes a progress bar for a stage of the given name.
        workers: Processes that render.

    Raises:
        SarKnowlipError: The folder holds another simulation, or another process writes to it.
        ConfigError: A sensor, city or map cannot be used.
        GeometryError: A sensor cannot see the place as asked.
        StorageError: The folder cannot be written.
    """
    shots = _shots(config)
    counts: list[dict[str, int]] = []
    products: list[Path] = []
    with exclusive(out / _LOCK):
        state = _State.open(out, config)
        remove_partials(out)
        worlds = _dates(config)
        folders = [out / TRUTH / str(number + 1) for number in range(len(worlds))]
        for world, shot, folder in zip(worlds, shots, folders, strict=True):
            truth = _Truth(world, shot.date, config, folder, bar)
            counts.append(state.once(truth))
            if config.relations:
                state.once(_Relations(folder, bar))
            for name, view in shot.views.items():
                part = _Product(world, view, out / PRODUCTS, name, bar, workers)
                products.append(part.left(state.once(part)))
    return SimulationReport(
        area_km2=worlds[0].bounds.area_km2,
        products=tuple(products),
        truth=tuple(folders),
        objects=counts[0]["objects"],
        changes=counts[1]["changes"] if config.changes is not None else None,
    )


class _Part(Protocol):
    """A part of a simulation that is made in one go."""

    @property
    def key(self) -> str:
        """Its name in simulation.json."""

    def make(self) -> Any:
        """Make it and return what is to be remembered of it."""

    def left(self, remembered: Any) -> Path:
        """Return the path of what it leaves."""


class _State:
    """Which parts of a simulation are whole, in simulation.json."""

    def __init__(self, path: Path, config: dict[str, Any], done: dict[str, Any]) -> None:
        self._path, self._config, self._done = path, config, done

    @classmethod
    def open(cls, out: Path, config: SimulationConfig) -> _State:
        path, wanted = out / _STATE, json.loads(config.model_dump_json())
        if not path.exists():
            state = cls(path, wanted, {})
            state._write()
            return state
        found = read_json(path, "choose another folder")
        changed = changed_keys(found["config"], wanted)
        if changed or found["version"] != __version__:
            what = ", ".join(changed) or f"version {found['version']}"
            raise SarKnowlipError(
                f"{out} holds a simulation with other settings ({what})", "choose another folder"
            )
        return cls(path, wanted, found["done"])

    def once(self, part: _Part) -> Any:
        """Return what is remembered of a part, which is made if it is not there."""
        if part.key not in self._done or not part.left(self._done[part.key]).exists():
            self._done[part.key] = part.make()
            self._write()
        return self._done[part.key]

    def _write(self) -> None:
        content = {"version": __version__, "config": self._config, "done": self._done}
        write_json(self._path, content)


def _dates(config: SimulationConfig) -> list[World]:
    first = make_world(config.world)
    if config.changes is None:
        return [first]
    return [first, ChangedWorld(first, config.changes)]


@dataclass(frozen=True)
class _Shot:
    """One date: its time, and the views of it by the name of their product."""

    date: str
    views: dict[str, AcquireConfig]


def _shots(config: SimulationConfig) -> list[_Shot]:
    """Return the dates.

    Raises:
        ConfigError: A view cannot be made, or is listed twice.
    """
    shots = []
    for number in range(1 if config.changes is None else 2):
        later = timedelta(days=config.later_days * number)
        views: dict[str, AcquireConfig] = {}
        for view in config.views:
            start = datetime.fromisoformat(view.view().start) + later
            moved = view.model_copy(update={"start": start.isoformat()})
            name = _name(config, moved)
            if name in views:
                raise ConfigError(f"{view.sensor} is to see the same twice", "name it once")
            views[name] = moved
        shots.append(_Shot(next(iter(views.values())).view().start, views))
    return shots


def _name(config: SimulationConfig, view: AcquireConfig) -> str:
    """Return the name of a product: place, sensor, view, time, and a digest of all settings."""
    full = view.view()
    pols = "".join(view.profile().polarizations) + ("-C" if view.covariance else "")
    angle = f"{full.orbit_state[0].upper()}{full.look[0].upper()}{full.incidence_deg:.0f}"
    moment = f"{datetime.fromisoformat(full.start):%Y%m%dT%H%M%S}"
    return f"{config.title}_{view.sensor}_{pols}_{angle}_{moment}_{view.digest()[:6]}"


@dataclass(frozen=True)
class _Truth:
    """The truth files of one date; their numbers of rows are remembered."""

    world: World
    date: str
    config: SimulationConfig
    folder: Path
    bar: Bar

    @property
    def key(self) -> str:
        return f"{TRUTH} {self.folder.name}"

    def make(self) -> dict[str, int]:
        with self.bar(TRUTH) as progress:
            write_truth(
                self.world,
                self.folder,
                self.config.truth_gsd_m,
                date=self.date,
                progress=progress,
                format=self.config.truth_format,
            )
        counts: dict[str, int] = read_json(self.folder / MANIFEST, "delete the folder")["rows"]
        return counts

    def left(self, remembered: dict[str, int]) -> Path:
        return self.folder / MANIFEST


@dataclass(frozen=True)
class _Relations:
    """The relations within the truth of one date; their number is remembered."""

    folder: Path
    bar: Bar

    @property
    def key(self) -> str:
        return f"relations {self.folder.name}"

    def make(self) -> int:
        with self.bar("relations"):
            graph = SpatialGraph.from_truth(self.folder).without("vehicle")
            return write_relations(graph, self.left(0), max_distance_m=RELATIONS_M)

    def left(self, remembered: int) -> Path:
        return self.folder / RELATIONS


@dataclass(frozen=True)
class _Product:
    """One product; the name it got is remembered."""

    world: World
    view: AcquireConfig
    folder: Path
    key: str
    bar: Bar
    workers: int

    def make(self) -> str:
        look = functools.partial(acquire, self.world, self.view, self.folder, self.key)
        with self.bar(self.view.sensor) as progress:
            return look(workers=self.workers, progress=progress).name

    def left(self, remembered: str) -> Path:
        return self.folder / remembered
