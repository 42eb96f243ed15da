"""A whole simulation: one world, at one date or two, seen by sensors, with its truth.

The folder then holds simulation.json (what was asked for, and which parts are whole), `products` in
the formats of their sensors, and `truth/1`, `truth/2`: the truth files of the dates
(`world.truth`), if wanted with relations.parquet (`world.relations`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from sarknowlip import __version__
from sarknowlip.core.config import Config, changed_keys
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.files import exclusive, read_json, remove_partials, write_json
from sarknowlip.simulate.acquire import AcquireConfig, Progress, acquire
from sarknowlip.simulate.layers import World
from sarknowlip.simulate.world.changes import ChangedWorld, Changes
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.osm import OsmWorld, OsmWorldConfig
from sarknowlip.simulate.world.procedural import ProceduralWorld
from sarknowlip.simulate.world.relation_table import write_relations
from sarknowlip.simulate.world.relations import SpatialGraph
from sarknowlip.simulate.world.truth import MANIFEST, write_truth

Bar = Callable[[str], AbstractContextManager[Progress]]

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
        relations: Whether to write the relations between things but vehicles, too; they are many,
            and the graph of a whole world is held in memory for it.
    """

    world: WorldConfig | OsmWorldConfig
    views: tuple[AcquireConfig, ...] = Field(default=(AcquireConfig(),), min_length=1)
    changes: Changes | None = None
    later_days: float = Field(default=12.0, gt=0.0)
    truth_gsd_m: float = Field(default=10.0, gt=0.0)
    relations: bool = False

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
    config: SimulationConfig, out: Path, *, bar: Bar, workers: int = 1
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
    for view in config.views:
        view.profile()
        view.view()
    with exclusive(out / _LOCK):
        state = _State.open(out, config)
        remove_partials(out)
        dates = _dates(config)
        counts: list[dict[str, int]] = []
        products: list[Path] = []
        for number, world in enumerate(dates):
            folder = out / TRUTH / str(number + 1)
            date = _date(config, config.views[0], number)
            part = f"truth {number + 1}"
            counts.append(state.once(part, _truth, world, date, config, folder, bar))
            for view in config.views:
                name, moved = _dated(config, view, number)
                made = state.once(name, _product, world, moved, out / PRODUCTS, name, bar, workers)
                products.append(out / PRODUCTS / made)
    return SimulationReport(
        area_km2=dates[0].bounds.area_km2,
        products=tuple(products),
        truth=tuple(out / TRUTH / str(number + 1) for number in range(len(dates))),
        objects=counts[0]["objects"],
        changes=counts[1]["changes"] if config.changes is not None else None,
    )


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

    def once(self, part: str, make: Callable[..., Any], *arguments: Any) -> Any:
        """Return what `make` returned when the part was made, now or before."""
        if part not in self._done:
            self._done[part] = make(*arguments)
            self._write()
        return self._done[part]

    def _write(self) -> None:
        content = {"version": __version__, "config": self._config, "done": self._done}
        write_json(self._path, content)


def _dates(config: SimulationConfig) -> list[World]:
    first = make_world(config.world)
    if config.changes is None:
        return [first]
    return [first, ChangedWorld(first, config.changes)]


def _date(config: SimulationConfig, view: AcquireConfig, number: int) -> str:
    """Return the time of a view at the first or the second date, RFC 3339."""
    later = timedelta(days=config.later_days * number)
    start = datetime.fromisoformat(view.view().start) + later
    return start.isoformat().replace("+00:00", "Z")


def _dated(config: SimulationConfig, view: AcquireConfig, number: int) -> tuple[str, AcquireConfig]:
    """Return the name of a date's product, and its view."""
    start = _date(config, view, number)
    moved = view.model_copy(update={"start": start})
    side = {"right": "R", "left": "L"}[view.view().look]
    angle = f"{view.orbit_state[0].upper()}{side}{view.view().incidence_deg:.0f}"
    pols = "".join(view.profile().polarizations) + ("-C" if view.covariance else "")
    return (
        f"{config.title}_{view.sensor}_{pols}_{angle}_{datetime.fromisoformat(start):%Y%m%dT%H%M%S}",
        moved,
    )


def _truth(
    world: World, date: str, config: SimulationConfig, folder: Path, bar: Bar
) -> dict[str, int]:
    """Write the truth of one date and return the numbers of rows."""
    with bar("truth") as progress:
        write_truth(world, folder, config.truth_gsd_m, date=date, progress=progress)
    if config.relations:
        graph = SpatialGraph.from_truth(folder).without("vehicle")
        write_relations(graph, folder / RELATIONS, max_distance_m=RELATIONS_M)
    counts: dict[str, int] = read_json(folder / MANIFEST, "delete the folder")["rows"]
    return counts


def _product(  # noqa: PLR0917 - arguments of `_State.once`
    world: World, view: AcquireConfig, folder: Path, name: str, bar: Bar, workers: int
) -> str:
    """Make one product and return its name in the folder."""
    with bar(view.sensor) as progress:
        return acquire(world, view, folder, name, workers=workers, progress=progress).name
