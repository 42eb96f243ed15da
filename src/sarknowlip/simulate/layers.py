"""The exact content of a piece of ground: regions, buildings, targets, as tables of arrays.

Positions are UTM metres of the world's frame (`simulate.frame`), heights metres above the WGS 84
ellipsoid, sizes metres, angles degrees clockwise from grid north, speeds metres per second.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from sarknowlip.core.config import Config
from sarknowlip.simulate.frame import Bounds, Floats, Frame


class Surface(Config):
    """A kind of ground that scatters in its own way; the table is surfaces.json.

    Attributes:
        id: 1…255; 0 is nothing.
        name: Name used in truth files.
        landcover: Code of ESA WorldCover v200 (10 tree cover … 100 moss and lichen).
        canopy_m: Mean height of plants that the radar resolves as relief, metres.
        canopy_spread_m: Standard deviation of that height between crowns, metres.
    """

    id: int
    name: str
    landcover: int
    canopy_m: float
    canopy_spread_m: float


@functools.cache
def surfaces() -> tuple[Surface, ...]:
    """Return all surfaces, by id."""
    text = resources.files(__package__).joinpath("surfaces.json").read_text("utf-8")
    return tuple(Surface(**row) for row in json.loads(text))


@functools.cache
def surface_id(name: str) -> int:
    """Return the id of a surface by name; KeyError if there is none."""
    return {surface.name: surface.id for surface in surfaces()}[name]


@dataclass(frozen=True)
class Table:
    """Columns of equal length; `uid` identifies a row in the whole world and at every date."""

    DTYPES: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, field.name)) for field in fields(self)}
        if len(lengths) > 1:
            raise ValueError(f"columns of {type(self).__name__} have lengths {sorted(lengths)}")

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    @classmethod
    def of(cls, **columns: Any) -> Self:
        """Make a table from columns of any sequence type; scalars are repeated."""
        length = max((len(v) for v in columns.values() if _is_column(v)), default=0)
        made = {}
        for field in fields(cls):
            value = columns[field.name]
            array = np.empty(length, dtype=cls.DTYPES[field.name])
            array[:] = value
            made[field.name] = array
        return cls(**made)

    @classmethod
    def empty(cls) -> Self:
        """Return a table without rows."""
        return cls(**{f.name: np.empty(0, dtype=cls.DTYPES[f.name]) for f in fields(cls)})

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts, in order."""
        if not parts:
            return cls.empty()
        names = [field.name for field in fields(cls)]
        return cls(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})

    def take(self, which: npt.NDArray[Any]) -> Self:
        """Return rows by index or mask."""
        return type(self)(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


@dataclass(frozen=True)
class Regions(Table):
    """Flat pieces of ground, painted in ascending `order`, later rows over earlier ones.

    Attributes:
        uid: Identifier.
        geometry: Shapely polygons or multipolygons.
        surface: What scatters (ids of `surfaces`).
        function: What it is for or part of ("sparse_residential", "farmland", "road", "runway",
            "river", …); vocabulary in `FUNCTIONS`.
        order: Painter's order, see `ORDER`.
        heading: Direction of its structure (rows of crops, runway, street), degrees 0…180, NaN
            without one.
        parent: uid of the district it belongs to, or its own.
    """

    DTYPES: ClassVar[dict[str, Any]] = {
        "uid": np.int64,
        "geometry": object,
        "surface": np.uint8,
        "function": object,
        "order": np.int16,
        "heading": np.float64,
        "parent": np.int64,
    }

    uid: npt.NDArray[np.int64]
    geometry: npt.NDArray[Any]
    surface: npt.NDArray[np.uint8]
    function: npt.NDArray[Any]
    order: npt.NDArray[np.int16]
    heading: Floats
    parent: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Buildings(Table):
    """Solid bodies with vertical walls.

    Attributes:
        uid: Identifier.
        geometry: Shapely polygons, the footprints.
        base: Height of the underside above the terrain, metres: 0, or the clearance of a bridge.
        height: Height of the top above the terrain, metres.
        surface: What the roof or deck is made of (ids of `surfaces`).
        kind: "house", "apartment_block", "office_tower", "warehouse", "factory_hall", "shop",
            "terminal", "hangar", "stadium", "bridge", … ; vocabulary in `BUILDING_KINDS`.
        function: Function of the district it stands in.
        parent: uid of that district.
    """

    DTYPES: ClassVar[dict[str, Any]] = {
        "uid": np.int64,
        "geometry": object,
        "base": np.float64,
        "height": np.float64,
        "surface": np.uint8,
        "kind": object,
        "function": object,
        "parent": np.int64,
    }

    uid: npt.NDArray[np.int64]
    geometry: npt.NDArray[Any]
    base: Floats
    height: Floats
    surface: npt.NDArray[np.uint8]
    kind: npt.NDArray[Any]
    function: npt.NDArray[Any]
    parent: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Targets(Table):
    """Single objects that a radar sees as sets of point scatterers.

    Attributes:
        uid: Identifier.
        kind: "ship", "aircraft", "vehicle", "storage_tank", "wind_turbine", "crane",
            "container_stack", "rail_wagon", "pylon"; vocabulary in `TARGET_KINDS`.
        subclass: "cargo", "tanker", "narrow_body", "truck", …; equals `kind` where there is none.
        x: Centre, metres.
        y: Centre, metres.
        length: Metres (diameter for tanks, rotor diameter for turbines).
        width: Metres.
        height: Metres above the surface (hub height for turbines).
        heading: Bow, nose or jib, degrees 0…360.
        speed: Along the heading, metres per second.
        function: Function of the region it is in.
        parent: uid of that region or district.
    """

    DTYPES: ClassVar[dict[str, Any]] = {
        "uid": np.int64,
        "kind": object,
        "subclass": object,
        "x": np.float64,
        "y": np.float64,
        "length": np.float64,
        "width": np.float64,
        "height": np.float64,
        "heading": np.float64,
        "speed": np.float64,
        "function": object,
        "parent": np.int64,
    }

    uid: npt.NDArray[np.int64]
    kind: npt.NDArray[Any]
    subclass: npt.NDArray[Any]
    x: Floats
    y: Floats
    length: Floats
    width: Floats
    height: Floats
    heading: Floats
    speed: Floats
    function: npt.NDArray[Any]
    parent: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layers:
    """What lies on a piece of ground."""

    regions: Regions
    buildings: Buildings
    targets: Targets

    @classmethod
    def empty(cls) -> Layers:
        """Return nothing."""
        return cls(Regions.empty(), Buildings.empty(), Targets.empty())

    @classmethod
    def concat(cls, parts: Sequence[Layers]) -> Layers:
        """Return everything of all parts; regions keep their order within equal `order`."""
        return cls(
            Regions.concat([part.regions for part in parts]),
            Buildings.concat([part.buildings for part in parts]),
            Targets.concat([part.targets for part in parts]),
        )


ORDER = {
    "nature": 0, "district": 10, "ground": 20, "water": 30, "shore": 35, "road": 40, "wake": 50,
    "change": 60,
}  # fmt: skip
"""Painter's order of regions."""

FUNCTIONS = (
    "sea", "river", "lake", "canal", "forest", "wetland", "grassland", "farmland", "bare",
    "beach", "dense_residential", "sparse_residential", "commercial", "industrial", "port",
    "airport", "rail", "stadium", "park", "road", "bridge", "quay", "runway", "taxiway", "apron",
    "parking", "tank_farm", "wind_farm", "rail_track", "wake", "flood", "square",
)  # fmt: skip
"""What regions, buildings and targets may be for."""

BUILDING_KINDS = (
    "house", "row_house", "apartment_block", "office_tower", "shop", "warehouse", "factory_hall",
    "terminal", "hangar", "control_tower", "station", "stadium", "greenhouse", "barn", "bridge",
    "building",
)  # fmt: skip
"""Kinds of buildings; "building" where a map does not say."""

TARGET_KINDS = (
    "ship", "aircraft", "vehicle", "storage_tank", "wind_turbine", "crane", "container_stack",
    "rail_wagon", "pylon",
)  # fmt: skip
"""Kinds of targets."""


class World(Protocol):
    """Ground whose content can be asked for anywhere, in any order, with the same answer."""

    @property
    def frame(self) -> Frame:
        """Its UTM zone."""

    @property
    def bounds(self) -> Bounds:
        """Its extent."""

    @property
    def seed(self) -> int:
        """Seed of everything random in it."""

    def height(self, x: Floats, y: Floats) -> Floats:
        """Return terrain or water heights, ellipsoidal metres, same shape; any place."""

    def height_range(self, bounds: Bounds) -> tuple[float, float]:
        """Return limits that terrain heights within bounds don't exceed, metres."""

    def layers(self, bounds: Bounds) -> Layers:
        """Return everything that touches bounds, whole, regions sorted by `order`.

        Together the regions cover all ground within the world; beyond it there is nothing.
        """

    def cells(self) -> Iterator[Layers]:
        """Yield everything in the world in pieces, each row exactly once; memory stays bounded."""


def _is_column(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)
