"""What truth shows in one tile: painted ground, land cover, heights, objects, ships.

All geometry is in UTM metres of the world. Ground is painted in the order the truth tells, later
rows over earlier ones, onto pixels a third as wide as the tile's; it is painted a second time
without roads, tracks and wakes, as maps hold these as lines. Shares are of the tile's valid ground.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio.features
import shapely
from affine import Affine
from pyproj import CRS, Proj, Transformer
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from sarknowlip.annotate.truth import tolerance
from sarknowlip.annotate.truth.places import Place, Places
from sarknowlip.annotate.truth.standing import Standing, strung
from sarknowlip.annotate.truth.tables import tables_of
from sarknowlip.annotate.truth.world import TruthWorld
from sarknowlip.corpus.record import TileRecord

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

FINER = 3
"""Painted pixels across one of the tile's."""
LEAST_PIECE = 8
"""Pixels of the tile that a piece of ground has at least."""
OPEN_WATER_M = 50.0
"""A ship nearer to land or quay than that is not in open water."""
NEAR_M = 100.0
"""What stands no farther from the tile may be what it shows at its edge."""
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
ALWAYS_PAINTED = {"road", "rail"}
"""Words whose share is that with lines painted."""
POND = " pond"
"""Marks water drawn as part of a park or a wetland: it may count as either, or as a lake."""
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
        places: Where claims say that targets and lines are; None if facts are not at hand.
    """

    def __init__(self, record: TileRecord, world: TruthWorld, places: Places | None = None) -> None:
        self.record, self.world, self.tables = record, world, tables_of(world)
        self.places = Places() if places is None else places
        self.gsd = max(record.projection.gsd_x, record.projection.gsd_y)
        self.area = shapely.intersection(world.ground_of(record), shapely.box(*world.bounds))
        code = record.projection.code or record.projection.wkt2
        self._to_tile = Transformer.from_crs(world.epsg, code, always_xy=True)
        self._to_pixel = ~Affine(*record.projection.transform)
        west, south, east, north = shapely.buffer(self.area, OPEN_WATER_M).bounds
        self.cell = self.gsd / FINER
        self._shape = (
            int(np.ceil((north - south) / self.cell)),
            int(np.ceil((east - west) / self.cell)),
        )
        self._affine = Affine(self.cell, 0.0, west, 0.0, -self.cell, north)
        self._ninths: dict[str, BaseGeometry] = {}
        self._pieces_of: dict[str, list[Thing]] = {}

    def point(self, place: Place) -> shapely.Point:
        """Return a column and row of the tile as a point on the ground."""
        across, down = ~self._to_pixel @ place
        return shapely.Point(self._to_tile.transform(across, down, direction="INVERSE"))

    def ninth(self, part: str) -> BaseGeometry:
        """Return a ninth of the tile and a pixel around it, UTM metres; empty of another word."""
        if part not in self._ninths:
            self._ninths[part] = self._ninth(part)
        return self._ninths[part]

    def _ninth(self, part: str) -> BaseGeometry:
        rows, columns = self.record.projection.shape
        down, _, across = part.replace("centre", "middle centre", part == "centre").partition(" ")
        names = ("upper", "middle", "lower"), ("left", "centre", "right")
        if down not in names[0] or across not in names[1]:
            return shapely.Polygon()
        row, column = names[0].index(down), names[1].index(across)
        corners = [
            (columns * (column + right) / 3 + 2 * right - 1, rows * (row + low) / 3 + 2 * low - 1)
            for right, low in ((0, 0), (1, 0), (1, 1), (0, 1))
        ]
        return shapely.Polygon([self.point(corner).coords[0] for corner in corners])

    @property
    def names(self) -> Mapping[str, Sequence[BaseGeometry]]:
        """What bears a name on the world's map; empty where it has no names."""
        return self.tables.names

    def is_named(self, name: str) -> bool:
        """Return whether anything of that name is in the tile or within a pixel of it."""
        shapes = np.array(self.names.get(name, ()), object)
        return bool(shapely.dwithin(shapes, self.area, self.gsd).any())

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
        return self.tables.regions(shapely.buffer(self.area, OPEN_WATER_M + self.gsd))

    @functools.cached_property
    def objects(self) -> Any:
        """Buildings and targets that touch the tile, or its surroundings within 1 km."""
        return self.tables.objects(shapely.buffer(self.area, 1000.0))

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
        found = []
        for ids, names in self._paintings(function):
            meant = {tuple(map(reading, names)) for reading in _readings(function)}
            found += [np.array(chosen)[ids] for chosen in sorted(meant)]
        return found

    def _paintings(self, function: str) -> list[tuple[npt.NDArray[np.int32], list[str]]]:
        return self._painted[:1] if function in ALWAYS_PAINTED else self._painted

    @functools.cached_property
    def _painted_shares(self) -> list[Floats]:
        whole = max(1, int(self.inside.sum()))
        return [
            np.bincount(ids[self.inside], minlength=len(names)) / whole
            for ids, names in self._painted
        ]

    @functools.cached_property
    def functions(self) -> dict[str, float]:
        """Share of each function of truth, lines painted, 0…1."""
        names, counts = self._painted[0][1], self._painted_shares[0]
        found: dict[str, float] = {}
        for name, share in zip(names, counts.tolist(), strict=True):
            if name:
                found[name] = found.get(name, 0.0) + share
        return found

    def shares(self, function: str) -> tuple[float, float]:
        """Return the least and the largest share of a function over the readings of its name."""
        found = [
            sum(part for part, name in zip(parts.tolist(), names, strict=True) if reading(name))
            for (_, names), parts in zip(
                self._paintings(function), self._painted_shares, strict=False
            )
            for reading in _readings(function)
        ]
        return min(found), max(found)

    @functools.cached_property
    def water(self) -> Mask:
        """Painted pixels of water, bridges being land."""
        ids, names = self._painted[0]
        wet = {*WATERS, "flood"}
        return np.array([name in wet or name.endswith(POND) for name in names])[ids]

    @functools.cached_property
    def covers(self) -> dict[int, float]:
        """Share of each code of land cover, 0…1."""
        values, _, chosen = self.tables.raster("landcover.tif", self.area)
        codes = values[chosen]
        values, counts = np.unique(codes[codes > 0], return_counts=True)
        return dict(zip(values.astype(int).tolist(), (counts / counts.sum()).tolist(), strict=True))

    @functools.cached_property
    def heights(self) -> Floats:
        """Heights of the terrain in the tile, ellipsoidal metres, shape (n,)."""
        values, _, chosen = self.tables.raster("dem.tif", self.area)
        return values[chosen]

    def slope(self, bearing: float | None = None) -> Floats:
        """Return rise over run along a grid bearing, of None the steepest, shape (n,)."""
        values, affine, chosen = self.tables.raster("dem.tif", self.area)
        if min(values.shape) < 2:
            return np.zeros(0)
        south, east = np.gradient(values, -affine.e, affine.a)
        if bearing is None:
            return np.asarray(np.hypot(south, east)[chosen])
        along = np.radians(bearing)
        return np.asarray((east * np.sin(along) - south * np.cos(along))[chosen])

    def regions_of(self, function: str) -> list[Thing]:
        """Return the connected pieces of a function, in each way of reading and painting.

        Gaps of up to two pixels of the tile are also read as closed.
        """
        if function not in self._pieces_of:
            self._pieces_of[function] = self._regions_of(function)
        return self._pieces_of[function]

    def _regions_of(self, function: str) -> list[Thing]:
        found = []
        seen: set[bytes] = set()
        for mask in self.masks(function):
            shown = mask & self.inside
            for reading in (shown, _closed(shown) & self.inside):
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
        return [thing for thing, *_ in self._ships]

    def count_open(self) -> tuple[int, int]:
        """Return how many ships appear in open water of the tile for sure, and at most.

        For sure are those two pixels long that are in open water wherever they may appear; at
        most all that may appear there or within a pixel of it.
        """
        return sum(sure for _, sure, _ in self._ships), sum(may for _, _, may in self._ships)

    def ships_open(self) -> tuple[list[bool], list[BaseGeometry]]:
        """Return which ships appear in open water for sure, and where all may appear."""
        return [sure for _, sure, _ in self._ships], [ship.shape for ship in self.ships]

    @functools.cached_property
    def offshore(self) -> Floats:
        """Metres from each painted pixel to what is not water, bridges being land."""
        return np.asarray(ndimage.distance_transform_edt(self.water) * self.cell)

    def open_water_px(self) -> float:
        """Return how much open water the tile shows, in its pixels."""
        return float(((self.offshore >= OPEN_WATER_M) & self.inside).sum()) / FINER**2

    def is_open(self, place: Place) -> bool:
        """Return whether a column and row of the tile is in open water."""
        column, row = ~self._affine @ self.point(place).coords[0]
        rows, columns = self._shape
        if not (0 <= row < rows and 0 <= column < columns):
            return False
        return bool(self.offshore[int(row), int(column)] >= OPEN_WATER_M)

    @functools.cached_property
    def _ships(self) -> list[tuple[Thing, bool, bool]]:
        """Ships, whether they appear in open water for sure, and whether they may."""
        rows = self.objects[(self.objects.kind == "ship").to_numpy()]
        found = []
        for row in rows.itertuples():
            near, far = (self._displaced(row, delay) for delay in DELAY_S)
            shape = shapely.union_all([near, far]).convex_hull
            if not shapely.intersects(shape, self.area):
                continue
            thing = Thing("ship", shape, row.length, row.width, row.height, row.heading)
            depth, shown = self._along(near.centroid, far.centroid)
            sure = row.length >= 2 * self.gsd and self.area.contains(shape)
            sure = sure and bool((shown & (depth >= OPEN_WATER_M)).all())
            may = bool((depth >= OPEN_WATER_M - self.gsd).any())
            found.append((thing, sure, may))
        return found

    def _along(self, start: shapely.Point, end: shapely.Point) -> tuple[Floats, Mask]:
        """Return how far offshore the way between two points is, and what of it the tile shows.

        What lies off the painted pixels is not offshore.
        """
        steps = np.linspace(0.0, 1.0, 2 + int(start.distance(end) / self.cell))
        x, y = start.x + steps * (end.x - start.x), start.y + steps * (end.y - start.y)
        column, row = (np.floor(values).astype(int) for values in ~self._affine @ (x, y))
        rows, columns = self._shape
        held = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        place = np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)
        return np.where(held, self.offshore[place], 0.0), held & self.inside[place]

    @functools.cached_property
    def standing(self) -> Standing:
        """What stands or floats in the tile and near it."""
        rows = self.objects[shapely.dwithin(self.objects.geometry.to_numpy(), self.area, NEAR_M)]
        rows = rows[(rows.kind != "ship").to_numpy()]
        shapes = rows.geometry.to_numpy()
        incidence, look = self.record.acquisition.incidence_angle, self.look
        if incidence is not None and look is not None:
            tall = np.clip((rows.height - rows.base).to_numpy(float), 0.0, None)
            shift = np.nan_to_num(tall) / np.tan(np.radians(incidence))
            way = np.array([np.sin(np.radians(look)), np.cos(np.radians(look))])
            points, which = shapely.get_coordinates(shapes, return_index=True)
            tops = points - shift[which, None] * way
            both = np.vstack([points, tops]), np.concatenate([which, which])
            shapes = shapely.convex_hull(strung(*both))
        sizes = rows[["length", "width", "heading"]].to_numpy(float).reshape(-1, 3)
        ships = [(ship.length, ship.width, ship.heading) for ship in self.ships]
        return Standing(
            np.array([*shapes, *(ship.shape for ship in self.ships)], object),
            np.vstack([sizes, np.reshape(ships, (-1, 3))]),
            tolerance.TARGET_PX * self.gsd,
        )

    @property
    def look(self) -> float | None:
        """Direction from radar to ground, degrees from grid north."""
        heading = self.record.acquisition.heading
        side = self.record.acquisition.observation_direction
        if heading is None or side is None:
            return None
        return heading + (90.0 if side == "right" else -90.0) - self.convergence

    @functools.cached_property
    def edges(self) -> tuple[Floats, Floats, shapely.STRtree]:
        """Sides of grounds and buildings: starts and ends, shape (n, 2), and their tree."""
        window = shapely.buffer(self.area, NEAR_M).bounds
        shapes = [*self.regions.geometry, *self.objects.geometry]
        clipped = shapely.intersection(np.array(shapes, object), shapely.box(*window))
        rings = shapely.get_rings(shapely.get_parts(clipped))
        points, ring = shapely.get_coordinates(rings, return_index=True)
        same = ring[:-1] == ring[1:]
        starts, ends = points[:-1][same], points[1:][same]
        long = np.hypot(*(ends - starts).T) >= 2.0 * self.cell
        starts, ends = starts[long], ends[long]
        return starts, ends, shapely.STRtree(shapely.linestrings(np.stack([starts, ends], 1)))

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
        functions = np.where(pond, rows.function + POND, rows.function)
        names = ["", *sorted(set(functions))]
        ids = [names.index(name) for name in functions]
        window = shapely.box(*shapely.buffer(self.area, OPEN_WATER_M + self.gsd).bounds)
        # clip_by_rect would be faster, but raises where a ring collapses on the frame.
        clipped = shapely.intersection(rows.geometry.to_numpy(), window)
        shapes = [(s, k) for s, k in zip(clipped, ids, strict=True) if not s.is_empty]
        if not shapes:
            return np.zeros(self._shape, np.int32), names
        image = rasterio.features.rasterize(
            shapes, self._shape, transform=self._affine, dtype="int32"
        )
        return np.asarray(image), names

    def _pieces(self, mask: Mask) -> Iterable[BaseGeometry]:
        labels, _ = ndimage.label(mask, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())
        kept = mask & (sizes >= LEAST_PIECE * FINER**2)[labels]
        for shape, _ in rasterio.features.shapes(
            labels.astype(np.int32), kept, connectivity=8, transform=self._affine
        ):
            yield shapely.geometry.shape(shape)


def _readings(function: str) -> list[Callable[[str], bool]]:
    """Return whether a function of truth is meant by a word, in each way of reading this."""
    plain = ALIKE.get(function, {function})
    ponds = {name + POND for name in plain}
    meant = [plain, plain | ponds, WIDER.get(function, plain)]
    readings: list[Callable[[str], bool]] = [names.__contains__ for names in meant]
    if function == "lake":
        readings.append(lambda name: name == "lake" or name.endswith(POND))
    return readings


def _closed(mask: Mask) -> Mask:
    """Return a mask with gaps of up to two pixels of the tile closed."""
    size = 2 * FINER + 1
    wide = ndimage.maximum_filter(mask.view(np.uint8), size, mode="constant")
    return np.asarray(ndimage.minimum_filter(wide, size, mode="constant"), bool)
