"""A world from OpenStreetMap: what a map extract says of the ground, with traffic drawn on it.

The features of the extract that touch the world are read once and held as tables; pieces of them
are found through spatial indexes. Invented are: heights of buildings without height and storeys,
sizes of objects without sizes, and with `populate` vehicles, ships, wakes and aircraft, which no
map holds. Everything is the same for the same extract, config and seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.geobox import GeoBox
from pydantic import Field
from scipy import ndimage

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.geo.gazetteer import find_city
from sarknowlip.geo.grid import ground_sample_distance
from sarknowlip.geo.osm import extract_box
from sarknowlip.sar.elevation import Elevation
from sarknowlip.simulate.frame import Bounds, Floats, Frame
from sarknowlip.simulate.layers import ORDER, Buildings, Layers, Regions, Table, Targets
from sarknowlip.simulate.world.osm_buildings import map_bodies
from sarknowlip.simulate.world.osm_ground import CELL_M, map_regions
from sarknowlip.simulate.world.osm_objects import (
    Districts,
    map_targets,
    owned_buildings,
    owned_regions,
)
from sarknowlip.simulate.world.osm_read import MapContent, read_map
from sarknowlip.simulate.world.osm_rules import world_rules
from sarknowlip.simulate.world.osm_ships import ships
from sarknowlip.simulate.world.osm_traffic import (
    TrafficConfig,
    parked_aircraft,
    parked_vehicles,
    settled,
    street_vehicles,
)
from sarknowlip.simulate.world.painted import outlines

SMALLEST_M = 100.0
"""A world is at least this wide and high."""

_DEM_MARGIN_M = 2000.0
_Rows = TypeVar("_Rows", bound=Table)


class OsmWorldConfig(Config):
    """Which ground, from which map.

    Attributes:
        path: An .osm.pbf extract.
        city: Name of a city of the gazetteer whose centre is the middle, with `size_km`.
        centre: Longitude and latitude of the middle instead, degrees, with `size_km`.
        size_km: Edge of the square, up to 100 km, cut to the extract; None: the whole extract.
        seed: Of everything drawn.
        populate: Whether to draw vehicles, ships and aircraft.
        traffic: How many.
        base_height_m: Ellipsoidal height of the ground, or where the elevation model has none.
        dem: Elevation raster, metres.
        dem_geoid_m: Undulation to add to its heights where PROJ cannot, metres.
    """

    path: Path
    city: str | None = None
    centre: tuple[float, float] | None = None
    size_km: float | None = Field(None, gt=0.0, le=100.0)
    seed: int = 0
    populate: bool = True
    traffic: TrafficConfig = TrafficConfig()
    base_height_m: float = 0.0
    dem: Path | None = None
    dem_geoid_m: float | None = None


class OsmWorld:
    """A `layers.World` read from an extract.

    Args:
        config: Which ground, from which map.

    Raises:
        MapError: The extract cannot be read.
        ConfigError: The ground asked for is not in the extract.
        ProductError: The elevation raster cannot be read.
        GeometryError: The elevation raster lies elsewhere.
    """

    def __init__(self, config: OsmWorldConfig) -> None:
        self.config = config
        self.frame, self.bounds = _place(config)
        self.seed = config.seed
        self._relief = _Relief(config, self.frame, self.bounds)
        content = read_map(config.path, self.frame, self.bounds, world_rules())
        layers = _filled(content, self.bounds, config)
        self._layers = layers
        self._regions = shapely.STRtree(layers.regions.geometry)
        self._buildings = shapely.STRtree(layers.buildings.geometry)
        self._targets = shapely.STRtree(outlines(layers.targets))

    def height(self, x: Floats, y: Floats) -> Floats:
        """Return terrain heights, ellipsoidal metres, same shape."""
        return self._relief.at(np.asarray(x, np.float64), np.asarray(y, np.float64))

    def height_range(self, bounds: Bounds) -> tuple[float, float]:
        """Return limits that terrain heights within bounds don't exceed, metres."""
        return self._relief.limits(bounds)

    def layers(self, bounds: Bounds) -> Layers:
        """Return everything that touches bounds, whole, regions sorted by `order`."""
        window = shapely.box(bounds.west, bounds.south, bounds.east, bounds.north)
        all_ = self._layers
        return Layers(
            all_.regions.take(np.sort(self._regions.query(window, predicate="intersects"))),
            all_.buildings.take(np.sort(self._buildings.query(window, predicate="intersects"))),
            all_.targets.take(np.sort(self._targets.query(window, predicate="intersects"))),
        )

    def cells(self) -> Iterator[Layers]:
        """Yield everything in squares of `osm_ground.CELL_M`, each row once: where its middle is.

        The middle of a region or building is a point on it, that of a target its centre.
        """
        all_ = self._layers
        middles = [
            shapely.get_coordinates(shapely.point_on_surface(table.geometry))
            for table in (all_.regions, all_.buildings)
        ]
        middles.append(np.column_stack([all_.targets.x, all_.targets.y]))
        rows = [_Cells(places) for places in middles]
        for cell in np.unique(np.concatenate([part.codes for part in rows])):
            regions, buildings, targets = (part.rows(cell) for part in rows)
            yield Layers(
                all_.regions.take(regions),
                all_.buildings.take(buildings),
                all_.targets.take(targets),
            )


class _Cells:
    """Rows of a table by the cell that holds their middle (x and y, shape (n, 2))."""

    def __init__(self, middles: Floats) -> None:
        column, row = np.floor(middles / CELL_M).astype(np.int64).T
        codes = row * 1_000_000 + column
        self._order = np.argsort(codes, kind="stable")
        self.codes = codes[self._order]

    def rows(self, code: int) -> npt.NDArray[np.intp]:
        """Return the rows of a cell, ascending."""
        first, last = np.searchsorted(self.codes, [code, code + 1])
        return self._order[first:last]


def _filled(content: MapContent, bounds: Bounds, config: OsmWorldConfig) -> Layers:
    """Return the whole content of the world."""
    rules, seed = world_rules(), config.seed
    bodies = map_bodies(content, bounds, rules, seed)
    regions = map_regions(content, bodies, bounds, rules)
    districts = Districts(regions)
    regions = owned_regions(regions, districts)
    buildings = owned_buildings(bodies, districts)
    targets = map_targets(content, bounds, districts, seed)
    if config.populate:
        drawn = _vehicles_and_aircraft(content, regions, buildings, bounds, config)
        vessels, wakes = ships(regions, buildings, bounds, config.traffic, seed)
        targets = Targets.concat([targets, _owned(drawn, districts), vessels])
        targets = targets.take(np.argsort(targets.uid))
        regions = Regions.concat([regions, wakes])
        regions = regions.take(np.argsort(regions.order, kind="stable"))
    return Layers(regions, buildings, targets)


def _vehicles_and_aircraft(
    content: MapContent,
    regions: Regions,
    buildings: Buildings,
    bounds: Bounds,
    config: OsmWorldConfig,
) -> Targets:
    ground = regions.take(regions.order == ORDER["ground"])
    parkings = ground.take(ground.function == "parking")
    aprons = ground.take(ground.function == "apron")
    moving = regions.geometry[np.isin(regions.function, ("runway", "taxiway"))]
    water = regions.geometry[regions.order == ORDER["water"]]
    vehicles = Targets.concat(
        [
            street_vehicles(content.lines, config.traffic, config.seed),
            parked_vehicles(parkings, config.traffic, config.seed),
        ]
    )
    aircraft = parked_aircraft(aprons, config.traffic, config.seed)
    return Targets.concat(
        [
            settled(vehicles, bounds, np.concatenate([buildings.geometry, water])),
            settled(aircraft, bounds, np.concatenate([buildings.geometry, moving])),
        ]
    )


def _owned(targets: Targets, districts: Districts) -> Targets:
    parent, function = districts.at(shapely.points(targets.x, targets.y))
    targets.parent[:] = parent
    targets.function[:] = function
    return targets


def _place(config: OsmWorldConfig) -> tuple[Frame, Bounds]:
    """Return the world's zone and extent: within the extract, and within the square asked for."""
    west, south, east, north = extract_box(config.path)
    lon, lat = (west + east) / 2, (south + north) / 2
    if config.city is not None and config.centre is not None:
        raise ConfigError("both city and centre are given", "give one")
    if (config.size_km is None) != (config.city is None and config.centre is None):
        raise ConfigError(
            "the size of a world of a map goes with its middle, and neither stands alone",
            "give --city NAME --size-km N, or --size-km N --set world.centre=[lon,lat], or neither",
        )
    if config.city is not None:
        city = find_city(config.city)
        if city is None:
            raise ConfigError(f"no city named {config.city!r}", "give centre instead")
        lon, lat = city.lon, city.lat
    elif config.centre is not None:
        lon, lat = config.centre
    frame = Frame.around(lon, lat)
    along = np.linspace(0.0, 1.0, 33)
    sides = [
        frame.xy(west + 0 * along, south + (north - south) * along)[0].max(),
        frame.xy(west + (east - west) * along, south + 0 * along)[1].max(),
        frame.xy(east + 0 * along, south + (north - south) * along)[0].min(),
        frame.xy(west + (east - west) * along, north + 0 * along)[1].min(),
    ]
    if config.size_km is not None:
        x, y = (float(value) for value in frame.xy(lon, lat))
        half = config.size_km * 500.0
        sides = [
            max(sides[0], x - half),
            max(sides[1], y - half),
            min(sides[2], x + half),
            min(sides[3], y + half),
        ]
    low, high = np.ceil(sides[:2]), np.floor(sides[2:])
    if (high - low < SMALLEST_M).any():
        raise ConfigError(
            f"{config.path} covers too little of the ground around ({lon:.4f}, {lat:.4f})",
            f"it spans {west:.4f}…{east:.4f} E, {south:.4f}…{north:.4f} N",
        )
    return frame, Bounds(float(low[0]), float(low[1]), float(high[0]), float(high[1]))


class _Relief:
    """Heights: one number, or an elevation raster resampled to the UTM grid once."""

    def __init__(self, config: OsmWorldConfig, frame: Frame, bounds: Bounds) -> None:
        self.base = config.base_height_m
        self.heights: npt.NDArray[np.float64] | None = None
        if config.dem is None:
            return
        wide = bounds.padded(_DEM_MARGIN_M)
        x = np.array([bounds.west, bounds.east, bounds.east, bounds.west])
        y = np.array([bounds.south, bounds.south, bounds.north, bounds.north])
        outline = shapely.Polygon(np.column_stack(frame.lonlat(x, y)))
        elevation = Elevation.open(config.dem, config.dem_geoid_m, outline)
        self.step = max(ground_sample_distance(elevation.grid))
        box = (wide.west, wide.south, wide.east, wide.north)
        grid = GeoBox.from_bbox(box, f"EPSG:{frame.epsg}", resolution=self.step)
        self.west, self.north = grid.affine.c, grid.affine.f
        heights = elevation.on(grid)
        self.heights = np.where(np.isfinite(heights), heights, self.base)

    def at(self, x: Floats, y: Floats) -> Floats:
        """Return heights between the nearest four of the grid; beyond it those of its edge."""
        if self.heights is None:
            return np.full(np.broadcast(x, y).shape, self.base)
        found = ndimage.map_coordinates(
            self.heights, self._places(x, y), order=1, mode="nearest", prefilter=False
        )
        return np.asarray(found)

    def limits(self, bounds: Bounds) -> tuple[float, float]:
        """Return the least and greatest height of the grid that weighs on bounds."""
        if self.heights is None:
            return self.base, self.base
        ends = self._places(
            np.array([bounds.west, bounds.east]), np.array([bounds.north, bounds.south])
        )
        part = self.heights
        for axis, (low, high) in enumerate(ends):
            size = self.heights.shape[axis]
            first = int(np.clip(np.floor(low), 0, size - 1))
            last = int(np.clip(np.ceil(high), 0, size - 1))
            part = part.take(np.arange(first, last + 1), axis=axis)
        return float(part.min()), float(part.max())

    def _places(self, x: Floats, y: Floats) -> list[Floats]:
        return [(self.north - y) / self.step - 0.5, (x - self.west) / self.step - 0.5]
