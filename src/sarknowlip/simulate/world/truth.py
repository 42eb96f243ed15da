"""What a world holds, as files: every region and object, land cover, heights, changes.

| file | holds |
|---|---|
| regions.parquet | flat regions: surface, function, painter's order |
| objects.parquet | buildings and targets: kind, size, heading from true north, outline |
| changes.parquet | differences to the first date, of a `ChangedWorld` |
| landcover.tif | codes of ESA WorldCover v200, of what is painted on top; buildings are 50 |
| dem.tif, dem.tif.aux.xml | heights of terrain or water above the WGS 84 ellipsoid, metres |
| map.parquet | the world as OpenStreetMap would show it, see `osm_map` |
| truth.json | seed, extent, date, changes, numbers of rows |
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from sarknowlip.core.files import write_json
from sarknowlip.core.progress import Progress
from sarknowlip.simulate.frame import Floats, Frame
from sarknowlip.simulate.layers import Buildings, Regions, Targets, World, surfaces
from sarknowlip.simulate.world.changes import Change, ChangedWorld
from sarknowlip.simulate.world.geotable import Format, GeoTable, geo_table
from sarknowlip.simulate.world.osm_map import write_map
from sarknowlip.simulate.world.painted import outlines
from sarknowlip.simulate.world.truth_rasters import (
    landcover_codes,
    write_dem,
    write_landcover,
)

MANIFEST = "truth.json"

REGIONS = pa.schema(
    [
        ("uid", pa.int64()),
        ("function", pa.string()),
        ("surface", pa.string()),
        ("landcover", pa.uint8()),
        ("order", pa.int16()),
        ("heading", pa.float64()),
        ("parent", pa.int64()),
        ("area_m2", pa.float64()),
    ]
)
"""Columns of `regions`: `heading` 0…180 from true north."""

OBJECTS = pa.schema(
    [
        ("uid", pa.int64()),
        ("layer", pa.string()),
        ("kind", pa.string()),
        ("subclass", pa.string()),
        ("function", pa.string()),
        ("parent", pa.int64()),
        ("surface", pa.string()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("length", pa.float64()),
        ("width", pa.float64()),
        ("base", pa.float64()),
        ("height", pa.float64()),
        ("heading", pa.float64()),
        ("speed", pa.float64()),
    ]
)
"""Columns of `objects`: `layer` is "building" or "target"; metres, m/s, degrees from true north.

Of buildings, length, width and heading (0…180) are those of the smallest rectangle around the
footprint, lon and lat its centroid, and speed is null; of targets, surface and base are null.
"""

CHANGES = pa.schema(
    [("uid", pa.int64()), ("kind", pa.string()), ("before", pa.string()), ("after", pa.string())]
)
"""Columns of `changes`."""


def write_truth(
    world: World,
    folder: Path,
    gsd_m: float = 10.0,
    *,
    date: str | None = None,
    progress: Progress | None = None,
    format: Format = "parquet",
) -> None:
    """Write what a world holds; a piece of it is in memory at a time.

    Equal worlds give equal bytes. A file appears when it is whole.

    Args:
        world: World, or one at its second date.
        folder: Where the files go; it is made if need be.
        gsd_m: Pixel of the rasters, metres.
        date: RFC 3339 date of this state of the world; noted in truth.json.
        progress: Called with pieces done, pieces in all (0 while unknown), and the file's name.
        format: Of the tables: "parquet" or "geojson".

    Raises:
        StorageError: The folder cannot be written to, or the disk is full.
    """
    tell = progress or (lambda done, total, name: None)
    counts = _write_rows(world, folder, format, tell)
    if isinstance(world, ChangedWorld):
        counts["changes"] = _write_changes(world, folder, format, tell)
    counts["map"] = write_map(world, folder / "map.parquet", tell)
    write_landcover(world, folder / "landcover.tif", gsd_m, tell)
    write_dem(world, folder / "dem.tif", gsd_m, tell)
    bounds = world.bounds
    manifest = {
        "crs": f"EPSG:{world.frame.epsg}",
        "bounds": [bounds.west, bounds.south, bounds.east, bounds.north],
        "seed": world.seed,
        "gsd_m": gsd_m,
        "format": format,
        "date": date,
        "changes": world.what.model_dump() if isinstance(world, ChangedWorld) else None,
        "rows": counts,
    }
    write_json(folder / MANIFEST, manifest)


def region_rows(regions: Regions, frame: Frame) -> dict[str, Any]:
    """Return the columns of `REGIONS`."""
    centres = shapely.get_coordinates(shapely.centroid(regions.geometry))
    turn = frame.convergence_deg(centres[:, 0], centres[:, 1])
    return {
        "uid": regions.uid,
        "function": regions.function,
        "surface": _surface_names()[regions.surface],
        "landcover": landcover_codes()[regions.surface],
        "order": regions.order,
        "heading": (regions.heading + turn) % 180.0,
        "parent": regions.parent,
        "area_m2": shapely.area(regions.geometry),
    }


def building_rows(buildings: Buildings, frame: Frame) -> dict[str, Any]:
    """Return the columns of `OBJECTS` for buildings."""
    n = len(buildings)
    centres = shapely.get_coordinates(shapely.centroid(buildings.geometry))
    lon, lat = frame.lonlat(centres[:, 0], centres[:, 1])
    length, width, heading = smallest_rectangles(buildings.geometry)
    turn = frame.convergence_deg(centres[:, 0], centres[:, 1])
    return {
        "uid": buildings.uid,
        "layer": ["building"] * n,
        "kind": buildings.kind,
        "subclass": buildings.kind,
        "function": buildings.function,
        "parent": buildings.parent,
        "surface": _surface_names()[buildings.surface],
        "lon": lon,
        "lat": lat,
        "length": length,
        "width": width,
        "base": buildings.base,
        "height": buildings.height,
        "heading": (heading + turn) % 180.0,
        "speed": np.full(n, np.nan),
    }


def target_rows(targets: Targets, frame: Frame) -> dict[str, Any]:
    """Return the columns of `OBJECTS` for targets."""
    n = len(targets)
    lon, lat = frame.lonlat(targets.x, targets.y)
    turn = frame.convergence_deg(targets.x, targets.y)
    return {
        "uid": targets.uid,
        "layer": ["target"] * n,
        "kind": targets.kind,
        "subclass": targets.subclass,
        "function": targets.function,
        "parent": targets.parent,
        "surface": [None] * n,
        "lon": lon,
        "lat": lat,
        "length": targets.length,
        "width": targets.width,
        "base": np.full(n, np.nan),
        "height": targets.height,
        "heading": (targets.heading + turn) % 360.0,
        "speed": targets.speed,
    }


def _write_rows(world: World, folder: Path, form: Format, tell: Progress) -> dict[str, int]:
    frame = world.frame
    with (
        geo_table(folder / "regions", REGIONS, frame, form) as regions,
        geo_table(folder / "objects", OBJECTS, frame, form) as objects,
    ):
        for number, piece in enumerate(world.cells(), start=1):
            regions.write(region_rows(piece.regions, frame), piece.regions.geometry)
            objects.write(building_rows(piece.buildings, frame), piece.buildings.geometry)
            objects.write(target_rows(piece.targets, frame), outlines(piece.targets))
            tell(number, 0, "objects")
    return {"regions": regions.rows, "objects": objects.rows}


def _write_changes(world: ChangedWorld, folder: Path, form: Format, tell: Progress) -> int:
    with geo_table(folder / "changes", CHANGES, world.frame, form) as table:
        waiting: list[Change] = []
        for number, change in enumerate(world.changes(), start=1):
            waiting.append(change)
            if len(waiting) == 1024:
                _put(waiting, table)
                tell(number, 0, "changes")
                waiting = []
        _put(waiting, table)
    return table.rows


def _put(changes: list[Change], table: GeoTable) -> None:
    names = ("uid", "kind", "before", "after")
    columns = {name: [getattr(change, name) for change in changes] for name in names}
    table.write(columns, np.array([change.geometry for change in changes], dtype=object))


def smallest_rectangles(shapes: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Return length, width and direction of the long side, 0…180, of the rectangles around."""
    if not len(shapes):
        return np.empty(0), np.empty(0), np.empty(0)
    corners = shapely.get_coordinates(shapely.oriented_envelope(shapes)).reshape(-1, 5, 2)
    sides = corners[:, 1:3] - corners[:, :2]
    lengths = np.hypot(sides[..., 0], sides[..., 1])
    longer = lengths.argmax(axis=1)
    long_side = sides[np.arange(len(sides)), longer]
    heading = np.degrees(np.arctan2(long_side[:, 0], long_side[:, 1])) % 180.0
    return lengths.max(axis=1), lengths.min(axis=1), heading


def _surface_names() -> npt.NDArray[Any]:
    return np.array(["", *(surface.name for surface in surfaces())], dtype=object)
