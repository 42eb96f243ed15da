"""A world as a mapper would draw it: GeoParquet with the tags of OpenStreetMap.

What no map shows is left out: ships, vehicles, aircraft, containers, wagons, wakes, floods. Roads
and railways come as areas or lines along their middle, and nothing has a name. The map holds less
than the truth in kind, too: residential ground is neither dense nor sparse.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
import shapely.ops
from shapely.geometry.base import BaseGeometry

from sarknowlip.core.progress import Progress
from sarknowlip.simulate.frame import Bounds
from sarknowlip.simulate.layers import ORDER, Buildings, Layers, Regions, Targets, World
from sarknowlip.simulate.world.geotable import geo_table
from sarknowlip.simulate.world.osm_rules import world_rules
from sarknowlip.simulate.world.painted import outlines, polygons_of

SCHEMA = pa.schema([("tags", pa.map_(pa.string(), pa.string()))])
"""Columns besides the geometry."""

REGION_TAGS: dict[str, dict[str, str]] = {
    "sea": {"place": "sea"},
    "river": {"natural": "water", "water": "river"},
    "lake": {"natural": "water"},
    "canal": {"natural": "water", "water": "canal"},
    "forest": {"landuse": "forest"},
    "wetland": {"natural": "wetland"},
    "grassland": {"natural": "grassland"},
    "farmland": {"landuse": "farmland"},
    "bare": {"natural": "bare_ground"},
    "beach": {"natural": "beach"},
    "dense_residential": {"landuse": "residential"},
    "sparse_residential": {"landuse": "residential"},
    "commercial": {"landuse": "commercial"},
    "industrial": {"landuse": "industrial"},
    "port": {"landuse": "industrial", "industrial": "port"},
    "airport": {"aeroway": "aerodrome"},
    "rail": {"landuse": "railway"},
    "rail_track": {"landuse": "railway"},
    "stadium": {"leisure": "stadium"},
    "park": {"leisure": "park"},
    "road": {"area:highway": "residential"},
    "bridge": {"area:highway": "residential"},
    "quay": {"man_made": "quay"},
    "runway": {"aeroway": "runway"},
    "taxiway": {"aeroway": "taxiway"},
    "apron": {"aeroway": "apron"},
    "parking": {"amenity": "parking"},
    "tank_farm": {"landuse": "industrial", "industrial": "oil"},
    "wind_farm": {"power": "plant", "plant:source": "wind"},
    "square": {"place": "square"},
}
"""Tags of areas by function; other functions are not on the map."""

LINE_TAGS = {"road": {"highway": "residential"}, "rail_track": {"railway": "rail"}}
"""Tags of middle lines by function."""

_SAMPLES = 64
_Row = tuple[dict[str, str], BaseGeometry]


def write_map(world: World, path: Path, progress: Progress | None = None) -> int:
    """Write what a map of the world would hold; a piece of it is in memory at a time.

    Args:
        world: World.
        path: File, `.parquet`; it appears when it is whole.
        progress: Called with pieces done, 0, and the file's name.

    Returns:
        Number of features.

    Raises:
        StorageError: The file cannot be written.
    """
    with geo_table(path.with_suffix(""), SCHEMA, world.frame, "parquet") as table:
        for number, piece in enumerate(world.cells(), start=1):
            rows = map_rows(Layers(_bared(piece.regions, world), piece.buildings, piece.targets))
            tags = [sorted(tags.items()) for tags, _ in rows]
            table.write({"tags": tags}, np.array([shape for _, shape in rows], dtype=object))
            if progress is not None:
                progress(number, 0, path.name)
    return table.rows


def map_rows(piece: Layers) -> list[_Row]:
    """Return tags and shape (UTM metres) of what a map shows of a piece of ground."""
    return [
        *_regions(piece.regions),
        *_buildings(piece.buildings),
        *_objects(piece.targets),
    ]


def _bared(regions: Regions, world: World) -> Regions:
    """Return regions, those of nature without what else lies on them: maps do not show it twice."""
    shapes = np.array(regions.geometry, dtype=object)
    for row in np.flatnonzero(regions.order == ORDER["nature"]):
        others = world.layers(Bounds(*shapes[row].bounds)).regions
        above = (others.order > ORDER["nature"]) & (others.order < ORDER["road"])
        left = shapely.difference(shapes[row], shapely.union_all(others.geometry[above]))
        shapes[row] = polygons_of(left)
    return replace(regions, geometry=shapes).take(~shapely.is_empty(shapes))


def _regions(regions: Regions) -> list[_Row]:
    found: list[_Row] = []
    for function, shape in zip(regions.function, regions.geometry, strict=True):
        if function in REGION_TAGS:
            found.append((REGION_TAGS[function], shape))
        if function in LINE_TAGS:
            for part in shapely.get_parts(shape):
                middle = middle_line(part)
                width = part.area / max(middle.length, 1e-9)
                middle = _without_ends(middle, width / 2.0)
                found.append(({**LINE_TAGS[function], "width": f"{width:.1f}"}, middle))
    return found


def _buildings(buildings: Buildings) -> list[_Row]:
    kinds = world_rules().buildings.kinds
    found: list[_Row] = []
    for kind, base, height, shape in zip(
        buildings.kind, buildings.base, buildings.height, buildings.geometry, strict=True
    ):
        if kind == "bridge":
            found.append(({"man_made": "bridge", "layer": "1"}, shape))
            continue
        tags = {"building": kinds[kind][0] if kind in kinds else "yes", "height": f"{height:.1f}"}
        found.append((tags | ({"min_height": f"{base:.1f}"} if base > 0 else {}), shape))
    return found


def _objects(targets: Targets) -> list[_Row]:
    shapes, found = outlines(targets), []
    for number, kind in enumerate(targets.kind):
        high, long = f"{targets.height[number]:.1f}", f"{targets.length[number]:.1f}"
        tags = {
            "storage_tank": {"man_made": "storage_tank", "height": high, "diameter": long},
            "crane": {"man_made": "crane", "height": high},
            "wind_turbine": {
                "power": "generator", "generator:source": "wind", "height:hub": high,
                "rotor:diameter": long,
            },
            "pylon": {"power": "tower", "height": high},
        }.get(kind)  # fmt: skip
        if tags is not None:
            found.append((tags, shapes[number]))
    return found


def middle_line(strip: shapely.Polygon) -> shapely.LineString:
    """Return the line along the middle of a long, narrow polygon.

    Its rim is parted where two of its points are farthest apart, and the halves are averaged. It
    ends at the ends of the polygon.
    """
    rim = shapely.get_coordinates(strip.exterior)[:-1]
    first = _farthest(rim, rim.mean(axis=0))
    second = _farthest(rim, rim[first])
    first = _farthest(rim, rim[second])
    rolled = np.concatenate([np.roll(rim, -first, axis=0), rim[first : first + 1]])
    cut = (second - first) % len(rim)
    there, back = rolled[: cut + 1], rolled[cut:][::-1]
    halves = [_resampled(side) for side in (there, back)]
    return shapely.simplify(shapely.LineString((halves[0] + halves[1]) / 2), 0.1)


def _without_ends(line: shapely.LineString, reach: float) -> shapely.LineString:
    """Return a line less so many metres at either end, where strips are drawn with round ends."""
    if line.length <= 4.0 * reach:
        return line
    return shapely.ops.substring(line, reach, line.length - reach)


def _farthest(points: npt.NDArray[Any], place: npt.NDArray[Any]) -> int:
    return int(np.hypot(*(points - place).T).argmax())


def _resampled(chain: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(chain, axis=0).T))])
    steps = np.linspace(0.0, along[-1], _SAMPLES)
    return np.column_stack([np.interp(steps, along, chain[:, axis]) for axis in (0, 1)])
