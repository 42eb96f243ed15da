"""What truth shows in one tile: painted ground, land cover, heights, objects, ships.

All geometry is in UTM metres of the world. Ground is painted in the order the truth tells, later
rows over earlier ones, onto pixels a third as wide as the tile's; it is painted a second time
without roads, tracks and wakes, as maps hold these as lines. Shares are of the tile's valid ground.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.features
import rasterio.windows
import shapely
from affine import Affine
from pyproj import CRS, Proj, Transformer
from rasterio.errors import RasterioError
from rasterio.windows import Window
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from sarknowlip.annotate.truth.world import REMEDY, TruthWorld
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.corpus.record import TileRecord

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

FINER = 3
"""Painted pixels across one of the tile's."""
OPEN_WATER_M = 50.0
"""A ship nearer to land or quay than that is not in open water."""
DELAY_S = (60.0, 140.0)
"""Slant range over platform speed of satellites 450 to 800 km high that look 20 to 50° aside: what
moves at 1 m/s along the line of sight appears that many metres off along the track."""
WATERS = ("sea", "river", "lake", "canal")
ALIKE = {
    "residential": {"dense_residential", "sparse_residential"},
    "road": {"road", "bridge"},
    "rail": {"rail", "rail_track"},
}
"""Functions of truth that a coarser word means."""
WIDER = {
    "airport": {"airport", "runway", "taxiway", "apron", "parking"},
    "port": {"port", "quay"},
    "commercial": {"commercial", "parking", "square"},
    "industrial": {"industrial", "parking"},
}
"""Functions of truth that a word may include; both readings count."""
LINES = {"road", "bridge", "rail_track"}
OBJECT_KINDS = {"control_tower": "tower"}
"""Kinds of truth that have another name in claims."""


@dataclass(frozen=True)
class Thing:
    """Something in the tile that a claim may be about.

    Attributes:
        kind: Function or kind of object.
        shape: What the tile shows of it, UTM metres.
        length: Metres; NaN where not told, as the next ones.
        width: Metres.
        height: Metres.
        heading: Degrees from true north.
    """

    kind: str
    shape: BaseGeometry
    length: float = np.nan
    width: float = np.nan
    height: float = np.nan
    heading: float = np.nan


class Scene:
    """Truth of one tile.

    Args:
        record: The tile.
        world: A world that holds it.
    """

    def __init__(self, record: TileRecord, world: TruthWorld) -> None:
        self.record, self.world = record, world
        self.gsd = max(record.projection.gsd_x, record.projection.gsd_y)
        self.area = shapely.intersection(world.ground_of(record), shapely.box(*world.bounds))
        code = record.projection.code or record.projection.wkt2
        self._to_tile = Transformer.from_crs(world.epsg, code, always_xy=True)
        self._to_pixel = ~Affine(*record.projection.transform)
        west, south, east, north = self.area.bounds
        self.cell = self.gsd / FINER
        self._shape = (
            int(np.ceil((north - south) / self.cell)),
            int(np.ceil((east - west) / self.cell)),
        )
        self._affine = Affine(self.cell, 0.0, west, 0.0, -self.cell, north)

    def pixels(self, shape: BaseGeometry) -> BaseGeometry:
        """Return a shape in columns and rows of the tile."""

        def project(x: Floats, y: Floats) -> tuple[Floats, Floats]:
            across, down = self._to_pixel * self._to_tile.transform(x, y)
            return across, down

        return shapely.transform(shape, project, interleaved=False)

    @functools.cached_property
    def convergence(self) -> float:
        """Degrees from true north to grid north, clockwise."""
        lon, lat = Transformer.from_crs(self.world.epsg, 4326, always_xy=True).transform(
            *self.area.centroid.coords[0]
        )
        return float(
            Proj(CRS.from_epsg(self.world.epsg)).get_factors(lon, lat).meridian_convergence
        )

    @functools.cached_property
    def regions(self) -> Any:
        """Regions that touch the tile, in painter's order."""
        return self._table("regions").sort_values(["order"], kind="stable")

    @functools.cached_property
    def objects(self) -> Any:
        """Buildings and targets that touch the tile, or its surroundings within 1 km."""
        return self._table("objects", 1000.0)

    @functools.cached_property
    def inside(self) -> Mask:
        """Painted pixels that are valid ground of the tile."""
        return np.asarray(
            rasterio.features.rasterize(
                [self.area], self._shape, transform=self._affine, dtype="uint8"
            ),
            bool,
        )

    def masks(self, function: str) -> list[Mask]:
        """Return the painted pixels of a function, in each way of reading its name."""
        readings = [ALIKE.get(function, {function})]
        if function in WIDER:
            readings.append(WIDER[function])
        found = []
        for ids, names in self._painted:
            for reading in readings:
                found.append(np.isin(ids, [i for i, name in enumerate(names) if name in reading]))
            if function == "lake":  # ponds of parks and wetlands are drawn as part of these
                found.append(
                    np.isin(ids, [i for i, n in enumerate(names) if n in {"lake", "pond"}])
                )
        return found

    @functools.cached_property
    def functions(self) -> dict[str, float]:
        """Share of each function of truth, lines painted, 0…1."""
        ids, names = self._painted[0]
        counts = np.bincount(ids[self.inside], minlength=len(names)) / max(1, self.inside.sum())
        found: dict[str, float] = {}
        for name, share in zip(names, counts.tolist(), strict=True):
            if name:
                found[name] = found.get(name, 0.0) + share
        return found

    def shares(self, function: str) -> tuple[float, float]:
        """Return the least and the largest share of a function over the readings of its name."""
        whole = max(1, int(self.inside.sum()))
        found = [float((mask & self.inside).sum()) / whole for mask in self.masks(function)]
        return min(found), max(found)

    @functools.cached_property
    def water(self) -> Mask:
        """Painted pixels of water, bridges being land."""
        ids, names = self._painted[0]
        wet = {*WATERS, "pond", "flood"}
        return np.isin(ids, [i for i, name in enumerate(names) if name in wet])

    @functools.cached_property
    def covers(self) -> dict[int, float]:
        """Share of each code of land cover, 0…1."""
        codes = self._raster("landcover.tif")
        values, counts = np.unique(codes[codes > 0], return_counts=True)
        return dict(zip(values.astype(int).tolist(), (counts / counts.sum()).tolist(), strict=True))

    @functools.cached_property
    def heights(self) -> Floats:
        """Heights of the terrain in the tile, ellipsoidal metres, shape (n,)."""
        return self._raster("dem.tif")

    @functools.cache  # noqa: B019 (a scene is short-lived)
    def regions_of(self, function: str) -> list[Thing]:
        """Return the connected pieces of a function, in each way of reading and painting.

        Gaps of up to two pixels of the tile are also read as closed.
        """
        found = []
        seen: set[bytes] = set()
        reach = np.ones((2 * FINER + 1, 2 * FINER + 1), bool)
        for mask in self.masks(function):
            shown = mask & self.inside
            for reading in (shown, ndimage.binary_closing(shown, reach) & self.inside):
                key = reading.tobytes()
                if key not in seen and reading.any():
                    seen.add(key)
                    found += [Thing(function, piece) for piece in self._pieces(reading)]
        return found

    @functools.cached_property
    def things(self) -> dict[str, list[Thing]]:
        """Objects whose centres lie in the tile or within a pixel of it, by kind."""
        found: dict[str, list[Thing]] = {}
        near = shapely.dwithin(self._centres, self.area, self.gsd)
        for row in self.objects[near].itertuples():
            kind = OBJECT_KINDS.get(row.kind, row.kind)
            found.setdefault(kind, []).append(
                Thing(kind, row.geometry, row.length, row.width, row.height, row.heading)
            )
        return found

    def count(self, kind: str) -> tuple[int, int]:
        """Return how many things of a kind have their centres in the tile for sure, and at most.

        In between are those within a pixel of its edge.
        """
        chosen = (self.objects.kind.replace(OBJECT_KINDS) == kind).to_numpy()
        return self._count(chosen)

    def count_buildings(self) -> tuple[int, int]:
        """Return the same for all buildings; at most those of which any part is in the tile."""
        chosen = (self.objects.layer == "building").to_numpy() & (self.objects.kind != "bridge")
        least, most = self._count(chosen)
        touching = shapely.intersects(self.objects.geometry.to_numpy()[chosen], self.area)
        return least, max(most, int(touching.sum()))

    def buildings(self) -> Any:
        """Return the buildings that touch the tile."""
        rows = self.objects[(self.objects.layer == "building") & (self.objects.kind != "bridge")]
        return rows[shapely.intersects(rows.geometry.to_numpy(), self.area)]

    @functools.cached_property
    def ships(self) -> list[Thing]:
        """Ships that may appear in the tile; of moving ones `shape` is all places where they may.

        A ship that moves along the line of sight appears displaced along the track by −R·v/V.
        """
        return [thing for thing, _ in self._ships]

    def count_ships(self) -> tuple[int, int]:
        """Return how many ships appear in the tile for sure, and at most.

        For sure are those in open water, at least two pixels long, wherever they may appear; at
        most all that may, moored ones too.
        """
        sure = sum(
            is_open and thing.length >= 2 * self.gsd and self.area.contains(thing.shape)
            for thing, is_open in self._ships
        )
        return sure, len(self._ships)

    @functools.cached_property
    def _ships(self) -> list[tuple[Thing, bool]]:
        rows = self.objects[self.objects.kind == "ship"]
        depth = ndimage.distance_transform_edt(np.pad(self.water | ~self.inside, 1, mode="edge"))
        found = []
        for row in rows.itertuples():
            near, far = (self._displaced(row, delay) for delay in DELAY_S)
            shape = shapely.union_all([near, far]).convex_hull
            if not shapely.intersects(shape, self.area):
                continue
            column, down = ~self._affine * row.geometry.centroid.coords[0]
            place = int(down) + 1, int(column) + 1
            within = 0 <= place[0] < depth.shape[0] and 0 <= place[1] < depth.shape[1]
            is_open = within and float(depth[place]) * self.cell >= OPEN_WATER_M
            thing = Thing("ship", shape, row.length, row.width, row.height, row.heading)
            found.append((thing, bool(is_open)))
        return found

    def _displaced(self, ship: Any, delay: float) -> BaseGeometry:
        """Return a ship's outline where a radar shows it."""
        acquisition = self.record.acquisition
        heading, side = acquisition.heading, acquisition.observation_direction
        incidence = acquisition.incidence_angle
        if not ship.speed or heading is None or side is None or incidence is None:
            return ship.geometry
        look = heading + (90.0 if side == "right" else -90.0)
        away = ship.speed * np.cos(np.radians(ship.heading - look)) * np.sin(np.radians(incidence))
        track = np.radians(heading - self.convergence)
        shift = -away * delay
        return shapely.affinity.translate(
            ship.geometry, shift * np.sin(track), shift * np.cos(track)
        )

    @functools.cached_property
    def _centres(self) -> npt.NDArray[Any]:
        return np.asarray(shapely.centroid(self.objects.geometry.to_numpy()))

    def _count(self, chosen: npt.NDArray[np.bool_]) -> tuple[int, int]:
        centres = self._centres[chosen]
        sure = shapely.within(centres, shapely.buffer(self.area, -self.gsd))
        return int(sure.sum()), int(shapely.dwithin(centres, self.area, self.gsd).sum())

    @functools.cached_property
    def _painted(self) -> list[tuple[npt.NDArray[np.int32], list[str]]]:
        """Pixels as indices into names of functions, with and without lines."""
        rows = self.regions[self.regions.function != "wake"]
        return [self._paint(rows), self._paint(rows[~rows.function.isin(LINES)])]

    def _paint(self, rows: Any) -> tuple[npt.NDArray[np.int32], list[str]]:
        pond = (rows.landcover == 80) & ~rows.function.isin([*WATERS, "flood"])
        functions = np.where(pond, "pond", rows.function)
        names = ["", *sorted(set(functions))]
        ids = [names.index(name) for name in functions]
        shapes = list(zip(rows.geometry, ids, strict=True))
        if not shapes:
            return np.zeros(self._shape, np.int32), names
        image = rasterio.features.rasterize(
            shapes, self._shape, transform=self._affine, dtype="int32"
        )
        return np.asarray(image), names

    def _pieces(self, mask: Mask) -> Iterable[BaseGeometry]:
        labels, _ = ndimage.label(mask, np.ones((3, 3)))
        for shape, _ in rasterio.features.shapes(
            labels.astype(np.int32), mask, connectivity=8, transform=self._affine
        ):
            yield shapely.geometry.shape(shape)

    def _table(self, name: str, margin: float = 0.0) -> Any:
        path = self.world.folder / f"{name}.parquet"
        window = shapely.buffer(self.area, margin + self.gsd)
        project = Transformer.from_crs(self.world.epsg, 4326, always_xy=True).transform
        bbox = shapely.transform(window, project, interleaved=False).bounds
        try:
            return geopandas.read_parquet(path, bbox=bbox).to_crs(self.world.epsg)
        except (OSError, ValueError) as error:
            raise SarKnowlipError(f"cannot read {path}: {error}", REMEDY) from error

    def _raster(self, name: str) -> Floats:
        """Return the pixels of a raster whose centres are valid ground of the tile."""
        path: Path = self.world.folder / name
        try:
            with rasterio.open(path) as source:
                window = rasterio.windows.from_bounds(
                    *shapely.buffer(self.area, source.res[0]).bounds, transform=source.transform
                )
                window = window.round_offsets().round_lengths()
                window = window.intersection(Window(0, 0, source.width, source.height))
                values = source.read(1, window=window).astype(np.float64)
                affine = source.window_transform(window)
        except (RasterioError, ValueError) as error:
            raise SarKnowlipError(f"cannot read {path}: {error}", REMEDY) from error
        chosen = rasterio.features.geometry_mask(
            [self.area], values.shape, transform=affine, invert=True
        )
        return np.asarray(values[chosen])
